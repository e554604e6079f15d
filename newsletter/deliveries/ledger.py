"""Moving deliveries from state to state, in sets; two workers never hold the same one.

Two leases: *claimed* is a batch in a worker's hands and expires back to queued; *sending* is the small window about to be
handed to the mail server and expires to unknown. Moving a delivery into the window is also the last look at whether it is
still owed. Where it does not matter whom a mail is for, it goes there at once.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Executable, func, or_, update
from sqlmodel import Session, col

from newsletter.deliveries import attempts, bounced, doubts, statements
from newsletter.errors import Reply
from newsletter.lifecycle import DeliveryEvent, DeliveryStatus, advance_delivery
from newsletter.mail.selecting import EVERYTHING, Wish
from newsletter.models import Delivery, DeliveryKind, Lane
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
SHOWN_AS = "shown_as"  # among a test's values: the subscription whose papers it shows


class Claimed(NamedTuple):
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
    wish: Wish = EVERYTHING  # of an issue's papers


class Outcome(NamedTuple):
    """What became of one delivery: the event, the server's words if there were any, and when to try again."""

    delivery_id: int
    event: DeliveryEvent
    reason: str = ""
    reply: Reply | None = None
    again_in: timedelta = timedelta()
    attempt: int = 0  # the number of the try, where it is known


class Place(NamedTuple):
    """Where a delivery stands in its lane."""

    due_at: datetime
    id: int


START = Place(datetime.min.replace(tzinfo=UTC), 0)


class Taken(NamedTuple):
    """What was moved into the window at once."""

    rows: list[Claimed]
    unowed: list[int]  # of them, to be skipped
    last: Place  # where the last of them stood


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

    What is no longer worth sending is left to `recover`. One statement, and one more for what the readers of digests wish.
    """
    given = {"worker": worker, "which_lane": lane.value, "most": limit, "now": now, "until": now + lease}
    return _with_wishes(session, _claimed(session, statements.CLAIM, given, START)[0])


def take(  # noqa: PLR0913 -- as `claim`
    session: Session,
    lane: Lane,
    *,
    worker: str,
    limit: int,
    now: datetime,
    lease: timedelta = SENDING_LEASE,
    since: Place = START,
) -> Taken:
    """Claim up to `limit` due deliveries that do not stand before `since`, and move them into the window at once.

    That is for where it does not matter whom they are for, and saves a change of each. The last look is taken with it, but
    `begin` must skip in the same transaction what that found. Two statements.
    """
    given = {"worker": worker, "which_lane": lane.value, "most": limit, "now": now, "until": now + lease}
    claimed, last = _claimed(session, statements.TAKE, given, since)
    if not claimed:
        return Taken([], [], last)
    seen = session.connection().execute(
        statements.LOOK, {"ids": [row.id for row in claimed], "unmatched": [], "today": now.date()}
    )
    unowed, wishes = [], dict[int, Wish]()
    for number, reason, is_limited, *wished in seen:
        if reason:
            unowed.append(number)
        if is_limited:  # whoever comes back before they are skipped gets what they wish for
            wishes[number] = _wish(*wished)
    if wishes:
        claimed = [row._replace(wish=wishes.get(row.id, EVERYTHING)) for row in claimed]
    if any(SHOWN_AS in row.values for row in claimed):
        claimed = _with_wishes(session, claimed)
    return Taken(claimed, unowed, last)


def _claimed(session: Session, statement: Executable, given: Mapping[str, Any], since: Place) -> tuple[list[Claimed], Place]:
    """Claim, and return what was claimed and where the last of it stood."""
    rows = session.connection().execute(statement, {**given, "since_due": since.due_at, "since_id": since.id})
    ranked = sorted(rows.all(), key=itemgetter(-1, 0))
    last = Place(ranked[-1][-1], ranked[-1][0]) if ranked else since
    return [Claimed._make((*row[:-1], EVERYTHING)) for row in ranked], last


def _with_wishes(session: Session, claimed: list[Claimed]) -> list[Claimed]:
    """Add what each digest's reader wishes to read, as it is now; most wish for everything, and have no row."""
    ids = {_chosen_by(row) for row in claimed if row.kind is DeliveryKind.DIGEST} - {None}
    if not ids:
        return claimed
    rows = session.connection().execute(statements.WISHES, {"ids": list(ids)})
    wishes: dict[int | None, Wish] = {number: _wish(*wished) for number, *wished in rows}
    if not wishes:
        return claimed
    return [
        row._replace(wish=wishes.get(_chosen_by(row), EVERYTHING)) if row.kind is DeliveryKind.DIGEST else row for row in claimed
    ]


def _wish(topics: Sequence[str], words: Sequence[str], most: int | None, first: bool) -> Wish:  # noqa: FBT001 -- a row's columns
    return Wish(tuple(topics), tuple(words), most, first)


def _chosen_by(row: Claimed) -> int | None:
    """Return the subscription by whose wishes an issue is chosen from: the reader's own, or that which a test shows."""
    return row.subscription_id if row.subscription_id is not None else row.values.get(SHOWN_AS)


