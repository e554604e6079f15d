"""Numbers in English and Korean prose, with their words and units, as values that can be compared.

"7B", "7 billion" and "70억" are one value; "GPT-4", "CIFAR-10", "3D" and "v1.5" are names, and no quantities.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from newsletter.summarisers.checks.counted import counted


@dataclass(frozen=True)
class Quantity:
    """One number of a text: what it may mean, and how it stands there."""

    values: tuple[Fraction, ...]  # the likeliest reading first; "2" of "2 to 7 billion" has two
    text: str  # as it stands, with its scale and unit
    span: tuple[int, int]  # where, in the text as `plain` returns it
    unit: str = ""  # "%", "x" (times as much), "year", or "" for what is counted or measured
    scale: int = 1  # said by a word or a letter: 억, K, million
    named: bool = False  # a part of a name, a marker, a word: a source may mean it, a summary is not held to it
    noun: str = ""  # what is counted, where it is one of the few kinds that are told apart
    counts: frozenset[str] = frozenset()  # what it may count, by the words around it

    @property
    def value(self) -> Fraction:
        """The likeliest reading."""
        return self.values[0]


def quantities(prose: str) -> list[Quantity]:
    """Return the numbers of a text that `plain` has made ordinary, those in digits in their order, then those in words."""
    return [*_with_ranges(list(_figures(prose)), prose), *_words(prose), *_korean_words(prose)]


def plain(text: str) -> str:
    """Return the text with TeX's grouping, what is left of lost TeX, and full-width digits made ordinary."""
    prose = unicodedata.normalize("NFKC", text).replace("×", "x").replace("\\times", "x").replace("∼", "~")
    prose = re.sub(r"\{,\}|(?<=\d)\\,(?=\d)", ",", prose)
    prose = re.sub(r"[${}]|\\(?=%)|\\(?:text|mathbf|textbf|sim|approx|geq?|leq?|pm)\b", "", prose)
    prose = re.sub(r"(?<![A-Za-z])(?:sim|approx|geq?|leq?|pm|mathbf)(?=\d)", " ", prose)  # their backslashes were lost
    return re.sub(r"(?<=\d)\s?(?:times(?![A-Za-z])|times(?=10)|-?fold\b)", "x", prose)


_FIGURE = re.compile(r"\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?", re.ASCII)
_SMALL = {"십": 10, "백": 100, "천": 1000}
_LARGE = {"만": 10**4, "억": 10**8, "조": 10**12, "경": 10**16}
_KOREAN = re.compile(
    r"(?P<small>[십백천])?(?:(?P<large>[만억조경])|(?<=\d)\s(?P<spaced>[만억조](?=[\s,.)개]|$)))?"
    r"(?![족험우건각합직정사로쟁기제체])"
)
_TAIL = re.compile(
    r"\s?(?P<figure>\d{1,3}(?:,\d{3})?|\d{4})(?![\d.,%])(?=[십백천만억]|\s?(?:개|명|장|건|편|여)|(?:\s|$))", re.ASCII
)
_SCALES = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_SCALES |= {"밀리언": 10**6, "빌리언": 10**9, "k": 10**3, "m": 10**6, "b": 10**9, "t": 10**12}
_SUFFIX = re.compile(
    r"(?:[\s-]?(?P<word>(?i:hundred|thousand|million|billion|trillion)|밀리언|빌리언)(?:s\b|(?![A-Za-z]))"
    r"(?:[\s-](?P<more>thousand|million|billion|trillion)\b)?|(?P<letter>[kKMBTb]|\s[KMBT])(?![A-Za-z\d]))",
)
_POWER = re.compile(r"(?:[eE]\+?(?P<e>\d{1,2})|\s?[x*·]\s?10\^?(?P<ten>\d{1,2})|\^(?P<power>\d{1,2}))(?![\d.])", re.ASCII)
_UNIT = re.compile(
    r"\+?\s?(?:(?P<percent>%|퍼센트|프로(?=[\s,.]|$)|percent|per cent|points? percent)|(?P<times>[xX](?![A-Za-z\d])"
    r"|배(?![치경열포터우]))"
    r"|(?P<year>년(?!\s?[간동이]))|-?(?P<letters>[A-Za-z]+))"
)
_MEASURES = frozenset(
    {  # other letters make a name: "3D"
        *("GB", "MB", "TB", "KB", "ms", "fps", "FPS", "dB", "Hz", "kHz", "MHz", "GHz", "px", "min", "h", "hr", "hrs", "s", "sec"),
    }
)
_NOUNS = {
    "parameters": r"param|매개\s?변수|파라미터|패러미터",
    "tokens": r"token|토큰",
    "hours": r"hours?\b|시간",
    "images": r"image|이미지",
    "videos": r"video|clip|비디오|동영상|영상",
    "languages": r"languages\b|언어",
}
_NOUN = re.compile("|".join(f"(?P<{name}>{words})" for name, words in _NOUNS.items()), re.IGNORECASE)
_NOUN_WITHIN = 16  # characters after the number
_MARKER = re.compile(r"\d{1,2}\)(?=\s|$|[가-힣])", re.ASCII)
_VERSIONED = re.compile(
    r"(?:^|[\s(,])(?!(?:In|On|Of|At|By|For|The|Our|Over|With|From|About|Only|Nearly|Using|Across)\s)[A-Z][\w.-]*\s$"
)
_COUNTER = re.compile(r"\s?(?:개(?!월)|명|장|건|편|가지|대(?!비|상)|쌍)")  # "GPU 8개" is no version
_YEARS = range(1900, 2101)


