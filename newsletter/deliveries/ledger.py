"""Moving deliveries from state to state, in sets; two workers never hold the same one.

Two leases: *claimed* is a batch in a worker's hands and expires back to queued; *sending* is the small window about to be
handed to the mail server and expires to unknown. Moving a delivery into the window is also the last look at whether it is
still owed.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    String,
    Subquery,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal,
    null,
    or_,
    select,
    text,
    update,
)
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


@dataclass(frozen=True)
class Leases:
    """How long a worker may keep what it took without a word, and how long it trusts what it last saw of it.

    What was looked at may begin for `look_holds`, but never later than `begin_within`; what is in the air has its lease
    renewed each `renew_after`. A lease is longer than `begin_within` and the longest wait for an answer together.
    """

    claimed: timedelta = CLAIM_LEASE
    sending: timedelta = SENDING_LEASE
    begin_within: timedelta = BEGIN_WITHIN
    look_holds: float = 10.0  # seconds: nothing is sent on knowledge older than this
    renew_after: float = 60.0  # seconds


LEASES = Leases()
# Word for word the indexes' conditions, or they are not used.
_WAITING = text("deliveries.status IN ('queued', 'deferred')")
_LEASED = text("deliveries.status IN ('claimed', 'sending')")


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


class Look(NamedTuple):
    """What the last look saw; what is neither is no longer this worker's."""

    owed: set[int]
    skipped: set[int]


@dataclass(frozen=True)
class Recovered:
    """What the sweep found: leases that ran out, unknowns sent again or held, and mails that came too late."""

    given_back: int = 0
    lost: int = 0
    resent: int = 0
    held: int = 0
    too_late: int = 0


