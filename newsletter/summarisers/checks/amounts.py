"""Does every number of a summary stand in its source? A number with the same digits at another size is a wrong magnitude."""

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import log10

from newsletter.summarisers.checks.numbers import Quantity, plain, quantities
from newsletter.summarisers.checks.reasons import Reason

LARGE = 1000  # from here on, and with a word for the size, a number is one that is slipped with
_COUNTED = 10  # up to here a model may count for itself
_FEW = 5
_KOREAN_SIZE = re.compile(r"[만억조경]|[십백천](?![만억조])|\d{3,}$")
_FARTHEST = 6  # powers of ten: B for K


def wrong_magnitudes(source: str, summary: str) -> Reason | None:
    """Return the numbers that the source has with the same digits at another power of ten, and nowhere as they are said."""
    known = quantities(plain(source))
    slips = [(said, meant) for said in _said(summary) if not stands(said, known) and (meant := _meant(said, known))]
    if not slips:
        return None
    told = " and ".join(f"“{said.text}” where the source has “{meant.text}”" for said, meant in slips[:3])
    return Reason("magnitude", tuple(said.text for said, _ in slips), f"The summary says {told}: wrong by powers of ten.")


def unknown_numbers(source: str, summary: str) -> Reason | None:
    """Return the numbers that the source has in no form; few enough to be counted by the reader are passed over."""
    known = quantities(plain(source))
    unknown = [said.text for said in _said(summary) if said.value > _COUNTED and not stands(said, known)]
    unknown += [said.text for said in _said(summary) if said.value <= _COUNTED and said.unit and not stands(said, known)]
    if not unknown:
        return None
    words = tuple(dict.fromkeys(unknown))
    return Reason("number", words, f"The source does not have the number {' or '.join(f'“{word}”' for word in words[:3])}.")


def _said(summary: str) -> list[Quantity]:
    return [each for each in quantities(plain(summary)) if not each.named and each.value > 0]


def stands(said: Quantity, known: Sequence[Quantity]) -> bool:
    """Tell whether the source has a number, in whatever words."""
    return any(_same(said, ours, theirs) for ours in said.values for each in known for theirs in _readings(each))


def _readings(known: Quantity) -> Iterator[Fraction]:
    """Yield what a number of the source may be said as: 0.58 is 58 %."""
    yield from known.values
    if known.value <= 1:
        yield known.value * 100


def _same(said: Quantity, ours: Fraction, theirs: Fraction) -> bool:
    """Tell whether two numbers are one, rounded as far as ours is."""
    if ours == theirs or (said.unit == "%" and ours == theirs * 100 and theirs <= 1):
        return True
    if not theirs or not (Fraction(9, 10) < ours / theirs < Fraction(11, 10)):
        return False
    if _digits(ours) == 1 and ours < LARGE and not said.unit:
        return False  # what is counted in tens is not rounded
    return _rounded(theirs, _digits(ours)) == ours


def _digits(value: Fraction) -> int:
    """Return how many digits count: 1,200 has two, 95.3 three."""
    return max(1, len(_significant(value)))


def _significant(value: Fraction) -> str:
    return f"{float(value):.12g}".replace(".", "").strip("0") if value < 10**12 else str(int(value)).rstrip("0")


def _rounded(value: Fraction, digits: int) -> Fraction:
    return Fraction(f"{float(value):.{digits - 1}e}")


def _meant(said: Quantity, known: Sequence[Quantity]) -> Quantity | None:
    """Return the number of the source that this one is a slip of."""
    return next((each for each in known if _slipped(said, each)), None)


def _slipped(said: Quantity, meant: Quantity) -> bool:
    if "year" in {said.unit, meant.unit} or said.unit != meant.unit or _slips_little(meant):
        return False
    if said.noun and meant.noun and said.noun != meant.noun:
        return False
    power = _power(said.value, meant.value)
    if _significant(said.value) == "1" and max(said.value, meant.value) < LARGE and not said.unit:
        return False  # 10 and 100 are everywhere
    told_apart = _significant(said.value) != "1" or bool(said.noun and said.noun == meant.noun)
    farthest = _FARTHEST if _large(said) and _large(meant) and told_apart else 1
    return 0 < abs(power) <= farthest or (_large(meant) and _composite_slipped(said, meant))


def _slips_little(meant: Quantity) -> bool:
    """Tell a part of a name, and a word for so few that any number is near to it."""
    return meant.named and meant.scale == 1 and not (meant.text.isalpha() and meant.value > _FEW)


def _composite_slipped(said: Quantity, meant: Quantity) -> bool:
    """Tell "10조 4천억" for 1.4 trillion: one part of two has slipped, which leaves the same digits but for zeros."""
    if len(_KOREAN_SIZE.findall(said.text)) < 2:  # noqa: PLR2004 -- two parts
        return False
    ours, theirs = (_significant(each.value).replace("0", "") for each in (said, meant))
    return ours == theirs and abs(log10(said.value / meant.value)) <= _FARTHEST


def _large(one: Quantity) -> bool:
    return not one.unit and (one.scale > 1 or one.value >= LARGE)


def _power(said: Fraction, meant: Fraction) -> int:
    """Return n where `said` is 10**n times as much as `meant`; 0 where it is no such number."""
    if not meant or _significant(said) != _significant(meant):
        return 0
    return round(log10(said / meant))
