"""Pieces and slots into one message's bytes.

An issue is prepared once and then composed for every reader, so nothing that is the same for two of them is encoded
twice, even where each chose papers of their own. Base64 turns three bytes into four characters, and a piece seldom ends
with a whole group: it leaves over a byte or two, which begin the first line of the next. So a piece is kept encoded for
each rank and for each of the few things that the piece before it can leave over, and a message is a join of what is
kept. Only the slots that hold a reader's own values, and the bytes that complete their groups, are encoded each time.
What a selection says of itself, why these papers and how many are left out, is encoded once for each selection.
"""

import html
import re
from binascii import b2a_base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache, partial
from itertools import chain
from typing import Literal, TypeAlias

from newsletter.errors import BadInput
from newsletter.mail import headers as fields
from newsletter.mail.enclosing import enclose
from newsletter.mail.headers import ListInfo
from newsletter.mail.pieces import FOOT, HEAD, MORE, SLOT, WHY, Piece, Rendered, wrap

# Base64 has no "_", so the boundary occurs in no part, whatever is in it.
_BOUNDARY = b"=_part_=_of_=_message_="
_PART = b"--%b\r\nContent-Type: text/%b; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
_TEXT_PART, _HTML_PART = (_PART % (_BOUNDARY, kind) for kind in (b"plain", b"html"))
_END = b"--%b--\r\n" % _BOUNDARY
_CONTENT_TYPE = b'MIME-Version: 1.0\r\nContent-Type: multipart/alternative;\r\n boundary="%b"\r\n' % _BOUNDARY

_LINE = 76  # characters, the most RFC 2045 section 6.8 allows
# Slots that are near each other and what follows them; words of a line and more are not encoded for every reader.
_STRETCH = re.compile("(?:[^\x01]{,56}\x01[a-z_]+\x02)*[^\x01]*")
_KEPT = 512  # encoded forms of one stretch
_ARRANGED = 4096  # two for each selection lately made, of some 2 KB: references to what is encoded, not copies of it
_CARD, _LINES, _ONE_LINE = "card:", "lines", "line:"
_RANK, _COUNT = "rank", "count"
_SELECTIONS_OWN = frozenset({WHY, MORE})  # slots that a selection fills


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
    why: str = ""  # why these, in the newsletter's language; empty: everybody gets them
    more: int = 0  # papers for which there was no room

    @property
    def count(self) -> int:
        """How many papers there are."""
        return len(self.cards) + len(self.lines)


_Encoded: TypeAlias = tuple[bytes, bytes, bytes]  # lines of whole groups, more of them, and the bytes left over


@dataclass(frozen=True, eq=False, slots=True)
class _Stretch:
    """A piece, or a stretch of one; both functions are given its number and what the stretch before it left over.

    The number is a paper's rank, or else how many papers there are.
    """

    own: frozenset[str]  # the slots that hold something else: a reader's own values, or what a selection says of itself
    known: Callable[[int, bytes], _Encoded]  # where there are none; remembers
    encode: Callable[[Mapping[str, bytes], int, bytes], _Encoded]


_Numbered: TypeAlias = tuple[_Stretch, int]


@dataclass(frozen=True, eq=False)
class _Part:
    cards: Mapping[int, _Stretch]
    lines: Mapping[int, _Stretch]
    others: Mapping[str, Sequence[_Stretch]]
    escape: Callable[[str], str]
    lay_out: Callable[[str], str]  # what has paragraphs of its own

    @property
    def wanted(self) -> Iterator[str]:
        """The slots that hold a reader's own values."""
        for stretch in chain(self.cards.values(), self.lines.values(), *self.others.values()):
            yield from stretch.own


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
    text, html_part = _prepare_part(rendered.text, str, _wrapped), _prepare_part(rendered.html, html.escape, html.escape)
    wanted = frozenset(SLOT.findall(rendered.subject)).union(text.wanted, html_part.wanted) - {_COUNT} - _SELECTIONS_OWN
    cards = tuple(int(name.removeprefix(_CARD)) for name in names if name.startswith(_CARD))
    return Prepared(rendered.subject, Selection(cards), wanted, text, html_part)


def compose(  # noqa: PLR0913 -- all that a message is made of
    prepared: Prepared,
    *,
    headers: MessageHeaders,
    slots: Mapping[str, str],
    selection: Selection | None = None,
    enclosed: bytes | None = None,
    sign: Callable[[bytes, bytes], bytes] | None = None,
) -> bytes:
    """Return the whole message in 7-bit ASCII (UTF-8 in the header of one for SMTPUTF8), lines ending in CRLF.

    Without a selection the reader gets every paper as a card. `enclosed` is a message to be attached, whatever its bytes. What
    `sign` makes of head and body goes before them. Raises BadInput where a slot is not given or holds a control character, a
    chosen paper is not in the email, or a header field cannot be written.
    """
    chosen = selection or prepared.everything
    subject = _fill_subject(headers.subject or prepared.subject, slots, chosen.count)
    top, content = head(headers, subject), body(prepared, slots=slots, selection=selection)
    if enclosed is not None:
        mime, content = enclose(_CONTENT_TYPE, content, enclosed)
        top = top.removesuffix(_CONTENT_TYPE) + mime
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
        lines, carry, rest, values = _arrange(part, chosen)
        values = values | {name: part.escape(value).encode() for name, value in given.items()}
        out += (opening, *lines)
        for stretch, number in rest:
            first, second, carry = stretch.encode(values, number, carry)
            out += (first, second)
        out.append(_encoded_lines(carry))
    out.append(_END)
    return b"".join(out)


