"""When an issue is due for whom: reckoned in Python for each zone and hour that somebody has, stored, joined by the fan-out.

One issue comes on a local day. What is due on a day that an issue before it has taken is due on the next that is free, at
the same hour; so a zone and hour may have several due times, each for those whose last issue came within some bounds.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, Subquery, and_, func, literal, select
from sqlmodel import Session, col

from newsletter import db, schedule
from newsletter.errors import BadInput
from newsletter.lifecycle import DeliveryStatus, IssueStatus
from newsletter.models import Delivery, DueTime, Issue, Newsletter, Subscriber, Subscription

NOTHING_BEFORE = datetime(1970, 1, 1, tzinfo=UTC)  # stands for the last issue of who had none
RECENT = timedelta(days=7)  # an issue published before that takes no day of one published now
_LONGEST_DAY = timedelta(hours=26)
_NOT_COME = (DeliveryStatus.SKIPPED, DeliveryStatus.FAILED)  # takes nobody's day


@dataclass(frozen=True)
class Due:
    """When an issue is due for those whose last issue was due at or after `since` and before `before`: the day's beginning."""

    at: datetime
    since: datetime
    before: datetime


@dataclass(frozen=True)
class Earlier:
    """The issues that may have taken a day of this one, and when the last of them is due."""

    ids: tuple[int, ...] = ()
    last: datetime = NOTHING_BEFORE


def due_times(published_at: datetime, zone: str, hour: int, *, last: datetime) -> list[Due]:
    """Return when an issue is due in a zone at an hour, on the first day and then for those who have that day taken.

    There are as many as it takes for whoever's last issue was due at `last` or before.
    """
    found: list[Due] = []
    day, since = None, NOTHING_BEFORE
    while not found or last >= since:
        at = schedule.next_local_hour(published_at, zone, hour, after=day)
        day = schedule.local_day(at, zone)
        begins = schedule.start_of_local_day(day, zone)
        found.append(Due(at, since, begins))
        since = begins
    return found


def earlier(session: Session, issue: Issue) -> Earlier:
    """Return which issues of earlier days have taken days that this one may want; none for one that catches up."""
    assert issue.published_at is not None
    if issue.catch_up:
        return Earlier()
    rows = session.execute(
        select(col(Issue.id), func.max(col(DueTime.due_at)))
        .join(DueTime, col(DueTime.issue_id) == col(Issue.id))
        .where(
            col(Issue.newsletter_id) == issue.newsletter_id,
            col(Issue.cadence) == issue.cadence,
            col(Issue.first_day) < issue.first_day,
            col(Issue.status).in_((IssueStatus.PUBLISHED, IssueStatus.SENT)),
            ~col(Issue.catch_up),
            col(Issue.published_at) > issue.published_at - RECENT,
            col(DueTime.due_at) > issue.published_at - _LONGEST_DAY,
        )
        .group_by(col(Issue.id))
        .order_by(col(Issue.id))
    ).all()
    return Earlier(tuple(row[0] for row in rows), max(row[1] for row in rows)) if rows else Earlier()


def add_due_times(session: Session, issue: Issue, pairs: Select[str, int], before: Earlier) -> int:
    """Store when the issue is due for each (zone, hour) that `pairs` selects; return how many of these are new."""
    assert issue.published_at is not None
    newsletter = session.get_one(Newsletter, issue.newsletter_id)
    rows = []
    for zone, hour in session.execute(pairs):
        known = _known((zone, newsletter.zone, "UTC"))
        for due in due_times(issue.published_at, known, hour, last=before.last):
            give_up = due.at + timedelta(hours=newsletter.give_up_hours)
            bounds = {"last_since": due.since, "last_before": due.before}
            rows.append(
                {"issue_id": issue.id, "zone": zone, "send_hour": hour, "due_at": due.at, "give_up_at": give_up, **bounds}
            )
    return db.insert_new(session, DueTime, rows)


def _known(zones: Sequence[str]) -> str:
    """Return the first of the zones that there is: one reader's odd zone must not hold up an issue."""
    for zone in zones:
        with suppress(BadInput):
            return schedule.zone(zone).key
    raise AssertionError("UTC is a zone")


def zone_of() -> ColumnElement[str]:
    """Return the zone a subscription's hour is of: its own, the subscriber's or the newsletter's."""
    return func.coalesce(func.nullif(Subscription.zone, ""), func.nullif(Subscriber.zone, ""), Newsletter.zone)


def hour_of() -> ColumnElement[int]:
    """Return a subscription's hour: its own or the newsletter's, or SOON."""
    return func.coalesce(Subscription.send_hour, Newsletter.send_hour, schedule.SOON)


def join_due_times(session: Session, source: Select[Any], readers: Subquery, issue: Issue, before: Earlier) -> Select[Any]:
    """Join to each reader (subscription's id, zone, send_hour) the one due time that is their own.

    What came to each is looked at only where an issue before takes the day of somebody: with one zone and one hour for
    all, nobody's is taken, and a million readers cost nothing more.
    """
    last: ColumnElement[datetime] = literal(NOTHING_BEFORE, DueTime.__table__.c.due_at.type)  # type: ignore[attr-defined]  # SQLModel does not declare it
    if _clashes(session, issue, before):
        came = _last_issues(before)
        source = source.outerjoin(came, came.c.subscription_id == readers.c.id)
        last = func.coalesce(came.c.due_at, last)
    own = (col(DueTime.issue_id) == issue.id, col(DueTime.zone) == readers.c.zone, col(DueTime.send_hour) == readers.c.send_hour)
    return source.join(DueTime, and_(*own, col(DueTime.last_since) <= last, col(DueTime.last_before) > last))


def _clashes(session: Session, issue: Issue, before: Earlier) -> bool:
    taken = select(col(DueTime.id)).where(col(DueTime.issue_id) == issue.id, col(DueTime.last_since) > NOTHING_BEFORE)
    return bool(before.ids) and session.scalar(taken.limit(1)) is not None


def _last_issues(before: Earlier) -> Subquery:
    """Select when the last of the issues before was due for each subscription, whatever put its mail off since."""
    planned = (
        select(col(DueTime.issue_id), col(DueTime.give_up_at), col(DueTime.due_at))
        .where(col(DueTime.issue_id).in_(before.ids))
        .distinct()
        .subquery()
    )
    same = and_(planned.c.issue_id == col(Delivery.issue_id), planned.c.give_up_at == col(Delivery.give_up_at))
    return (
        select(col(Delivery.subscription_id), func.max(planned.c.due_at).label("due_at"))
        .join(planned, same)
        .where(col(Delivery.issue_id).in_(before.ids), col(Delivery.status).not_in(_NOT_COME))
        .group_by(col(Delivery.subscription_id))
        .subquery()
    )
