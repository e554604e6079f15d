"""How many of an issue's readers call it spam: large providers turn away all mail of a sender of whom too many do."""

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import func, not_, or_, select, update
from sqlmodel import Session, col

from newsletter import alarms
from newsletter.alarms import Cause
from newsletter.bounces.rules import FEWEST_COMPLAINTS, is_watched, is_worst
from newsletter.lifecycle import DeliveryStatus
from newsletter.models import Alarm, Bounce, BounceKind, Delivery

CALM = timedelta(days=7)  # after which an alarm of this kind that was not raised again is over


def review(session: Session, issue_ids: Collection[int | None], *, now: datetime) -> None:
    """Raise the alarms of issues of which complaints have just come."""
    for issue_id in sorted(number for number in issue_ids if number is not None):
        complaints = _complaints(session, issue_id)
        sent = _sent(session, issue_id) if complaints >= FEWEST_COMPLAINTS else 0
        if not is_watched(complaints, sent):
            continue
        worst = is_worst(complaints, sent)
        says = "turn away all mail of whom 0.3 % call spam" if worst else "ask to stay below 0.1 %"
        detail = f"{complaints} of {sent} called it spam, {complaints / max(sent, 1):.2%}. Gmail and others {says}."
        kind, subject = ("worst-complaints", "Far too many") if worst else ("complaints", "Too many")
        alarms.raise_alarm(session, Cause(f"{kind}:issue:{issue_id}", f"{subject} readers call it spam", detail), now=now)


def _complaints(session: Session, issue_id: int) -> int:
    """Return how many of an issue's mails were called spam; who only wants to leave does not say so."""
    left = or_(col(Bounce.action).startswith("ignored"), col(Bounce.reason).startswith("opt-out"))
    rows = select(func.count(func.distinct(col(Bounce.delivery_id)))).join(Delivery, col(Delivery.id) == col(Bounce.delivery_id))
    of_issue = (col(Delivery.issue_id) == issue_id, col(Bounce.kind) == BounceKind.COMPLAINT, not_(left))
    return session.scalar(rows.where(*of_issue)) or 0


def _sent(session: Session, issue_id: int) -> int:
    of_issue = (col(Delivery.issue_id) == issue_id, col(Delivery.status) == DeliveryStatus.SENT)
    return session.scalar(select(func.count()).select_from(Delivery).where(*of_issue)) or 0


def close_calm(session: Session, *, now: datetime) -> None:
    """Close the alarms about refusals of us, and about complaints, that were not raised again for a while."""
    ours = or_(*(col(Alarm.cause).startswith(kind) for kind in ("bounces:us:", "complaints:", "worst-complaints:")))
    calm = update(Alarm).where(ours, col(Alarm.closed_at).is_(None), col(Alarm.raised_at) < now - CALM)
    session.execute(calm.values(closed_at=now).execution_options(synchronize_session=False))
