"""The editor's desk: an issue with each paper's place, words and their making; and what editors did to it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlmodel import Session, col

from newsletter import deliveries, newsletters, schedule, summaries
from newsletter.errors import BadInput, NotFound
from newsletter.issues.editing import version
from newsletter.issues.records import find
from newsletter.issues.telling import chosen, kept
from newsletter.lifecycle import DeliveryStatus, SubscriptionStatus
from newsletter.models import (
    Issue,
    IssueEdit,
    IssuePaper,
    Newsletter,
    Paper,
    Review,
    Subscription,
    Summary,
    SummaryAttempt,
)

HISTORY = 200  # changes that are shown, the newest
LISTED = 14  # issues of a newsletter and cadence in the list
ASKED_FOR = timedelta(minutes=10)  # a worker that has not begun by then does not come


@dataclass(frozen=True)
class Told:
    """A summary, and how it was made."""

    id: int
    origin: str  # a SummaryOrigin value
    model: str
    prompt_version: str
    written_in: str
    bullets: tuple[str, ...]
    editor: str  # whose words they are; "" where a machine's
    checked: bool  # a model's that the checks passed
    repaired: bool  # a model's second try
    at: datetime


@dataclass(frozen=True)
class Try:
    """What came of the last try to have a language model write."""

    status: str  # an AttemptStatus value
    model: str
    reasons: tuple[str, ...]
    at: datetime


@dataclass(frozen=True)
class Row:
    """A paper on the desk."""

    paper_id: int
    rank: int  # in the issue, from 1; 0: left out
    title: str
    url: str
    abstract: str
    votes: int | None
    pinned: bool
    dropped: bool
    told: Told | None  # by what readers get
    others: tuple[Told, ...]  # what it could be told by instead, the most trusted first
    last_try: Try | None
    asked_at: datetime | None  # a worker has been asked to write it again, and has not begun


@dataclass(frozen=True)
class Change:
    """What an editor did."""

    at: datetime
    editor: str
    action: str
    paper: str  # its title; "" where it is about the issue
    before: str
    after: str


@dataclass(frozen=True)
class Desk:
    """An issue as an editor has it before them."""

    issue_id: int
    newsletter: str
    title: str
    language: str
    zone: str
    name: str
    cadence: str
    status: str
    reason: str
    subject: str
    note: str
    review: str  # a Review value
    review_until: datetime | None
    approved_at: datetime | None
    approved_by: str
    held_at: datetime | None  # by an editor
    version: int
    readers: int
    rows: tuple[Row, ...]
    changes: tuple[Change, ...]  # the newest first

    @property
    def kept(self) -> int:
        """How many papers readers can get."""
        return sum(not row.dropped for row in self.rows)


@dataclass(frozen=True)
class Listed:
    """An issue in the list."""

    newsletter: str
    title: str
    name: str
    cadence: str
    status: str
    reason: str
    papers: int
    review_until: datetime | None  # it waits for somebody until then
    approved_by: str
    held_at: datetime | None
    sent: int
    mails: int


def desk(session: Session, issue: Issue, *, now: datetime) -> Desk:
    """Return all that an editor asks of an issue."""
    newsletter = session.get_one(Newsletter, issue.newsletter_id)
    return Desk(
        issue_id=issue.id,
        newsletter=newsletter.slug,
        title=newsletter.title,
        language=newsletter.language,
        zone=newsletter.zone,
        name=schedule.name_of(issue.cadence, issue.first_day),
        cadence=issue.cadence.value,
        status=issue.status.value,
        reason=issue.reason,
        subject=issue.subject,
        note=issue.note,
        review=newsletter.review.value,
        review_until=issue.review_until,
        approved_at=issue.approved_at,
        approved_by=issue.approved_by,
        held_at=issue.held_at,
        version=version(session, issue.id),
        readers=_readers(session, issue),
        rows=tuple(_rows(session, issue, newsletter.language, now=now)),
        changes=tuple(history(session, issue.id)),
    )


def named(session: Session, slug: str, name: str) -> Issue:
    """Return an issue by its newsletter's and its own name; raises NotFound, also for what is no name."""
    try:
        return find(session, newsletters.find(session, slug), name)
    except BadInput as error:
        raise NotFound(str(error)) from None


def history(session: Session, issue_id: int, *, limit: int = HISTORY) -> list[Change]:
    """Return who did what to an issue and when, the newest first."""
    rows = session.execute(
        select(IssueEdit, col(Paper.title))
        .outerjoin(Paper, col(Paper.id) == col(IssueEdit.paper_id))
        .where(col(IssueEdit.issue_id) == issue_id)
        .order_by(col(IssueEdit.id).desc())
        .limit(limit)
    )
    return [Change(row.at, row.editor, row.action, title or "", row.before, row.after) for row, title in rows]


