"""The history of a delivery: what each server said to each try that did not end in its being sent.

The delivery's own row holds the last words alone. Here a row is added for every try that was put off, refused or lost, in
the transaction that says so; a mail that is sent at once costs nothing.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, TextClause, select, text, update
from sqlmodel import Session, col

from newsletter import db
from newsletter.lifecycle import DeliveryEvent, DeliveryStatus
from newsletter.models import Attempt, Delivery

if TYPE_CHECKING:  # the ledger calls this module
    from newsletter.deliveries.ledger import Outcome

_EVENTS = frozenset({DeliveryEvent.PUT_OFF, DeliveryEvent.REFUSE, DeliveryEvent.LOSE})
_STATUSES = (DeliveryStatus.DEFERRED, DeliveryStatus.FAILED, DeliveryStatus.UNKNOWN)
_DOUBTFUL = text("deliveries.status IN ('unknown', 'held')")  # word for word the index's condition, or it is not used
_SAME = ("status", "reason", "reply_code", "reply_enhanced", "reply_text", "reply_phase", "reply_server")


def keep(session: Session, outcomes: Iterable["Outcome"], *, now: datetime) -> None:
    """Keep those of the outcomes that the ledger recorded at `now`, in this transaction; repeating it adds nothing."""
    ids = [outcome.delivery_id for outcome in outcomes if outcome.event in _EVENTS]
    if ids:
        _keep(session, now, col(Delivery.id).in_(ids), col(Delivery.status).in_(_STATUSES))


def keep_lost(session: Session, *, now: datetime) -> None:
    """Keep what became unknown at `now`, in this transaction, because its worker was lost."""
    _keep(session, now, _DOUBTFUL, col(Delivery.status) == DeliveryStatus.UNKNOWN)


def forget_words(session: Session, delivery_ids: Collection[int]) -> None:
    """Blank what servers said to the tries of deliveries: it may quote an address."""
    theirs = update(Attempt).where(col(Attempt.delivery_id).in_(delivery_ids)).values(reply_text="")
    session.execute(theirs.execution_options(synchronize_session=False))


def _keep(session: Session, now: datetime, *which: ColumnElement[bool] | TextClause) -> None:
    ended = select(Delivery).where(col(Delivery.updated_at) == now, *which)
    columns = {name: getattr(Delivery, name) for name in _SAME}
    named = {"delivery_id": col(Delivery.id), "number": col(Delivery.attempts), "at": col(Delivery.updated_at)}
    db.insert_from(session, Attempt, {**named, **columns}, ended)


def of(session: Session, delivery_id: int) -> Sequence[Attempt]:
    """Return the tries of a delivery that did not end in its being sent, the oldest first."""
    rows = select(Attempt).where(col(Attempt.delivery_id) == delivery_id)
    return session.scalars(rows.order_by(col(Attempt.at), col(Attempt.id))).all()
