"""Header fields that others wrote: nothing here raises, whatever the bytes, and everything takes linear time."""

import codecs
import re
from base64 import b64decode
from binascii import Error as BadBase64
from binascii import a2b_qp
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

FIELD_LIMIT = 1000  # fields of one header; more are passed over
VALUE_LIMIT = 20_000  # characters of one value

_FIELD = re.compile(r"([!-9;-~]{1,80})[ \t]*:(.*)")
_ENCODED_WORD = re.compile(r"=\?([\w.:-]{1,40})(?:\*[\w-]{0,20})?\?([bBqQ])\?([^?\s]{0,2000})\?=")
_BETWEEN_WORDS = re.compile(r"(\?=)\s+(?==\?)")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]+")
_PARAMETER = re.compile(r""";\s*([\w-]{1,40})\*?(?:\d\*?)?\s*=\s*("[^"]{0,200}"?|[^\s;"]{1,200})""")
# Codecs of the standard library that read text; the others unpack, compute or warn.
_CHARSETS = re.compile(
    r"utf-8|utf-16(-[bl]e)?|ascii|iso8859-\d+|cp\d{3,4}|koi8-[rut]|euc_(kr|jp)|iso2022_(kr|jp\w*)|shift_jis\w*"
    r"|gb2312|gbk|gb18030|hz|big5\w*|johab|mac-roman|tis-620"
)
_WIDER = {"euc_kr": "cp949", "gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "ascii": "utf-8"}


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of a header or of a block of a report, in their order, names in lower case, values unfolded."""

    pairs: tuple[tuple[str, str], ...] = ()

    def get(self, name: str) -> str:
        """Return the first value of that name; "" if there is none."""
        return next((value for known, value in self.pairs if known == name), "")

    def every(self, *names: str) -> list[str]:
        """Return all values of those names that say anything."""
        return [value for known, value in self.pairs if known in names and value]


def parse(lines: Iterable[str]) -> Fields:
    """Return the fields that stand in the lines; a line that is none and continues none is passed over."""
    return Fields(tuple(_pairs(lines)))


def _pairs(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    name, value, count = "", [""], 0
    for line in lines:
        found = _FIELD.match(line)
        if line[:1] in {" ", "\t"}:
            value.append(line.strip())
        elif found:
            if name:
                yield name, _joined(value)
            name, value, count = found[1].lower(), [found[2].strip()], count + 1
            if count > FIELD_LIMIT:
                return
    if name:
        yield name, _joined(value)


def _joined(lines: list[str]) -> str:
    return " ".join(line for line in lines if line)[:VALUE_LIMIT]


def main_value(value: str) -> str:
    """Return what stands before the parameters, in lower case: `multipart/report` of a Content-Type."""
    return value.partition(";")[0].strip().lower()


def parameter(value: str, name: str) -> str:
    """Return a parameter of a field as Content-Type; "" if it is not there."""
    wanted = (found[2] for found in _PARAMETER.finditer(value) if found[1].lower() == name)
    return next(wanted, "").strip('"')


def words(value: str) -> str:
    """Return a value with its encoded words (RFC 2047) as the characters they stand for."""
    if "=?" not in value:
        return value
    return _ENCODED_WORD.sub(lambda found: _word(found[1], found[2], found[3]), _BETWEEN_WORDS.sub(r"\1", value))


def _word(charset: str, encoding: str, content: str) -> str:
    raw = content.encode("utf-8", "replace")
    return decoded(unbase64(raw) if encoding in "bB" else a2b_qp(raw, header=True), charset)


def unbase64(raw: bytes) -> bytes:
    """Return what base64 stands for; what does not belong there is passed over, and what is cut off ends early."""
    clean = _NOT_BASE64.sub(b"", raw)
    try:
        return b64decode(clean[: len(clean) - len(clean) % 4] + _tail(clean))
    except BadBase64:
        return b""


def _tail(clean: bytes) -> bytes:
    rest = len(clean) % 4
    return clean[-rest:] + b"=" * (4 - rest) if rest > 1 else b""


def decoded(raw: bytes, charset: str = "") -> str:
    """Return bytes as text: by the charset where it is one that holds text, else as UTF-8, else as Latin-1."""
    known = _codec(charset)
    if known and known not in {"utf-8", "ascii"}:
        return raw.decode(known, "replace")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("utf-8", "replace") if known == "utf-8" else raw.decode("latin-1")


def _codec(charset: str) -> str:
    try:
        name = codecs.lookup(charset).name
    except (LookupError, ValueError, UnicodeError):
        return ""
    return _WIDER.get(name, name) if _CHARSETS.fullmatch(name) else ""
