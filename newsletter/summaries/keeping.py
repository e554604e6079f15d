"""Summaries: made where there are none, kept for good, the most trusted one chosen.

The cache is the table: one row per paper, language, origin, model and prompt version. A failure is that paper's alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from sqlalchemy import select
from sqlmodel import Session, col

from newsletter import db
from newsletter.db import Sessions
from newsletter.errors import SummaryError
from newsletter.models import Paper, Summary, SummaryOrigin
from newsletter.summarisers import Summariser, SummaryDraft, SummaryInput

log = structlog.get_logger()
_TRUST = list(SummaryOrigin)


@dataclass(frozen=True)
class Filled:
    """What `fill` did: how many summaries were there, how many were made, and why the others could not be."""

    ready: int = 0
    made: int = 0
    failed: Mapping[int, str] = field(default_factory=dict)  # paper id -> why


def fill(
    sessions: Sessions, paper_ids: Sequence[int], language: str, summarisers: Sequence[Summariser], *, now: datetime
) -> Filled:
    """Make a summary in `language` for each paper that has none, by the first of the summarisers that can.

    No transaction is open while a summariser works: a language model takes its time.
    """
    with sessions.read() as session:
        have = best(session, paper_ids, language)
        papers = session.scalars(select(Paper).where(col(Paper.id).in_(set(paper_ids) - set(have)))).all()
    made, failed = 0, {}
    for paper in papers:
        try:
            draft = _draft(paper, language, summarisers)
        except SummaryError as error:
            failed[paper.id] = str(error)
            continue
        except Exception as error:  # a summariser that stumbles over one paper must not cost the others theirs
            log.exception("summariser_broke", paper=paper.id)
            failed[paper.id] = repr(error)
            continue
        with sessions.begin() as session:
            made += db.insert_new(session, Summary, [_row(paper.id, language, draft, now=now)])
    return Filled(ready=len(have), made=made, failed=failed)


def best(session: Session, paper_ids: Iterable[int], language: str) -> dict[int, Summary]:
    """Return the most trusted summary of each paper in `language`, the newest among equals."""
    return {paper_id: rows[0] for paper_id, rows in ranked(session, paper_ids, language).items()}


def ranked(session: Session, paper_ids: Iterable[int], language: str) -> dict[int, list[Summary]]:
    """Return all summaries of each paper that has one in `language`: the most trusted first, of equals the newest."""
    wanted = select(Summary).where(col(Summary.paper_id).in_(list(paper_ids)), col(Summary.language) == language)
    found: dict[int, list[Summary]] = {}
    by_trust = sorted(session.scalars(wanted), key=lambda row: (-_TRUST.index(row.origin), row.created_at, row.id), reverse=True)
    for row in by_trust:
        found.setdefault(row.paper_id, []).append(row)
    return found


def _draft(paper: Paper, language: str, summarisers: Sequence[Summariser]) -> SummaryDraft:
    """Return the first summary that one of the summarisers can make; raises SummaryError with all their reasons."""
    reasons = []
    for summariser in summarisers:
        try:
            return summariser.summarise(SummaryInput(title=paper.title, abstract=paper.abstract), language=language)
        except SummaryError as error:
            reasons.append(f"{summariser.name}: {error}")
    raise SummaryError("; ".join(reasons) or "no summariser is set")


def _row(paper_id: int, language: str, draft: SummaryDraft, *, now: datetime) -> dict[str, object]:
    return {
        "paper_id": paper_id,
        "language": language,
        "written_in": draft.language,
        "origin": SummaryOrigin(draft.origin),
        "model": draft.model,
        "prompt_version": draft.prompt_version,
        "bullets": list(draft.bullets),
        "checks": {},
        "created_at": now,
    }
