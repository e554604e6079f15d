"""What is known of issues: finding, showing in the archive, exporting."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import and_, or_, select
from sqlmodel import Session, col

from newsletter import schedule
from newsletter.errors import BadInput, NotFound
from newsletter.issues.publishing import OUT
from newsletter.lifecycle import IssueStatus
from newsletter.models import Cadence, Issue, IssuePaper, IssuePiece, Newsletter, Paper, Summary, SummaryOrigin
from newsletter.sources import Listing, PaperData, SummaryData
from newsletter.sources.documents import write

SHOWN = 3  # titles of an issue in the list
_WEEK = re.compile(r"(\d{4})-W(\d{2})")


@dataclass(frozen=True)
class ArchiveEntry:
    """An issue in the list of a newsletter's archive."""

    name: str  # in its address: "2024-03-14", "2024-W11"
    subject: str
    first_day: date
    cadence: str
    papers: int
    titles: tuple[str, ...]  # of the first papers, in the issue's order


def find(session: Session, newsletter: Newsletter, name: str) -> Issue:
    """Return a newsletter's issue by its name; raises NotFound, or BadInput for what is no name of an issue."""
    cadence, first_day = _parse(name)
    key = (col(Issue.newsletter_id) == newsletter.id, col(Issue.cadence) == cadence, col(Issue.first_day) == first_day)
    issue = session.scalars(select(Issue).where(*key)).one_or_none()
    if issue is None:
        raise NotFound(f"{newsletter.slug} has no issue of {name}.", hint="`newsletter assemble DAY` makes it.")
    return issue


def _parse(name: str) -> tuple[Cadence, date]:
    try:
        if week := _WEEK.fullmatch(name):
            return Cadence.WEEKLY, date.fromisocalendar(int(week[1]), int(week[2]), 1)
        return Cadence.DAILY, date.fromisoformat(name)
    except ValueError:
        raise BadInput(f"{name[:40]!r} is no issue's name.", hint="A day as 2024-03-14, or a week as 2024-W11.") from None


def archive(session: Session, newsletter: Newsletter, *, before: str = "", limit: int = 30) -> list[ArchiveEntry]:
    """Return the published issues of a newsletter, the newest first; of those that begin on one day the weekly is last.

    `before` names the issue that they come after in that order; raises BadInput for what is no name of an issue.
    """
    wanted = select(Issue).where(col(Issue.newsletter_id) == newsletter.id, col(Issue.status).in_(OUT))
    if before:
        cadence, day = _parse(before)
        same_day = and_(col(Issue.first_day) == day, col(Issue.cadence) > cadence)
        wanted = wanted.where(or_(col(Issue.first_day) < day, same_day))
    issues = session.scalars(wanted.order_by(col(Issue.first_day).desc(), col(Issue.cadence)).limit(limit)).all()
    titles = _titles(session, [issue.id for issue in issues])
    return [
        ArchiveEntry(
            name=schedule.name_of(row.cadence, row.first_day),
            subject=row.subject,
            first_day=row.first_day,
            cadence=row.cadence.value,
            papers=len(titles[row.id]),
            titles=tuple(titles[row.id][:SHOWN]),
        )
        for row in issues
    ]


def _titles(session: Session, ids: Sequence[int]) -> dict[int, list[str]]:
    """Return the titles of the papers of each issue, in their order."""
    rows = session.execute(
        select(col(IssuePaper.issue_id), col(Paper.title))
        .join(Paper, col(Paper.id) == col(IssuePaper.paper_id))
        .where(col(IssuePaper.issue_id).in_(ids), ~col(IssuePaper.dropped))
        .order_by(col(IssuePaper.issue_id), col(IssuePaper.position))
    )
    found: dict[int, list[str]] = {issue_id: [] for issue_id in ids}
    for issue_id, title in rows:
        found[issue_id].append(title)
    return found


def page(session: Session, newsletter: Newsletter, name: str) -> str:
    """Return a published issue as the web page of "view in browser": every paper, nothing of any reader's.

    Raises NotFound for an issue that is not out yet.
    """
    issue = find(session, newsletter, name)
    if issue.status not in OUT:
        raise NotFound(f"{newsletter.slug} has no issue of {name}.")
    wanted = select(col(IssuePiece.content)).where(col(IssuePiece.issue_id) == issue.id, col(IssuePiece.part) == "page")
    content = session.scalars(wanted).one_or_none()
    if content is None:
        raise NotFound(f"{newsletter.slug} has no page of {name}.")
    return content


def latest(session: Session, newsletter: Newsletter, cadence: Cadence) -> Issue | None:
    """Return a newsletter's issue of the latest days, whatever became of it; None where there is none yet."""
    rows = select(Issue).where(col(Issue.newsletter_id) == newsletter.id, col(Issue.cadence) == cadence)
    return session.scalars(rows.order_by(col(Issue.first_day).desc()).limit(1)).first()


def waiting(session: Session, status: IssueStatus) -> list[int]:
    """Return the ids of the issues in a state, the oldest day first."""
    return list(session.scalars(select(col(Issue.id)).where(col(Issue.status) == status).order_by(col(Issue.first_day))))


def export(session: Session, issue: Issue) -> str:
    """Return an issue as a daily document in Markdown; importing it gives the same issue."""
    newsletter = session.get_one(Newsletter, issue.newsletter_id)
    rows = session.execute(
        select(Paper, Summary)
        .join(IssuePaper, col(IssuePaper.paper_id) == col(Paper.id))
        .outerjoin(Summary, col(Summary.id) == col(IssuePaper.summary_id))
        .where(col(IssuePaper.issue_id) == issue.id, ~col(IssuePaper.dropped))
        .order_by(col(IssuePaper.position))
    )
    papers = tuple(_data(paper, summary) for paper, summary in rows)
    return write(Listing(day=issue.first_day, papers=papers), language=newsletter.language)


def _data(paper: Paper, summary: Summary | None) -> PaperData:
    return PaperData(
        source=paper.source,
        source_id=paper.source_id,
        title=paper.title,
        url=paper.url,
        authors=tuple(paper.authors),
        more_authors=paper.more_authors,
        votes=paper.votes,
        thumbnail_url=paper.thumbnail_url,
        links=dict(paper.links),
        summaries=(_told(summary),) if summary else (),
    )


def _told(summary: Summary) -> SummaryData:
    """Return a summary for a document, which says whose sentences it has: the abstract's stay marked as such."""
    quoted_in = summary.written_in if summary.origin is SummaryOrigin.EXTRACT else ""
    return SummaryData(summary.language, tuple(summary.bullets), quoted_in)
