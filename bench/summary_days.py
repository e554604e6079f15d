"""What the checks of summaries are measured on: published days in a folder, or a few papers of our own."""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from newsletter.errors import NewsletterError
from newsletter.sources import documents, huggingface
from newsletter.summarisers import SummaryInput


@dataclass(frozen=True)
class Pair:
    """A paper and a summary of it."""

    identifier: str
    day: str
    paper: SummaryInput
    bullets: tuple[str, ...]
    language: str
    invented: bool = False  # it is known to describe a paper that does not exist
    labelled: bool = True  # somebody has looked; else its day holds invented ones, and nobody has told which


def published(folder: Path) -> list[Pair]:
    """Return the summaries of a folder's documents whose abstracts its lists have, and the lists' own one-liners."""
    papers, lines = _lists(folder)
    invented, days = _labels(folder)
    found = []
    for path in sorted(folder.rglob("*.md")):
        try:
            listings = documents.read_all(path.read_text(errors="replace"), where=str(path))
        except NewsletterError:
            continue
        for listing in listings:
            for paper in listing.papers:
                if paper.source_id in papers:
                    labelled = str(listing.day) not in days or paper.source_id in invented
                    found += [
                        Pair(
                            paper.source_id,
                            str(listing.day),
                            papers[paper.source_id],
                            each.bullets,
                            each.language,
                            paper.source_id in invented,
                            labelled,
                        )
                        for each in paper.summaries
                    ]
    return found + [Pair(each, "list", papers[each], (line,), "en") for each, line in lines.items() if each in papers]


def abstracts(folder: Path) -> list[SummaryInput]:
    """Return every paper of a folder's lists."""
    return list(_lists(folder)[0].values())


def _lists(folder: Path) -> tuple[dict[str, SummaryInput], dict[str, str]]:
    papers: dict[str, SummaryInput] = {}
    lines: dict[str, str] = {}
    for path in sorted(folder.rglob("*.json")):
        try:
            listing = huggingface.parse(path.read_bytes(), day=date(2000, 1, 1), where=str(path))
        except NewsletterError:
            continue
        papers |= {paper.source_id: SummaryInput(paper.title, paper.abstract) for paper in listing.papers if paper.abstract}
        lines |= dict(_one_liners(path))
    return papers, lines


def _one_liners(path: Path) -> Iterator[tuple[str, str]]:
    for item in json.loads(path.read_text()):
        paper = item.get("paper") if isinstance(item, dict) else None
        if isinstance(paper, dict) and paper.get("ai_summary"):
            yield str(paper["id"]), str(paper["ai_summary"])


def _labels(folder: Path) -> tuple[set[str], set[str]]:
    """Return which papers' summaries are invented, and the days on which some are."""
    invented, days = set(), set()
    for path in sorted(folder.rglob("*.tsv")):
        with path.open() as file:
            for row in csv.DictReader(file, delimiter="\t"):
                invented.add(row["arxiv_id"])
                days.add(row["day"])
    return invented, days


def own() -> list[Pair]:
    """Return papers that we made up, with true summaries in both languages."""
    papers = [SummaryInput(title, abstract) for title, abstract, _, _ in _OWN]
    pairs = []
    for number, (paper, (_, _, korean, english)) in enumerate(zip(papers, _OWN, strict=True), start=1):
        pairs += [
            Pair(f"own-{number}", "own", paper, tuple(text.split("\n")), tongue)
            for text, tongue in ((korean, "ko"), (english, "en"))
        ]
    return pairs


