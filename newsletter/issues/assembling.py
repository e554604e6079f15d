"""Which papers make an issue, and when it is time to make it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import delete, select
from sqlmodel import Session, col

from newsletter import db, schedule
from newsletter.lifecycle import IssueEvent, IssueStatus, advance_issue
from newsletter.models import Cadence, Collection, Issue, IssuePaper, Newsletter, Paper, PaperListing
from newsletter.schedule import Period

LATE = timedelta(days=7)  # how long a paper that its day's issue missed may still come in a later one
SOURCE_PATIENCE = timedelta(hours=6)  # after the cut-off, for a source that fails while others answer
CATCH_UP = timedelta(days=3)  # how far back missed issues are made up for by the clock


@dataclass(frozen=True)
class Candidate:
    """A paper that an issue could hold."""

    paper_id: int
    votes: int | None
    published_at: datetime | None
    listed_on: date


def select_papers(candidates: Iterable[Candidate], *, most: int) -> list[int]:
    """Return the ids of at most `most` papers: by votes, the newest first among equals."""
    oldest = datetime.min.replace(tzinfo=UTC)
    distinct = {candidate.paper_id: candidate for candidate in candidates}.values()
    ranked = sorted(distinct, key=lambda paper: paper.paper_id)
    ranked.sort(key=lambda paper: (paper.votes or 0, paper.published_at or oldest), reverse=True)
    return [paper.paper_id for paper in ranked[:most]]


def period_of(cadence: Cadence, day: date) -> Period:
    """Return the days of the issue that holds `day`."""
    return schedule.day_of(day) if cadence is Cadence.DAILY else schedule.week_of(day)


def due_periods(session: Session, newsletter: Newsletter, cadence: Cadence, *, now: datetime) -> list[Period]:
    """Return the periods whose issue should be made now, oldest first.

    A period is due when its cut-off has passed, all its sources were read since, and no issue has been tried for it.
    """
    untried = untried_periods(session, newsletter, cadence, now=now)
    return [period for period in untried if _closed(session, newsletter, period, now=now)]


def untried_periods(session: Session, newsletter: Newsletter, cadence: Cadence, *, now: datetime) -> list[Period]:
    """Return the periods of the last days, the current one included, that no issue has been tried for, oldest first."""
    first = max((now - CATCH_UP).date(), newsletter.created_at.date())
    if cadence is Cadence.WEEKLY:
        first -= timedelta(days=6)
    periods = {period_of(cadence, day) for day in schedule.days_between(first, now.date())}
    periods = {period for period in periods if period.last_day >= newsletter.created_at.date()}
    wanted = (Issue.newsletter_id == newsletter.id, Issue.cadence == cadence, col(Issue.first_day) >= first - LATE)
    tried = set(session.scalars(select(col(Issue.first_day)).where(*wanted)))  # type: ignore[arg-type]  # comparisons of columns
    return sorted((period for period in periods if period.first_day not in tried), key=lambda period: period.first_day)


def cutoff_of(newsletter: Newsletter, period: Period) -> datetime:
    """Return from when on a period's issue may be made."""
    return schedule.start_of(period.last_day) + timedelta(hours=newsletter.cutoff_hours)


def _closed(session: Session, newsletter: Newsletter, period: Period, *, now: datetime) -> bool:
    """Whether the cut-off of the period has passed and every source was read after it.

    A source that keeps failing is waited for, then left out: what it lists comes late, in the next issue.
    """
    cutoff = cutoff_of(newsletter, period)
    if now < cutoff:
        return False
    read = select(col(Collection.source)).where(
        col(Collection.source).in_(newsletter.sources),
        col(Collection.day) == period.last_day,
        col(Collection.succeeded_at) >= min(cutoff, period.ends_at),
    )
    answered = set(session.scalars(read))
    return answered >= set(newsletter.sources) or (bool(answered) and now >= cutoff + SOURCE_PATIENCE)


