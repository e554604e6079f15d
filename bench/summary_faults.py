"""Faults put into true summaries, one kind a function: each yields every summary it can spoil in its way."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

from bench.summary_days import Pair
from newsletter.summarisers.checks.amounts import LARGE, stands
from newsletter.summarisers.checks.numbers import Quantity, plain, quantities

_KOREAN = {"만": "억", "억": "만", "조": "억"}
_LETTERS = {"K": "M", "M": "B", "B": "M", "T": "B"}


def magnitudes(pairs: Sequence[Pair]) -> Iterator[tuple[str, Pair]]:
    """Yield each number that the source has too, ten times as much, a tenth, and with another word for its size."""
    for pair in pairs:
        known = quantities(plain(f"{pair.paper.title}\n{pair.paper.abstract}"))
        for place, bullet in enumerate(pair.bullets):
            prose = plain(bullet)
            for said in quantities(prose):
                if said.named or said.unit == "year" or said.value <= 0 or not stands(said, known):
                    continue
                for how, text in _slips(said):
                    if all(stands(each, known) for each in quantities(text)):
                        continue  # the source has that number too, of something else: no digits can tell
                    spoilt = prose[: said.span[0]] + text + prose[said.span[1] :]
                    bullets = (*pair.bullets[:place], spoilt, *pair.bullets[place + 1 :])
                    yield how, replace(pair, bullets=bullets)


def _slips(said: Quantity) -> Iterator[tuple[str, str]]:
    large = said.scale > 1 or said.value >= LARGE
    figure = said.text[: len(said.text) - len(said.text.lstrip("0123456789,."))]
    if figure.replace(",", "").replace(".", "", 1).isdigit():
        number, rest = Fraction(figure.replace(",", "")), said.text[len(figure) :]
        for factor in (Fraction(10), Fraction(1, 10))[: 1 if " " in said.text.strip() else 2]:  # nobody writes "0.1조 4천억"
            yield ("wrong by ten, with a size" if large else "wrong by ten, small"), f"{float(number * factor):.10g}{rest}"
    for table, how in ((_KOREAN, "억 for 만 and the like"), (_LETTERS, "B for M and the like")):
        if large and said.text.strip()[-1:] in table:
            yield how, said.text.strip()[:-1] + table[said.text.strip()[-1]]


def swapped(pairs: Sequence[Pair], step: int = 7) -> Iterator[Pair]:
    """Yield each paper with the summaries of some others."""
    for place, pair in enumerate(pairs):
        for other in pairs[(place + 1) % step :: step]:
            if other.identifier != pair.identifier:
                yield replace(pair, bullets=other.bullets, language=other.language)


SOURCES = (
    "",
    "   \n",
    "N/A",
    "This paper has been withdrawn by the authors because of a crucial error in the proof of the main theorem. " * 3,
    "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore et dolore. " * 3,
    "These formatting instructions are for submissions: the style file fixes fonts and margins, and no paper may change them. "
    * 3,
    "The abstract paragraph should be indented on both sides, and the word Abstract must be centered in bold above it. " * 3,
    "\\documentclass{article}\\usepackage{graphicx}\\begin{document} This is where the abstract of the paper is to stand. " * 3,
    "Insert your abstract here. It should say what you did, how, and what you found, in one paragraph and without references. "
    * 3,
    "Please enable JavaScript and cookies to go on. Access denied. The page you asked for could not be shown to this address. "
    * 3,
    "We propose a method. " * 20,
)


def _with(bullet: str) -> Callable[[Pair], Pair]:
    return lambda pair: replace(pair, bullets=(*pair.bullets, bullet))


FORMS: dict[str, Callable[[Pair], Pair]] = {
    "words in Cyrillic": lambda pair: replace(pair, bullets=(*pair.bullets[:-1], pair.bullets[-1] + " Модель обучена.")),
    "words in Chinese": lambda pair: replace(pair, bullets=(*pair.bullets[:-1], pair.bullets[-1] + " 模型训练.")),
    "cut off": lambda pair: replace(
        pair, bullets=(*pair.bullets[:-1], pair.bullets[-1][: len(pair.bullets[-1]) // 2].rsplit(" ", 1)[0] + " (그")
    ),
    "HTML": lambda pair: replace(pair, bullets=(f"<p>{pair.bullets[0]}</p>", *pair.bullets[1:])),
    "Markdown": lambda pair: replace(pair, bullets=(f"## {pair.bullets[0]}", *pair.bullets[1:])),
    "TeX": lambda pair: replace(pair, bullets=(f"{pair.bullets[0]} \\alpha.", *pair.bullets[1:])),
    "printed dict": lambda pair: replace(pair, bullets=("{'text': '" + pair.bullets[0] + "'}", *pair.bullets[1:])),
    "a link": lambda pair: replace(pair, bullets=(*pair.bullets, "https://made-up.example.org/paper.")),
    "a refusal": lambda pair: replace(
        pair, bullets=("죄송하지만 초록이 제공되지 않았습니다." if pair.language == "ko" else "I'm sorry, but I cannot do that.",)
    ),
    "text of a template": _with("[Your summary here]"),
    "no bullets": lambda pair: replace(pair, bullets=()),
    "the other language": lambda pair: replace(pair, language="en" if pair.language == "ko" else "ko"),
    "said twice": lambda pair: replace(pair, bullets=(*pair.bullets, pair.bullets[0])),
}
