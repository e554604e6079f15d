"""What a number counts, in English and in Korean: "8 H100 GPUs" and "GPU 8개" count the same, "80 layers" do not."""

import re
from functools import lru_cache

# A line is one kind: the beginnings of its English words, then those of its Korean ones.
_KINDS = """
parameter param weight = 매개변수 매개_변수 파라미터 패러미터 가중치
token = 토큰
hour hr = 시간
minute min = 분
second sec = 초
millisecond ms = 밀리초
day = 일간 일_동안
week = 주간
month = 개월
year = 년간
image picture photo = 이미지 사진 그림
video clip = 비디오 동영상 영상 클립
frame fps = 프레임
language lingual tongue = 언어 개국어
task = 과제 작업 태스크 업무
dataset corpus corpora = 데이터셋 데이터_세트 데이터세트 말뭉치
benchmark testbed = 벤치마크
model llm vlm mllm lmm = 모델
sample example instance = 샘플 예제 예시 사례 표본
question quer problem qa = 질문 문제 문항 질의
answer response = 답변 응답
step iteration = 단계 스텝 반복
stage phase = 단계 스테이지
layer block = 층 레이어 계층 블록
gpu a100 h100 v100 = gpu 그래픽
page = 페이지 쪽
paper article publication = 논문 기사
document report = 문서 보고서
sentence = 문장
word vocabular = 단어 어휘
character letter = 글자 문자 캐릭터
pair = 쌍
user = 사용자 이용자
people person participant annotator human speaker subject = 명 사람 참가자 인원 화자 평가자
expert = 전문가
patient = 환자
object item entit = 객체 물체 사물 항목 개체
scene = 장면 씬
class categor type kind = 클래스 범주 카테고리 유형 종류 가지
domain field area discipline subject = 도메인 분야 영역 과목
environment = 환경
robot = 로봇
demonstration trajector = 시연 궤적
episode = 에피소드
dialog conversation turn = 대화 턴
instruction prompt command = 지시 명령 프롬프트
tool api function = 도구 api 함수
agent = 에이전트
metric measure dimension criteri = 지표 척도 측면 차원 기준
baseline method approach technique algorithm = 베이스라인 기준선 방법 기법 알고리즘
view viewpoint camera = 시점 뷰 카메라
bit = 비트
point = 포인트 점
shot = 샷
neuron head feature = 뉴런 헤드 특징
repositor project = 저장소 리포지토리 프로젝트
file = 파일
code program = 코드 프로그램
table = 테이블 표
company companies = 회사 기업
city cities = 도시
country countries = 국가 나라
molecule protein = 분자 단백질
experiment trial run = 실험 시행
storm = 폭풍
game = 게임
song track = 곡 노래
book = 책 도서
post tweet message = 게시물 메시지
website site = 웹사이트 사이트
"""

_AFTER = re.compile(r"[^.,;:()\[\]\d\n]{0,36}")
_BEFORE = re.compile(r"[^.,;:()\[\]\d\n]{0,14}$")
_NEAR = 14  # characters before a number
_WORDS_AFTER = 4
_LATIN = re.compile(r"[A-Za-z][A-Za-z0-9-]+")
_HANGUL = re.compile("[가-힣]")
_SHORT = 2  # letters: "ms", and many a word that means nothing
_FUNCTION_WORDS = frozenset(
    {
        *("the", "and", "for", "with", "from", "that", "this", "than", "then", "over", "more", "most", "other", "such", "into"),
        *("are", "was", "has", "its", "our", "their", "each", "which", "while", "using", "across", "per", "between", "times"),
        *(
            "fold",
            "percent",
            "state",
            "art",
            "new",
            "large",
            "different",
            "various",
            "diverse",
            "high",
            "quality",
            "real",
            "world",
        ),
    }
)


def counted(prose: str, start: int, end: int) -> frozenset[str]:
    """Return what the number between `start` and `end` may count: kinds of things, and Latin words as they stand."""
    after = _AFTER.match(prose, end)
    near = " ".join(after[0].split()[:_WORDS_AFTER]) if after else ""
    before = _BEFORE.search(prose, max(0, start - _NEAR), start)
    if before and _HANGUL.search(near):  # in Korean the thing stands before its number, or after it
        near = f"{before[0]} {near}"
    words = {word.lower() for word in _LATIN.findall(near)}
    english, korean, pattern = _kinds()
    kinds = {kind for word in words for begins, kind in english if word.startswith(begins)}
    kinds |= {kind for found in pattern.findall(near) for kind in korean[re.sub(r"\s", "", found).lower()]}
    return frozenset(kinds | {word.rstrip("s") for word in words - _FUNCTION_WORDS if len(word) > _SHORT})


@lru_cache(maxsize=1)
def _kinds() -> tuple[tuple[tuple[str, str], ...], dict[str, set[str]], re.Pattern[str]]:
    """Return the beginnings of English words, the Korean words, and what finds the latter."""
    english: list[tuple[str, str]] = []
    korean: dict[str, set[str]] = {}
    for line in _KINDS.strip().splitlines():
        ours, _, theirs = (part.split() for part in line.partition("="))
        english += [(word, ours[0]) for word in ours]
        for word in theirs:
            korean.setdefault(word.replace("_", ""), set()).add(ours[0])
    written = sorted((word for line in _KINDS.strip().splitlines() for word in line.partition("=")[2].split()), key=len)
    pattern = "|".join(re.escape(word).replace("_", r"\s?") for word in reversed(written))
    return tuple(english), korean, re.compile(pattern, re.IGNORECASE)
