"""A mail that somebody wrote to us, as far as it is read: its header and its first text. Pure.

It is taken apart by the reader of bounces, which no message can make fail. What only a careful reader may be told is
`sound`: a header that two servers could read differently proves nothing of who wrote it.
"""

import re
from dataclasses import dataclass

from newsletter.bounces.reading.fields import Fields, words
from newsletter.bounces.reading.parts import Message, Part, plain, take_apart
from newsletter.errors import BadInput
from newsletter.text import one_line

HEADER_LIMIT = 100_000  # bytes
FIELD_LIMIT = 500
TEXT_LIMIT = 20_000  # characters that are looked at for what is asked
SUBJECT_LIMIT = 200

_MESSAGE_ID = re.compile(r"<[!-;=?A-~]{1,400}@[!-;=?A-~]{1,400}>")
# Fields of RFC 5322, every line ended by CRLF, and nothing else: no blank line before, no NUL, no bare CR or LF.
_SOUND = re.compile(rb"(?:[!-9;-~]+[ \t]*:[^\r\n\0]*\r\n|[ \t][^\r\n\0]*\r\n)+")


@dataclass(frozen=True)
class Letter:
    """A mail to us: what it says of itself, and the words of its writer."""

    fields: Fields
    subject: str
    text: str  # of its first text part, HTML without its tags
    sound: bool  # every server reads its header alike
    type: str  # of the whole, in lower case: "multipart/report"
    message_id: str  # "" where it has none that could be answered to


def read(content: bytes) -> Letter:
    """Read a mail; raises BadInput for one whose header is larger than any person's."""
    head = _head(content)
    if len(head) > HEADER_LIMIT or head.count(b"\n") > FIELD_LIMIT * 4:
        raise BadInput(f"its header is of {len(head)} bytes", hint="Look at it before you answer.")
    message = take_apart(content)
    if len(message.fields.pairs) > FIELD_LIMIT:
        raise BadInput(f"its header is of {len(message.fields.pairs)} fields", hint="Look at it before you answer.")
    found = _MESSAGE_ID.fullmatch(message.fields.get("message-id"))
    return Letter(
        fields=message.fields,
        subject=one_line(words(message.fields.get("subject")))[:SUBJECT_LIMIT],
        text=_text(message)[:TEXT_LIMIT],
        sound=_SOUND.fullmatch(head) is not None,
        type=message.type,
        message_id=found[0] if found else "",
    )


def _head(content: bytes) -> bytes:
    """Return the header as RFC 5322 knows it, with its last line end; all of a mail that has no body."""
    end = content.find(b"\r\n\r\n")
    return content[: end + 2] if end >= 0 else content


def _text(message: Message) -> str:
    """Return the first text that is no attachment, a plain one before any HTML."""
    texts = [part for part in message.parts if part.type in {"text/plain", "text/html"} and not _is_attached(part)]
    texts.sort(key=lambda part: part.type != "text/plain")
    return plain(texts[0]) if texts else ""


def _is_attached(part: Part) -> bool:
    return part.enclosed or part.fields.get("content-disposition").strip().lower().startswith("attachment")
