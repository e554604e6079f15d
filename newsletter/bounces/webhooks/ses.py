"""Amazon SES, which tells bounces and complaints through SNS: notifications of an identity, and events of a configuration set.

https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html and event-publishing-retrieving-sns-contents.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from newsletter.bounces.reading import Kind, Original, Report
from newsletter.bounces.webhooks.base import Told, document, failure, member, members, words
from newsletter.bounces.webhooks.sns import Sns
from newsletter.errors import BadSignature
from newsletter.text import one_line

READER = "ses"
_OURS = frozenset({"MessageTooLarge", "ContentRejected", "AttachmentRejected"})  # refused for what we sent
_SUPPRESSED = frozenset({"Suppressed", "OnAccountSuppressionList"})  # not tried at all: it bounced before
_COMPLAINTS = frozenset({"", "abuse", "fraud"})  # "" where the provider does not say; not-spam and others are none


@dataclass(frozen=True)
class Ses:
    """The adapter."""

    sns: Sns

    def read(self, body: bytes, headers: Mapping[str, str], *, now: datetime) -> Told:
        """Return what a notification tells, nothing for what is neither bounce nor complaint; raises as `Hook.read`."""
        del headers  # they repeat what is signed, and are not
        message = self.sns.open(body, now=now)
        key = words(message, "MessageId")
        if words(message, "Type") != "Notification":
            return Told(key)
        try:
            event = document(words(message, "Message"))
        except BadSignature:  # Amazon's own, and for people: that the topic was chosen
            return Told(key)
        return Told(key, tuple(_reports(event)))


def _reports(event: Mapping[str, Any]) -> list[Report]:
    kind, original = words(event, "notificationType") or words(event, "eventType"), _original(member(event, "mail"))
    if kind == "Bounce":
        bounce = member(event, "bounce")
        return [_bounce(bounce, each, original) for each in members(bounce, "bouncedRecipients")]
    if kind == "Complaint":
        complaint = member(event, "complaint")
        return [_complaint(complaint, each, original) for each in members(complaint, "complainedRecipients")]
    return []


def _bounce(bounce: Mapping[str, Any], recipient: Mapping[str, Any], original: Original) -> Report:
    kind, subtype = words(bounce, "bounceType"), words(bounce, "bounceSubType")
    address, status, said = (words(recipient, name) for name in ("emailAddress", "status", "diagnosticCode"))
    said = said.removeprefix("smtp;").strip()
    if subtype == "UnsubscribedRecipient":
        return Report(Kind.COMPLAINT, address, "", f"opt-out: {kind} {subtype}", READER, "opt-out", original=original)
    if subtype in _OURS:
        return Report(Kind.NONE, address, status, one_line(f"{subtype} {said}")[:300], READER, "failed", True, original)
    if subtype in _SUPPRESSED:
        return Report(Kind.HARD, address, status, f"{kind} {subtype}", READER, "failed", original=original)
    found = failure(said, status, address, READER, sure=kind == "Permanent")
    if kind != "Permanent" and found.kind is Kind.HARD:
        found = Report(Kind.SOFT, address, found.status, found.reason, READER, "failed")
    return _about(found, f"{kind} {subtype} {found.reason}".strip(), original)


def _about(report: Report, reason: str, original: Original) -> Report:
    return Report(
        report.kind, report.recipient, report.status, reason[:300], report.reader, report.action, report.about_us, original
    )


def _complaint(complaint: Mapping[str, Any], recipient: Mapping[str, Any], original: Original) -> Report:
    feedback = words(complaint, "complaintFeedbackType").lower()
    kind = Kind.COMPLAINT if feedback in _COMPLAINTS else Kind.NONE
    reason = one_line(f"{feedback or 'complaint'}: {words(complaint, 'userAgent')}")[:300].strip(": ")
    return Report(kind, words(recipient, "emailAddress"), "", reason, READER, feedback or "abuse", original=original)


def _original(mail: Mapping[str, Any]) -> Original:
    """Return by what our mail is known: SES gives it another Message-ID, and tells the first one in the headers."""
    by_name: dict[str, list[str]] = {}
    for each in members(mail, "headers"):
        by_name.setdefault(words(each, "name").lower(), []).append(words(each, "value"))
    ids = [*by_name.get("message-id", []), words(member(mail, "commonHeaders"), "messageId")]
    unsubscribe = [part.strip(" <>") for value in by_name.get("list-unsubscribe", []) for part in value.split(",")]
    return Original(
        message_ids=tuple(dict.fromkeys(each.strip() for each in ids if each.strip())),
        unsubscribe=tuple(unsubscribe),
        return_paths=tuple(path for path in [words(mail, "source").strip(" <>")] if path),
    )