def listing(session: Session, newsletter: Newsletter, *, limit: int = LISTED) -> list[Listed]:
    """Return the latest issues of a newsletter, whatever became of them, the newest first."""
    rows = select(Issue).where(col(Issue.newsletter_id) == newsletter.id)
    rows = rows.order_by(col(Issue.last_day).desc(), col(Issue.id).desc()).limit(limit)
    return [_listed(session, newsletter, issue) for issue in session.scalars(rows).all()]


def _listed(session: Session, newsletter: Newsletter, issue: Issue) -> Listed:
    counts = deliveries.counts(session, issue.id)
    awaited = issue.approved_at is None and newsletter.review is not Review.AUTOMATIC
    return Listed(
        newsletter=newsletter.slug,
        title=newsletter.title,
        name=schedule.name_of(issue.cadence, issue.first_day),
        cadence=issue.cadence.value,
        status=issue.status.value,
        reason=issue.reason,
        papers=len(kept(session, issue.id)),
        review_until=issue.review_until if awaited else None,
        approved_by=issue.approved_by,
        held_at=issue.held_at,
        sent=counts.get(DeliveryStatus.SENT, 0),
        mails=sum(counts.values()),
    )


def _readers(session: Session, issue: Issue) -> int:
    """Count who would get the issue, before pauses and suppressions."""
    active = select(func.count()).select_from(Subscription)
    active = active.where(
        col(Subscription.newsletter_id) == issue.newsletter_id,
        col(Subscription.cadence) == issue.cadence,
        col(Subscription.status) == SubscriptionStatus.ACTIVE,
    )
    return session.scalar(active) or 0


def _rows(session: Session, issue: Issue, language: str, *, now: datetime) -> Iterable[Row]:
    placed = session.execute(
        select(IssuePaper, Paper)
        .join(Paper, col(Paper.id) == col(IssuePaper.paper_id))
        .where(col(IssuePaper.issue_id) == issue.id)
        .order_by(col(IssuePaper.position))
    ).all()
    ids = [paper.id for _, paper in placed]
    told, ways = chosen(session, issue, language), summaries.ranked(session, ids, language)
    tries, asked = _tries(session, ids, language), _asked(session, issue.id)
    rank = 0
    for place, paper in placed:
        rank += not place.dropped
        shown, last_try, asked_at = told.get(paper.id), tries.get(paper.id), asked.get(paper.id)
        yield Row(
            paper_id=paper.id,
            rank=0 if place.dropped else rank,
            title=paper.title,
            url=paper.url,
            abstract=paper.abstract,
            votes=paper.votes,
            pinned=place.pinned,
            dropped=place.dropped,
            told=_told(shown) if shown else None,
            others=tuple(_told(row) for row in ways.get(paper.id, []) if shown is None or row.id != shown.id),
            last_try=_try(last_try) if last_try else None,
            asked_at=asked_at if _waits(asked_at, last_try, now) else None,
        )


def _waits(asked_at: datetime | None, last_try: SummaryAttempt | None, now: datetime) -> bool:
    """Say whether nobody has begun yet to write what an editor asked for."""
    if asked_at is None or now >= asked_at + ASKED_FOR:
        return False
    return last_try is None or last_try.began_at < asked_at


def _tries(session: Session, ids: Sequence[int], language: str) -> dict[int, SummaryAttempt]:
    """Return the last try of each paper."""
    rows = select(SummaryAttempt).where(col(SummaryAttempt.paper_id).in_(ids), col(SummaryAttempt.language) == language)
    return {row.paper_id: row for row in session.scalars(rows.order_by(col(SummaryAttempt.id)))}


def _asked(session: Session, issue_id: int) -> dict[int | None, datetime]:
    """Return when the summary of each paper was last asked for anew."""
    rows = select(col(IssueEdit.paper_id), func.max(col(IssueEdit.at))).where(
        col(IssueEdit.issue_id) == issue_id, col(IssueEdit.action) == "regenerate"
    )
    return {paper_id: edits for paper_id, edits in session.execute(rows.group_by(col(IssueEdit.paper_id)))}  # noqa: C416 -- rows are no pairs to mypy


def _told(row: Summary) -> Told:
    return Told(
        id=row.id,
        origin=row.origin.value,
        model=row.model,
        prompt_version=row.prompt_version,
        written_in=row.written_in,
        bullets=tuple(row.bullets),
        editor=str(row.checks.get("editor", "")),
        checked=bool(row.checks.get("passed")),
        repaired=bool(row.checks.get("repaired")),
        at=row.created_at,
    )


def _try(row: SummaryAttempt) -> Try:
    ended = row.ended_at or row.began_at
    return Try(row.status.value, row.model, tuple(row.reasons), ended)
