"""Faults put into true summaries, one kind a function: each yields every summary it can spoil in its way."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

from bench.summary_days import Pair
from newsletter.summarisers.checks.amounts import LARGE, stands
from newsletter.summarisers.checks.numbers import Quantity, plain, quantities

_FACTORS = (10, 100, 1000)
_UNITS = {"만": "억천", "억": "만", "조": "억만", "천": "만", "K": "M", "k": "M", "M": "BK", "B": "MT", "T": "B"}
_ENGLISH = {"thousand": "million", "million": "billion", "billion": "million", "trillion": "billion"}
_LITERALLY = ((10**9, "억"), (10**6, "만"), (10**3, "백"))  # B, M and K for whoever does not convert


def magnitudes(pairs: Sequence[Pair]) -> Iterator[tuple[str, Pair, bool]]:
    """Yield each number that the source has too, in all ways it is slipped with, and whether the source has that one as well."""
    for pair in pairs:
        known = quantities(plain(f"{pair.paper.title}\n{pair.paper.abstract}"))
        for place, bullet in enumerate(pair.bullets):
            prose = plain(bullet)
            for said in quantities(prose):
                if said.named or said.unit == "year" or said.value <= 0 or not stands(said, known):
                    continue
                for how, text in _slips(said):
                    spoilt = prose[: said.span[0]] + text + prose[said.span[1] :]
                    bullets = (*pair.bullets[:place], spoilt, *pair.bullets[place + 1 :])
                    yield how, replace(pair, bullets=bullets), all(stands(each, known) for each in quantities(text))


def _slips(said: Quantity) -> Iterator[tuple[str, str]]:
    large, text = said.scale > 1 or said.value >= LARGE, said.text.strip()
    figure = text[: len(text) - len(text.lstrip("0123456789,."))]
    if figure.replace(",", "").replace(".", "", 1).isdigit():
        yield from _by_powers(said, Fraction(figure.replace(",", "")), text[len(figure) :], large=large)
    if large and " " not in text:
        yield from (("unit: 억 for 만, B for M", text[:-1] + unit) for unit in _UNITS.get(text[-1], ""))
    yield from (("unit: billion for million", text.replace(word, other)) for word, other in _ENGLISH.items() if word in text)
    size, unit = next(((size, unit) for size, unit in _LITERALLY if large and not said.unit and said.value >= size), (1, ""))
    if unit and said.value / size < LARGE:
        yield "unit: B as 억, M as 만, K as 백", _written(said.value / size) + unit


def _by_powers(said: Quantity, number: Fraction, rest: str, *, large: bool) -> Iterator[tuple[str, str]]:
    for factor in _FACTORS:
        kind = f"{'large' if large else 'small'}, wrong by {factor}"
        yield kind, _written(number * factor) + rest
        less = number / factor
        if not (" " in rest.strip() or (said.scale == 1 and not said.unit and number.denominator == 1 < less.denominator)):
            yield kind, _written(less) + rest  # nobody writes "0.1조 4천억" or "2.7 models"


def _written(number: Fraction) -> str:
    return f"{int(number):,}" if number.denominator == 1 else f"{float(number):.10f}".rstrip("0")


def swapped(pairs: Sequence[Pair], step: int = 7) -> Iterator[Pair]:
    """Yield each paper with the summaries of some others."""
    for place, pair in enumerate(pairs):
        for other in pairs[(place + 1) % step :: step]:
            if other.identifier != pair.identifier:
                yield replace(pair, bullets=other.bullets, language=other.language)


def nearly(pairs: Sequence[Pair]) -> Iterator[Pair]:
    """Yield papers with nearly the summary of another: its end left out, its names written otherwise."""
    for place, pair in enumerate(pairs):
        other = next((each for each in pairs[place + 1 :] if each.identifier != pair.identifier), None)
        if other:
            kept = other.bullets[: max(1, len(other.bullets) - 1)]
            bullets = tuple(re.sub(r"[A-Z]\w*[A-Z]\w*", "Other", bullet) for bullet in kept)
            yield replace(pair, bullets=bullets, language=other.language)


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
