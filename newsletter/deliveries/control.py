"""What the operator sees of deliveries, and does about them: look, send again, settle by hand, make due now."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, exists, func, or_, select, text, update
from sqlmodel import Session, col

from newsletter.deliveries import pauses
from newsletter.deliveries.outbox import PERSON_GIVES_UP
from newsletter.deliveries.pauses import Stop
from newsletter.deliveries.verdicts import judge
from newsletter.errors import BadInput, Conflict, NotFound, Reply
from newsletter.lifecycle import (
    DeliveryEvent,
    DeliveryStatus,
    IssueEvent,
    IssueStatus,
    SubscriptionStatus,
    advance_delivery,
    advance_issue,
    before,
)
from newsletter.models import Bounce, Delivery, Issue, Lane, Newsletter, Pause, PauseScope, Subscriber, Subscription, Suppression

MOST = 100_000  # nobody waits for an exact count of more
NO_ADDRESS = judge(Reply(550, "5.1.1", "", "", "rcpt")).reason
# Word for word the indexes' conditions, or they are not used.
_WAITING = text("deliveries.status IN ('queued', 'deferred')")
_HELD = text("deliveries.status = 'held'")
_OPEN = (DeliveryStatus.HELD, DeliveryStatus.UNKNOWN)
_UNREACHED = (DeliveryStatus.FAILED, DeliveryStatus.HELD)


@dataclass(frozen=True)
class Wanted:
    """Which deliveries to list; what is not given matters not."""

    issue_id: int | None = None
    statuses: tuple[DeliveryStatus, ...] = ()
    address: str = ""  # as it is written to
    address_key: str = ""  # case-folded; given with the address


@dataclass(frozen=True)
class Group:
    """The deliveries of an issue that stand alike."""

    status: DeliveryStatus
    reason: str
    number: int


@dataclass(frozen=True)
class Unreached(Group):
    """A group of an issue's deliveries that did not arrive, or perhaps did."""

    twice: bool  # sent again before, as nobody knew whether it had arrived
    gone: int  # of them left or were suppressed since: passed over at the last look

    @property
    def may_have_arrived(self) -> bool:
        """Whether nobody knows if a try of theirs reached them, whatever the last one came to."""
        return self.twice or self.status is DeliveryStatus.HELD

    @property
    def doubt(self) -> str:
        """Why it is sent again only when it is asked for by name; "" where there is no doubt."""
        if self.may_have_arrived:
            return "may have arrived"
        return "hopeless" if self.reason == NO_ADDRESS else ""


class Settled(StrEnum):
    """What the operator found out about a delivery of which nobody knew whether it arrived."""

    SENT = "sent"
    FAILED = "failed"
    RESEND = "resend"


_EVENTS = {
    Settled.SENT: DeliveryEvent.ACCEPT,
    Settled.FAILED: DeliveryEvent.REFUSE,
    Settled.RESEND: DeliveryEvent.RESEND,
}


@dataclass(frozen=True)
class Decision:
    """Who decides, and why: kept as the reason of each delivery it concerns."""

    by: str
    why: str = ""

    def about(self, what: str) -> str:
        """Return it in words."""
        return f"{what} by {self.by}" + (f": {self.why}" if self.why else "")


@dataclass(frozen=True)
class Lined:
    """What waits in a lane: counted up to `MOST`."""

    lane: str  # "person" or "list"
    due: int
    later: int
    oldest_due_at: datetime | None  # the longest overdue


def find(session: Session, delivery_id: int, *, lock: bool = False) -> Delivery:
    """Return a delivery, locked where wanted; raises NotFound."""
    row = session.get(Delivery, delivery_id, with_for_update=lock, populate_existing=lock)
    if row is None:
        raise NotFound(f"There is no delivery {delivery_id}.", hint="`newsletter deliveries list` shows their numbers.")
    return row


def reports(session: Session, delivery_id: int) -> Sequence[Bounce]:
    """Return the bounces and complaints about a delivery, the oldest first."""
    return session.scalars(select(Bounce).where(col(Bounce.delivery_id) == delivery_id).order_by(col(Bounce.id))).all()


def listing(session: Session, wanted: Wanted, *, before_id: int | None = None, limit: int = 50) -> Sequence[Delivery]:
    """Return up to `limit` deliveries, the newest first, of those older than `before_id`."""
    rows = select(Delivery).order_by(col(Delivery.id).desc()).limit(limit)
    if before_id is not None:
        rows = rows.where(col(Delivery.id) < before_id)
    if wanted.issue_id is not None:
        rows = rows.where(col(Delivery.issue_id) == wanted.issue_id)
    if wanted.statuses:
        rows = rows.where(col(Delivery.status).in_(wanted.statuses))
    if wanted.address:
        rows = rows.where(_is_to(wanted))
    return session.scalars(rows).all()


