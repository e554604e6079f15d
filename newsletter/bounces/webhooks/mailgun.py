"""Mailgun's webhooks.

https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks
The signature covers a timestamp and a token, not what is told: each token counts once.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from newsletter.bounces.reading import Kind, Original, Report
from newsletter.bounces.webhooks.base import Told, document, failure, member, words
from newsletter.errors import BadSignature
from newsletter.text import one_line

READER = "mailgun"
OLDEST = timedelta(minutes=5)
_TOKEN_LIMIT = 200
_DIGITS = 12
_STOPPED = {"suppress-unsubscribe": "opt-out", "suppress-complaint": "abuse"}  # not tried: they told Mailgun before


@dataclass(frozen=True, repr=False)
class Mailgun:
    """The adapter, with the key that signs."""

    key: str

    def read(self, body: bytes, headers: Mapping[str, str], *, now: datetime) -> Told:
        """Return what an event tells, nothing for one that is about neither failure nor complaint; raises BadSignature."""
        del headers
        message = document(body)
        token = self._verified(member(message, "signature"), now)
        report = _report(member(message, "event-data"))
        return Told(token, (report,) if report else ())

    def _verified(self, signature: Mapping[str, Any], now: datetime) -> str:
        """Return the token of a genuine signature."""
        stamp, token, given = (words(signature, name) for name in ("timestamp", "token", "signature"))
        if not (0 < len(stamp) <= _DIGITS and stamp.isascii() and stamp.isdigit() and 0 < len(token) <= _TOKEN_LIMIT):
            raise BadSignature("It is not signed.")
        wanted = hmac.new(self.key.encode(), f"{stamp}{token}".encode("utf-8", "replace"), sha256).hexdigest()
        if not hmac.compare_digest(wanted.encode(), given.encode("utf-8", "replace")):
            raise BadSignature("Its signature is wrong.")
        if abs(now.timestamp() - int(stamp)) > OLDEST.total_seconds():
            raise BadSignature("It is too old, or of the future.")
        return token


def _report(event: Mapping[str, Any]) -> Report | None:
    kind, address, original = words(event, "event"), words(event, "recipient"), _original(event)
    if kind == "failed":
        return _failed(event, address, original)
    if kind in {"complained", "unsubscribed"}:
        action = "abuse" if kind == "complained" else "opt-out"
        return Report(Kind.COMPLAINT, address, "", f"{action}: {READER}", READER, action, original=original)
    return None


def _failed(event: Mapping[str, Any], address: str, original: Original) -> Report:
    status, reason, for_good = member(event, "delivery-status"), words(event, "reason"), words(event, "severity") == "permanent"
    if action := _STOPPED.get(reason):
        return Report(Kind.COMPLAINT, address, "", f"{action}: {reason}", READER, action, original=original)
    said = one_line(" ".join(words(status, name) for name in ("code", "message", "description")))
    if not for_good:
        return Report(Kind.SOFT, address, words(status, "enhanced-code"), said[:300], READER, "delayed", original=original)
    if reason == "suppress-bounce":
        return Report(Kind.HARD, address, "", f"{reason} {said}"[:300], READER, "failed", original=original)
    found = failure(said, words(status, "enhanced-code"), address, READER, sure=reason == "bounce")
    return Report(found.kind, address, found.status, found.reason, READER, "failed", found.about_us, original)


def _original(event: Mapping[str, Any]) -> Original:
    identifier = words(member(member(event, "message"), "headers"), "message-id").strip(" <>")
    return Original(message_ids=(f"<{identifier}>",) if identifier else ())
