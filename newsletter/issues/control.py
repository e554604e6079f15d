"""What the operator sees of an issue, and does about it."""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select
from sqlmodel import Session, col

from newsletter import deliveries, schedule
from newsletter.deliveries import Mail, control
from newsletter.deliveries.control import Group
from newsletter.deliveries.ledger import SHOWN_AS
from newsletter.deliveries.mailer import TEST_OF
from newsletter.errors import Conflict, NotFound, Reply
from newsletter.issues.desk import Change, history
from newsletter.issues.publishing import cancel
from newsletter.issues.telling import chosen
from newsletter.lifecycle import DeliveryStatus
from newsletter.models import (
    Delivery,
    DeliveryKind,
    Issue,
    IssuePaper,
    Newsletter,
    Paper,
    PauseScope,
    Subscriber,
    Subscription,
)
from newsletter.subscribers import Address, Policy, suppression_of


@dataclass(frozen=True)
class Stages:
    """When an issue came how far (UTC); None for what is still to come, or not asked for."""

    assembled_at: datetime
    review_until: datetime | None  # by when it is to be approved
    approved_at: datetime | None
    frozen_at: datetime | None
    published_at: datetime | None
    due_from: datetime | None  # the first of what waits
    finished_at: datetime | None


@dataclass(frozen=True)
class Placed:
    """A paper's place in an issue."""

    position: int
    title: str
    url: str
    summary: str  # who wrote its summary: human, document, model, extract; "" for none
    pinned: bool  # by an editor: all readers get it, first
    dropped: bool  # by an editor: nobody gets it


@dataclass(frozen=True)
class Words:
    """What a server said about one delivery of an issue."""

    delivery: int
    address: str
    status: DeliveryStatus
    reply: str
    server: str
    at: datetime


@dataclass(frozen=True)
class Waiting:
    """Why an issue is paused, and until when; None: until somebody resumes it."""

    until: datetime | None
    cause: str


@dataclass(frozen=True)
class View:
    """An issue with all that an operator asks of it."""

    newsletter: str
    issue: str  # its name: "2024-03-14", "2024-W11"
    first_day: date
    last_day: date
    status: str
    reason: str
    catch_up: bool  # published after an outage: it comes beside another issue, on a day that may be taken
    subject: str
    pause: Waiting | None
    stages: Stages
    papers: tuple[Placed, ...]
    deliveries: tuple[Group, ...]
    words: tuple[Words, ...]
    note: str  # the editor's, at the top
    edits: tuple[Change, ...]  # who changed what before it was frozen, the newest first


@dataclass(frozen=True)
class Cancelled:
    """What a cancelled issue had come to."""

    sent: int
    skipped: int  # what waited; the few that workers hold are skipped at their last look


def show(session: Session, issue: Issue, *, now: datetime) -> View:
    """Return an issue's stages, papers and deliveries, and what servers last said that was not yes."""
    return View(
        newsletter=session.get_one(Newsletter, issue.newsletter_id).slug,
        issue=schedule.name_of(issue.cadence, issue.first_day),
        first_day=issue.first_day,
        last_day=issue.last_day,
        status=issue.status.value,
        reason=issue.reason,
        catch_up=issue.catch_up,
        subject=issue.subject,
        pause=_pause(session, issue, now),
        stages=_stages(session, issue),
        papers=_papers(session, issue),
        deliveries=tuple(control.groups(session, issue.id)),
        words=tuple(_words(row) for row in control.last_words(session, issue.id)),
        note=issue.note,
        edits=tuple(history(session, issue.id)),
    )


def _stages(session: Session, issue: Issue) -> Stages:
    return Stages(
        assembled_at=issue.created_at,
        review_until=issue.review_until,
        approved_at=issue.approved_at,
        frozen_at=issue.frozen_at,
        published_at=issue.published_at,
        due_from=control.first_due(session, issue.id),
        finished_at=issue.finished_at,
    )


