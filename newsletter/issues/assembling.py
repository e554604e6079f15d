"""Which papers make an issue, in which order, and on record which do not."""

from collections.abc import Collection as Some
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import delete, select
from sqlmodel import Session, col

from newsletter import db, schedule
from newsletter.issues.periods import period_of, untried_periods
from newsletter.issues.readiness import deadline_of
from newsletter.lifecycle import IssueEvent, IssueStatus, advance_issue
from newsletter.models import (
    Cadence,
    Collection,
    CollectionStatus,
    Emptiness,
    Issue,
    IssuePaper,
    Newsletter,
    Paper,
    PaperListing,
)
from newsletter.schedule import REACH, Period

LONGEST_READING = timedelta(minutes=20)  # a list counts as seen when its reading began, and is stored when it ends


@dataclass(frozen=True)
class Candidate:
    """A paper that an issue could hold."""

    paper_id: int
    votes: int | None
    published_at: datetime | None
    listed_on: date


def select_papers(candidates: Iterable[Candidate], *, most: int | None = None) -> list[int]:
    """Return the ids of the papers, or of the best `most` of them: by votes, the newest first among equals."""
    oldest = datetime.min.replace(tzinfo=UTC)
    distinct = {candidate.paper_id: candidate for candidate in candidates}.values()
    ranked = sorted(distinct, key=lambda paper: paper.paper_id)
    ranked.sort(key=lambda paper: (paper.votes or 0, paper.published_at or oldest), reverse=True)
    return [paper.paper_id for paper in ranked[:most]]


def assemble(  # noqa: PLR0913 -- which issue of what
    session: Session, newsletter: Newsletter, cadence: Cadence, day: date, *, until: date | None = None, now: datetime
) -> Issue:
    """Return the issue that holds `day`, made if there is none: papers chosen and ordered, or a record of why it is empty.

    A day's issue holds all that is new, a week's the best. With `until` it is one issue of all days until then. An empty
    issue is tried again, any other is returned as it stands. No paper comes twice in a newsletter and cadence.
    """
    period = Period(day, until) if until and until > day and cadence is Cadence.DAILY else period_of(cadence, day)
    issue = _find_or_start(session, newsletter, period, cadence, now=now)
    if issue.status is not IssueStatus.EMPTY:
        return issue
    issue.sources = list(newsletter.sources)
    ranked = select_papers(_candidates(session, newsletter, issue, now=now))
    if ranked:
        _fill(session, newsletter, issue, ranked, now=now)
        _mark_merged(session, issue, now=now)
    elif issue.first_day < issue.last_day and cadence is Cadence.DAILY:
        _tell_days_apart(session, newsletter, issue, now=now)
    elif issue.emptiness is not Emptiness.MERGED:
        issue.emptiness, issue.reason = _why_empty(session, newsletter, issue)
    return issue


def _fill(session: Session, newsletter: Newsletter, issue: Issue, ranked: Sequence[int], *, now: datetime) -> None:
    """Give an issue its papers: of a week no more than its best, and which others there were."""
    most = newsletter.weekly_papers if issue.cadence is Cadence.WEEKLY else None
    session.execute(delete(IssuePaper).where(col(IssuePaper.issue_id) == issue.id))
    for position, paper_id in enumerate(ranked[:most], start=1):
        session.add(
            IssuePaper(
                issue_id=issue.id, paper_id=paper_id, newsletter_id=newsletter.id, cadence=issue.cadence, position=position
            )
        )
    issue.left_out = list(ranked[most:]) if most else []
    issue.status, issue.created_at = advance_issue(issue.status, IssueEvent.ASSEMBLE), now
    issue.emptiness, issue.reason = Emptiness.NOT, ""
    issue.review_until = deadline_of(newsletter, now=now)
    session.flush()


def _mark_merged(session: Session, issue: Issue, *, now: datetime) -> None:
    """Keep for each further day of an issue of several that it is told there, so that nobody tries it once more."""
    if issue.cadence is Cadence.WEEKLY:
        return
    told = {"emptiness": Emptiness.MERGED, "reason": f"Told in the issue of {issue.first_day}."}
    days = [day for day in schedule.days_between(issue.first_day, issue.last_day) if day != issue.first_day]
    if days:
        owner = {"newsletter_id": issue.newsletter_id, "cadence": issue.cadence}
        db.insert_new(session, Issue, [_fresh(schedule.day_of(day), now=now) | owner | told for day in days])


def _tell_days_apart(session: Session, newsletter: Newsletter, issue: Issue, *, now: datetime) -> None:
    """Say of each day of an issue of several why it is empty: there is nothing to tell of them together."""
    days = list(schedule.days_between(issue.first_day, issue.last_day))
    issue.last_day = issue.first_day
    session.flush()
    for day in days:
        assemble(session, newsletter, issue.cadence, day, now=now)


