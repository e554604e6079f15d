"""A received message as a person reads it: decoded headers, the text part, the HTML part.

Mail may be wrong in every way, and a reader that fails on it shows nothing at all: whatever cannot be decoded
is shown as it stands, and no header or part stops the others.
"""

import re
from dataclasses import dataclass
from email import message_from_bytes
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesHeaderParser

from markupsafe import Markup, escape

_HEAD = re.compile(r"<head\b[^>]*>", re.IGNORECASE)
_BEFORE_HEAD = re.compile(r"\A(?:\s|<!--.*?-->|<!doctype[^>]*>|<html\b[^>]*>)*", re.IGNORECASE | re.DOTALL)
_LINK = re.compile(r"https?://[^\s<>\"]+[^\s<>\".,;:!?)\]}']")


@dataclass(frozen=True)
class Headers:
    """What a list of messages shows: decoded, one line each, empty where the message has none."""

    subject: str
    sender: str
    to: str


@dataclass(frozen=True)
class Letter:
    """A message taken apart; None where it has no such part."""

    headers: Headers
    text: str | None
    html: str | None


def read_headers(content: bytes) -> Headers:
    """Return the headers of a message without looking at its body."""
    return _headers(BytesHeaderParser().parsebytes(content))


def read(content: bytes) -> Letter:
    """Take a message apart; attachments are left alone, and of parts nested beyond all sense the whole body."""
    try:
        message = message_from_bytes(content)
        return Letter(_headers(message), _part(message, "text/plain"), _part(message, "text/html"))
    except RecursionError:
        return Letter(read_headers(content), None, None)


def for_new_tabs(html: str) -> str:
    """Return the HTML with a `<base>` that opens its links in a new tab, as mail programs do.

    Put inside the head, or where a head would be: in front of the doctype it would change how all is laid out.
    """
    head = _HEAD.search(html) or _BEFORE_HEAD.match(html)
    at = head.end() if head else 0
    return f'{html[:at]}<base target="_blank">{html[at:]}'


def with_links(text: str) -> Markup:
    """Return plain text as HTML, its web addresses made into links."""
    parts: list[Markup] = []
    end = 0
    for match in _LINK.finditer(text):
        link = Markup('<a href="{0}" target="_blank" rel="noopener noreferrer">{0}</a>').format(match[0])
        parts += [escape(text[end : match.start()]), link]
        end = match.end()
    return Markup("").join([*parts, escape(text[end:])])


def _headers(message: Message) -> Headers:
    return Headers(*(_header(message, name) for name in ("subject", "from", "to")))


def _header(message: Message, name: str) -> str:
    """Return the first header of that name in words; undecodable encoded-words (RFC 2047) are left as they are."""
    # raw_items gives the bytes as received; the mapping would give an object that has already lost the odd ones.
    raw = next((str(value) for key, value in message.raw_items() if key.lower() == name), "")
    line = " ".join(raw.encode("utf-8", "surrogateescape").decode("utf-8", "replace").split())
    try:
        return _one_line(str(make_header(decode_header(line))))
    except (MessageError, ValueError, LookupError):
        return _one_line(line)


def _one_line(text: str) -> str:
    """Return what can be shown on one line: an encoded-word may hide line breaks, NULs and lone surrogates."""
    shown = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(shown.split())


def _part(message: Message, kind: str) -> str | None:
    """Return the first part of that type which is no attachment."""
    for part in message.walk():
        if part.get_content_type() == kind and part.get_content_disposition() != "attachment":
            return _decoded(part)
    return None


def _decoded(part: Message) -> str:
    """Return the part's text; a charset nobody knows is read as UTF-8."""
    payload = part.get_payload(decode=True)
    content = payload if isinstance(payload, bytes) else b""
    try:
        text = content.decode(part.get_content_charset("utf-8"), "replace")
    except (LookupError, ValueError):
        text = content.decode("utf-8", "replace")
    return text.replace("\r\n", "\n").encode("utf-8", "replace").decode("utf-8")
