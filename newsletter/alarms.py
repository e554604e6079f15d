"""What the operator must know: one open alarm per cause, mailed once, closed when it is over."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import or_, select, update
from sqlmodel import Session, col

from newsletter import db
from newsletter.errors import Conflict, NotFound
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


def follow(session: Session, kinds: Sequence[str], causes: Sequence[Cause], *, now: datetime) -> None:
    """Let just these alarms of some kinds be open: raise those that are new, close those whose trouble is over."""
    ours = or_(*(col(Alarm.cause).startswith(f"{kind}:") for kind in kinds))
    known = set(session.scalars(select(col(Alarm.cause)).where(ours, col(Alarm.closed_at).is_(None))))
    for cause in causes:
        if cause.key not in known:
            raise_alarm(session, cause, now=now)
    for key in known - {cause.key for cause in causes}:
        close(session, key, now=now)


def close(session: Session, key: str, *, now: datetime) -> None:
    """Close the open alarm of a cause, if there is one: the trouble is over."""
    session.execute(update(Alarm).where(col(Alarm.cause) == key, col(Alarm.closed_at).is_(None)).values(closed_at=now))


def open_alarms(session: Session) -> Sequence[Alarm]:
    """Return the alarms that are open, the oldest first."""
    return session.scalars(select(Alarm).where(col(Alarm.closed_at).is_(None)).order_by(col(Alarm.opened_at))).all()


def listing(session: Session, *, before_id: int | None = None, limit: int = 50) -> Sequence[Alarm]:
    """Return up to `limit` alarms, open or closed, the newest first, of those older than `before_id`."""
    rows = select(Alarm).order_by(col(Alarm.id).desc()).limit(limit)
    if before_id is not None:
        rows = rows.where(col(Alarm.id) < before_id)
    return session.scalars(rows).all()


def dismiss(session: Session, alarm_id: int, *, now: datetime) -> Alarm:
    """Close an alarm by hand; trouble that comes again is a new one. Raises NotFound, Conflict for one that is closed."""
    alarm = session.get(Alarm, alarm_id)
    if alarm is None:
        raise NotFound(f"There is no alarm {alarm_id}.", hint="`newsletter alarms` shows those that are open.")
    if alarm.closed_at is not None:
        raise Conflict(f"Alarm {alarm_id} was closed at {alarm.closed_at:%Y-%m-%d %H:%M} UTC.")
    alarm.closed_at = now
    return alarm
