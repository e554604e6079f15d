"""Which papers an issue tells, and by which of its summaries each."""

from sqlalchemy import select
from sqlmodel import Session, col

from newsletter import summaries
from newsletter.lifecycle import IssueStatus
from newsletter.models import Issue, IssuePaper, Summary


def kept(session: Session, issue_id: int) -> list[int]:
    """Return the ids of an issue's papers, in its order, without those that an editor left out."""
    placed = select(col(IssuePaper.paper_id)).where(col(IssuePaper.issue_id) == issue_id, ~col(IssuePaper.dropped))
    return list(session.scalars(placed.order_by(col(IssuePaper.position))))


def chosen(session: Session, issue: Issue, language: str) -> dict[int, Summary]:
    """Return by which summary each paper of an issue is told: an editor's choice, else the most trusted one."""
    places = select(col(IssuePaper.paper_id), col(IssuePaper.summary_id)).where(col(IssuePaper.issue_id) == issue.id)
    wanted = {paper_id: summary_id for paper_id, summary_id in session.execute(places)}  # noqa: C416 -- rows are no pairs to mypy
    frozen = issue.status is not IssueStatus.DRAFT
    best = {} if frozen else summaries.best(session, wanted, language)
    rows = session.scalars(select(Summary).where(col(Summary.id).in_([number for number in wanted.values() if number])))
    return best | {row.paper_id: row for row in rows}
