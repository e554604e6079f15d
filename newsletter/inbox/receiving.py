"""Taking mail in: what we have said 250 to is a row, whole, before it is looked at."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from sqlalchemy import func, select
from sqlmodel import Session, col

from newsletter import alarms, db
from newsletter.db import Sessions
from newsletter.models import InboundMail, InboundStatus

ADDRESS_LIMIT = 320  # characters of an envelope address that are kept
FULL = "inbox:full"  # the key of the alarm


@dataclass(frozen=True)
class Incoming:
    """A mail as it was handed to us: from which IP address, its envelope, its bytes."""

    peer: str
    sender: str  # "" for the null one
    recipients: Sequence[str]
    content: bytes


def receive(sessions: Sessions, mail: Incoming, *, now: datetime) -> int:
    """Keep a mail, a row for each of its recipients, and return how many are new.

    It is ours when this returns. A server that missed our answer and sends it again brings nothing new.
    """
    rows = [
        {
            "content_key": _key(recipient, mail.content),
            "status": InboundStatus.RECEIVED,
            "purpose": "",
            "reason": "",
            "peer": mail.peer,
            "sender": _storable(mail.sender),
            "recipient": _storable(recipient),
            "subject": "",
            "size": len(mail.content),
            "content": mail.content,
            "received_at": now,
        }
        for recipient in mail.recipients
    ]
    with sessions.begin() as session:
        return db.insert_new(session, InboundMail, rows)


def kept_bytes(session: Session) -> int:
    """Return the size of all mail to us that is kept whole."""
    size = select(func.coalesce(func.sum(col(InboundMail.size)), 0)).where(col(InboundMail.content).is_not(None))
    return int(session.scalar(size) or 0)


def raise_full(session: Session, kept: int, *, now: datetime) -> None:
    """Tell the operator that no more mail is taken in; the alarm is closed once there is room again."""
    what = "Mail to us is put off: as much as is allowed is kept"
    detail = f"{kept:,} bytes are kept. Settle what waits (newsletter inbox list), or allow more (inbox.max_kept_bytes)."
    alarms.raise_alarm(session, alarms.Cause(FULL, what, detail), now=now)


def _key(recipient: str, content: bytes) -> str:
    return sha256(recipient.lower().encode("utf-8", "surrogateescape") + b"\0" + content).hexdigest()


def _storable(address: str) -> str:
    """Return an envelope address that every database takes: aiosmtpd keeps bytes that are no UTF-8 as lone surrogates."""
    clean = address.encode("utf-8", "replace").decode("utf-8").replace("\0", "?")
    return clean[:ADDRESS_LIMIT]