def _is_to(wanted: Wanted) -> ColumnElement[bool]:
    """Find an address by its subscriber, who is indexed; only mails to nobody known are looked at one by one."""
    known = select(col(Subscriber.id)).where(col(Subscriber.address_key) == wanted.address_key)
    nobody = and_(col(Delivery.subscriber_id).is_(None), col(Delivery.address).in_((wanted.address, wanted.address_key)))
    return or_(col(Delivery.subscriber_id).in_(known), nobody)


def groups(session: Session, issue_id: int) -> list[Group]:
    """Return how many deliveries of an issue stand how and why, the most first."""
    number = func.count()
    columns = (col(Delivery.status), col(Delivery.reason))
    rows = select(*columns, number).where(col(Delivery.issue_id) == issue_id).group_by(*columns)
    return [Group(*row) for row in session.execute(rows.order_by(number.desc(), *columns))]


def last_words(session: Session, issue_id: int, limit: int = 5) -> Sequence[Delivery]:
    """Return the deliveries of an issue that servers last said something about that was not yes."""
    said = (DeliveryStatus.FAILED, DeliveryStatus.DEFERRED, DeliveryStatus.UNKNOWN, DeliveryStatus.HELD)
    rows = select(Delivery).where(col(Delivery.issue_id) == issue_id, col(Delivery.status).in_(said))
    rows = rows.where(col(Delivery.reply_phase) != "")
    return session.scalars(rows.order_by(col(Delivery.updated_at).desc(), col(Delivery.id)).limit(limit)).all()


def unreached(session: Session, issue_id: int) -> list[Unreached]:
    """Return who an issue did not reach, by what became of their delivery: failed or held, and why; the most first.

    What was sent again and then failed is told apart: it may have arrived the first time.
    """
    left = col(Subscription.status).is_distinct_from(SubscriptionStatus.ACTIVE)
    suppressed = exists().where(col(Suppression.suppression_key) == col(Subscriber.suppression_key))
    number, columns = func.count(), (col(Delivery.status), col(Delivery.reason))
    twice = (col(Delivery.resends) > 0).label("twice")
    rows = (
        select(*columns, number, twice, func.sum(case((or_(left, suppressed), 1), else_=0)))
        .select_from(Delivery)
        .outerjoin(Subscription, col(Subscription.id) == col(Delivery.subscription_id))
        .outerjoin(Subscriber, col(Subscriber.id) == col(Delivery.subscriber_id))
        .where(col(Delivery.issue_id) == issue_id, col(Delivery.status).in_(_UNREACHED))
        .group_by(*columns, twice)
        .order_by(number.desc(), *columns, twice)
    )
    return [Unreached(*row) for row in session.execute(rows)]


def resend(session: Session, issue_id: int, chosen: Collection[Unreached], decision: Decision, *, now: datetime) -> int:
    """Queue the chosen groups of an issue's unreached again, due now, and return how many deliveries those are.

    They stay the same deliveries: same Message-ID, nobody who got it is among them, and who left since is passed over at
    the last look. Raises Conflict for a cancelled issue.
    """
    which = [
        and_(col(Delivery.status) == group.status, col(Delivery.reason) == group.reason, _twice(group))
        for group in chosen
        if group.status in _UNREACHED
    ]
    if not which:
        return 0
    issue = _reopened(session, issue_id)
    worth_it = timedelta(hours=session.get_one(Newsletter, issue.newsletter_id).give_up_hours)
    return _queue_again(session, (col(Delivery.issue_id) == issue_id, or_(*which)), decision, worth_it, now=now)


def _twice(group: Unreached) -> ColumnElement[bool]:
    return col(Delivery.resends) > 0 if group.twice else col(Delivery.resends) == 0


def resolve(session: Session, delivery_id: int, settled: Settled, decision: Decision, *, now: datetime) -> None:
    """Settle a delivery that is held or unknown; one that failed may be sent again. Raises NotFound and Conflict."""
    row = find(session, delivery_id, lock=True)
    if row.status not in _from(settled, _OPEN if settled is not Settled.RESEND else (*_OPEN, DeliveryStatus.FAILED)):
        raise Conflict(
            f"Delivery {delivery_id} is {row.status.value}: there is nothing to settle.",
            hint="Held and unknown ones can be settled; a failed one can be sent again (--as resend).",
        )
    worth_it = PERSON_GIVES_UP
    if settled is Settled.RESEND and row.issue_id is not None:
        newsletter_id = _reopened(session, row.issue_id).newsletter_id
        worth_it = timedelta(hours=session.get_one(Newsletter, newsletter_id).give_up_hours)
    _settle(session, (col(Delivery.id) == delivery_id,), settled, decision, worth_it, now=now)


