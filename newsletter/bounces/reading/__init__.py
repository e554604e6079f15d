"""The reader of bounces and complaints: bytes in, reports out. Pure, and no message can make it fail.

What is written for machines comes first: complaints (RFC 5965), then status reports (RFC 3464). What is left are notices
for people, of which there are hundreds of forms: they are read by what they have in common.
"""

from dataclasses import replace

from newsletter.bounces.reading import arf, dsn, mail, notices, originals
from newsletter.bounces.reading.fields import Fields
from newsletter.bounces.reading.notices import Named, Notice
from newsletter.bounces.reading.parts import Message, take_apart
from newsletter.bounces.reading.report import REASON_LIMIT, Kind, Original, Report
from newsletter.bounces.reading.styles import style_of
from newsletter.bounces.reading.words import meaning_of, status_in
from newsletter.text import one_line

__all__ = ["Kind", "Original", "Report", "read"]


def read(message: bytes) -> list[Report]:
    """Return what a message reports: one for each recipient, and one of kind `none` where it reports nothing.

    Never raises, whatever the bytes. What is beyond the limits of `parts` is not looked at.
    """
    taken = take_apart(message)
    notice = notices.notice_of(taken)
    enclosed = originals.enclosed_in(taken, notice.remains)
    feedback, status = arf.block(taken), dsn.blocks(taken)
    original = originals.original(taken, enclosed, blocks=[*status, *([feedback] if feedback else [])])
    reports = _reports(taken, notice, enclosed, feedback, status) or [Report(Kind.NONE)]
    return [replace(report, original=original) for report in reports]


def _reports(message: Message, notice: Notice, enclosed: Fields, feedback: Fields | None, status: list[Fields]) -> list[Report]:
    if feedback is not None:
        return arf.read(feedback, enclosed)
    if found := dsn.read(status, notice.text, originals.recipients(enclosed)):
        return found
    if found := arf.read_outlook(message):
        return found
    if mail.is_disposition(message):
        return [Report(Kind.NONE, reason="tells what was done with a mail that arrived", reader="rfc8098")]
    if mail.looks_like_report(message, notice.text):
        return _of_notice(message, notice, enclosed)
    return [Report(Kind.NONE, reason="an automatic answer", reader="rfc3834")] if mail.is_automatic(message) else []


def _of_notice(message: Message, notice: Notice, enclosed: Fields) -> list[Report]:
    """Read what is said to people; whom the mail was for stands in its header where the notice names nobody."""
    own = notices.own_addresses(message, enclosed)
    named = notices.named_in(notice, own)
    if failed := mail.failed_recipients(message):
        known = {each.recipient.lower(): each for each in named}
        named = [known.get(address.lower(), Named(address, "")) for address in failed[: notices.CANDIDATES]]
    if not named:
        meant = [address for address in originals.recipients(enclosed) if address.lower() not in own]
        named = [Named(meant[0] if len(meant) == 1 else "", "")]
    return [report for each in named if (report := _report(message, notice, each))]


def _report(message: Message, notice: Notice, named: Named) -> Report | None:
    """Return what a notice says of somebody; None where neither words nor address tell that it is one."""
    style = style_of(message, notice.text)
    if mail.is_good_news(message, notice.text):
        return Report(Kind.NONE, named.recipient, reader=style, action="delivered")
    delayed = mail.is_still_trying(message, notice.text)
    said, status = named.said, status_in(named.said)
    meaning = meaning_of(said, status, tried_again=delayed)
    if not meaning.sure:
        said, status = notice.text, status or status_in(notice.text)
        meaning = meaning_of(f"{mail.subject(message)}\n{said}", status, tried_again=delayed)
    if not meaning.sure and not (named.recipient and mail.says_failed(message, notice.text)):
        return None
    kind = Kind.SOFT if meaning.kind is Kind.HARD and not named.clearly else meaning.kind
    action = "delayed" if delayed else "failed"
    reason = one_line(said)[:REASON_LIMIT]
    return Report(kind, named.recipient, status, reason, style, action=action, about_us=meaning.about_us)