_OWN = (
    (
        "TideNet: Forecasting Coastal Floods from Satellite Images",
        (
            "Coastal floods are hard to forecast where few gauges stand. We "
            "introduce TideNet, a vision transformer with 1.2 billion parameters "
            "that reads satellite images and weather records and forecasts "
            "the water level for 48 hours. Trained on 350K image pairs of "
            "27 harbours, it lowers the error by 18.5% and is 3.5x faster "
            "than simulation. We release FloodBench, a benchmark of 940 storms."
        ),
        (
            "TideNet은 위성 이미지와 날씨 기록으로 48시간 동안의 해안 수위를 예측하는 12억 파라미터 비전 트랜스포머입니다.\n"
            "항구 27곳의 이미지 35만 쌍으로 학습해 오차를 18.5% 줄였고, 시뮬레이션보다 "
            "3.5배 빠릅니다.\n폭풍 940개로 이루어진 FloodBench를 공개합니다."
        ),
        (
            "TideNet forecasts coastal water levels for 48 hours from satellite images and weather records.\n"
            "Its 1.2B parameters learn from 350K image pairs of 27 harbours and lower the error by 18.5%."
        ),
    ),
    (
        "PolyGloss: Speech Translation for 65 Rare Languages",
        (
            "Speech translation leaves rare languages out. PolyGloss is an "
            "encoder-decoder model of 7B parameters trained on 1.4T text tokens "
            "and 82,000 hours of unlabelled speech in 65 languages. It gains "
            "6.3 BLEU on average over cascades and keeps the speaker's voice. "
            "Native speakers of 23 languages preferred its translations in 71% of 4,600 comparisons."
        ),
        (
            "PolyGloss는 희소 언어 65개의 음성을 번역하는 70억 파라미터 인코더-디코더 모델입니다.\n"
            "텍스트 1조 4천억 토큰과 라벨 없는 음성 8만 2천 시간으로 "
            "학습했습니다.\n원어민은 비교 4,600건 가운데 71%에서 이 모델의 번역을 골랐습니다."
        ),
        (
            "PolyGloss translates the speech of 65 rare languages with 7 billion parameters.\n"
            "It was trained on 1.4 trillion text tokens and 82K hours of "
            "speech, and native speakers preferred it in 71% of comparisons."
        ),
    ),
    (
        "Small Hands, Big Drawers: Household Robots from Few Demonstrations",
        (
            "Robots need many demonstrations to open drawers and fold laundry. "
            "DrawerPolicy learns manipulation from 35 demonstrations per task "
            "by imagining 2 million variations of them in a simulator. On 14 "
            "household tasks with two arms it succeeds in 83% of trials, where "
            "imitation learning alone reaches 46%. The policy has 45M "
            "parameters and runs at 60 frames per second on a laptop."
        ),
        (
            "DrawerPolicy는 과제당 시연 35개만으로 가정용 로봇의 조작을 "
            "학습합니다.\n시뮬레이터에서 시연의 변형 200만 개를 상상해 학습에 씁니다.\n"
            "가사 과제 14개에서 83%의 성공률을 보였고, 4,500만 파라미터로 초당 60프레임을 처리합니다."
        ),
        (
            "DrawerPolicy teaches household robots manipulation from 35 demonstrations per task.\n"
            "It imagines 2M variations in a simulator and succeeds in "
            "83% of trials on 14 tasks, with 45 million parameters."
        ),
    ),
    (
        "LedgerQA: Do Language Models Read Financial Tables?",
        (
            "We ask whether language models read tables in financial reports. "
            "LedgerQA holds 12,500 questions on 3,400 tables of 640 companies, "
            "each with its arithmetic written out. The best of 19 models "
            "answers 62.4% of the questions, accountants 94.1%. Errors come from "
            "units: 38% of them confuse thousands and millions. Training "
            "on 250K synthetic tables raises a small model by 11.7 points."
        ),
        (
            "LedgerQA는 기업 640곳의 금융 표 3,400개에 대한 질문 1만 2,500개를 담은 "
            "벤치마크입니다.\n모델 19개 가운데 가장 좋은 것은 62.4%를, 회계사는 94.1%를 맞혔습니다.\n"
            "합성 표 25만 개로 학습하면 작은 모델의 점수가 11.7점 오릅니다."
        ),
        (
            "LedgerQA asks 12,500 questions on 3,400 financial tables of 640 companies.\n"
            "The best of 19 models answers 62.4%, accountants 94.1%; "
            "250K synthetic tables help a small model by 11.7 points."
        ),
    ),
)
