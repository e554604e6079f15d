"""Delivery status notifications: RFC 3464, and RFC 6533 for addresses that are not ASCII."""

from collections.abc import Iterator
from dataclasses import dataclass

from newsletter.bounces.reading import addresses
from newsletter.bounces.reading.fields import Fields, main_value, parse
from newsletter.bounces.reading.parts import Message
from newsletter.bounces.reading.report import REASON_LIMIT, Kind, Report
from newsletter.bounces.reading.words import Meaning, code_in, meaning_of, status_in
from newsletter.text import one_line

READER = "rfc3464"
RECIPIENT_LIMIT = 500
TEXT_LIMIT = 500_000  # characters of a report

_TYPES = frozenset({"message/delivery-status", "message/global-delivery-status"})
_OF_A_RECIPIENT = frozenset({"final-recipient", "original-recipient", "x-actual-recipient", "action", "status"})
_UNKNOWN = ("failed", "error", "failure", "undeliverable", "expired", "rejected")


@dataclass(frozen=True, slots=True)
class _Block:
    """What a report says of one recipient."""

    recipient: str
    action: str
    status: str
    said: str


def blocks(message: Message) -> list[Fields]:
    """Return the groups of fields of a message's status reports; an attached message's own only where there are no others."""
    parts = [part for part in message.parts if part.type in _TYPES]
    chosen = [part for part in parts if not part.enclosed] or parts
    return [block for part in chosen for block in _groups(part.text)]


def read(groups: list[Fields], notice: str, enclosed_to: list[str]) -> list[Report]:
    """Return a report for each recipient of the groups; `notice` is what is said to people, for where the fields say little."""
    found = [_block(group) for group in groups if _is_of_a_recipient(group)][:RECIPIENT_LIMIT]
    if len(found) == 1 and not found[0].recipient and len(enclosed_to) == 1:
        found = [_Block(enclosed_to[0], found[0].action, found[0].status, found[0].said)]
    return [_report(block, notice) for block in found if block.recipient or block.action]


def _groups(text: str) -> Iterator[Fields]:
    """Yield groups of fields: a blank line ends one, and so does a field that it has already."""
    gathered: list[tuple[str, str]] = []
    for lines in text[:TEXT_LIMIT].split("\n\n"):
        waited = bool(gathered)
        names = {name for name, _ in gathered}
        for name, value in parse(lines.split("\n")).pairs:
            if name in _OF_A_RECIPIENT & names:
                yield Fields(tuple(gathered))
                gathered, names = [], set()
            gathered.append((name, value))
            names.add(name)
        # A recipient named and nothing said of them yet: some put a blank line too many there, but not two.
        if waited or "final-recipient" not in names or names & {"action", "status"}:
            yield Fields(tuple(gathered))
            gathered = []
    yield Fields(tuple(gathered))


def _is_of_a_recipient(group: Fields) -> bool:
    names = {name for name, _ in group.pairs}
    return bool(names & {"final-recipient", "original-recipient"} or {"action", "status"} <= names)


def _block(group: Fields) -> _Block:
    said = " ".join(group.every("diagnostic-code", "x-display-name-error", "x-supplementary-info", "x-notes"))
    said = said.partition(";")[2].strip() if main_value(said) in {"smtp", "x-unix", "x-postfix", "x-notes", "x400"} else said
    comment = group.get("status").partition("(")[2].strip(" )")
    return _Block(_recipient(group), _action(group), _status(group.get("status"), said), said or comment)


def _recipient(group: Fields) -> str:
    final = group.get("final-recipient")
    original = group.get("original-recipient") or group.get("x-original-recipient")
    asked_for = addresses.original_of(original, final) if original else ""
    return asked_for or addresses.typed(final) or addresses.typed(group.get("x-actual-recipient"))


def _action(group: Fields) -> str:
    """Return the action in RFC 3464's words; what is not there or is none of them follows from the status."""
    words = group.get("action").lower().split()
    stated = words[0].strip(";,.()") if words else ""
    if stated.startswith("fail") or stated in _UNKNOWN:
        return "failed"
    if stated in {"delayed", "delivered", "relayed", "expanded"}:
        return stated
    return {"5": "failed", "4": "delayed", "2": "delivered"}.get(group.get("status")[:1], "")


def _status(field: str, said: str) -> str:
    """Return the code that tells most: the field's own, or the server's words' where the field is general."""
    stated, quoted = status_in(field), status_in(said)
    if not stated:
        return quoted
    # 5.0.0, and what some servers write whatever the other one said
    general = stated.endswith(".0.0") or (stated[1:] in {".5.0", ".3.0", ".4.7", ".4.0", ".4.300", ".4.316"})
    return quoted if general and quoted and quoted[0] == stated[0] else stated


def _report(block: _Block, notice: str) -> Report:
    if block.action not in {"failed", "delayed"}:
        return Report(Kind.NONE, block.recipient, block.status, one_line(block.said)[:REASON_LIMIT], READER, action=block.action)
    meaning, reason = _explained(block, notice)
    return Report(
        meaning.kind,
        block.recipient,
        block.status,
        one_line(reason)[:REASON_LIMIT],
        READER,
        action=block.action,
        about_us=meaning.about_us,
    )


def _explained(block: _Block, notice: str) -> tuple[Meaning, str]:
    """Return what a failure means, and the words it was read from: the server's, else those to people."""
    delayed = block.action == "delayed"
    meaning = meaning_of(block.said, block.status, tried_again=delayed)
    if not notice or (block.said and (meaning.sure or code_in(block.said))):
        return meaning, block.said
    told = meaning_of(f"{block.said} {notice}", block.status, tried_again=delayed)
    if block.said and meaning.sure:
        return meaning, block.said
    return told, block.said or notice
