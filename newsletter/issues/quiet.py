"""Why no mail came of late: days on which nothing was listed, told from days whose source does not answer."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from sqlalchemy import func, select
from sqlmodel import Session, col

from newsletter import schedule
from newsletter.issues.periods import cutoff_of, untried_periods
from newsletter.issues.publishing import OUT
from newsletter.lifecycle import IssueStatus
from newsletter.models import Cadence, Collection, CollectionStatus, Emptiness, Issue, Newsletter

_NOTHING = (Emptiness.NOTHING, Emptiness.TOLD)


@dataclass(frozen=True)
class Quiet:
    """Days in a row without an issue, for one reason."""

    first_day: date
    last_day: date
    delayed: bool  # their source does not answer; else nothing new was listed


def quiet_days(session: Session, newsletter: Newsletter, *, now: datetime) -> list[Quiet]:
    """Return the days since a newsletter's latest daily issue, of the last two weeks, that brought none, newest first."""
    if Cadence.DAILY not in newsletter.cadences:
        return []
    same = (col(Issue.newsletter_id) == newsletter.id, col(Issue.cadence) == Cadence.DAILY)
    latest = session.scalar(select(func.max(col(Issue.last_day))).where(*same, col(Issue.status).in_(OUT)))
    since = max((now - schedule.OUTAGE).date(), latest + timedelta(days=1)) if latest else (now - schedule.OUTAGE).date()
    empty = select(col(Issue.first_day)).where(*same, col(Issue.status) == IssueStatus.EMPTY, col(Issue.first_day) >= since)
    nothing = set(session.scalars(empty.where(col(Issue.emptiness).in_(_NOTHING))))
    delayed = _delayed(session, newsletter, since, now=now)
    days = sorted([(day, day in delayed) for day in nothing | delayed], reverse=True)
    return list(_in_rows(Quiet(day, day, broken) for day, broken in days))


def _delayed(session: Session, newsletter: Newsletter, since: date, *, now: datetime) -> set[date]:
    """Return the days whose issue should be there, and waits for a source that fails."""
    over = {
        period.first_day
        for period in untried_periods(session, newsletter, Cadence.DAILY, now=now)
        if period.first_day >= since and now >= cutoff_of(newsletter, period)
    }
    failing = select(col(Collection.day)).where(
        col(Collection.source).in_(newsletter.sources),
        col(Collection.status) == CollectionStatus.FAILED,
        col(Collection.day) >= since,
    )
    return over & set(session.scalars(failing))


def _in_rows(days: Iterable[Quiet]) -> Iterable[Quiet]:
    """Join days that follow one on the other, the newest first, for the same reason."""
    row: Quiet | None = None
    for day in days:
        if row is not None and row.delayed == day.delayed and row.first_day - day.last_day == timedelta(days=1):
            row = replace(row, first_day=day.first_day)
            continue
        if row is not None:
            yield row
        row = day
    if row is not None:
        yield row
