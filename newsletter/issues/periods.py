"""Whose turn it is: which days' issues should be made now, and what the others wait for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import Enum, auto

from sqlalchemy import select
from sqlmodel import Session, col

from newsletter import schedule
from newsletter.models import Cadence, CatchUp, Collection, CollectionStatus, Issue, Newsletter
from newsletter.readings import is_complete
from newsletter.schedule import OUTAGE, REACH, WEEK, Period

VOTES_AGAIN = timedelta(hours=2)  # before the cut-off of a week; since their days most of the votes have come
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class Standing(Enum):
    """What the sources of some days have come to."""

    READY = auto()  # they answered; who failed for too long is gone without
    WAITING = auto()  # one of them is still to be read, or may still recover
    BROKEN = auto()  # all of them failed for too long: there is nothing to make an issue of


@dataclass(frozen=True)
class Readings:
    """What each source said last of each day, as far as it was asked."""

    rows: Mapping[tuple[str, date], Collection]

    def of_source(self, source: str) -> datetime:
        """Return when a source last answered, for whichever of these days."""
        return max((row.succeeded_at or _NEVER for (name, _), row in self.rows.items() if name == source), default=_NEVER)

    def of_day(self, day: date) -> datetime:
        """Return when a source, whichever, last answered for a day."""
        return max((row.succeeded_at or _NEVER for (_, each), row in self.rows.items() if each == day), default=_NEVER)


@dataclass(frozen=True)
class Terms:
    """What a period's readings are judged by."""

    period: Period
    cutoff: datetime
    patience: timedelta

    @property
    def fresh_from(self) -> datetime:
        """Since when each day must have been read, or tried: of a week shortly before its cut-off, for the votes."""
        return _NEVER if self.period.first_day == self.period.last_day else self.cutoff - VOTES_AGAIN


def period_of(cadence: Cadence, day: date) -> Period:
    """Return the days of the issue that holds `day`."""
    return schedule.day_of(day) if cadence is Cadence.DAILY else schedule.week_of(day)


def cutoff_of(newsletter: Newsletter, period: Period) -> datetime:
    """Return from when on a period's issue may be made."""
    return schedule.start_of(period.last_day) + timedelta(hours=newsletter.cutoff_hours)


def wanted_from(newsletter: Newsletter) -> date:
    """Return the first day whose papers a newsletter may tell: it owes nothing from before it was made but its first week."""
    day = newsletter.created_at.date()
    return schedule.week_of(day).first_day if Cadence.WEEKLY in newsletter.cadences else day


def untried_periods(session: Session, newsletter: Newsletter, cadence: Cadence, *, now: datetime) -> list[Period]:
    """Return the periods since OUTAGE ago, the current one included, that no issue has been tried for, oldest first."""
    first = max((now - OUTAGE).date(), newsletter.created_at.date())
    periods = {period_of(cadence, day) for day in schedule.days_between(first, now.date())}
    wanted = (Issue.newsletter_id == newsletter.id, Issue.cadence == cadence, col(Issue.first_day) > first - WEEK)
    tried = set(session.scalars(select(col(Issue.first_day)).where(*wanted)))  # type: ignore[arg-type]  # comparisons of columns
    return sorted((period for period in periods if period.first_day not in tried), key=lambda period: period.first_day)


def due_periods(session: Session, newsletter: Newsletter, cadence: Cadence, *, now: datetime) -> list[Period]:
    """Return the periods whose issue should be made now, oldest first.

    A period is due when its cut-off has passed, no issue has been tried for it, and all its sources were read since. A source
    that keeps failing is waited for, then left out: what it lists comes late. Several days that an outage missed are
    one period where the newsletter merges them, as soon as none of them has to be waited for.
    """
    over = [each for each in untried_periods(session, newsletter, cadence, now=now) if now >= cutoff_of(newsletter, each)]
    if not over:
        return []
    standings = standings_of(session, newsletter, over, now=now)
    ready = [period for period in over if standings[period] is Standing.READY]
    if newsletter.catch_up is CatchUp.EACH or cadence is Cadence.WEEKLY:
        return ready
    if not ready or Standing.WAITING in standings.values():
        return []
    return [Period(ready[0].first_day, ready[-1].last_day)]


def days_to_read_again(session: Session, newsletter: Newsletter, *, now: datetime) -> list[tuple[str, date]]:
    """Return which sources to read once more for which days of a week that ends: its best are chosen by votes."""
    if Cadence.WEEKLY not in newsletter.cadences:
        return []
    found = []
    for period in untried_periods(session, newsletter, Cadence.WEEKLY, now=now):
        again = cutoff_of(newsletter, period) - VOTES_AGAIN
        if now >= again:
            rows = readings_of(session, newsletter, period)
            found += [(row.source, row.day) for row in rows if row.collected_at < again and is_complete(row)]
    return found


def readings_of(session: Session, newsletter: Newsletter, period: Period) -> Sequence[Collection]:
    """Return what each source of a newsletter said last of each day of a period, as far as it was asked."""
    between = col(Collection.day).between(period.first_day, period.last_day)
    return session.scalars(select(Collection).where(col(Collection.source).in_(newsletter.sources), between)).all()


def standings_of(session: Session, newsletter: Newsletter, periods: Sequence[Period], *, now: datetime) -> dict[Period, Standing]:
    """Return what the sources of each period, whose cut-off has passed, have come to."""
    found = readings_of(session, newsletter, Period(periods[0].first_day, periods[-1].last_day))
    readings = Readings({(row.source, row.day): row for row in found})
    return {period: _standing(newsletter, period, readings, now=now) for period in periods}


def _standing(newsletter: Newsletter, period: Period, readings: Readings, *, now: datetime) -> Standing:
    """Return what became of a period: of a week the days that nobody reads any more do not count."""
    first = max(period.first_day, wanted_from(newsletter), (now - REACH).date())
    cutoff, patience = cutoff_of(newsletter, period), timedelta(hours=newsletter.patience_hours)
    days = {
        _of_day({name: _of_source(name, day, readings, Terms(period, cutoff, patience), now) for name in newsletter.sources})
        for day in schedule.days_between(first, period.last_day)
    }
    for standing in (Standing.WAITING, Standing.READY):
        if standing in days:
            return standing
    return Standing.BROKEN


def _of_day(sources: Mapping[str, Standing]) -> Standing:
    if Standing.WAITING in sources.values():
        return Standing.WAITING
    return Standing.READY if Standing.READY in sources.values() else Standing.BROKEN


def _of_source(source: str, day: date, readings: Readings, terms: Terms, now: datetime) -> Standing:
    """Return what became of a source on a day.

    It is given up when it has failed for `patience`, and once more since others answered: after an outage the first that
    is read must not leave the others behind.
    """
    row = readings.rows.get((source, day))
    if row is None or row.collected_at < terms.fresh_from:
        return Standing.WAITING
    cutoff, patience = terms.cutoff, terms.patience
    if row.succeeded_at is not None and row.succeeded_at >= min(cutoff, schedule.day_of(day).ends_at):
        return Standing.WAITING if row.doubtful and now < cutoff + patience else Standing.READY
    failing = row.status is CollectionStatus.FAILED and now >= max(cutoff, row.failing_since or cutoff) + patience
    tried = row.collected_at >= max(readings.of_source(source), readings.of_day(day))
    return Standing.BROKEN if failing and tried else Standing.WAITING
