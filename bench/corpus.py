"""A day's papers for benchmarks, in Korean: invented, and the same at every run."""

import random
from datetime import UTC, date, datetime

from newsletter.sources import Listing, PaperData, SummaryData

DAY = date(2024, 3, 14)
SOURCE = "sample"
SENTENCE = 9  # words
BULLETS = 2
_WORDS = tuple(
    """모델 여러 언어 긴 문맥 학습 자료 추론 시간 메모리 절반 정확도 평가 기준 공개 가중치 실험 결과 방법 제안 기존 방식
    영상 음성 그림 설명 질문 대답 도구 사용 계획 검색 오류 수정 사람 판단 보상 없이 훈련 비용 감소 속도 두 배 품질 유지
    """.split()  # noqa: SIM905 -- sixty quotation marks say nothing
)
_ENDINGS = ("보입니다.", "줄입니다.", "제안합니다.", "확인했습니다.", "공개합니다.", "달성했습니다.")
_TITLE = (
    "Small",
    "Patient",
    "Models",
    "That",
    "Plan",
    "Read",
    "Listen",
    "Recall",
    "Explain",
    "Under",
    "Tight",
    "Budgets",
    "Sparsely",
)
_NAMES = ("Ari Kim", "Bora Lee", "Chan Park", "Dana Cho", "Eun Seo", "Femi Ade", "Gil Moreau", "Hana Sato", "Ines Vidal")


def listing(papers: int) -> Listing:
    """Return a day with so many papers, each with some sentences of Korean about it."""
    chance = random.Random(7)  # noqa: S311 -- the same words at every run, no secret
    return Listing(DAY, tuple(_paper(chance, number) for number in range(1, papers + 1)))


def _paper(chance: random.Random, number: int) -> PaperData:
    return PaperData(
        source="arxiv",
        source_id=f"2403.{number:05}",
        title=" ".join(chance.sample(_TITLE, 9)),
        url=f"https://papers.example.org/abs/2403.{number:05}",
        authors=tuple(chance.sample(_NAMES, 5)),
        votes=200 - number,
        published_at=datetime(2024, 3, 13, tzinfo=UTC),
        keywords=(f"topic-{number % 12}",),
        summaries=(SummaryData("ko", tuple(_sentence(chance) for _ in range(BULLETS))),),
    )


def _sentence(chance: random.Random) -> str:
    return " ".join([*chance.choices(_WORDS, k=SENTENCE), chance.choice(_ENDINGS)])
