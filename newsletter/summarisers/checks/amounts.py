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
_TELLING = 3  # digits that hardly stand in a text twice by chance
_FAR = 3  # powers of ten, where only the digits are the same


def wrong_magnitudes(source: str, summary: str) -> Reason | None:
    """Return the numbers that the source has with the same digits at another power of ten, and nowhere as they are said."""
    known = quantities(plain(source))
    slips = [(said, meant) for said in _said(summary) if (meant := _meant(said, known)) and not _rightly(said, known)]
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
    return any(_same(said, ours, theirs) for ours in said.values for each in known for theirs in _readings(said, each))


def _rightly(said: Quantity, known: Sequence[Quantity]) -> bool:
    """Tell whether the source has a number of what it counts here: "80 GPUs" is not right by "80 layers" beside "8 GPUs"."""
    standing = [each for each in known if stands(said, [each])]
    slipped = any(said.counts & each.counts for each in known if _slipped(said, each))
    return any(not slipped or not each.counts or each.counts & said.counts for each in standing)


def _readings(said: Quantity, known: Quantity) -> Iterator[Fraction]:
    """Yield what a number of the source may be said as: 0.58 is 58 %, or 58 points."""
    yield from known.values
    if known.value <= 1 and (said.unit == "%" or "point" in said.counts):
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
    units = {said.unit, meant.unit}
    if "year" in units or (len(units) > 1 and len(_significant(said.value)) < (_TELLING if "%" in units else _TELLING - 1)):
        return False  # "32 times" may be said as "32 GPUs", which "5" for "5%" does not tell
    if said.noun and meant.noun and said.noun != meant.noun:
        return False
    if _slips_little(meant) and not (said.counts & meant.counts and meant.value > 1 and meant.text.isalpha()):
        return False
    return 0 < abs(_power(said.value, meant.value)) <= _reach(said, meant) or (_large(meant) and _composite_slipped(said, meant))


def _reach(said: Quantity, meant: Quantity) -> int:
    """Return by how many powers of ten the same digits are still the same number: the more is known of both, the more."""
    if said.counts & meant.counts:
        return _FARTHEST
    digits, small = _significant(said.value), max(said.value, meant.value) < LARGE
    if _large(said) and _large(meant) and digits != "1":
        return _FARTHEST
    if digits == "1" and small and not said.unit:
        return 0  # 10 and 100 are everywhere
    if len(digits) == 1 and small and not said.unit and said.counts and meant.counts:
        return 0  # 2 models are no slip of 20 tasks
    return 1 if len(digits) == 1 and not said.unit else _FAR


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