def _wrapped(text: str) -> str:
    return wrap(text).replace("\n", "\r\n")


def _own_values(part: _Part, chosen: Selection) -> dict[str, bytes]:
    """Return what a selection says of itself."""
    fields.refuse_controls(WHY, chosen.why)
    return {_COUNT: b"%d" % chosen.count, WHY: part.lay_out(chosen.why).encode(), MORE: b"%d" % chosen.more}


def _prepare_part(pieces: Sequence[Piece], escape: Callable[[str], str], lay_out: Callable[[str], str]) -> _Part:
    contents = {piece.name: "\r\n".join(re.split("\r\n|\r|\n", piece.content)) for piece in pieces}
    cards, lines = (
        {int(name.removeprefix(form)): _stretch(content, _RANK) for name, content in contents.items() if name.startswith(form)}
        for form in (_CARD, _ONE_LINE)
    )
    others = {name: _stretches(content) for name, content in contents.items() if not name.startswith((_CARD, _ONE_LINE))}
    return _Part(cards, lines, others, escape, lay_out)


def _stretches(content: str) -> list[_Stretch]:
    """Return the whole, or what it is cut into so that little of it is encoded for each reader."""
    if set(SLOT.findall(content)) <= {_COUNT}:
        return [_stretch(content, _COUNT)]
    return [_stretch(found, _COUNT) for found in _STRETCH.findall(content) if found]


def _stretch(content: str, number: str) -> _Stretch:
    parts = SLOT.split(content)
    slots = ["" if slot == number else slot for slot in parts[1::2]]
    opening = [(words.encode(), slot) for words, slot in zip(parts[0:-1:2], slots, strict=True)]
    encode = partial(_encode, opening, cache(partial(_encode_tail, parts[-1].encode())))
    return _Stretch(frozenset(slots) - {""}, lru_cache(maxsize=_KEPT)(partial(encode, {})), encode)


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


def _order(part: _Part, chosen: Selection) -> list[_Numbered]:
    """Return the stretches of the chosen pieces, each with its number."""
    count, cards = chosen.count, len(chosen.cards)
    try:
        ordered = [(stretch, count) for stretch in part.others[HEAD]]
        if chosen.why:  # an issue frozen before there was such a piece goes without
            ordered += [(stretch, count) for stretch in part.others.get(WHY, ())]
        ordered += zip(map(part.cards.__getitem__, chosen.cards), range(1, cards + 1), strict=True)
        if chosen.lines:
            ordered += [(stretch, count) for stretch in part.others[_LINES] if chosen.cards]  # else there is nothing beside them
            ordered += zip(map(part.lines.__getitem__, chosen.lines), range(cards + 1, count + 1), strict=True)
    except KeyError as missing:
        raise BadInput(f"the email has no piece {missing}", hint="Choose among the papers of the issue.") from None
    last = (*(part.others.get(MORE, ()) if chosen.more else ()), *part.others.get(FOOT, ()))
    return ordered + [(stretch, count) for stretch in last]


@lru_cache(maxsize=_ARRANGED)
def _arrange(part: _Part, chosen: Selection) -> tuple[list[bytes], bytes, list[_Numbered], dict[str, bytes]]:
    """Return the lines of a selection up to the first stretch with a reader's own values, the bytes left over, and the rest.

    With it comes what the selection says of itself.
    """
    ordered, values = _order(part, chosen), _own_values(part, chosen)
    lines: list[bytes] = []
    rest: list[_Numbered] = []
    carry = b""
    for position, (stretch, number) in enumerate(ordered):
        if not stretch.own <= _SELECTIONS_OWN:
            rest = ordered[position:]
            break
        first, second, carry = stretch.encode(values, number, carry) if stretch.own else stretch.known(number, carry)
        lines += (first, second)
    return lines, carry, rest, values


def _encode(
    opening: Sequence[tuple[bytes, str]],
    tail: Callable[[int], tuple[bytes, bytes, bytes]],
    values: Mapping[str, bytes],
    number: int,
    carry: bytes,
) -> _Encoded:
    """Return the lines up to the last slot and the group that it ends in, those of the tail, and the bytes left over."""
    for words, slot in opening:
        carry += words + (values[slot] if slot else b"%d" % number)
    completing, lines, left = tail(-len(carry) % 3)
    carry += completing
    end = len(carry) - len(carry) % 3  # all of it, unless the tail is too short to complete a group
    return _encoded_lines(carry[:end]), lines, carry[end:] + left


def _encode_tail(tail: bytes, taken: int) -> tuple[bytes, bytes, bytes]:
    """Return the bytes taken to complete a group, as they are, the lines of the others, and the bytes left over."""
    rest = tail[taken:]
    end = len(rest) - len(rest) % 3
    return tail[:taken], _encoded_lines(rest[:end]), rest[end:]


def _encoded_lines(content: bytes) -> bytes:
    """Return the content in base64, in lines of at most 76."""
    encoded = b2a_base64(content, newline=False)
    if len(encoded) <= _LINE:
        return encoded + b"\r\n" if content else b""
    return b"\r\n".join([encoded[start : start + _LINE] for start in range(0, len(encoded), _LINE)]) + b"\r\n"