def claim(  # noqa: PLR0913 -- what, for whom, for how long
    session: Session, lane: Lane, *, worker: str, limit: int, now: datetime, lease: timedelta = CLAIM_LEASE
) -> list[Claimed]:
    """Take up to `limit` due deliveries of a lane, the longest due first, so that no other worker gets them.

    What is no longer worth sending is left to `recover`. One statement.
    """
    due = (
        select(col(Delivery.id))
        .where(_WAITING, col(Delivery.lane) == lane.value, col(Delivery.due_at) <= now, col(Delivery.give_up_at) > now)
        .order_by(col(Delivery.due_at), col(Delivery.id))
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    values = {"status": DeliveryStatus.CLAIMED, "claimed_by": worker, "lease_until": now + lease, "updated_at": now}
    columns = [getattr(Delivery, name) for name in Claimed.__dataclass_fields__]
    taken = update(Delivery).where(col(Delivery.id).in_(select(due.c.id))).values(values)
    rows = session.execute(taken.returning(*columns, col(Delivery.due_at)).execution_options(synchronize_session=False))
    ranked = sorted(rows, key=lambda row: (row[-1], row[0]))
    return [Claimed(*row[:-1]) for row in ranked]


def begin(session: Session, ids: Sequence[int], *, worker: str, now: datetime, lease: timedelta = SENDING_LEASE) -> Look:
    """Take the last look: move what is still owed into the window, to be sent now, and skip the rest.

    Those of the window that have not begun may be looked at again. A delivery whose lease ran out, or that somebody else
    took, is neither owed nor skipped. One statement.
    """
    if not ids:
        return Look(set(), set())
    look = _last_look(ids, today=now.date())
    owed = look.c.reason == ""
    first = and_(owed, col(Delivery.status) == DeliveryStatus.CLAIMED)
    moved = (
        update(Delivery)
        .where(
            col(Delivery.id) == look.c.id,
            col(Delivery.status).in_((DeliveryStatus.CLAIMED, DeliveryStatus.SENDING)),
            col(Delivery.claimed_by) == worker,
            col(Delivery.lease_until) > now,
        )
        .values(
            status=case((owed, _BEGUN), else_=_SKIPPED),
            reason=look.c.reason,
            attempts=col(Delivery.attempts) + case((first, 1), else_=0),
            lease_until=case((owed, now + lease), else_=null()),
            updated_at=now,
        )
        .returning(col(Delivery.id), col(Delivery.status))
        .execution_options(synchronize_session=False)
    )
    seen = session.execute(moved).all()
    owed_ids = {delivery_id for delivery_id, status in seen if status is DeliveryStatus.SENDING}
    return Look(owed_ids, {delivery_id for delivery_id, _ in seen} - owed_ids)


_STATUS = Delivery.__table__.c.status.type  # type: ignore[attr-defined]  # SQLModel does not declare it
_BEGUN = literal(advance_delivery(DeliveryStatus.CLAIMED, DeliveryEvent.BEGIN), _STATUS)
_SKIPPED = literal(advance_delivery(DeliveryStatus.CLAIMED, DeliveryEvent.SKIP), _STATUS)


def _last_look(ids: Sequence[int], *, today: date) -> Subquery:
    """Select each delivery's id and why it is not owed any more, "" if it is."""
    kind, unsubscribed = col(Delivery.kind), col(Subscription.status).is_distinct_from(SubscriptionStatus.ACTIVE)
    is_digest = kind == DeliveryKind.DIGEST
    is_test = and_(is_digest, col(Delivery.lane) == Lane.PERSON)  # sent by hand, to whoever was named
    why = case(
        # A confirmation goes even to the suppressed: they asked just now, and it is their own way back.
        (kind.in_((DeliveryKind.ALARM, DeliveryKind.CONFIRM)), ""),
        (col(Suppression.reason).is_not(None), "suppressed: " + cast(col(Suppression.reason), String)),
        (and_(kind != DeliveryKind.GOODBYE, ~is_test, unsubscribed), "unsubscribed"),
        (col(Issue.status) == IssueStatus.CANCELLED, "issue cancelled"),
        (and_(is_digest, col(Subscription.paused_until) > today), "paused until " + cast(col(Subscription.paused_until), String)),
        else_="",
    )
    return (
        select(col(Delivery.id).label("id"), why.label("reason"))
        .select_from(Delivery)
        .outerjoin(Subscription, col(Subscription.id) == col(Delivery.subscription_id))
        .outerjoin(Subscriber, col(Subscriber.id) == col(Delivery.subscriber_id))
        .outerjoin(Suppression, col(Suppression.suppression_key) == col(Subscriber.suppression_key))
        .outerjoin(Issue, col(Issue.id) == col(Delivery.issue_id))
        .where(col(Delivery.id).in_(ids))
        .subquery("look")
    )


def give_back(session: Session, ids: Sequence[int], *, worker: str, now: datetime) -> None:
    """Put claimed deliveries that were not begun back into the queue."""
    mine = (col(Delivery.id).in_(ids), col(Delivery.status) == DeliveryStatus.CLAIMED, col(Delivery.claimed_by) == worker)
    after = advance_delivery(DeliveryStatus.CLAIMED, DeliveryEvent.GIVE_BACK)
    free = update(Delivery).where(*mine).values(status=after, claimed_by="", lease_until=None, updated_at=now)
    session.execute(free.execution_options(synchronize_session=False))


def renew(session: Session, ids: Sequence[int], *, worker: str, now: datetime, lease: timedelta = SENDING_LEASE) -> None:
    """Lengthen the lease of what is in the air: its answer is still waited for."""
    mine = (col(Delivery.id).in_(ids), col(Delivery.status) == DeliveryStatus.SENDING, col(Delivery.claimed_by) == worker)
    longer = update(Delivery).where(*mine).values(lease_until=now + lease)
    session.execute(longer.execution_options(synchronize_session=False))


def bury(session: Session, worker: str, *, never_began: bool, now: datetime, keep: Collection[int] = ()) -> int:
    """Free what a worker held: its claims go back, and so does what it was about to send if that certainly never began.

    Call it after the outcomes were recorded that the worker or its journal still knew. What may have begun becomes
    unknown; what is in `keep` stays as it is. Returns how many went back.
    """
    event = DeliveryEvent.GIVE_BACK if never_began else DeliveryEvent.LOSE
    after, back = (advance_delivery(*move) for move in ((DeliveryStatus.SENDING, event), _CLAIM_GOES_BACK))
    sending = col(Delivery.status) == DeliveryStatus.SENDING
    values = {"lease_until": None, "updated_at": now}
    freed = {"claimed_by": ""} if never_began else {"reason": "its worker's machine was lost while sending it"}
    tries = {"attempts": col(Delivery.attempts) - 1} if never_began else {}
    moved = _of_worker(session, worker, keep, sending, {"status": after, **values, **freed, **tries})
    claims = _of_worker(session, worker, keep, ~sending, {"status": back, "claimed_by": "", **values})
    return claims + (moved if never_began else 0)


_CLAIM_GOES_BACK = (DeliveryStatus.CLAIMED, DeliveryEvent.GIVE_BACK)


def _of_worker(
    session: Session, worker: str, keep: Collection[int], which: ColumnElement[bool], values: Mapping[str, Any]
) -> int:
    """Change what a worker holds but for `keep`, and return how many those were."""
    mine = update(Delivery).where(_LEASED, col(Delivery.claimed_by) == worker, which)
    if keep:
        mine = mine.where(col(Delivery.id).not_in(keep))
    return int(session.connection().execute(mine.values(values).execution_options(synchronize_session=False)).rowcount)


def record(session: Session, outcomes: Sequence[Outcome], *, worker: str, now: datetime) -> None:
    """Write down what became of the deliveries in the window. One statement on PostgreSQL.

    An answer that comes after the lease ran out still counts: unknown becomes sent without a second mail.
    """
    if not outcomes:
        return
    rows = [_outcome_row(outcome, now=now) for outcome in outcomes]
    if session.get_bind().dialect.name == "postgresql":
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        session.connection().execute(_RECORD_ALL, {**columns, "worker": worker, "now": now, "moves": _MOVES})
    else:
        session.connection().execute(_RECORD_EACH, [{**row, "worker": worker, "now": now} for row in rows])


# The columns of an outcome as it is recorded, with their types on PostgreSQL.
_RECORDED = {
    "row_id": "bigint",
    "event": "text",
    "after": "text",
    "again_at": "timestamptz",
    "sent_at": "timestamptz",
    "reason": "text",
    "reply_code": "integer",
    "reply_enhanced": "text",
    "reply_text": "text",
    "reply_phase": "text",
    "reply_server": "text",
}
_SET = ", ".join(f"{name} = {{0}}{name}" for name in list(_RECORDED)[4:])
# Which (event, state) pairs end as the event ends what is being sent; any other pair leaves the row as it is.
_MOVES = [
    f"{event} {status}" for event in DeliveryEvent for status in before(event, advance_delivery(DeliveryStatus.SENDING, event))
]
# Both statements are made of the names above and of states alone.
# What a worker lets go of, nobody holds, and it counts as no attempt; an unknown keeps its worker, whose late answer counts.
_RECORD_ALL = text(
    "UPDATE deliveries AS d SET status = m.after, updated_at = :now, lease_until = NULL,"  # noqa: S608
    " claimed_by = CASE WHEN m.after = 'queued' THEN '' ELSE d.claimed_by END,"
    " attempts = d.attempts - CASE WHEN m.after = 'queued' AND d.status <> 'claimed' THEN 1 ELSE 0 END,"
    f" due_at = coalesce(m.again_at, d.due_at), {_SET.format('m.')} FROM unnest("
    + ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in _RECORDED.items())
    + f") AS m({', '.join(_RECORDED)})"
    " WHERE d.id = m.row_id AND d.claimed_by = :worker AND m.event || ' ' || d.status = ANY(:moves)"
)
_RECORD_EACH = text(
    "UPDATE deliveries SET status = :after, updated_at = :now, lease_until = NULL,"  # noqa: S608
    " claimed_by = CASE WHEN :after = 'queued' THEN '' ELSE claimed_by END,"
    " attempts = attempts - CASE WHEN :after = 'queued' AND status <> 'claimed' THEN 1 ELSE 0 END,"
    f" due_at = coalesce(:again_at, due_at), {_SET.format(':')}"
    " WHERE id = :row_id AND claimed_by = :worker AND :event || ' ' || status IN ("
    + ", ".join(f"'{move}'" for move in _MOVES)
    + ")"
).bindparams(*(bindparam(name, type_=UTCDateTime()) for name in ("now", "again_at", "sent_at")))
_NO_REPLY = Reply(0, "", "", "", "")


