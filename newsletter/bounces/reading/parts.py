"""A message taken apart into the texts it holds, within limits.

The standard library's parser goes as deep as a message tells it to, and warns or raises here and there. This one knows
only what reports need: headers, multiparts, enclosed messages, transfer encodings and charsets.
"""

import html
import re
from binascii import a2b_qp
from collections.abc import Iterator
from dataclasses import dataclass

from newsletter.bounces.reading.fields import Fields, decoded, main_value, parameter, parse, unbase64

SIZE_LIMIT = 2_000_000  # bytes of a message that are looked at
DEPTH_LIMIT = 8  # multiparts and messages inside each other
PART_LIMIT = 100
HEADER_LIMIT = 200_000  # bytes of one header

ENCLOSED = frozenset(
    {
        "message/rfc822",
        "message/global",
        "message/partial",
        "text/rfc822-headers",
        "text/rfc822-header",
        "text/rfc822",
        "message/rfc822-headers",
        "message/global-headers",
    }
)  # what holds the mail that a report is about, or its header

_MBOX_LINE = re.compile(rb"(?:>?From [^\n]*\n)+")
_BLANK_LINE = re.compile(rb"\n[ \t]*\n")
_SILENT = re.compile(r"<(/?)(?:style|script|title)\b[^<>]*>", re.IGNORECASE)
_BREAK = re.compile(r"<(?:br|/?p|/?div|/?tr|/?li|/?h\d|/?table|hr|/?pre)\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(r"<[!/?a-zA-Z][^<>]*>")


_ATTACHED = Fields((("content-type", "message/rfc822"),))  # what some servers put there without saying so


@dataclass(frozen=True, slots=True)
class Part:
    """A text within a message."""

    type: str  # in lower case, as text/plain
    fields: Fields  # its own header
    text: str
    enclosed: bool = False  # inside a message that is attached


@dataclass(frozen=True, slots=True)
class Message:
    """A message: its header and the texts in it, in their order."""

    fields: Fields
    parts: tuple[Part, ...]

    @property
    def type(self) -> str:
        """The type its header gives, in lower case."""
        return main_value(self.fields.get("content-type"))


def take_apart(message: bytes) -> Message:
    """Return the message's header and texts, as far as the limits reach; never raises."""
    lines = message[:SIZE_LIMIT].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    begun = _MBOX_LINE.match(lines)
    fields, body = split(lines[begun.end() :] if begun else lines)
    return Message(fields, tuple(_Walk().walk(fields, body, depth=0, enclosed=False)))


def split(lines: bytes) -> tuple[Fields, bytes]:
    """Return the header's fields and the body; line ends are LF."""
    lines = lines.lstrip(b"\n")
    blank = _BLANK_LINE.search(lines)
    head, body = (lines[: blank.start()], lines[blank.end() :]) if blank else (lines, b"")
    return parse(decoded(head[:HEADER_LIMIT]).split("\n")), body


class _Walk:
    """One walk through a message, which counts the parts it has seen."""

    def __init__(self) -> None:
        self._left = PART_LIMIT

    def walk(self, fields: Fields, body: bytes, *, depth: int, enclosed: bool) -> Iterator[Part]:
        """Yield the texts of an entity."""
        self._left -= 1
        if self._left < 0:
            return
        stated = fields.get("content-type")
        kind = main_value(stated) or "text/plain"
        pieces = _pieces(body, parameter(stated, "boundary")) if kind.startswith("multipart/") else []
        if pieces and depth < DEPTH_LIMIT:
            for piece in pieces:
                inner, content = _piece(piece)
                yield from self.walk(inner, content, depth=depth + 1, enclosed=enclosed)
            return
        yield from self._leaf(fields, body, kind, depth=depth, enclosed=enclosed)

    def _leaf(self, fields: Fields, body: bytes, kind: str, *, depth: int, enclosed: bool) -> Iterator[Part]:
        if not kind.startswith(("text/", "message/", "multipart/")):
            return
        if kind.startswith("multipart/"):
            kind = "text/plain"  # a multipart without its boundaries
        raw = _transferred(body, fields.get("content-transfer-encoding").strip().lower())
        yield Part(kind, fields, decoded(raw, parameter(fields.get("content-type"), "charset")), enclosed)
        if kind in ENCLOSED and depth < DEPTH_LIMIT:
            inner, content = split(raw)
            yield from self.walk(inner, content, depth=depth + 1, enclosed=True)


def _piece(piece: bytes) -> tuple[Fields, bytes]:
    """Split a part of a multipart: one that begins with a blank line has no header."""
    if piece.startswith(b"\n"):
        return Fields(), piece
    fields, body = split(piece)
    if not fields.get("content-type") or fields.get("received"):
        return (_ATTACHED, piece) if fields.get("received") or fields.get("message-id") else (fields, body)
    return fields, body


def _pieces(body: bytes, boundary: str) -> list[bytes]:
    """Return what stands between the boundaries; nothing where there is none."""
    if not boundary:
        return []
    line = re.compile(rb"^--" + re.escape(boundary.encode("utf-8", "replace")) + rb"(--)?[ \t]*(?:\n|\Z)", re.MULTILINE)
    found: list[bytes] = []
    start = -1
    for mark in line.finditer(body):
        if start >= 0:
            found.append(body[start : max(start, mark.start() - 1)])
        start = mark.end()
        if mark[1] or len(found) > PART_LIMIT:
            return found
    return [*found, body[start:]] if start >= 0 else found


def _transferred(body: bytes, encoding: str) -> bytes:
    if encoding == "base64":
        return unbase64(body)
    return a2b_qp(body) if encoding == "quoted-printable" else body


def plain(part: Part) -> str:
    """Return a part's text as a person reads it: HTML without its tags."""
    if part.type != "text/html" and not part.text[:200].lstrip().lower().startswith(("<html", "<!doctype html")):
        return part.text
    return html.unescape(_TAG.sub("", _BREAK.sub("\n", _spoken(part.text))))


def _spoken(markup: str) -> str:
    """Return HTML without what is between the tags that show nothing; one that is not closed hides nothing."""
    kept, position, hidden = [], 0, False
    for tag in _SILENT.finditer(markup):
        if not hidden:
            kept.append(markup[position : tag.start()])
        if not tag[1]:
            hidden, position = True, tag.start()
        elif hidden:
            hidden, position = False, tag.end()
    return "".join([*kept, markup[position:]])