def _figures(prose: str) -> Iterator[Quantity]:
    end = 0
    for found in _FIGURE.finditer(prose):
        if found.start() < end:  # taken already, as the tail of "3만 5천"
            continue
        quantity = _read(prose, found)
        end = quantity.span[1]
        yield quantity


def _read(prose: str, found: re.Match[str]) -> Quantity:
    """Return the number that begins with these digits, its scale and its unit included."""
    start, end = found.span()
    number = Fraction(found[0].replace(",", ""))
    value, scale, end = _scaled(prose, number, end)
    unit, letters, end = _unit(prose, value, end)
    named = scale == 1 and (letters or (unit in {"", "year"} and _is_named(prose, start, end, found[0])))
    named = named or (start > 0 and prose[start - 1].isascii() and prose[start - 1].isalpha())
    noun = _NOUN.search(prose, end, end + _NOUN_WITHIN)
    kinds = counted(prose, start, end)
    if unit == "year" and prose[end - 1] != "년" and ("," in found[0] or kinds):
        unit = ""  # "1,900 models" and "2000 samples" are no years
    return Quantity((value,), prose[start:end], (start, end), unit, scale, named, (noun and noun.lastgroup) or "", kinds)


def _scaled(prose: str, number: Fraction, end: int) -> tuple[Fraction, int, int]:
    """Return the value with the words and letters for its size, the size, and where they end."""
    if (korean := _KOREAN.match(prose, end)) and korean[0]:
        return _korean(prose, number, end)
    if power := _POWER.match(prose, end):
        if power["power"]:
            return number ** int(power["power"]), 10, power.end()
        scale = 10 ** int(power["e"] or power["ten"])
        return number * scale, scale, power.end()
    if suffix := _SUFFIX.match(prose, end):
        scale = _SCALES[(suffix["word"] or suffix["letter"]).strip().lower()] * _SCALES.get((suffix["more"] or "").lower(), 1)
        return number * scale, scale, suffix.end()
    return number, 1, end


def _korean(prose: str, number: Fraction, end: int) -> tuple[Fraction, int, int]:
    """Return the value of "1조 2천억" or "3만 5천": sections of growing smallness, each up to its large unit."""
    total, section, first = Fraction(0), Fraction(0), 0
    while (found := _KOREAN.match(prose, end)) and found[0]:
        small, large = _SMALL.get(found["small"] or "", 1), _LARGE.get(found["large"] or found["spaced"] or "", 0)
        first = first or small * (large or 1)
        section, end = section + number * small, found.end()
        if large:
            total, section = total + section * large, Fraction(0)
        tail = _TAIL.match(prose, end)
        if not tail or number * small * (large or 1) <= Fraction(tail["figure"].replace(",", "")):
            return total + section, first, end
        number, end = Fraction(tail["figure"].replace(",", "")), tail.end()
        if not (following := _KOREAN.match(prose, end)) or not following[0]:
            return total + section + number, first, end
    return total + section, first, end


