"""Moving deliveries from state to state, in sets; two workers never hold the same one.

Two leases: *claimed* is a batch in a worker's hands and expires back to queued; *sending* is the small window about to be
handed to the mail server and expires to unknown. Moving a delivery into the window is also the last look at whether it is
still owed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, func, or_, select, text, update
from sqlmodel import Session, col
from sqlmodel.sql.sqltypes import UTCDateTime

from newsletter.errors import Reply
from newsletter.lifecycle import DeliveryEvent, DeliveryStatus, IssueStatus, SubscriptionStatus, advance_delivery, before
from newsletter.models import Delivery, DeliveryKind, Issue, Lane, Subscriber, Subscription, Suppression
from newsletter.text import one_line

CLAIM_LEASE = timedelta(minutes=5)
SENDING_LEASE = timedelta(minutes=15)
# No mail of a window begins later than this: what is left of the lease is longer than the answer to the dot may take
# (RFC 5321 section 4.5.3.2.6: 10 minutes).
BEGIN_WITHIN = timedelta(minutes=3)
_WAITING = text("deliveries.status IN ('queued', 'deferred')")  # word for word the index's condition, or it is not used


@dataclass(frozen=True)
class Claimed:
    """A delivery in a worker's hands: what is needed to make and send its mail."""

    id: int
    kind: DeliveryKind
    newsletter_id: int | None
    issue_id: int | None
    subscription_id: int | None
    subscriber_id: int | None
    address: str
    language: str
    values: Mapping[str, Any]
    attempts: int


@dataclass(frozen=True)
class Outcome:
    """What became of one delivery: the event, the server's words if there were any, and when to try again."""

    delivery_id: int
    event: DeliveryEvent
    reason: str = ""
    reply: Reply | None = None
    again_in: timedelta = timedelta()


@dataclass(frozen=True)
class Recovered:
    """What the sweep found: leases that ran out, unknowns sent again or held, and mails that came too late."""

    given_back: int = 0
    lost: int = 0
    resent: int = 0
    held: int = 0
    too_late: int = 0


