"""The operator's look at the mail that was sent to us, and how long it is kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, String, cast, delete, exists, literal, or_, select, update
from sqlmodel import Session, col

from newsletter.alarms import close
from newsletter.errors import Conflict, NotFound
from newsletter.inbox.handling import QUARANTINE
from newsletter.lifecycle import DeliveryStatus
from newsletter.models import Delivery, DeliveryKind, InboundMail, InboundStatus

KEPT = timedelta(days=30)  # after it was handled
_HINT = "`newsletter inbox list` shows the numbers."


@dataclass(frozen=True)
class Purged:
    """What was cleared away: letters that have reached their person, and rows that are too old."""

    letters: int
    rows: int


def listing(
    session: Session, status: InboundStatus | None = None, *, before_id: int | None = None, limit: int = 50
) -> Sequence[InboundMail]:
    """Return up to `limit` mails to us, the newest first, in one state or in all."""
    rows = select(InboundMail).order_by(col(InboundMail.id).desc()).limit(limit)
    if status is not None:
        rows = rows.where(col(InboundMail.status) == status)
    if before_id is not None:
        rows = rows.where(col(InboundMail.id) < before_id)
    return session.scalars(rows).all()


def find(session: Session, mail_id: int, *, lock: bool = False) -> InboundMail:
    """Return a mail to us; raises NotFound."""
    wanted = select(InboundMail).where(col(InboundMail.id) == mail_id)
    row = session.scalars(wanted.with_for_update() if lock else wanted).one_or_none()
    if row is None:
        raise NotFound(f"There is no mail {mail_id} to us.", hint=_HINT)
    return row


def retry(session: Session, mail_id: int, *, now: datetime) -> InboundMail:
    """Have a quarantined mail handled anew; raises NotFound, Conflict for one that is not in quarantine."""
    row = _quarantined(session, mail_id)
    row.status, row.handled_at = InboundStatus.RECEIVED, None
    session.flush()
    _close_alarm(session, now=now)
    return row


def drop(session: Session, mail_id: int, *, by: str, now: datetime) -> InboundMail:
    """Be done with a quarantined mail and forget its content; raises NotFound, Conflict for one that is not in quarantine."""
    row = _quarantined(session, mail_id)
    row.status, row.content, row.handled_at = InboundStatus.DONE, None, now
    row.reason = f"dropped by {by}; it was: {row.reason}"
    session.flush()
    _close_alarm(session, now=now)
    return row


def _quarantined(session: Session, mail_id: int) -> InboundMail:
    row = find(session, mail_id, lock=True)
    if row.status is not InboundStatus.QUARANTINED:
        raise Conflict(f"Mail {mail_id} is {row.status.value}, not in quarantine.", hint=_HINT)
    return row


def _close_alarm(session: Session, *, now: datetime) -> None:
    """Close the alarm once nothing is left in quarantine."""
    if not session.scalar(select(exists().where(col(InboundMail.status) == InboundStatus.QUARANTINED))):
        close(session, QUARANTINE, now=now)


def purge(session: Session, *, now: datetime) -> Purged:
    """Forget letters that have reached their person, and all of a mail 30 days after it was handled.

    What passed a letter on keeps nothing of its writer.
    """
    key = literal("forward:") + cast(col(InboundMail.id), String)
    arrived = exists().where(col(Delivery.dedupe_key) == key, col(Delivery.status) == DeliveryStatus.SENT)
    forwarded = col(InboundMail.status) == InboundStatus.FORWARDED
    letters = _letters(session, forwarded, col(InboundMail.content).is_not(None), arrived)
    old = delete(InboundMail).where(col(InboundMail.handled_at) < now - KEPT).execution_options(synchronize_session=False)
    rows = int(session.connection().execute(old).rowcount)
    over = or_(col(Delivery.status) == DeliveryStatus.SENT, col(Delivery.created_at) < now - KEPT)
    passed_on = update(Delivery).where(col(Delivery.kind) == DeliveryKind.FORWARD, over).values(values={})
    session.execute(passed_on.execution_options(synchronize_session=False))
    _close_alarm(session, now=now)
    return Purged(letters, rows)


def _letters(session: Session, *which: ColumnElement[bool]) -> int:
    forget = update(InboundMail).where(*which).values(content=None).execution_options(synchronize_session=False)
    return int(session.connection().execute(forget).rowcount)