def resolve_issue(session: Session, issue_id: int, settled: Settled, decision: Decision, *, now: datetime) -> int:
    """Settle all of an issue's deliveries that are held or unknown alike, and return how many those are."""
    issue = session.get_one(Issue, issue_id)
    if settled is Settled.RESEND:
        issue = _reopened(session, issue_id)
    worth_it = timedelta(hours=session.get_one(Newsletter, issue.newsletter_id).give_up_hours)
    which = (col(Delivery.issue_id) == issue_id, col(Delivery.status).in_(_from(settled, _OPEN)))
    return _settle(session, which, settled, decision, worth_it, now=now)


def _from(settled: Settled, allowed: tuple[DeliveryStatus, ...]) -> list[DeliveryStatus]:
    event = _EVENTS[settled]
    return [status for status in allowed if advance_delivery(status, event) is not status]


def _settle(  # noqa: PLR0913 -- which, as what, by whom
    session: Session,
    which: tuple[ColumnElement[bool], ...],
    settled: Settled,
    decision: Decision,
    worth_it: timedelta,
    *,
    now: datetime,
) -> int:
    if settled is Settled.RESEND:
        return _queue_again(session, which, decision, worth_it, now=now)
    after = advance_delivery(DeliveryStatus.HELD, _EVENTS[settled])
    reason = decision.about(f"settled as {after.value}")
    values: dict[str, Any] = {"status": after, "reason": reason, "lease_until": None, "updated_at": now}
    if settled is Settled.SENT:
        values["sent_at"] = col(Delivery.updated_at)  # when it was begun, as nearly as anybody knows
    changed = update(Delivery).where(*which).values(values).execution_options(synchronize_session=False)
    return int(session.connection().execute(changed).rowcount)


def _queue_again(
    session: Session, which: tuple[ColumnElement[bool], ...], decision: Decision, worth_it: timedelta, *, now: datetime
) -> int:
    """Queue deliveries again. A held one keeps its worker, whose late answer still counts; of a failed one it was heard."""
    again = update(Delivery).where(*which, col(Delivery.status).in_(before(DeliveryEvent.RESEND, DeliveryStatus.QUEUED)))
    failed = col(Delivery.status) == DeliveryStatus.FAILED
    values = {
        "status": DeliveryStatus.QUEUED,
        "reason": decision.about("sent again"),
        "due_at": now,
        "give_up_at": now + worth_it,
        "claimed_by": case((failed, ""), else_=col(Delivery.claimed_by)),
        "resends": col(Delivery.resends) + case((failed, 0), else_=1),
        "lease_until": None,
        "updated_at": now,
    }
    return int(session.connection().execute(again.values(values).execution_options(synchronize_session=False)).rowcount)


def _reopened(session: Session, issue_id: int) -> Issue:
    """Return the issue, locked; one that was all sent has work again. Raises Conflict for a cancelled one."""
    locked = select(Issue).where(col(Issue.id) == issue_id).with_for_update().execution_options(populate_existing=True)
    issue = session.scalars(locked).one()
    if issue.status is IssueStatus.CANCELLED:
        raise Conflict(
            f"The issue of {issue.first_day} is cancelled ({issue.reason}): nothing of it is sent again.",
            hint="Its papers come with the next issue.",
        )
    if issue.status is IssueStatus.SENT:
        issue.status, issue.finished_at = advance_issue(issue.status, IssueEvent.PUBLISH), None
        session.flush()
    return issue


def skip_waiting(session: Session, issue_id: int, reason: str, *, now: datetime) -> int:
    """Skip what waits of an issue, and return how many that were; what a worker holds is skipped at its last look."""
    waiting = update(Delivery).where(col(Delivery.issue_id) == issue_id, _WAITING)
    values = {"status": advance_delivery(DeliveryStatus.QUEUED, DeliveryEvent.SKIP), "reason": reason, "updated_at": now}
    return int(session.connection().execute(waiting.values(values).execution_options(synchronize_session=False)).rowcount)


def make_due(session: Session, issue_id: int, *, now: datetime) -> int:
    """Make the queued deliveries of an issue due at once, whatever hour they were for; return how many were due later."""
    later = update(Delivery).where(col(Delivery.issue_id) == issue_id, col(Delivery.status) == DeliveryStatus.QUEUED)
    later = later.where(col(Delivery.due_at) > now).values(due_at=now, updated_at=now)
    return int(session.connection().execute(later.execution_options(synchronize_session=False)).rowcount)


