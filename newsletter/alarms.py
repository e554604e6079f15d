"""What the operator must know: one open alarm per cause, mailed once, closed when it is over."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlmodel import Session, col

from newsletter import db
from newsletter.models import Alarm


@dataclass(frozen=True)
class Cause:
    """What an alarm is about: `key` is the same for the same trouble, as "source:huggingface:2024-03-14"."""

    key: str
    subject: str
    detail: str = ""


def raise_alarm(session: Session, cause: Cause, *, now: datetime) -> bool:
    """Open an alarm, or count it once more if it is open; return whether it is new."""
    row = {"cause": cause.key, "subject": cause.subject, "detail": cause.detail, "times": 1, "opened_at": now, "raised_at": now}
    if db.insert_new(session, Alarm, [row]):
        return True
    again = {"times": col(Alarm.times) + 1, "raised_at": now, "detail": cause.detail}
    session.execute(update(Alarm).where(col(Alarm.cause) == cause.key, col(Alarm.closed_at).is_(None)).values(again))
    return False


def close(session: Session, key: str, *, now: datetime) -> None:
    """Close the open alarm of a cause, if there is one: the trouble is over."""
    session.execute(update(Alarm).where(col(Alarm.cause) == key, col(Alarm.closed_at).is_(None)).values(closed_at=now))


def open_alarms(session: Session) -> Sequence[Alarm]:
    """Return the alarms that are open, the oldest first."""
    return session.scalars(select(Alarm).where(col(Alarm.closed_at).is_(None)).order_by(col(Alarm.opened_at))).all()
