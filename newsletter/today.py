"""Today: how far each newsletter has come with its latest issue, stage by stage, and what of it failed and why."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlmodel import Session, col

from newsletter import deliveries, issues, newsletters, overview, remarks, schedule, summaries
from newsletter.deliveries import control
from newsletter.issues.telling import chosen
from newsletter.lifecycle import DeliveryStatus, IssueStatus
from newsletter.models import (
    AttemptStatus,
    Cadence,
    Collection,
    CollectionStatus,
    Issue,
    Newsletter,
    Paper,
    SummaryAttempt,
    SummaryOrigin,
)
from newsletter.overview import Overview
from newsletter.remarks import OpenRemark
from newsletter.schedule import Period
from newsletter.summaries import Spent

SHOWN = 10  # reasons of a kind


@dataclass(frozen=True)
class Read:
    """What a source said of an issue's days."""

    source: str
    status: str  # "done", "nothing", "failed", or "never"
    papers: int
    at: datetime | None  # the last good reading; of a failing one since when it fails
    error: str


@dataclass(frozen=True)
class Untold:
    """A paper of which a language model wrote no summary that could be used, and why."""

    paper: str
    status: str  # "refused" or "failed"
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Told:
    """By whom an issue's papers are told."""

    papers: int = 0
    human: int = 0
    document: int = 0
    model: int = 0
    extract: int = 0
    untold: tuple[Untold, ...] = ()

    @property
    def nothing(self) -> int:
        """How many have no summary."""
        return self.papers - self.human - self.document - self.model - self.extract


@dataclass(frozen=True)
class Failure:
    """Mails that did not arrive, or perhaps did, for the same reason."""

    status: str
    reason: str
    number: int


@dataclass(frozen=True)
class Mails:
    """An issue's mails by what became of them."""

    number: int = 0
    sent: int = 0
    failed: int = 0
    held: int = 0
    skipped: int = 0
    first_due: datetime | None = None  # of those that wait
    failures: tuple[Failure, ...] = ()

    @property
    def waiting(self) -> int:
        """How many have not ended."""
        return self.number - self.sent - self.failed - self.held - self.skipped


@dataclass(frozen=True)
class Made:
    """An issue and its stages, each with its time."""

    name: str
    status: str
    reason: str
    subject: str
    made_at: datetime
    review_until: datetime | None
    is_held: bool  # for somebody's approval
    approved_at: datetime | None
    approved_by: str
    frozen_at: datetime | None
    published_at: datetime | None
    finished_at: datetime | None
    readings: tuple[Read, ...]
    told: Told
    mails: Mails


@dataclass(frozen=True)
class Coming:
    """The next issue: when it is made, and what its sources have listed so far."""

    name: str
    at: datetime
    readings: tuple[Read, ...]


@dataclass(frozen=True)
class Publication:
    """A newsletter and cadence."""

    newsletter: str
    title: str
    zone: str
    cadence: str
    latest: Made | None
    coming: Coming


@dataclass(frozen=True)
class Today:
    """Everything at one moment."""

    seen: Overview
    publications: tuple[Publication, ...]
    remarks: tuple[OpenRemark, ...]
    spent: Spent  # for summaries, this day (UTC)


def look(session: Session, *, now: datetime) -> Today:
    """Look at all newsletters and at what `overview` says of the rest; changes nothing."""
    seen = overview.look(session, now=now)
    next_at = {(row.newsletter, row.cadence): row.next_at for row in seen.publications}
    publications = tuple(
        _publication(session, row, cadence, next_at[row.slug, cadence.value])
        for row in newsletters.listing(session)
        for cadence in map(Cadence, row.cadences)
    )
    spent = summaries.usage_by_day(session, 1, now=now)[now.date()]
    return Today(seen, publications, tuple(remarks.open_remarks(session)), spent)


def _publication(session: Session, newsletter: Newsletter, cadence: Cadence, next_at: datetime) -> Publication:
    issue = issues.latest(session, newsletter, cadence)
    return Publication(
        newsletter=newsletter.slug,
        title=newsletter.title,
        zone=newsletter.zone,
        cadence=cadence.value,
        latest=_made(session, newsletter, issue) if issue else None,
        coming=_coming(session, newsletter, cadence, next_at),
    )


