"""What a report shows of the mail it is about: the enclosed header, whole or in pieces, and the tokens strewn about."""

import re
from collections.abc import Iterable

from newsletter.bounces.reading import addresses
from newsletter.bounces.reading.fields import Fields, parse
from newsletter.bounces.reading.parts import ENCLOSED, Message, Part
from newsletter.bounces.reading.report import Original

HEADER_LINES = 400  # of an enclosed header
KEPT = 20  # of each thing

_TAGGED = re.compile(r"(?<![\w.+-])[A-Za-z]\+[A-Za-z2-7]{20,64}@[\w.-]{1,255}")  # as tokens.Links.return_path makes them
_LEAVE = re.compile(r"/u/[A-Za-z0-9_-]{20,200}")  # as tokens.Links.unsubscribe makes them
_BRACKETED = re.compile(r"<([^<>\s]{1,1000})>")
_MESSAGE_ID = re.compile(r"<[^<>\s@]{1,200}@[^<>\s@]{1,255}>")
_QUOTE = re.compile(r"^(?:[>|][ \t]?)+")
_SENT_TO = ("to", "delivered-to", "x-original-to", "envelope-to", "x-envelope-to", "x-delivered-to")


def header_of(part: Part) -> Fields:
    """Return the header of the mail in an attached part."""
    return header_in(part.text.split("\n"))


def header_in(lines: Iterable[str]) -> Fields:
    """Return the first header in the lines: what stands before it is passed over, quotation marks are taken off."""
    kept: list[str] = []
    for line in lines:
        bare = _QUOTE.sub("", line)
        if kept and not bare.strip():
            break
        if bare.strip():
            kept.append(bare)
        if len(kept) >= HEADER_LINES:
            break
    return parse(kept)


def enclosed_in(message: Message, remains: str) -> Fields:
    """Return the header of the mail a report is about: attached, or written into its text (`remains`)."""
    headers = [header_of(part) for part in message.parts if part.type in ENCLOSED and not part.enclosed]
    return next((header for header in headers if header.pairs), header_in(remains.split("\n")))


def original(message: Message, enclosed: Fields, *, blocks: Iterable[Fields] = ()) -> Original:
    """Return all that a report shows of the mail it is about; `blocks` are the report's own fields."""
    own = [*blocks]
    texts = "\n".join(part.text for part in message.parts)
    sent_to = " ".join(message.fields.every(*_SENT_TO))
    named = " ".join([*enclosed.every("return-path"), *_values(own, "original-mail-from", "x-envelope-from")])
    tagged = [*_TAGGED.findall(sent_to), *_TAGGED.findall(texts)]
    leave = [*_BRACKETED.findall(" ".join(enclosed.every("list-unsubscribe"))), *_LEAVE.findall(texts)]
    return Original(
        message_ids=_some(
            [
                *_MESSAGE_ID.findall(" ".join(enclosed.every("message-id"))),
                *_MESSAGE_ID.findall(" ".join(_values(own, "original-message-id", "x-original-message-id"))),
                *_MESSAGE_ID.findall(" ".join(message.fields.every("in-reply-to", "references"))),
            ]
        ),
        unsubscribe=_some(leave),
        return_paths=_some([*tagged, *addresses.found_in(named)]),
        feedback_id=enclosed.get("feedback-id"),
        recipients=_some(recipients(enclosed)),
    )


def recipients(enclosed: Fields) -> list[str]:
    """Return whom the enclosed mail was for."""
    return addresses.found_in(" , ".join(enclosed.every("to")))


def _values(blocks: Iterable[Fields], *names: str) -> list[str]:
    return [value for block in blocks for value in block.every(*names)]


def _some(found: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(found))[:KEPT]
