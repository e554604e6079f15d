"""Collecting: what sources list becomes papers, and each reading leaves a record that tells "nothing today" from "broken"."""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

import structlog
from sqlalchemy import select
from sqlmodel import Session, col

from newsletter import db, readings, schedule
from newsletter.db import Sessions
from newsletter.errors import SourceError
from newsletter.models import Collection, CollectionStatus, Paper, PaperListing
from newsletter.papers.storing import key_of, store_papers, store_summaries
from newsletter.sources import Listing, PaperData, Source

log = structlog.get_logger()


def collect(sessions: Sessions, source: Source, day: date, *, now: datetime) -> Collection:
    """Read what `source` lists on `day`, store it, and return the record of the reading.

    A source that fails is a record and an alarm, never an exception: it must not stop the other sources. Reading a day
    again adds what is new and brings votes up to date.
    """
    try:
        listing = source.listing(day)
    except SourceError as error:
        return _record_failure(sessions, source.name, day, str(error), now=now)
    except Exception as error:  # an adapter that stumbles over something nobody thought of
        log.exception("source_broke", source=source.name, day=day.isoformat())
        return _record_failure(sessions, source.name, day, f"its adapter broke: {error!r}", now=now)
    with sessions.begin() as session:
        return store(session, source.name, listing, now=now)


def store(session: Session, source: str, listing: Listing, *, now: datetime) -> Collection:
    """Store a listing under the source's name: papers, their places in the list, and summaries that came along."""
    papers = (*listing.papers, *_first_seen(session, source, listing, now=now))
    ids = store_papers(session, source, papers, now=now)
    rows: list[dict[str, Any]] = [
        {
            "source": source,
            "day": listing.day,
            "paper_id": ids[key_of(paper)],
            "position": position,
            "votes": paper.votes,
            "seen_at": now,
        }
        for position, paper in enumerate(papers, start=1)
    ]
    db.insert_new(session, PaperListing, rows)
    store_summaries(session, papers, ids, now=now)
    record = _collection(session, source, listing.day, now=now)
    record.problems = [str(problem) for problem in listing.problems][:100]
    readings.answered(session, record, len(papers), now=now)
    return record


def _first_seen(session: Session, source: str, listing: Listing, *, now: datetime) -> list[PaperData]:
    """Return the papers without a day that the source never listed before; they are today's, whatever day is read."""
    if listing.day != now.date() or not listing.undated:
        return []
    listed = (
        select(col(Paper.source), col(Paper.source_id))
        .join(PaperListing, col(PaperListing.paper_id) == col(Paper.id))
        .where(col(PaperListing.source) == source, col(PaperListing.day) != listing.day)
        .where(col(Paper.source_id).in_([paper.source_id for paper in listing.undated]))
    )
    before = {tuple(row) for row in session.execute(listed)}
    return [paper for paper in listing.undated if key_of(paper) not in before]


def days_to_collect(session: Session, source: str, *, since: date, now: datetime) -> list[date]:
    """Return the days to read now, oldest first: today, and those from `since` on not yet read after they ended."""
    today = now.date()
    first = min(today, max(since, today - schedule.REACH))
    records = session.scalars(select(Collection).where(col(Collection.source) == source, col(Collection.day) >= first)).all()
    settled = {record.day for record in records if readings.is_settled(record, now=now)}
    return [day for day in schedule.days_between(first, today) if day not in settled]


def latest(session: Session, sources: Iterable[str]) -> dict[str, Collection]:
    """Return the last reading of each of these sources that was ever read."""
    found = {}
    for source in sources:
        rows = select(Collection).where(col(Collection.source) == source)
        row = session.scalars(rows.order_by(col(Collection.collected_at).desc(), col(Collection.day).desc()).limit(1)).first()
        if row is not None:
            found[source] = row
    return found


def _record_failure(sessions: Sessions, source: str, day: date, error: str, *, now: datetime) -> Collection:
    with sessions.begin() as session:
        record = _collection(session, source, day, now=now)
        readings.failed(session, record, error, now=now)
    return record


def _collection(session: Session, source: str, day: date, *, now: datetime) -> Collection:
    """Return the record of this source and day, made if it is the first reading."""
    fresh = {
        "source": source,
        "day": day,
        "status": CollectionStatus.FAILED,
        "papers": 0,
        "problems": [],
        "error": "",
        "collected_at": now,
    }
    db.insert_new(session, Collection, [fresh])
    record = session.scalars(select(Collection).where(col(Collection.source) == source, col(Collection.day) == day)).one()
    record.collected_at = now
    return record