def first_due(session: Session, issue_id: int) -> datetime | None:
    """Return when the first of an issue's waiting deliveries is due; None where none waits."""
    first = select(col(Delivery.due_at)).where(col(Delivery.issue_id) == issue_id, _WAITING)
    return session.scalars(first.order_by(col(Delivery.due_at)).limit(1)).first()


def queue(session: Session, *, now: datetime) -> list[Lined]:
    """Return what waits in each lane, and since when."""
    return [_lined(session, lane, now=now) for lane in Lane]


def _lined(session: Session, lane: Lane, *, now: datetime) -> Lined:
    waiting = select(col(Delivery.due_at)).where(_WAITING, col(Delivery.lane) == lane.value)
    due, later = waiting.where(col(Delivery.due_at) <= now), waiting.where(col(Delivery.due_at) > now)
    oldest = session.scalars(due.order_by(col(Delivery.due_at)).limit(1)).first()
    return Lined(lane.name.lower(), _at_most(session, due), _at_most(session, later), oldest)


def _at_most(session: Session, rows: Select[Any]) -> int:
    return session.scalar(select(func.count()).select_from(rows.limit(MOST).subquery())) or 0


def ended_since(session: Session, since: datetime) -> dict[tuple[int | None, DeliveryStatus], int]:
    """Return how many deliveries of which newsletter came to be sent, failed or held since then.

    Looks at the issues of that time and at mails to persons alone: older ones do not change without being reopened.
    """
    lively = select(col(Issue.id)).where(
        or_(col(Issue.status) == IssueStatus.PUBLISHED, col(Issue.finished_at) >= since, col(Issue.published_at) >= since)
    )
    ended = (DeliveryStatus.SENT, DeliveryStatus.FAILED, DeliveryStatus.HELD)
    columns = (col(Delivery.newsletter_id), col(Delivery.status))
    rows = (
        select(*columns, func.count())
        .where(or_(col(Delivery.issue_id).in_(lively), col(Delivery.issue_id).is_(None)))
        .where(col(Delivery.status).in_(ended), col(Delivery.updated_at) >= since)
        .group_by(*columns)
    )
    return {(newsletter_id, status): number for newsletter_id, status, number in session.execute(rows)}


def held(session: Session, since: datetime) -> int:
    """Return how many deliveries wait for the operator's word that came to it since then."""
    rows = select(func.count()).select_from(Delivery).where(_HELD, col(Delivery.updated_at) > since)
    return session.scalar(rows) or 0


def pause(session: Session, issue_id: int, decision: Decision, *, until: datetime | None, now: datetime) -> None:
    """Let an issue wait until a time, or until somebody lets it go on.

    Raises BadInput for a time that is over, Conflict for an issue of which nothing is to come.
    """
    issue = session.get_one(Issue, issue_id)
    if issue.status in {IssueStatus.EMPTY, IssueStatus.SENT, IssueStatus.CANCELLED}:
        raise Conflict(f"The issue of {issue.first_day} is {issue.status.value}: there is nothing to pause.")
    if until is not None and until <= now:
        raise BadInput(f"{until:%Y-%m-%d %H:%M} UTC is over.", hint="Name a time to come, in UTC.")
    pauses.pause(session, Stop(PauseScope.ISSUE, str(issue_id), decision.about("Paused") + ".", until), now=now)


def go_on(session: Session, issue_id: int, *, now: datetime) -> bool:
    """End the pause of an issue and make due what waited; return whether there was one."""
    return pauses.resume(session, PauseScope.ISSUE, str(issue_id), now=now)


def paused(session: Session, *, now: datetime) -> Sequence[Pause]:
    """Return what is paused now: relays, domains, issues; the oldest pause first."""
    holding = (col(Pause.closed_at).is_(None), or_(col(Pause.until).is_(None), col(Pause.until) > now))
    return session.scalars(select(Pause).where(*holding).order_by(col(Pause.id))).all()


def lift(session: Session, pause_id: int, *, now: datetime) -> Pause:
    """End a pause and make due what it put off. Raises NotFound, Conflict for one that is over."""
    row = session.get(Pause, pause_id)
    if row is None:
        raise NotFound(f"There is no pause {pause_id}.", hint="`newsletter pauses` shows those that there are.")
    if row.closed_at is not None:
        raise Conflict(f"Pause {pause_id} was over at {row.closed_at:%Y-%m-%d %H:%M} UTC.")
    pauses.resume(session, row.scope, row.key, now=now)
    return row