def _outcome_row(outcome: Outcome, *, now: datetime) -> dict[str, Any]:
    reply = outcome.reply or _NO_REPLY
    return {
        "row_id": outcome.delivery_id,
        "event": outcome.event.value,
        "after": advance_delivery(DeliveryStatus.SENDING, outcome.event).value,
        "again_at": now + outcome.again_in if outcome.event is DeliveryEvent.PUT_OFF else None,
        "sent_at": now if outcome.event is DeliveryEvent.ACCEPT else None,
        "reason": one_line(outcome.reason)[:500] if outcome.reason else "",
        "reply_code": reply.code,
        "reply_enhanced": reply.enhanced,
        "reply_text": one_line(reply.text)[:500],  # a control character that PostgreSQL refuses would undo the whole window
        "reply_phase": reply.phase,
        "reply_server": reply.server,
    }


def recover(session: Session, *, hold_unknown: bool, late_news: timedelta = timedelta(), now: datetime) -> Recovered:
    """Sweep: give back claims that ran out, call begun ones unknown, then resend each once while it is worth it, or hold it.

    `late_news` is how long an unknown waits for its answer to come to light before it is sent again.
    """

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
        else sweep(
            DeliveryEvent.RESEND,
            DeliveryStatus.UNKNOWN,
            col(Delivery.updated_at) <= now - late_news,
            resends=col(Delivery.resends) + 1,
            due_at=now,
            **kept_worker,
        ),
        too_late=sum(
            sweep(DeliveryEvent.REFUSE, waiting, col(Delivery.give_up_at) < now, **late)
            for waiting in (DeliveryStatus.QUEUED, DeliveryStatus.DEFERRED)
        ),
    )