def _pause(session: Session, issue: Issue, now: datetime) -> Waiting | None:
    rows = (row for row in control.paused(session, now=now) if (row.scope, row.key) == (PauseScope.ISSUE, str(issue.id)))
    return next((Waiting(row.until, row.cause) for row in rows), None)


def _papers(session: Session, issue: Issue) -> tuple[Placed, ...]:
    rows = session.execute(
        select(IssuePaper, Paper)
        .join(Paper, col(Paper.id) == col(IssuePaper.paper_id))
        .where(col(IssuePaper.issue_id) == issue.id)
        .order_by(col(IssuePaper.position))
    )
    told = chosen(session, issue, session.get_one(Newsletter, issue.newsletter_id).language)
    origins = {paper_id: summary.origin.value for paper_id, summary in told.items()}
    return tuple(
        Placed(row.position, paper.title, paper.url, origins.get(paper.id, ""), row.pinned, row.dropped) for row, paper in rows
    )


def _words(row: Delivery) -> Words:
    reply = Reply(row.reply_code, row.reply_enhanced, row.reply_text, row.reply_server, row.reply_phase)
    return Words(row.id, row.address, row.status, str(reply), row.reply_server, row.updated_at)


def call_off(session: Session, issue_id: int, *, reason: str, now: datetime) -> Cancelled:
    """Cancel an issue and skip at once what waits of it; its papers are free for another issue.

    Doing it twice changes nothing more. Raises Conflict when all of it has been sent.
    """
    cancel(session, issue_id, reason=reason, now=now)
    skipped = control.skip_waiting(session, issue_id, "issue cancelled", now=now)
    return Cancelled(sent=deliveries.counts(session, issue_id).get(DeliveryStatus.SENT, 0), skipped=skipped)


def send_test(  # noqa: PLR0913 -- what, to whom, as whose
    session: Session, issue: Issue, address: Address, policy: Policy, *, reader: Address | None = None, now: datetime
) -> bool:
    """Queue an issue for one address, marked as a test; False if that was done within this minute.

    It shows what `reader` gets of it: by default who has the address, and everything where that is nobody. It counts for
    nothing: no reader's digest, no delivery of the issue. Raises Conflict for an issue that is not frozen and for a suppressed
    address, NotFound for a reader who has no subscription.
    """
    if issue.frozen_at is None:
        raise Conflict(
            f"The issue of {issue.first_day} is {issue.status.value}: there is nothing to send yet.",
            hint="Assemble it first: `newsletter assemble` chooses its papers and renders it.",
        )
    if suppression_of(session, address, policy) is not None:
        raise Conflict(f"{address.text} is suppressed: nothing is sent to it.", hint="Name an address that you can read.")
    known = session.scalar(select(col(Subscriber.id)).where(col(Subscriber.address_key) == address.key))
    shown = _subscription(session, issue, reader or address)
    if reader is not None and shown is None:
        raise NotFound(f"{reader.text} has no subscription to this newsletter.", hint="`newsletter subscribers` lists them.")
    whose = f":{shown}" if reader is not None else ""
    mail = Mail(
        kind=DeliveryKind.DIGEST,
        dedupe_key=f"test:{issue.id}:{address.key}:{now:%Y-%m-%dT%H:%M}{whose}",
        address=address.text,
        newsletter_id=issue.newsletter_id,
        subscriber_id=known,
        values={TEST_OF: issue.id} if shown is None else {TEST_OF: issue.id, SHOWN_AS: shown},
    )
    return deliveries.enqueue(session, mail, now=now)


def _subscription(session: Session, issue: Issue, address: Address) -> int | None:
    """Return somebody's subscription to the newsletter of an issue."""
    theirs = select(col(Subscription.id)).join(Subscriber, col(Subscriber.id) == col(Subscription.subscriber_id))
    found = theirs.where(col(Subscriber.address_key) == address.key, col(Subscription.newsletter_id) == issue.newsletter_id)
    return session.scalar(found)
