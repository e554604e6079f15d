"""Deliveries that became unknown or held while their worker was out of touch, and that worker's word on them when it comes.

A worker that was stopped, or cut off, beyond its lease still knows which of its window it never began, and so does its
journal. Those go back to the queue: nobody can have got them. The fence is the worker's name together with the number of
the try, or with the reason that only the end of a lease gives: whatever somebody else has claimed, the operator has settled
or its own worker has called lost is not touched.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Table, bindparam, select, text, update
from sqlmodel import Session, col

from newsletter.lifecycle import DeliveryEvent, DeliveryStatus, IssueEvent, IssueStatus, advance_delivery, advance_issue
from newsletter.models import Delivery, Issue

if TYPE_CHECKING:  # the ledger calls this module
    from newsletter.deliveries.ledger import Outcome

LEASE_RAN_OUT = "the worker was lost while sending"
_DOUBTFUL = text("deliveries.status IN ('unknown', 'held')")  # word for word the index's condition, or it is not used
_WAITING = (DeliveryStatus.QUEUED, DeliveryStatus.DEFERRED)


def hear(session: Session, outcomes: Sequence["Outcome"], *, worker: str, now: datetime) -> None:
    """Take a worker's word on what may be unknown or held by now; the ledger has recorded the outcomes already."""
    unbegun, lost, late = defaultdict[int, list[int]](list), [], []
    for each in outcomes:
        if each.event is DeliveryEvent.GIVE_BACK and each.attempt:
            unbegun[each.attempt].append(each.delivery_id)
        elif each.event is DeliveryEvent.LOSE:
            lost.append({"row_id": each.delivery_id, "why": each.reason})
        elif each.event is DeliveryEvent.PUT_OFF:
            late.append(each.delivery_id)
    for attempt, ids in unbegun.items():
        _queue(session, worker, now, col(Delivery.id).in_(ids), col(Delivery.attempts) == attempt)
    if lost:
        _call_lost(session, lost, worker)
    if late:
        _reopen(session, late)


def give_back(session: Session, worker: str, *, begun: Collection[int], now: datetime) -> int:
    """Queue what a worker certainly never began though its lease ran out: all of it but `begun`; return how many those are.

    Call it after the outcomes were recorded that the worker or its journal still knew.
    """
    rest = (col(Delivery.id).not_in(begun),) if begun else ()
    return _queue(session, worker, now, col(Delivery.reason) == LEASE_RAN_OUT, *rest)


def _queue(session: Session, worker: str, now: datetime, *which: ColumnElement[bool]) -> int:
    values: dict[str, Any] = {
        "status": advance_delivery(DeliveryStatus.HELD, DeliveryEvent.GIVE_BACK),
        "reason": "",
        "claimed_by": "",
        "attempts": col(Delivery.attempts) - 1,
        "updated_at": now,
    }
    back = update(Delivery).where(_DOUBTFUL, col(Delivery.claimed_by) == worker, *which).values(values)
    ids = session.scalars(back.returning(col(Delivery.id)).execution_options(synchronize_session=False)).all()
    if ids:
        _reopen(session, ids)
    return len(ids)


def _call_lost(session: Session, lost: list[dict[str, Any]], worker: str) -> None:
    """Let the worker's own words stand by what is unknown or held already: it had begun."""
    table: Table = Delivery.__table__  # type: ignore[attr-defined]  # SQLModel does not declare it
    said = update(table).where(_DOUBTFUL, table.c.id == bindparam("row_id"), table.c.claimed_by == worker)
    session.connection().execute(said.values(reason=bindparam("why")), lost)


def _reopen(session: Session, ids: Collection[int]) -> None:
    """Give an issue that was all sent work again where deliveries of it wait after all."""
    waiting = select(col(Delivery.issue_id)).where(col(Delivery.id).in_(ids), col(Delivery.status).in_(_WAITING))
    values = {"status": advance_issue(IssueStatus.SENT, IssueEvent.PUBLISH), "finished_at": None}
    issues = update(Issue).where(col(Issue.status) == IssueStatus.SENT, col(Issue.id).in_(waiting)).values(values)
    session.execute(issues.execution_options(synchronize_session=False))
