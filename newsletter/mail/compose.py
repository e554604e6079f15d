"""Pieces and slots into one message's bytes.

An issue is prepared once and then composed for every reader, so nothing that is the same for two of them is encoded
twice. Base64 turns three bytes into four characters; what follows a slot can therefore begin at one of three places
in such a group. Every block of known bytes is kept encoded for each of the three, and a message is a join: the lines of
the blocks, and between them short lines for the slots and the one or two bytes that complete a group.
"""

import html
import re
from binascii import b2a_base64
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache, partial
from typing import Literal, TypeAlias

from newsletter.errors import BadInput
from newsletter.mail import headers as fields
from newsletter.mail.headers import ListInfo
from newsletter.mail.render import FOOT, HEAD, SLOT, Piece, Rendered

# Base64 has no "_", so the boundary occurs in no part, whatever is in it.
_BOUNDARY = b"=_part_=_of_=_message_="
_PART = b"--%b\r\nContent-Type: text/%b; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
_TEXT_PART, _HTML_PART = (_PART % (_BOUNDARY, kind) for kind in (b"plain", b"html"))
_END = b"--%b--\r\n" % _BOUNDARY
_CONTENT_TYPE = b'MIME-Version: 1.0\r\nContent-Type: multipart/alternative;\r\n boundary="%b"\r\n' % _BOUNDARY

_LINE = 57  # bytes whose base64 is a line of 76, the most RFC 2045 section 6.8 allows
_TINY = 57  # a shorter static segment is not worth its own lines: it travels with the slots beside it
_CARD, _LINES, _ONE_LINE = "card:", "lines", "line:"
_RANK, _COUNT = "rank", "count"


@dataclass(frozen=True)
class Mailbox:
    """A display name, which may be empty, and an address."""

    display: str
    address: str


@dataclass(frozen=True)
class MessageHeaders:
    """The header of one message; the same message sent again has the same one."""

    sender: Mailbox
    recipient: str
    date: datetime  # aware
    message_id: str  # made by headers.message_id
    subject: str = ""  # may hold slots; empty: the prepared email's own
    reply_to: str = ""
    mailing_list: ListInfo | None = None  # for what goes to subscribers as such
    auto_submitted: Literal["auto-generated", "auto-replied"] = "auto-generated"  # RFC 3834
    feedback_id: str = ""
    extra: tuple[tuple[str, str], ...] = ()  # further fields in ASCII: In-Reply-To, References


@dataclass(frozen=True)
class Selection:
    """The ids of the papers one reader gets, in order: first those shown as cards, then those as one line each."""

    cards: tuple[int, ...]
    lines: tuple[int, ...] = ()

    @property
    def count(self) -> int:
        """How many papers there are."""
        return len(self.cards) + len(self.lines)


class _Block:
    """Bytes known before the recipient is; `phase(taken)` encodes all but the first `taken`, once."""

    __slots__ = ("phase", "start")

    def __init__(self, start: bytes, encode: Callable[[int], tuple[bytes, bytes]]) -> None:
        self.start = start
        self.phase = cache(encode)  # -> the lines of whole groups, and the bytes left over


_Token: TypeAlias = _Block | bytes | str  # a block, a few known bytes, or the name of a slot


@dataclass(frozen=True, eq=False)
class _PreparedPiece:
    tokens: tuple[bytes | str, ...]
    slots: frozenset[str]


@dataclass(frozen=True, eq=False)
class _Part:
    pieces: Mapping[str, _PreparedPiece]
    escape: Callable[[str], str]


@dataclass(frozen=True, eq=False)
class Prepared:
    """A rendered email, ready to be composed for any number of recipients by any number of threads."""

    subject: str
    everything: Selection  # all papers as cards
    wanted: frozenset[str]  # the names of the slots a caller must give
    text: _Part
    html: _Part