def _coming(session: Session, newsletter: Newsletter, cadence: Cadence, at: datetime) -> Coming:
    period = issues.period_of(cadence, (at - timedelta(hours=newsletter.cutoff_hours)).date())
    name = schedule.name_of(cadence, period.first_day)
    return Coming(name, at, tuple(_readings(session, newsletter, period)))


def _made(session: Session, newsletter: Newsletter, issue: Issue) -> Made:
    return Made(
        name=schedule.name_of(issue.cadence, issue.first_day),
        status=issue.status.value,
        reason=issue.reason,
        subject=issue.subject,
        made_at=issue.created_at,
        review_until=issue.review_until,
        is_held=issue.held_at is not None,
        approved_at=issue.approved_at,
        approved_by=issue.approved_by,
        frozen_at=issue.frozen_at,
        published_at=issue.published_at,
        finished_at=issue.finished_at,
        readings=tuple(_readings(session, newsletter, Period(issue.first_day, issue.last_day))),
        told=_told(session, issue, newsletter.language),
        mails=_mails(session, issue),
    )


def _readings(session: Session, newsletter: Newsletter, period: Period) -> list[Read]:
    """Return what each source said of a period; of a week its days together, the worst of them first."""
    rows = issues.readings_of(session, newsletter, period)
    return [_read(name, [row for row in rows if row.source == name]) for name in newsletter.sources]


def _read(source: str, rows: Sequence[Collection]) -> Read:
    papers = sum(row.papers for row in rows)
    failed = [row for row in rows if row.status is CollectionStatus.FAILED]
    if failed:
        since = min(row.failing_since or row.collected_at for row in failed)
        return Read(source, "failed", papers, since, max(failed, key=lambda row: row.collected_at).error)
    if not rows:
        return Read(source, "never", 0, None, "")
    last = max(row.succeeded_at or row.collected_at for row in rows)
    return Read(source, "done" if papers else "nothing", papers, last, "")


def _told(session: Session, issue: Issue, language: str) -> Told:
    ids = set(issues.kept(session, issue.id))
    told = {paper_id: row.origin for paper_id, row in chosen(session, issue, language).items() if paper_id in ids}
    by = Counter(told.values())
    written = {paper_id for paper_id, origin in told.items() if origin is not SummaryOrigin.EXTRACT}
    counts = {origin.value: by[origin] for origin in SummaryOrigin}
    return Told(len(ids), **counts, untold=tuple(_untold(session, sorted(ids - written), language)))


def _untold(session: Session, ids: Sequence[int], language: str) -> list[Untold]:
    """Return what the last try at each paper came to, where it came to nothing."""
    last = select(func.max(col(SummaryAttempt.id))).where(
        col(SummaryAttempt.paper_id).in_(ids), col(SummaryAttempt.language) == language
    )
    rows = (
        select(SummaryAttempt, col(Paper.title))
        .join(Paper, col(Paper.id) == col(SummaryAttempt.paper_id))
        .where(col(SummaryAttempt.id).in_(last.group_by(col(SummaryAttempt.paper_id))))
        .where(col(SummaryAttempt.status).in_((AttemptStatus.REFUSED, AttemptStatus.FAILED)))
    )
    found = session.execute(rows.order_by(col(SummaryAttempt.id)).limit(SHOWN))
    return [Untold(title, row.status.value, tuple(row.reasons)) for row, title in found]


def _mails(session: Session, issue: Issue) -> Mails:
    if issue.status not in {IssueStatus.PUBLISHED, IssueStatus.SENT, IssueStatus.CANCELLED}:
        return Mails()
    by = deliveries.counts(session, issue.id)
    bad = (DeliveryStatus.FAILED, DeliveryStatus.HELD)
    groups = [group for group in control.groups(session, issue.id) if group.status in bad]
    return Mails(
        number=sum(by.values()),
        **{
            status.value: by.get(status, 0)
            for status in (DeliveryStatus.SENT, DeliveryStatus.FAILED, DeliveryStatus.HELD, DeliveryStatus.SKIPPED)
        },
        first_due=control.first_due(session, issue.id),
        failures=tuple(Failure(group.status.value, group.reason, group.number) for group in groups[:SHOWN]),
    )
