"""Collecting: what sources list becomes papers, and each reading leaves a record that tells "nothing today" from "broken"."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import structlog
from sqlalchemy import select
from sqlmodel import Session, col

from newsletter import db, readings, schedule
from newsletter.db import Sessions
from newsletter.errors import SourceError
from newsletter.models import Collection, CollectionStatus, Paper, PaperListing, Summary, SummaryOrigin
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
    ids = _store_papers(session, listing.papers, now=now)
    rows: list[dict[str, Any]] = [
        {
            "source": source,
            "day": listing.day,
            "paper_id": ids[_key(paper)],
            "position": position,
            "votes": paper.votes,
            "seen_at": now,
        }
        for position, paper in enumerate(listing.papers, start=1)
    ]
    db.insert_new(session, PaperListing, rows)
    _store_summaries(session, listing.papers, ids, now=now)
    record = _collection(session, source, listing.day, now=now)
    record.problems = [str(problem) for problem in listing.problems][:100]
    readings.answered(session, record, len(listing.papers), now=now)
    return record


def days_to_collect(session: Session, source: str, *, since: date, now: datetime) -> list[date]:
    """Return the days to read now, oldest first: today, and those from `since` on not yet read after they ended."""
    today = now.date()
    first = min(today, max(since, today - schedule.REACH))
    records = session.scalars(select(Collection).where(col(Collection.source) == source, col(Collection.day) >= first)).all()
    settled = {record.day for record in records if readings.is_settled(record, now=now)}
    return [day for day in schedule.days_between(first, today) if day not in settled]


def _key(paper: PaperData) -> tuple[str, str]:
    return (paper.source, paper.source_id)


def _store_papers(session: Session, papers: Sequence[PaperData], *, now: datetime) -> dict[tuple[str, str], int]:
    """Insert the papers we did not know, bring the others up to date, and return the id of each."""
    in_order = sorted(papers, key=_key)  # two sources that list the same papers wait for each other instead of deadlocking
    db.insert_new(session, Paper, [_columns(paper) | {"created_at": now, "updated_at": now} for paper in in_order])
    ids: dict[tuple[str, str], int] = {}
    for paper in in_order:
        known = select(Paper).where(col(Paper.source) == paper.source, col(Paper.source_id) == paper.source_id)
        row = session.scalars(known.with_for_update()).one()
        _update(row, paper, now=now)
        ids[_key(paper)] = row.id
    return ids


def _columns(paper: PaperData) -> dict[str, Any]:
    return {
        "source": paper.source,
        "source_id": paper.source_id,
        "title": paper.title,
        "url": paper.url,
        "abstract": paper.abstract,
        "authors": list(paper.authors),
        "more_authors": paper.more_authors,
        "votes": paper.votes,
        "thumbnail_url": paper.thumbnail_url,
        "links": dict(paper.links),
        "keywords": list(paper.keywords),
        "categories": list(paper.categories),
        "published_at": paper.published_at,
    }


def _update(row: Paper, paper: PaperData, *, now: datetime) -> None:
    """Take over what a later reading knows better; nothing known is replaced by nothing."""
    unknown: tuple[Any, ...] = (None, "", [], {})
    better = {name: value for name, value in _columns(paper).items() if value not in unknown}
    if not paper.authors or (paper.more_authors and row.authors):
        better.pop("authors", None)  # a list cut short never replaces one that may be whole
        del better["more_authors"]
    for name, value in better.items():
        if getattr(row, name) != value:
            setattr(row, name, value)
            row.updated_at = now


def _store_summaries(session: Session, papers: Sequence[PaperData], ids: dict[tuple[str, str], int], *, now: datetime) -> None:
    rows: list[dict[str, Any]] = [
        {
            "paper_id": ids[_key(paper)],
            "language": summary.language,
            "written_in": summary.quoted_in or summary.language,
            "origin": SummaryOrigin.EXTRACT if summary.quoted_in else SummaryOrigin.DOCUMENT,
            "model": "",
            "prompt_version": "",
            "bullets": list(summary.bullets),
            "checks": {},
            "created_at": now,
        }
        for paper in papers
        for summary in paper.summaries
        if summary.bullets
    ]
    if rows:
        db.insert_new(session, Summary, rows)
        _correct_summaries(session, [row for row in rows if row["origin"] is SummaryOrigin.DOCUMENT])


def _correct_summaries(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Take over the words of a document that was edited since."""
    ids = [row["paper_id"] for row in rows]
    wanted = select(Summary).where(col(Summary.paper_id).in_(ids), col(Summary.origin) == SummaryOrigin.DOCUMENT)
    kept = {(row.paper_id, row.language): row for row in session.scalars(wanted.order_by(col(Summary.id)))}
    for row in rows:
        kept[row["paper_id"], row["language"]].bullets = row["bullets"]


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
