"""What papers of this field are about, in English and in Korean: enough to see that two texts are not about the same.

A line is one topic: the beginnings of its English words, then those of its Korean ones. An underscore stands for a space.
What half of all papers speak of (models, data, training, performance) is no topic.
"""

import re
from functools import lru_cache

_COMMON = """
large_language llm language_model = 대형_언어 대규모_언어 거대_언어 언어_모델 언어모델 거대언어 대형언어 대규모언어
image picture photo = 이미지 사진 영상
text caption = 텍스트 캡션 문장
vision visual = 비전 시각 비주얼
reason = 추론 사고
generat = 생성
multimodal multi-modal cross-modal modalit vision-language vision_and_language vlm mllm lvlm lmm =
    멀티모달 다중_모달 다중모달 다중_모드 다중모드 멀티_모달 모달리티 시각-언어 비전-언어
benchmark = 벤치마크
optimi = 최적화
transformer attention = 트랜스포머 어텐션 주의 주목
reinforcement rl_ rlhf = 강화_학습 강화학습 보상
robust = 강건 견고
domain = 도메인
pre-train pretrain = 사전_학습 사전_훈련 사전학습 사전훈련 사전-학습 프리트레이닝
fine-tun finetun fine_tun sft = 미세_조정 미세조정 파인튜닝 파인_튜닝
"""