def begin(  # noqa: PLR0913 -- what, by whom, for how long
    session: Session,
    ids: Sequence[int],
    *,
    worker: str,
    now: datetime,
    lease: timedelta = SENDING_LEASE,
    unmatched: Sequence[int] = (),
    taken: Collection[int] = (),
) -> Look:
    """Take the last look: move what is still owed into the window, to be sent now, and skip the rest.

    Those of the window that have not begun may be looked at again; `taken` are there since this transaction. `unmatched` are
    issues with nothing for their reader. A delivery whose lease ran out, or that somebody else took, is neither owed nor
    skipped. One statement.
    """
    if not ids:
        return Look(set(), set())
    given = {
        "ids": list(ids),
        "unmatched": list(unmatched),
        "taken": list(taken),
        "worker": worker,
        "today": now.date(),
        "now": now,
        "until": now + lease,
    }
    seen = session.connection().execute(statements.BEGIN, given).all()
    owed = {delivery_id for delivery_id, status in seen if status is DeliveryStatus.SENDING}
    return Look(owed, {delivery_id for delivery_id, _ in seen} - owed)


def give_back(session: Session, ids: Sequence[int], *, worker: str, now: datetime) -> None:
    """Put claimed deliveries that were not begun back into the queue."""
    session.connection().execute(statements.GIVE_BACK, {"ids": list(ids), "worker": worker, "now": now})


def renew(session: Session, ids: Sequence[int], *, worker: str, now: datetime, lease: timedelta = SENDING_LEASE) -> None:
    """Lengthen the lease of what is in the air: its answer is still waited for."""
    session.connection().execute(statements.RENEW, {"ids": list(ids), "worker": worker, "until": now + lease})


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
    if moved and not never_began:
        attempts.keep_lost(session, now=now)
    claims = _of_worker(session, worker, keep, ~sending, {"status": back, "claimed_by": "", **values})
    return claims + (moved if never_began else 0)


_CLAIM_GOES_BACK = (DeliveryStatus.CLAIMED, DeliveryEvent.GIVE_BACK)


def _of_worker(
    session: Session, worker: str, keep: Collection[int], which: ColumnElement[bool], values: Mapping[str, Any]
) -> int:
    """Change what a worker holds but for `keep`, and return how many those were."""
    mine = update(Delivery).where(statements.LEASED, col(Delivery.claimed_by) == worker, which)
    if keep:
        mine = mine.where(col(Delivery.id).not_in(keep))
    return int(session.connection().execute(mine.values(values).execution_options(synchronize_session=False)).rowcount)


def record(session: Session, outcomes: Sequence[Outcome], *, worker: str, now: datetime) -> None:
    """Write down what became of the deliveries in the window. One statement on PostgreSQL, two where answers differ.

    An answer that comes after the lease ran out still counts: unknown becomes sent without a second mail.
    """
    if not outcomes:
        return
    connection = session.connection()
    alike, different = _parted(outcomes)
    if alike:
        row = _outcome_row(alike[0], now=now)
        said = [(outcome.delivery_id, _words(outcome)) for outcome in alike]
        statements.record_alike(connection, row, *zip(*said, strict=True), worker=worker, now=now)
    if different:
        rows = [_outcome_row(outcome, now=now) for outcome in different]
        statements.record(connection, rows, worker=worker, now=now)
    if troubled := [outcome for outcome in outcomes if outcome.event is not DeliveryEvent.ACCEPT]:
        doubts.hear(session, troubled, worker=worker, now=now)
        attempts.keep(session, troubled, now=now)
        bounced.keep(session, troubled, now=now)


_NO_REPLY = Reply(0, "", "", "", "")


def _parted(outcomes: Sequence[Outcome]) -> tuple[list[Outcome], list[Outcome]]:
    """Return those that were taken with the same code by the same server, which are nearly all of them, and the others."""
    alike: list[Outcome] = []
    different = []
    for outcome in outcomes:
        is_plain = outcome.event is DeliveryEvent.ACCEPT and not outcome.reason
        if is_plain and (not alike or _sort(outcome) == _sort(alike[0])):
            alike.append(outcome)
        else:
            different.append(outcome)
    return alike, different


def _sort(outcome: Outcome) -> tuple[object, ...]:
    reply = outcome.reply or _NO_REPLY
    return reply.code, reply.enhanced, reply.phase, reply.server


def _words(outcome: Outcome) -> str:
    """Return the server's words; a control character that PostgreSQL refuses would undo the whole window."""
    return one_line(outcome.reply.text)[:500] if outcome.reply else ""


def _outcome_row(outcome: Outcome, *, now: datetime) -> dict[str, Any]:
    reply = outcome.reply or _NO_REPLY
    return {
        "row_id": outcome.delivery_id,
        "event": outcome.event.value,
        "after": advance_delivery(DeliveryStatus.SENDING, outcome.event).value,
        "again_at": now + outcome.again_in if outcome.event is DeliveryEvent.PUT_OFF else None,
        "reason": one_line(outcome.reason)[:500] if outcome.reason else "",
        "reply_code": reply.code,
        "reply_enhanced": reply.enhanced,
        "reply_text": _words(outcome),
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
    lost = sweep(DeliveryEvent.LOSE, DeliveryStatus.SENDING, expired, reason=doubts.LEASE_RAN_OUT, **kept_worker)
    if lost:
        attempts.keep_lost(session, now=now)
    return Recovered(
        given_back=sweep(DeliveryEvent.GIVE_BACK, DeliveryStatus.CLAIMED, expired),
        lost=lost,
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
