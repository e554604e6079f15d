"""A frozen issue at hand: compiled for splicing, and indexed so that each reader's papers are found quickly."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

from sqlalchemy import select
from sqlmodel import Session, col

from newsletter import schedule
from newsletter.mail import compose, selecting
from newsletter.mail.compose import Prepared, Selection
from newsletter.mail.matching import PaperFacts
from newsletter.mail.pieces import Piece, Rendered
from newsletter.mail.selecting import Wish
from newsletter.models import Cadence, Issue, IssuePaper, IssuePiece, Newsletter, Paper, Summary

_KEPT = 4096  # selections of readers whose wishes differ, of some hundred bytes each


@dataclass(frozen=True)
class FrozenIssue:
    """An issue ready for splicing."""

    subject: str
    name: str  # in its web address
    prepared: Prepared
    select: Callable[[Wish, bool], Selection | None]  # what a wish brings, and whether a short mail where it brings nothing


def load_issue(session: Session, issue: Issue) -> FrozenIssue:
    """Return a frozen issue's pieces, compiled, and what its papers are chosen by."""
    rendered, newsletter = load_rendered(session, issue), session.get_one(Newsletter, issue.newsletter_id)
    days = (issue.last_day - issue.first_day).days + 1
    most = newsletter.weekly_papers if issue.cadence is Cadence.WEEKLY else newsletter.max_papers * days
    facts = selecting.facts_of(paper_facts(session, issue.id), rendered.html, newsletter.language, most_cards=most)
    return FrozenIssue(
        subject=issue.subject,
        name=schedule.name_of(issue.cadence, issue.first_day),
        prepared=compose.prepare(rendered),
        select=chooser(facts),
    )


def chooser(facts: selecting.IssueFacts) -> Callable[[Wish, bool], Selection | None]:
    """Return what finds the papers of a wish in an issue, once for all who wish for the same."""
    return lru_cache(maxsize=_KEPT)(partial(_select, facts))


def _select(facts: selecting.IssueFacts, wish: Wish, short: bool) -> Selection | None:  # noqa: FBT001 -- the cache's key
    return selecting.select(facts, wish, short=short)


def load_rendered(session: Session, issue: Issue) -> Rendered:
    """Return the pieces of a frozen issue as they were rendered."""
    rows = session.scalars(
        select(IssuePiece).where(col(IssuePiece.issue_id) == issue.id).order_by(col(IssuePiece.position))
    ).all()
    parts = {part: tuple(Piece(row.name, row.content) for row in rows if row.part == part) for part in ("text", "html")}
    return Rendered(subject=issue.subject, text=parts["text"], html=parts["html"])


def paper_facts(session: Session, issue_id: int) -> Sequence[PaperFacts]:
    """Return what the papers of an issue can be chosen by, in its order: what their sources and the issue say of them."""
    rows = session.execute(
        select(Paper, col(Summary.bullets), col(IssuePaper.pinned))
        .join(IssuePaper, col(IssuePaper.paper_id) == col(Paper.id))
        .outerjoin(Summary, col(Summary.id) == col(IssuePaper.summary_id))
        .where(col(IssuePaper.issue_id) == issue_id, ~col(IssuePaper.dropped))
        .order_by(col(IssuePaper.position))
    )
    return [
        PaperFacts(
            id=paper.id,
            categories=tuple(paper.categories),
            text="\n".join([paper.title, *paper.keywords, *(bullets or ()), paper.abstract]),
            pinned=pinned,
        )
        for paper, bullets, pinned in rows
    ]