def _fresh(period: Period, *, now: datetime) -> dict[str, object]:
    return {
        "first_day": period.first_day,
        "last_day": period.last_day,
        "status": IssueStatus.EMPTY,
        "reason": "not assembled yet",
        "subject": "",
        "created_at": now,
    }


def _find_or_start(session: Session, newsletter: Newsletter, period: Period, cadence: Cadence, *, now: datetime) -> Issue:
    """Return the issue of the period, locked; two that start it at once agree on one.

    The newsletter is locked as well: two of its issues that are made at once would choose the same late paper.
    """
    session.execute(select(col(Newsletter.id)).where(col(Newsletter.id) == newsletter.id).with_for_update(key_share=True))
    db.insert_new(session, Issue, [_fresh(period, now=now) | {"newsletter_id": newsletter.id, "cadence": cadence}])
    key = (col(Issue.newsletter_id) == newsletter.id, col(Issue.cadence) == cadence, col(Issue.first_day) == period.first_day)
    return session.scalars(select(Issue).where(*key).with_for_update().execution_options(populate_existing=True)).one()


def _candidates(session: Session, newsletter: Newsletter, issue: Issue, *, now: datetime) -> list[Candidate]:
    """Return the papers listed in the issue's days, and late ones that no other issue had or will have a chance at."""
    placed = select(col(IssuePaper.paper_id)).where(
        col(IssuePaper.newsletter_id) == newsletter.id, col(IssuePaper.cadence) == issue.cadence, ~col(IssuePaper.released)
    )
    rows = session.execute(
        select(Paper, PaperListing)
        .join(PaperListing, col(PaperListing.paper_id) == col(Paper.id))
        .where(
            col(PaperListing.source).in_(newsletter.sources),
            col(PaperListing.day).between(issue.first_day - REACH, issue.last_day),
            col(Paper.id).not_in(placed),
        )
    ).all()
    earlier = _earlier_issues(session, newsletter, issue)
    to_come = untried_periods(session, newsletter, issue.cadence, now=now)
    since = newsletter.created_at.date()
    return [
        Candidate(paper.id, paper.votes, paper.published_at, listed.day)
        for paper, listed in rows
        if listed.day >= issue.first_day or (since <= listed.day and is_late(listed, earlier, to_come))
    ]


def is_late(listed: PaperListing, earlier: Iterable[Issue], to_come: Some[Period]) -> bool:
    """Whether a paper listed on an earlier day was missed: its day has no issue and gets none, or one from before it was seen."""
    if any(period.first_day <= listed.day <= period.last_day for period in to_come):
        return False
    return not any(issue.first_day <= listed.day <= issue.last_day and _had_chance(listed, issue) for issue in earlier)


def _had_chance(listed: PaperListing, issue: Issue) -> bool:
    """Whether an issue of its day could tell a paper, or owes it nothing: its source was none of the newsletter's then."""
    if listed.paper_id in issue.left_out or (issue.sources and listed.source not in issue.sources):
        return True
    return issue.created_at >= listed.seen_at + LONGEST_READING


def _earlier_issues(session: Session, newsletter: Newsletter, issue: Issue) -> Sequence[Issue]:
    """Return the issues that papers of earlier days had their chance at; for a day of several it is the issue of them all."""
    wanted = select(Issue).where(
        col(Issue.newsletter_id) == newsletter.id,
        col(Issue.cadence) == issue.cadence,
        col(Issue.first_day) < issue.first_day,
        col(Issue.last_day) >= issue.first_day - REACH,
        col(Issue.status) != IssueStatus.CANCELLED,
        col(Issue.emptiness) != Emptiness.MERGED,
    )
    return session.scalars(wanted).all()


def _why_empty(session: Session, newsletter: Newsletter, issue: Issue) -> tuple[Emptiness, str]:
    """Say what the sources said: nothing listed, nothing new, no answer, or never read."""
    wanted = select(Collection).where(
        col(Collection.source).in_(newsletter.sources), col(Collection.day).between(issue.first_day, issue.last_day)
    )
    readings = session.scalars(wanted.order_by(col(Collection.day), col(Collection.source))).all()
    said = [
        f"{row.source} listed {row.papers} on {row.day}"
        if row.succeeded_at
        else f"{row.source} failed for {row.day}: {row.error}"
        for row in readings
    ]
    words = "; ".join(said) if said else f"no source was read for {issue.first_day}"
    return _emptiness(readings), f"No new papers: {words}."


def _emptiness(readings: Sequence[Collection]) -> Emptiness:
    if not readings:
        return Emptiness.UNREAD
    if any(row.status is CollectionStatus.FAILED for row in readings):
        return Emptiness.FAILED
    return Emptiness.TOLD if any(row.papers for row in readings) else Emptiness.NOTHING