_TOPICS = """
video clip film movie = 비디오 동영상 영상 영화 클립
diffusion denois flow_matching rectified_flow score-based = 확산 디퓨전 노이즈 잡음
adversarial_network gan_ gans = 적대적_생성 생성적_적대 적대_신경망
convolution cnn = 합성곱 컨볼루션 콘볼루션
quantum hamiltonian = 양자_컴퓨팅 양자_컴퓨터 양자_어닐링 해밀토니안 양자역학
quantiz low-bit 1-bit 4-bit int8 fp8 = 양자화 비트
robot manipulat grasp embod humanoid locomotion = 로봇 조작 로보틱 체화 구현 휴머노이드
autonomous_driv driving vehicle traffic = 자율_주행 자율주행 운전 주행 차량 교통
navigat pathfind = 내비게이션 탐색 네비게이션 길_찾기
3d three-dimensional mesh point_cloud geometr = 3d 3차원 메시 메쉬 기하 포인트_클라우드
4d dynamic_scene = 4d 동적_장면
gaussian splat = 가우시안 스플래팅
nerf radiance_field view_synthesis novel_view multi-view render = 렌더링 시점 뷰 방사 nerf 신경_방사
scene = 장면 씬 풍경
speech voice spoken asr tts speaker talk = 음성 말하기 발화 목소리 화자
audio sound = 오디오 소리 음향 사운드
music song melod rhythm chord = 음악 노래 선율 리듬 작곡
face facial portrait = 얼굴 안면 인물 초상
avatar = 아바타
human_body pose human_motion gesture = 자세 포즈 동작 제스처 몸
motion = 모션 움직임 동작 운동
emotion affect sentiment depression mental = 감정 정서 감성 우울 정신_건강
medical clinic health biomed patient diagnos disease radiolog surg = 의료 임상 의학 건강 생의학 환자 진단 질병 방사선 수술
protein molecul chemi drug biolog gene_ genom dna = 단백질 분자 화학 약물 생물 유전 신약
material physic = 재료 소재 물리
math theorem proof arithmetic algebra geometry_problem olympiad = 수학 정리 증명 산술 대수 올림피아드
code coding program software developer repositor = 코드 코딩 프로그래밍 프로그램 소프트웨어 개발자 저장소
sql database table tabular spreadsheet = 데이터베이스 테이블 표 스프레드시트
legal law_ laws court = 법률 법_ 법적 판례 법원
financ stock market trading econom = 금융 주식 재정 시장 거래 경제
education student teach_ tutor = 교육 학생 교사
scien research_paper literature_review peer_review = 과학 논문_ 문헌 심사
game chess play_ player = 게임 체스 플레이 플레이어
agent = 에이전트
tool function_call api = 도구 툴 api 함수_호출
web browser gui screen mobile app_ = 웹 브라우저 화면 모바일 앱 gui 인터페이스
search retriev rag = 검색 회수 리트리벌 rag
question qa_ question-answer = 질의 질문 응답 문답
dialog conversation chat = 대화 챗봇 채팅
translat cross-lingual = 번역 통역 교차_언어
multilingual low-resource_language languages arabic chinese korean japanese french german lithuan
    indic african southeast polish vietnam = 다국어 다언어 언어들 아랍 중국어 한국어 일본어 프랑스
    독일 리투아니아 폴란드 동남아 저자원 개_언어
summar = 요약
story narrat novel creative_writ poem = 이야기 스토리 서사 소설 창작 시를
long-context long_context context_window long-sequence long_sequence context_length = 긴_문맥 긴_컨텍스트 장문
    컨텍스트_길이 컨텍스트_창 긴_텍스트 긴_시퀀스 문맥_길이 컨텍스트
kv_cache kv-cache key-value = kv_캐시 kv캐시 캐시
speculative draft = 추측 드래프트 초안
latency throughput accelerat speedup speed inference_time fast_ faster = 지연 처리량 가속 속도 빠르
memory-effic memory_ gpu hardware kernel cuda device edge = 메모리 gpu 하드웨어 커널 기기 장치 디바이스 온디바이스
prun sparse sparsity compress = 가지치기 프루닝 희소 압축 스파스
distill teacher = 증류 교사 디스틸
mixture_of_expert mixture-of-expert moe expert = 전문가 moe
low-rank lora adapter peft parameter-efficient = 저랭크 저순위 로라 어댑터 lora 매개변수_효율 파라미터_효율
merg ensemble = 병합 앙상블 결합
mamba state_space state-space recurrent rnn = 맘바 상태_공간 순환 mamba
token_ tokens tokeniz = 토큰 토크나이
embedding represent = 임베딩 표현
contrastive = 대조 대비_학습
self-supervis masked_autoencoder mae = 자기_지도 자가_지도 자기지도 자가_감독 자기_감독 마스크
align preference rlhf dpo human_feedback = 정렬 선호 피드백 얼라인
reward = 보상 리워드
safety harm toxic jailbreak attack adversarial_attack red-team red_team vulnerab = 안전 유해 탈옥 공격 악의 레드팀 취약
privacy unlearn copyright watermark memoriz = 프라이버시 개인정보 사생활 망각 저작권 워터마크 암기 기억화
bias fairness stereotyp gender = 편향 공정 고정관념 성별
hallucinat factual truthful = 환각 사실성 사실_ 할루시네이션
trust explain interpret mechanistic circuit neuron = 신뢰 설명_가능 해석 회로 뉴런 기계적
knowledge_graph graph node = 지식_그래프 그래프 노드
knowledge = 지식
instruction = 지시 명령 지침 인스트럭션
prompt in-context few-shot zero-shot = 프롬프트 인컨텍스트 맥락_내 컨텍스트_내 퓨샷 제로샷 제로_샷 소수_샷
chain-of-thought chain_of_thought cot step-by-step = 사고의_연쇄 사고_사슬 연쇄_사고 사고_연쇄 단계별 cot
self-improv self-train self-reward self-correct self-refin self-taught self-play = 자기_개선 자가_개선 자기_보상
    자기_학습 자가_학습 자기_수정 스스로
judge evaluator = 심사 판단 평가자 판사 judge
planning plan_ = 계획 플래닝
decision = 의사_결정 의사결정
synthetic = 합성
dataset corpus corpora collection curat annotat = 데이터셋 데이터_셋 데이터세트 데이터_세트 말뭉치 코퍼스 큐레이션 주석
survey review taxonomy = 조사 서베이 리뷰 분류체계 분류_체계 개관 종합
document ocr pdf chart figure diagram layout = 문서 ocr 차트 도표 다이어그램 레이아웃
segment = 분할 세그멘
detect = 탐지 검출 감지
track point_track = 추적 트래킹
depth stereo = 깊이 뎁스 스테레오
object = 객체 물체 사물
recogni classif = 인식 분류
edit inpaint = 편집 인페인팅 수정
style artist = 스타일 예술 화풍
personaliz subject-driven identity customiz = 개인화 맞춤 정체성 아이덴티티 신원
text-to-image text_to_image = 텍스트-이미지 텍스트에서_이미지 텍스트-투-이미지 텍스트_이미지 t2i
super-resolution resolution restor upsampl = 해상도 초해상도 복원
autoencoder vae latent codebook vector_quant = 오토인코더 잠재 자동_인코더 코드북 라텐트 vae
layout control controllab condition = 제어 조건 컨트롤
animat character cartoon = 애니메이션 캐릭터 만화
camera photograph phone = 카메라 촬영 휴대폰 스마트폰 폰
satellite remote_sens geospatial map_ city urban = 위성 원격 지리 지도 도시
weather climate forecast time_series time-series = 날씨 기후 예측 시계열
recommend user_behav e-commerce = 추천 사용자_행동 전자상거래
social human_behav persona cultur politic = 사회 문화 페르소나 정치
cognit brain neuro_ fmri eeg human_mind human_cogn = 인지 뇌 신경_과학 신경과학 사고방식 마음
world_model simulat environment = 월드_모델 세계_모델 시뮬레이션 시뮬레이터 환경
imitation demonstrat behavior_clon policy policies = 모방 시연 데모 정책
scaling_law scaling scale_ = 스케일링 확장 규모
data_select filter dedup data_mixture data_quality web_crawl = 필터 선별 선택 혼합 크롤
loss_function gradient learning_rate optimizer momentum convergence adam_ = 손실 그래디언트
    그레이디언트 학습률 옵티마이저 모멘텀 수렴 경사
regulariz dropout overfit normaliz = 정규화 과적합 드롭아웃
augment = 증강
transfer_learn meta-learn meta_learn domain_adapt domain_generaliz adaptation = 전이 메타 적응 도메인_일반화
continual lifelong forget catastroph = 지속적 계속 망각 잊어
federat distributed parallel cluster communicat = 연합 분산 병렬 클러스터 통신
uncertain calibrat confidence = 불확실 보정 신뢰도
anomal out-of-distribution distribution_shift = 이상 분포
causal counterfactual = 인과 반사실
common_sense commonsense riddle puzzle abstract_reason = 상식 수수께끼 퍼즐
humor meme joke = 유머 밈 농담
multi-agent multi_agent cooperat collaborat societ = 다중_에이전트 멀티_에이전트 협력 협업 사회
open-source open_source open-weight open_weight released_model = 오픈_소스 오픈소스 공개
garment clothing try-on fashion cloth = 의류 옷 패션 착용
hand_ hand-object dexter finger = 손_ 손가락 손의
hair skin body_shape = 머리카락 피부 체형
food cook recipe = 음식 요리 레시피
animal dog cat_ bird morpholog = 동물 강아지 개의_동물 형태
light relight illuminat shadow reflect = 조명 빛 그림자 반사
texture material_ pbr = 텍스처 질감 재질
trajector = 궤적 경로
temporal frame = 시간적 프레임 시간의
spatial = 공간
frequency spectral fourier wavelet phase = 주파수 스펙트럼 푸리에 위상
hyperbolic manifold topolog = 쌍곡 매니폴드 다양체 위상
hyperparameter vllm serving deploy = 하이퍼파라미터 서빙 배포 배치
activation layer feed-forward mlp = 활성화 레이어 층 피드포워드
positional position_ rope = 위치
cross-attention linear_attention = 크로스-어텐션 교차_주의 선형_어텐션
bert = 버트 bert
encoder decoder = 인코더 디코더
instruction-follow instruction_follow = 지시_따르 명령_수행 지시_수행
function approximat differential_equation pde operator = 방정식 미분 함수_근사
entropy information_theor perplexity = 엔트로피 퍼플렉시티 정보_이론
vocabular word lexic grammar linguist syntax semantic_ = 어휘 단어 문법 언어학 구문
sensor lidar imu wearable = 센서 라이다 웨어러블
avatar talking_head lip = 아바타 립 입술
mimic theory_of_mind = 모방 흉내
"""


@lru_cache(maxsize=16)  # a source is asked for again with each attempt
def topics(text: str) -> dict[str, float]:
    """Return what a text is about, each with its weight: one for a topic, less for what very many papers speak of."""
    prose = " " + re.sub(r"[\s_/]+", " ", text.lower()) + " "
    return {name: weight for name, weight, words in _table() if words.search(prose)}


@lru_cache(maxsize=1)
def _table() -> tuple[tuple[str, float, re.Pattern[str]], ...]:
    return (*_read(_COMMON, 0.3), *_read(_TOPICS, 1.0))


def _read(table: str, weight: float) -> list[tuple[str, float, re.Pattern[str]]]:
    """Return the topics of a table; a line that is set in goes on with the one before."""
    return [_topic(line, weight) for line in table.replace("\n    ", " ").strip().splitlines()]


def _topic(line: str, weight: float) -> tuple[str, float, re.Pattern[str]]:
    english, korean = line.split(" = ")
    begins = "|".join(re.escape(word).replace("_", " ") for word in english.split())
    within = "|".join(re.escape(word).replace("_", " ") for word in korean.split())
    return english.split()[0].strip("_").replace("_", " "), weight, re.compile(rf"(?<![a-z])(?:{begins})|{within}")
