"""Readings of sources on record: "nothing today" told from "broken", and one alarm a source as long as it is."""

from collections.abc import Container, Sequence
from datetime import date, datetime, timedelta
from itertools import takewhile

import structlog
from sqlalchemy import func, select
from sqlmodel import Session, col

from newsletter import alarms, schedule
from newsletter.alarms import Cause
from newsletter.models import Collection, CollectionStatus

log = structlog.get_logger()
RECORD = timedelta(days=28)  # a source that listed something on each weekday of so long does not fall silent by chance
LATER = timedelta(days=1)  # after a day ended it is read once more; so long a doubtful silence is asked about again
QUIET = 3  # weekdays in a row without a paper: more than a holiday
_FRIDAY = 4
_NAMED = 7  # days in an alarm


def failing_key(source: str) -> str:
    """Return the key of the alarm about a source that cannot be read."""
    return f"source:{source}"


def silent_key(source: str) -> str:
    """Return the key of the alarm about a source that answers, and says less than it ever did."""
    return f"silent:{source}"


def answered(session: Session, record: Collection, papers: int, *, now: datetime) -> None:
    """Keep that a source answered for a day with so many papers, and end the alarm when it fails for no day any more.

    A day that was over when it was read has no fewer papers for it: not every source can tell of the past.
    """
    before = record.papers if is_complete(record) else 0
    record.status, record.error, record.failing_since = CollectionStatus.DONE, "", None
    record.papers, record.succeeded_at = max(before, papers), now
    record.doubtful = not record.papers and is_complete(record) and _never_silent(session, record.source, record.day)
    session.flush()
    if not failing_days(session, record.source, now=now):
        alarms.close(session, failing_key(record.source), now=now)
    if record.papers:
        alarms.close(session, silent_key(record.source), now=now)
    elif is_complete(record):
        _note_silence(session, record, now=now)


def failed(session: Session, record: Collection, error: str, *, now: datetime) -> None:
    """Keep that a source failed for a day; it is one alarm until it fails for no day any more."""
    log.warning("source_failed", source=record.source, day=record.day.isoformat(), error=error)
    record.status, record.error = CollectionStatus.FAILED, error
    record.failing_since = record.failing_since or now
    session.flush()
    days = failing_days(session, record.source, now=now)
    if days:
        named = ", ".join(str(day) for day in days[:_NAMED]) + (f" and {len(days) - _NAMED} more" if len(days) > _NAMED else "")
        cause = Cause(failing_key(record.source), f"{record.source} could not be read", f"Not read: {named}. {error}")
        alarms.raise_alarm(session, cause, now=now)


def forget(session: Session, sources: Container[str], *, now: datetime) -> None:
    """End the alarms about sources other than these: nobody reads them any more."""
    for alarm in alarms.open_alarms(session):
        kind, _, source = alarm.cause.partition(":")
        if kind in {"source", "silent"} and source not in sources:
            alarms.close(session, alarm.cause, now=now)


def failing_days(session: Session, source: str, *, now: datetime) -> Sequence[date]:
    """Return the days that a source failed for and has not told yet, of those that are still read, oldest first."""
    wanted = select(Collection).where(
        col(Collection.source) == source,
        col(Collection.status) == CollectionStatus.FAILED,
        col(Collection.day) >= (now - schedule.REACH).date(),
    )
    return [row.day for row in session.scalars(wanted.order_by(col(Collection.day))) if not is_complete(row)]


def is_complete(record: Collection) -> bool:
    """Whether the source was read after the day had ended: before that a list may still grow."""
    return record.succeeded_at is not None and record.succeeded_at >= schedule.day_of(record.day).ends_at


def is_settled(record: Collection, *, now: datetime) -> bool:
    """Whether a day need not be read again now: it is complete, and beyond doubt; a day later it is read once more.

    Some lists grow when their day is over: what came late is told by the next issue.
    """
    later = schedule.day_of(record.day).ends_at + LATER
    if now < later:
        return is_complete(record) and not record.doubtful
    return record.succeeded_at is not None and record.succeeded_at >= later


def _note_silence(session: Session, record: Collection, *, now: datetime) -> None:
    """Say that there is nothing: aloud once it has been so for longer than a holiday; the next list ends the alarm."""
    log.info("nothing_today", source=record.source, day=record.day.isoformat(), doubtful=record.doubtful)
    days = _quiet_weekdays(session, record)
    if len(days) >= QUIET and _never_silent(session, record.source, days[-1]) and not _has_told_since(session, record):
        detail = (
            f"It listed nothing from {days[-1]:%A}, {days[-1]}, on, and something on every weekday of the four weeks before. "
            "Is it still where it was? If there was nothing to list, this needs nothing from you."
        )
        alarms.raise_alarm(session, Cause(silent_key(record.source), f"{record.source} answers with nothing", detail), now=now)


def _quiet_weekdays(session: Session, record: Collection) -> list[date]:
    """Return the weekdays without a paper that end with a day, the latest first; none for a day of a weekend."""
    since = record.day - RECORD
    wanted = select(col(Collection.day)).where(
        col(Collection.source) == record.source,
        col(Collection.day).between(since, record.day),
        col(Collection.papers) == 0,
        col(Collection.succeeded_at).is_not(None),
    )
    quiet = set(session.scalars(wanted))
    weekdays = [day for day in schedule.days_between(since, record.day) if day.weekday() <= _FRIDAY]
    return list(takewhile(quiet.__contains__, reversed(weekdays))) if record.day.weekday() <= _FRIDAY else []


def _has_told_since(session: Session, record: Collection) -> bool:
    """Whether the source listed something on a later day: then an old silence is read once more, and over."""
    told = (col(Collection.source) == record.source, col(Collection.day) > record.day, col(Collection.papers) > 0)
    return bool(session.scalar(select(func.count()).where(*told)))


def _never_silent(session: Session, source: str, day: date) -> bool:
    """Whether the day is a weekday, and the source listed something on every weekday of the weeks before it."""
    if day.weekday() > _FRIDAY:
        return False
    weekdays = [each for each in schedule.days_between(day - RECORD, day - timedelta(days=1)) if each.weekday() <= _FRIDAY]
    told = select(func.count()).where(
        col(Collection.source) == source, col(Collection.day).in_(weekdays), col(Collection.papers) > 0
    )
    return session.scalar(told) == len(weekdays)