def assemble(session: Session, newsletter: Newsletter, cadence: Cadence, day: date, *, now: datetime) -> Issue:
    """Return the issue that holds `day`, made if there is none: papers chosen and ordered, or a record of why it is empty.

    An empty issue is tried again, any other is returned as it stands. No paper comes twice in a newsletter and cadence.
    """
    issue = _find_or_start(session, newsletter, period_of(cadence, day), cadence, now=now)
    if issue.status is not IssueStatus.EMPTY:
        return issue
    chosen = select_papers(_candidates(session, newsletter, issue), most=newsletter.max_papers)
    if not chosen:
        issue.reason = _why_empty(session, newsletter, issue)
        return issue
    session.execute(delete(IssuePaper).where(col(IssuePaper.issue_id) == issue.id))
    for position, paper_id in enumerate(chosen, start=1):
        session.add(
            IssuePaper(issue_id=issue.id, paper_id=paper_id, newsletter_id=newsletter.id, cadence=cadence, position=position)
        )
    issue.status, issue.reason, issue.created_at = advance_issue(issue.status, IssueEvent.ASSEMBLE), "", now
    session.flush()
    return issue


def _find_or_start(session: Session, newsletter: Newsletter, period: Period, cadence: Cadence, *, now: datetime) -> Issue:
    """Return the issue of the period, locked; two that start it at once agree on one.

    The newsletter is locked as well: two of its issues that are made at once would choose the same late paper.
    """
    session.execute(select(col(Newsletter.id)).where(col(Newsletter.id) == newsletter.id).with_for_update(key_share=True))
    fresh = {
        "newsletter_id": newsletter.id,
        "cadence": cadence,
        "first_day": period.first_day,
        "last_day": period.last_day,
        "status": IssueStatus.EMPTY,
        "reason": "not assembled yet",
        "subject": "",
        "created_at": now,
    }
    db.insert_new(session, Issue, [fresh])
    key = (col(Issue.newsletter_id) == newsletter.id, col(Issue.cadence) == cadence, col(Issue.first_day) == period.first_day)
    return session.scalars(select(Issue).where(*key).with_for_update().execution_options(populate_existing=True)).one()


def _candidates(session: Session, newsletter: Newsletter, issue: Issue) -> list[Candidate]:
    """Return the papers listed in the issue's days, and late ones that no earlier issue had a chance at."""
    placed = select(col(IssuePaper.paper_id)).where(
        col(IssuePaper.newsletter_id) == newsletter.id, col(IssuePaper.cadence) == issue.cadence, ~col(IssuePaper.released)
    )
    rows = session.execute(
        select(Paper, col(PaperListing.day), col(PaperListing.seen_at))
        .join(PaperListing, col(PaperListing.paper_id) == col(Paper.id))
        .where(
            col(PaperListing.source).in_(newsletter.sources),
            col(PaperListing.day).between(issue.first_day - LATE, issue.last_day),
            col(Paper.id).not_in(placed),
        )
    ).all()
    earlier = _earlier_issues(session, newsletter, issue)
    return [
        Candidate(paper.id, paper.votes, paper.published_at, day)
        for paper, day, seen_at in rows
        if day >= issue.first_day or is_late(day, seen_at, earlier, since=newsletter.created_at.date())
    ]


def is_late(day: date, seen_at: datetime, earlier: Sequence[Issue], *, since: date) -> bool:
    """Whether a paper listed on an earlier day was missed: its day had no issue, or one made before the paper was seen."""
    if day < since:
        return False
    return not any(issue.first_day <= day <= issue.last_day and issue.created_at >= seen_at for issue in earlier)


def _earlier_issues(session: Session, newsletter: Newsletter, issue: Issue) -> Sequence[Issue]:
    wanted = select(Issue).where(
        col(Issue.newsletter_id) == newsletter.id,
        col(Issue.cadence) == issue.cadence,
        col(Issue.first_day) < issue.first_day,
        col(Issue.last_day) >= issue.first_day - LATE,
        col(Issue.status) != IssueStatus.CANCELLED,
    )
    return session.scalars(wanted).all()


def _why_empty(session: Session, newsletter: Newsletter, issue: Issue) -> str:
    """Say what the sources said: nothing listed, nothing new, or never read."""
    readings = select(Collection).where(
        col(Collection.source).in_(newsletter.sources), col(Collection.day).between(issue.first_day, issue.last_day)
    )
    said = [
        f"{row.source} listed {row.papers} on {row.day}"
        if row.succeeded_at
        else f"{row.source} failed for {row.day}: {row.error}"
        for row in session.scalars(readings.order_by(col(Collection.day), col(Collection.source)))
    ]
    return "No new papers: " + ("; ".join(said) if said else f"no source was read for {issue.first_day}") + "."