def _unit(prose: str, value: Fraction, end: int) -> tuple[str, bool, int]:
    """Return the unit, whether letters make the number a part of a name ("3D", "80GB"), and where the unit ends."""
    found = _UNIT.match(prose, end)
    if not found or (found["letters"] and not prose[end].isalpha()):
        return ("year" if value in _YEARS and not found else ""), False, end
    if found["letters"]:
        return "", found["letters"] not in _MEASURES, end
    if found["year"]:
        return ("year", False, found.end()) if value in _YEARS else ("", False, end)
    return ("%" if found["percent"] else "x"), False, found.end()


def _is_named(prose: str, start: int, end: int, figure: str) -> bool:
    """Tell the number of a name, a version, a list or a date: "GPT-4", "v1.5.2", "Llama 3", "(1)", "2024-05-01", "제1"."""
    before, after = prose[max(0, start - 30) : start], prose[end : end + 3]
    if re.search(r"[A-Za-z_]-?$|@$|[가-힣]-$|로그$|\d\.$|제\s?$|\d[-/]$", before) or re.match(
        r"\.\d|-\d\d(?!\d)|번째|차원|\s번째", after
    ):
        return True
    if _MARKER.match(prose, start) and (not before or before[-1] in " (\n"):
        return True
    return len(figure) <= len("10.5") and bool(_VERSIONED.search(before)) and not _COUNTER.match(after)


_RANGE = re.compile(r"\s?(?:[~\-–—]|to|and|or|,|에서|부터|및|와|과|,? ?(?:and|or))\s?", re.IGNORECASE)


def _with_ranges(found: Sequence[Quantity], prose: str) -> list[Quantity]:
    """Return the numbers, one that begins a range or a list with the scale and the unit of its end as a second reading."""
    done = list(found)
    for place in range(len(found) - 2, -1, -1):
        one, following = done[place], done[place + 1]
        if not _RANGE.fullmatch(prose, one.span[1], following.span[0]):
            continue
        done[place] = one = replace(one, counts=one.counts | following.counts)
        if one.scale > 1 or one.named:
            continue
        if following.scale > 1:
            one = replace(one, values=(*one.values, one.value * following.scale), noun=one.noun or following.noun)
        done[place] = replace(one, unit=one.unit or following.unit)
    return done


_ONES = "zero one two three four five six seven eight nine ten eleven twelve"
_TEENS = "thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_NUMERALS = {word: number for number, word in enumerate(f"{_ONES} {_TEENS}".split())}
_NUMERALS |= {word: 10 * number for number, word in enumerate(_TENS, 2)}
_NUMERALS |= {
    "twice": 2,
    "double": 2,
    "doubles": 2,
    "doubled": 2,
    "doubling": 2,
    "triple": 3,
    "tripled": 3,
    "thrice": 3,
    "dozen": 12,
    "a": 1,
}
_NUMERALS |= {"한": 1, "두": 2, "세": 3, "네": 4, "다섯": 5, "여섯": 6, "일곱": 7, "여덟": 8, "아홉": 9, "열": 10}
_NUMERAL = re.compile(
    rf"(?<![A-Za-z가-힣-])(?:(?P<first>{'|'.join(sorted(_NUMERALS, key=len, reverse=True))})"
    r"(?:[\s-](?P<scale>hundred|thousand|million|billion|trillion)\b|(?![A-Za-z]))|(?P<alone>hundred|thousand"
    r"|million|billion|trillion)(?=-))",
    re.IGNORECASE,
)


def _words(prose: str) -> Iterator[Quantity]:
    for found in _NUMERAL.finditer(prose):
        scale = _SCALES.get((found["scale"] or found["alone"] or "").lower(), 1)
        if found["first"] and found["first"].lower() == "a" and scale == 1:
            continue
        value = Fraction(_NUMERALS.get((found["first"] or "a").lower(), 1) * scale)
        yield Quantity((value,), found[0], found.span(), scale=scale, named=True, counts=counted(prose, *found.span()))


_KOREAN_WORD = re.compile(r"(?<![가-힣\d.])(?<!\d\s)(?P<small>[십백천])(?P<large>[만억조])(?=[\s개명장건편]|$)")


def _korean_words(prose: str) -> Iterator[Quantity]:
    """Yield "백만 개" and "천억 파라미터": a size alone is a number too; "수백만" is none."""
    for found in _KOREAN_WORD.finditer(prose):
        scale = _SMALL[found["small"]] * _LARGE[found["large"]]
        yield Quantity((Fraction(scale),), found[0], found.span(), scale=scale, counts=counted(prose, *found.span()))
