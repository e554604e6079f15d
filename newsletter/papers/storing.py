"""Papers and what their sources say of them, in the database."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlmodel import Session, col

from newsletter import db
from newsletter.errors import NotFound
from newsletter.models import Paper, PaperRecord, Summary, SummaryOrigin
from newsletter.papers.merging import FORMER, Record, amended, merge, record_of, said_of
from newsletter.sources import PaperData, facts

Key = tuple[str, str]
_AT_ONCE = 500  # ids in one statement


def key_of(paper: PaperData) -> Key:
    """Return what tells a paper from every other."""
    return (paper.source, paper.source_id)


def store_papers(session: Session, source: str, papers: Sequence[PaperData], *, now: datetime) -> dict[Key, int]:
    """Insert the papers we did not know, keep what `source` says of each, bring all up to date, and return the id of each."""
    in_order = sorted(papers, key=key_of)  # two sources that list the same papers wait for each other instead of deadlocking
    fresh = [_first_columns(paper, now=now) | {"created_at": now, "updated_at": now} for paper in in_order]
    new = set(map(key_of, papers)) - set(_known(session, papers))
    db.insert_new(session, Paper, fresh)
    rows = _locked(session, in_order)
    records = _records(session, [row.id for row in rows.values()])
    for paper in in_order:
        row = rows[key_of(paper)]
        kept = records.setdefault(row.id, {})
        if not kept and key_of(paper) not in new:
            _keep(session, row.id, kept, Record(FORMER, said_of(_as_told(row)), row.updated_at))
        _keep(session, row.id, kept, Record(source, said_of(paper), now))
        update(row, map(record_of, kept.values()), now=now)
    return {key: row.id for key, row in rows.items()}


def keep_record(session: Session, row: Paper, source: str, paper: PaperData | None, *, now: datetime) -> None:
    """Keep what `source` says of a paper that is there, or that it knows none such, and bring the paper up to date."""
    kept = _records(session, [row.id]).get(row.id, {})
    if not kept:
        _keep(session, row.id, kept, Record(FORMER, said_of(_as_told(row)), row.updated_at))
    _keep(session, row.id, kept, Record(source, said_of(paper) if paper else {}, now))
    update(row, map(record_of, kept.values()), now=now)


def update(row: Paper, records: Iterable[Record], *, now: datetime) -> None:
    """Make the paper what its records say."""
    for name, value in merge(list(records)).items():
        if getattr(row, name) != value:
            setattr(row, name, value)
            row.updated_at = now


def _known(session: Session, papers: Sequence[PaperData]) -> dict[Key, int]:
    found: dict[Key, int] = {}
    for space, ids in _by_space(papers):
        wanted = select(col(Paper.source_id), col(Paper.id)).where(col(Paper.source) == space, col(Paper.source_id).in_(ids))
        found |= {(space, source_id): paper_id for source_id, paper_id in session.execute(wanted)}
    return found


def _locked(session: Session, papers: Sequence[PaperData]) -> dict[Key, Paper]:
    """Return the rows of papers given in order, locked in that order."""
    rows: dict[Key, Paper] = {}
    for space, ids in _by_space(papers):
        wanted = select(Paper).where(col(Paper.source) == space, col(Paper.source_id).in_(ids))
        locked = session.scalars(
            wanted.order_by(col(Paper.source_id)).with_for_update().execution_options(populate_existing=True)
        )
        rows |= {(row.source, row.source_id): row for row in locked}
    return rows


def _by_space(papers: Sequence[PaperData]) -> list[tuple[str, list[str]]]:
    """Return the ids of papers by the space they are unique in, in order, so many at a time."""
    spaces: dict[str, list[str]] = {}
    for source, source_id in sorted(set(map(key_of, papers))):
        spaces.setdefault(source, []).append(source_id)
    return [(space, ids[at : at + _AT_ONCE]) for space, ids in spaces.items() for at in range(0, len(ids), _AT_ONCE)]


def _records(session: Session, paper_ids: Sequence[int]) -> dict[int, dict[str, PaperRecord]]:
    """Return what each source says of these papers."""
    found: dict[int, dict[str, PaperRecord]] = {}
    for at in range(0, len(paper_ids), _AT_ONCE):
        wanted = select(PaperRecord).where(col(PaperRecord.paper_id).in_(paper_ids[at : at + _AT_ONCE]))
        for row in session.scalars(wanted.order_by(col(PaperRecord.id))):
            found.setdefault(row.paper_id, {})[row.source] = row
    return found


def _keep(session: Session, paper_id: int, kept: dict[str, PaperRecord], record: Record) -> None:
    """Add to the records of a paper what a source says of it; the paper's row is locked, so nobody else does."""
    row = kept.get(record.source)
    if row is None:
        row = PaperRecord(paper_id=paper_id, source=record.source, said=dict(record.said), seen_at=record.seen_at)
        kept[record.source] = row
        session.add(row)
        return
    row.seen_at = record.seen_at
    if (told := amended(row.said, record.said)) != row.said:
        row.said = told


def _as_told(row: Paper) -> PaperData:
    """Return a paper from before records were kept, as if a source had told it."""
    return PaperData(
        row.source,
        row.source_id,
        row.title,
        row.url,
        abstract=row.abstract,
        authors=tuple(row.authors),
        more_authors=row.more_authors,
        votes=row.votes,
        thumbnail_url=row.thumbnail_url,
        published_at=row.published_at,
        keywords=tuple(row.keywords),
        categories=tuple(row.categories),
        links=row.links,
    )


def _first_columns(paper: PaperData, *, now: datetime) -> dict[str, Any]:
    columns = merge([Record(paper.source, said_of(paper), now)])
    return {"source": paper.source, "source_id": paper.source_id} | columns


def records_of(session: Session, number: str) -> tuple[Paper, Sequence[PaperRecord]]:
    """Return a paper by its arXiv id or its link, and what each source says of it; raises NotFound."""
    wanted = facts.arxiv_id(number) or number
    row = session.scalars(select(Paper).where(col(Paper.source_id) == wanted).order_by(col(Paper.source))).first()
    if row is None:
        raise NotFound(f"There is no paper {number!r}.", hint="Name it by its arXiv id, as 2403.08295, or by its link.")
    records = select(PaperRecord).where(col(PaperRecord.paper_id) == row.id).order_by(col(PaperRecord.source))
    return row, session.scalars(records).all()


def store_summaries(session: Session, papers: Sequence[PaperData], ids: dict[Key, int], *, now: datetime) -> None:
    """Keep the summaries that came along with papers."""
    rows: list[dict[str, Any]] = [
        {
            "paper_id": ids[key_of(paper)],
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