def claim(session: Session, lane: Lane, *, worker: str, limit: int, now: datetime) -> list[Claimed]:
    """Take up to `limit` due deliveries of a lane, the longest due first, so that no other worker gets them.

    What is no longer worth sending is left to `recover`.
    """
    due = (
        select(col(Delivery.id))
        .where(_WAITING, col(Delivery.lane) == lane.value, col(Delivery.due_at) <= now, col(Delivery.give_up_at) > now)
        .order_by(col(Delivery.due_at), col(Delivery.id))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    ids = list(session.scalars(due))
    if not ids:
        return []
    values = {"status": DeliveryStatus.CLAIMED, "claimed_by": worker, "lease_until": now + CLAIM_LEASE, "updated_at": now}
    session.execute(update(Delivery).where(col(Delivery.id).in_(ids)).values(values))
    columns = [getattr(Delivery, name) for name in Claimed.__dataclass_fields__]
    rows = session.execute(select(*columns).where(col(Delivery.id).in_(ids)))
    return sorted((Claimed(*row) for row in rows), key=lambda row: ids.index(row.id))


def begin(session: Session, ids: Sequence[int], *, worker: str, now: datetime) -> set[int]:
    """Take the last look, move what is still owed into the window, skip the rest; return the ids to send now.

    A delivery whose claim ran out, or that somebody else took, is not among them.
    """
    reasons = _why_not_owed(session, ids, today=now.date())
    for reason in set(reasons.values()):
        gone = [delivery_id for delivery_id, why in reasons.items() if why == reason]
        _move(
            session,
            gone,
            DeliveryEvent.SKIP,
            worker=worker,
            now=now,
            also={"reason": reason, "claimed_by": "", "lease_until": None},
        )
    owed = [delivery_id for delivery_id in ids if delivery_id not in reasons]
    also = {"lease_until": now + SENDING_LEASE, "attempts": col(Delivery.attempts) + 1}
    return _move(session, owed, DeliveryEvent.BEGIN, worker=worker, now=now, also=also)


def _move(  # noqa: PLR0913 -- who moves what where, and what is written beside it
    session: Session, ids: Sequence[int], event: DeliveryEvent, *, worker: str, now: datetime, also: Mapping[str, Any]
) -> set[int]:
    """Advance claimed deliveries of this worker whose lease still runs; return the ids that moved."""
    if not ids:
        return set()
    after = advance_delivery(DeliveryStatus.CLAIMED, event)
    statement = (
        update(Delivery)
        .where(
            col(Delivery.id).in_(ids),
            col(Delivery.status) == DeliveryStatus.CLAIMED,
            col(Delivery.claimed_by) == worker,
            col(Delivery.lease_until) > now,
        )
        .values({"status": after, "updated_at": now, **also})
        .returning(col(Delivery.id))
        .execution_options(synchronize_session=False)
    )
    return set(session.scalars(statement))


@dataclass(frozen=True)
class Standing:
    """What the last look sees of a delivery: all that can make it not owed any more."""

    kind: DeliveryKind
    suppressed: str | None
    subscription: SubscriptionStatus | None
    paused_until: date | None
    issue: IssueStatus | None


def _why_not_owed(session: Session, ids: Sequence[int], *, today: date) -> dict[int, str]:
    """Return for each delivery that is not owed any more why."""
    rows = session.execute(
        select(
            col(Delivery.id),
            col(Delivery.kind),
            col(Suppression.reason),
            col(Subscription.status),
            col(Subscription.paused_until),
            col(Issue.status),
        )
        .select_from(Delivery)
        .outerjoin(Subscription, col(Subscription.id) == col(Delivery.subscription_id))
        .outerjoin(Subscriber, col(Subscriber.id) == col(Delivery.subscriber_id))
        .outerjoin(Suppression, col(Suppression.suppression_key) == col(Subscriber.suppression_key))
        .outerjoin(Issue, col(Issue.id) == col(Delivery.issue_id))
        .where(col(Delivery.id).in_(ids))
    )
    return {row[0]: why for row in rows if (why := not_owed(Standing(*row[1:]), today=today))}


# A confirmation goes even to the suppressed: they asked just now, and it is their own way back.
_ALWAYS_OWED = (DeliveryKind.ALARM, DeliveryKind.CONFIRM)


def not_owed(seen: Standing, *, today: date) -> str:
    """Return why a delivery is not owed any more, "" if it is."""
    if seen.kind in _ALWAYS_OWED:
        return ""
    reasons = {
        f"suppressed: {seen.suppressed}": seen.suppressed is not None,
        "unsubscribed": seen.kind is not DeliveryKind.GOODBYE and seen.subscription is not SubscriptionStatus.ACTIVE,
        "issue cancelled": seen.issue is IssueStatus.CANCELLED,
        f"paused until {seen.paused_until}": seen.kind is DeliveryKind.DIGEST and (seen.paused_until or today) > today,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def give_back(session: Session, ids: Sequence[int], *, worker: str, now: datetime) -> None:
    """Put claimed deliveries that were not begun back into the queue."""
    _move(session, ids, DeliveryEvent.GIVE_BACK, worker=worker, now=now, also={"claimed_by": "", "lease_until": None})


def record(session: Session, outcomes: Sequence[Outcome], *, worker: str, now: datetime) -> None:
    """Write down what became of the deliveries in the window.

    An answer that comes after the lease ran out still counts: unknown becomes sent without a second mail.
    """
    for event in {outcome.event for outcome in outcomes}:
        after = advance_delivery(DeliveryStatus.SENDING, event)
        rows = [_outcome_row(outcome, now=now) for outcome in outcomes if outcome.event is event]
        statement = (
            update(Delivery.__table__)  # type: ignore[attr-defined]  # Core: one statement, many parameters
            .where(
                col(Delivery.id) == bindparam("row_id"),
                or_(*(col(Delivery.status) == old for old in before(event, after))),
                col(Delivery.claimed_by) == worker,
            )
            .values(
                status=after,
                updated_at=now,
                lease_until=None,
                due_at=func.coalesce(bindparam("again_at", type_=UTCDateTime()), col(Delivery.due_at)),
                **{name: bindparam(f"new_{name}") for name in _RECORDED},
            )
        )
        session.connection().execute(statement, rows)


_RECORDED = ("sent_at", "reason", "reply_code", "reply_enhanced", "reply_text", "reply_phase", "reply_server")
_NO_REPLY = Reply(0, "", "", "", "")


def _outcome_row(outcome: Outcome, *, now: datetime) -> dict[str, Any]:
    reply = outcome.reply or _NO_REPLY
    values = {
        "sent_at": now if outcome.event is DeliveryEvent.ACCEPT else None,
        "reason": one_line(outcome.reason)[:500],
        "reply_code": reply.code,
        "reply_enhanced": reply.enhanced,
        "reply_text": one_line(reply.text)[:500],  # a control character that PostgreSQL refuses would undo the whole window
        "reply_phase": reply.phase,
        "reply_server": reply.server,
    }
    again_at = now + outcome.again_in if outcome.event is DeliveryEvent.PUT_OFF else None
    return {"row_id": outcome.delivery_id, "again_at": again_at, **{f"new_{name}": value for name, value in values.items()}}


def recover(session: Session, *, hold_unknown: bool, now: datetime) -> Recovered:
    """Sweep: give back claims that ran out, call begun ones unknown, then resend each once while it is worth it, or hold it."""

    def sweep(event: DeliveryEvent, source: DeliveryStatus, *conditions: Any, **values: Any) -> int:  # noqa: ANN401 -- SQL expressions
        new = {"status": advance_delivery(source, event), "updated_at": now, "claimed_by": "", "lease_until": None, **values}
        found = update(Delivery).where(col(Delivery.status) == source, *conditions).values(new)
        return int(session.connection().execute(found.execution_options(synchronize_session=False)).rowcount)

    expired = col(Delivery.lease_until) < now
    kept_worker = {"claimed_by": col(Delivery.claimed_by)}  # whose late answer still counts
    no_more = or_(col(Delivery.resends) > 0, col(Delivery.give_up_at) < now)
    late = {"reason": func.coalesce(func.nullif(Delivery.reason, ""), "it could not be sent in time")}
    return Recovered(
        given_back=sweep(DeliveryEvent.GIVE_BACK, DeliveryStatus.CLAIMED, expired),
        lost=sweep(
            DeliveryEvent.LOSE,
            DeliveryStatus.SENDING,
            expired,
            reason="the worker was lost while sending",
            **kept_worker,
        ),
        held=sweep(DeliveryEvent.HOLD, DeliveryStatus.UNKNOWN, *(() if hold_unknown else (no_more,)), **kept_worker),
        resent=0
        if hold_unknown
        else sweep(DeliveryEvent.RESEND, DeliveryStatus.UNKNOWN, resends=col(Delivery.resends) + 1, due_at=now),
        too_late=sum(
            sweep(DeliveryEvent.REFUSE, waiting, col(Delivery.give_up_at) < now, **late)
            for waiting in (DeliveryStatus.QUEUED, DeliveryStatus.DEFERRED)
        ),
    )