def prepare(rendered: Rendered) -> Prepared:
    """Cut the rendered email at its slots.

    Raises BadInput where its two parts do not consist of the same pieces, or one holds a piece twice.
    """
    names = [piece.name for piece in rendered.text]
    if len(set(names)) < len(names) or sorted(names) != sorted(piece.name for piece in rendered.html):
        raise BadInput(
            f"{rendered.subject!r}: the text has the pieces {names}, the HTML {[piece.name for piece in rendered.html]}",
            hint="Give body.txt and body.html the same pieces, each once.",
        )
    text, html_part = _prepare_part(rendered.text, str), _prepare_part(rendered.html, html.escape)
    wanted = frozenset(SLOT.findall(rendered.subject)).union(*_wanted(text), *_wanted(html_part)) - {_COUNT}
    cards = tuple(int(name.removeprefix(_CARD)) for name in names if name.startswith(_CARD))
    return Prepared(rendered.subject, Selection(cards), wanted, text, html_part)


def compose(
    prepared: Prepared,
    *,
    headers: MessageHeaders,
    slots: Mapping[str, str],
    selection: Selection | None = None,
    sign: Callable[[bytes, bytes], bytes] | None = None,
) -> bytes:
    """Return the whole message in 7-bit ASCII (UTF-8 in the header of one for SMTPUTF8), lines ending in CRLF.

    Without a selection the reader gets every paper as a card. What `sign` makes of head and body goes before them. Raises
    BadInput where a slot is not given or holds a control character, a chosen paper is not in the email, or a header field
    cannot be written.
    """
    chosen = selection or prepared.everything
    subject = _fill_subject(headers.subject or prepared.subject, slots, chosen.count)
    top, content = head(headers, subject), body(prepared, slots=slots, selection=selection)
    return b"".join((sign(top, content) if sign else b"", top, b"\r\n", content))


def head(headers: MessageHeaders, subject: str) -> bytes:
    """Return the header fields, without the empty line that ends them (a signature may still go before them)."""
    written = [
        fields.address_header("From", headers.sender.display, headers.sender.address),
        fields.address_header("To", "", headers.recipient),
        fields.text_header("Subject", subject),
        fields.date_header(headers.date),
        fields.message_id_header(headers.message_id),
        fields.address_header("Reply-To", "", headers.reply_to) if headers.reply_to else b"",
        fields.list_headers(headers.mailing_list) if headers.mailing_list else b"",
        fields.fold("Auto-Submitted", headers.auto_submitted),
        fields.fold("Feedback-ID", headers.feedback_id) if headers.feedback_id else b"",
        *(fields.fold(name, value) for name, value in headers.extra),
        _CONTENT_TYPE,
    ]
    return b"".join(written)


def body(prepared: Prepared, *, slots: Mapping[str, str], selection: Selection | None = None) -> bytes:
    """Return what follows the header: the bytes a DKIM body hash is made of, already in canonical form.

    Raises BadInput as `compose` does.
    """
    chosen = selection or prepared.everything
    given = _check(prepared.wanted, slots)
    out: list[bytes] = []
    for opening, part in ((_TEXT_PART, prepared.text), (_HTML_PART, prepared.html)):
        out.append(opening)
        values = {name: part.escape(value).encode() for name, value in given.items()}
        out.append(_encoded_lines(_encode(_arrange(part, chosen), values, b"", out)))
    out.append(_END)
    return b"".join(out)


def _prepare_part(pieces: Iterable[Piece], escape: Callable[[str], str]) -> _Part:
    return _Part({piece.name: _prepare_piece(piece.content) for piece in pieces}, escape)


def _prepare_piece(content: str) -> _PreparedPiece:
    """Cut the content at its slots; its lines end in CRLF."""
    parts = SLOT.split("\r\n".join(re.split("\r\n|\r|\n", content)))
    tokens = tuple(part if position % 2 else part.encode() for position, part in enumerate(parts))
    return _PreparedPiece(tokens, frozenset(parts[1::2]))


def _wanted(part: _Part) -> Iterator[frozenset[str]]:
    """Yield the slots of each piece; only papers have a rank."""
    for name, piece in part.pieces.items():
        yield piece.slots - {_RANK} if name.startswith((_CARD, _ONE_LINE)) else piece.slots


def _check(wanted: frozenset[str], slots: Mapping[str, str]) -> dict[str, str]:
    """Return the values of the wanted slots."""
    if missing := wanted - slots.keys():
        raise BadInput(
            f"the email wants a value for {', '.join(sorted(missing))}", hint="Give every slot that its templates use."
        )
    given = {name: slots[name] for name in wanted}
    for name, value in given.items():
        fields.refuse_controls(name, value)
    return given


