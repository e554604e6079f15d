"""Complaints: RFC 5965 (abuse reports), RFC 6430 (not-spam), RFC 6591 (authentication failures), and Outlook.com's own form."""

from newsletter.bounces.reading import addresses
from newsletter.bounces.reading.fields import Fields, parse
from newsletter.bounces.reading.parts import ENCLOSED, Message
from newsletter.bounces.reading.report import REASON_LIMIT, Kind, Report
from newsletter.text import one_line

READER = "rfc5965"
READER_OUTLOOK = "jmrp"

_COMPLAINTS = frozenset({"abuse", "fraud", "opt-out", "opt-out-list", "unsubscribe"})
_OUTLOOK_FIELD = "x-hmxmroriginalrecipient"
_RECIPIENT_LIMIT = 100


def block(message: Message) -> Fields | None:
    """Return the fields of a feedback report; None where the message holds none."""
    parts = [part for part in message.parts if part.type == "message/feedback-report"]
    chosen = [part for part in parts if not part.enclosed] or parts
    return parse(chosen[0].text.strip("\n").split("\n")) if chosen else None


def read(fields: Fields, enclosed: Fields) -> list[Report]:
    """Return a report for each recipient, or one without where they were taken out; RFC 5965 section 3.2.

    Types that are not registered are read as `other` (section 7.3): not held against anybody.
    """
    stated = fields.get("feedback-type").lower().split()
    feedback = stated[0].strip(";") if stated else ""
    kind = Kind.COMPLAINT if feedback in _COMPLAINTS else Kind.NONE
    reason = one_line(f"{feedback}: {fields.get('user-agent')}")[:REASON_LIMIT].strip(": ")
    named = [addresses.typed(value) for value in fields.every("original-rcpt-to", "removal-recipient", "redacted-address")]
    whole = [address for address in dict.fromkeys(named) if _is_whole(address)]
    if not whole:
        whole = [address for address in addresses.found_in(" , ".join(enclosed.every("to"))) if _is_whole(address)][:1]
    return [Report(kind, address, "", reason, READER, action=feedback) for address in whole[:_RECIPIENT_LIMIT] or [""]]


def read_outlook(message: Message) -> list[Report]:
    """Return the complaint of Outlook.com's junk mail reporting: the mail as it was, with a field that names the reader."""
    for part in message.parts:
        if part.type in ENCLOSED and (named := _outlook_field(part.text)):
            reason = one_line(message.fields.get("subject"))[:REASON_LIMIT]
            return [Report(Kind.COMPLAINT, addresses.typed(named), "", reason, READER_OUTLOOK, action="abuse")]
    return []


def _outlook_field(text: str) -> str:
    return parse(text.partition("\n\n")[0].split("\n")).get(_OUTLOOK_FIELD)


def _is_whole(address: str) -> bool:
    """Say whether an address was left as it is: some put words or stars in its place."""
    local = address.rpartition("@")[0].lower()
    return bool(local) and "redacted" not in address.lower() and "*" not in address and set(local) != {"x"}