def _fill_subject(subject: str, slots: Mapping[str, str], count: int) -> str:
    if "\x01" not in subject:
        return subject
    given = _check(frozenset(SLOT.findall(subject)) - {_COUNT}, slots) | {_COUNT: str(count)}
    return SLOT.sub(lambda slot: given[slot[1]], subject)


def _order(part: _Part, chosen: Selection) -> Iterator[tuple[str, int]]:
    """Yield the names of the chosen pieces, each with the rank of its paper (0: none)."""
    yield HEAD, 0
    for rank, paper in enumerate(chosen.cards, 1):
        yield f"{_CARD}{paper}", rank
    if chosen.lines:
        yield _LINES, 0
    for rank, paper in enumerate(chosen.lines, 1 + len(chosen.cards)):
        yield f"{_ONE_LINE}{paper}", rank
    if FOOT in part.pieces:
        yield FOOT, 0


@lru_cache(maxsize=64)
def _arrange(part: _Part, chosen: Selection) -> tuple[_Token, ...]:
    """Return what to write for a selection, everything between two slots as one block; many readers share a selection."""
    tokens: list[_Token] = []
    for name, rank in _order(part, chosen):
        piece = part.pieces.get(name)
        if piece is None:
            raise BadInput(f"the email has no piece {name!r}", hint="Choose among the papers of the issue.")
        tokens += _known(piece, rank if _RANK in piece.slots else 0, chosen.count if _COUNT in piece.slots else 0)
    return tuple(_merge(tokens))


@lru_cache(maxsize=4096)
def _known(piece: _PreparedPiece, rank: int, count: int) -> tuple[_Token, ...]:
    """Return a piece with its rank and count filled in and its larger segments made blocks."""
    known = {_COUNT: str(count).encode()} | ({_RANK: str(rank).encode()} if rank else {})
    tokens: list[_Token] = []
    segment = b""
    for token in piece.tokens:
        filled = known.get(token, token) if isinstance(token, str) else token
        if isinstance(filled, bytes):
            segment += filled
        else:
            tokens += [_segment(segment), filled]
            segment = b""
    return (*tokens, _segment(segment))


def _segment(content: bytes) -> bytes | _Block:
    return content if len(content) < _TINY else _Block(content[:2], partial(_encode_segment, content))


def _encode_segment(content: bytes, taken: int) -> tuple[bytes, bytes]:
    end = len(content) - (len(content) - taken) % 3
    return _encoded_lines(content[taken:end]), content[end:]


def _merge(tokens: Sequence[_Token]) -> Iterator[_Token]:
    """Yield the tokens with each run from a block to the next slot joined into one block."""
    run: list[_Token] = []
    for token in tokens:
        if run and isinstance(token, str):
            yield _run(run)
            run = []
        if run or isinstance(token, _Block):
            run.append(token)
        else:
            yield token
    if run:
        yield _run(run)


def _run(tokens: list[_Token]) -> _Block:
    first = tokens[0]
    assert isinstance(first, _Block)
    return _Block(first.start, partial(_encode_run, first, tokens[1:]))


def _encode_run(first: _Block, rest: Sequence[_Token], taken: int) -> tuple[bytes, bytes]:
    lines, carry = first.phase(taken)
    out = [lines]
    carry = _encode(rest, {}, carry, out)
    return b"".join(out), carry


def _encode(tokens: Sequence[_Token], values: Mapping[str, bytes], carry: bytes, out: list[bytes]) -> bytes:
    """Append the lines of the tokens to `out`; return the bytes after the last block, which are not yet written."""
    for token in tokens:
        if isinstance(token, str):
            carry += values[token]
        elif isinstance(token, bytes):
            carry += token
        else:
            taken = -len(carry) % 3
            if carry:
                out.append(_encoded_lines(carry + token.start[:taken]))
            lines, carry = token.phase(taken)
            out.append(lines)
    return carry


def _encoded_lines(content: bytes) -> bytes:
    """Return the content in base64, in lines of at most 76."""
    if len(content) <= _LINE:
        return b2a_base64(content, newline=False) + b"\r\n" if content else b""
    starts = range(0, len(content), _LINE)
    return b"".join([b2a_base64(content[start : start + _LINE], newline=False) + b"\r\n" for start in starts])
