"""Remarks: what readers find wrong with how a paper is told.

Anybody may make one. Each reaches the operator, and stays open until somebody closes it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlmodel import Session, col

from newsletter import issues, newsletters, schedule
from newsletter.deliveries import Mail, enqueue
from newsletter.errors import BadInput, Conflict, NotFound
from newsletter.issues.publishing import OUT
from newsletter.models import Delivery, DeliveryKind, Issue, IssuePaper, Matter, Newsletter, Paper, Remark, Summary
from newsletter.text import one_line, paragraphs
from newsletter.tokens import Links

LONGEST = 2000  # characters of what somebody writes
TWICE = timedelta(hours=1)  # in which the same words from the same place are one remark: a button pressed twice
MAILED = 30  # an hour: of more the operator is not mailed, and finds them in the list


@dataclass(frozen=True)
class Told:
    """A paper as a published issue told it."""

    newsletter: Newsletter
    issue: Issue
    paper: Paper
    summary: Summary | None

    @property
    def name(self) -> str:
        """The issue's name in its address: "2024-03-14", "2024-W11"."""
        return schedule.name_of(self.issue.cadence, self.issue.first_day)


@dataclass(frozen=True)
class Words:
    """What somebody says is wrong."""

    matter: Matter = Matter.OTHER
    content: str = ""
    reply_to: str = ""  # an address that was looked at, or none
    ip: str = ""


@dataclass(frozen=True)
class Office:
    """Where remarks go."""

    operator: str  # an address; empty: they are only kept
    links: Links


@dataclass(frozen=True)
class OpenRemark:
    """A remark that waits for somebody, with all that a list shows of it."""

    id: int
    newsletter: str  # its slug
    issue: str  # its name
    paper_id: int
    title: str
    matter: str
    content: str
    reply_to: str
    origin: str  # of the summary, "" where there is none
    model: str
    made_at: datetime


def told(session: Session, slug: str, name: str, paper_id: int) -> Told:
    """Return a paper as an issue told it; raises NotFound where no published issue of that name told it."""
    newsletter = newsletters.find(session, slug)
    try:
        issue = issues.find(session, newsletter, name)
    except BadInput as error:
        raise NotFound(str(error)) from None
    row = session.scalars(
        select(IssuePaper).where(col(IssuePaper.issue_id) == issue.id, col(IssuePaper.paper_id) == paper_id)
    ).one_or_none()
    if row is None or row.dropped or issue.status not in OUT:
        raise NotFound(f"{slug} has no paper {paper_id} in its issue of {name}.")
    summary = session.get(Summary, row.summary_id) if row.summary_id is not None else None
    return Told(newsletter, issue, session.get_one(Paper, paper_id), summary)


def make(session: Session, about: Told, words: Words, office: Office, *, now: datetime) -> Remark:
    """Keep what somebody says, cleaned and cut to LONGEST characters, and mail it to the operator; twice at once is once."""
    given = paragraphs(words.content)[:LONGEST].strip()
    again = session.scalars(
        select(Remark)
        .where(
            col(Remark.issue_id) == about.issue.id,
            col(Remark.paper_id) == about.paper.id,
            col(Remark.matter) == words.matter,
            col(Remark.content) == given,
            col(Remark.reply_to) == words.reply_to,
            col(Remark.ip) == words.ip,
            col(Remark.made_at) > now - TWICE,
        )
        .limit(1)
    ).first()
    if again is not None:
        return again
    remark = Remark(
        issue_id=about.issue.id,
        paper_id=about.paper.id,
        summary_id=about.summary.id if about.summary else None,
        matter=words.matter,
        content=given,
        reply_to=words.reply_to,
        ip=words.ip,
        made_at=now,
    )
    session.add(remark)
    session.flush()
    if office.operator and _mailed(session, now=now) < MAILED:
        enqueue(session, _mail(remark, about, office), now=now)
    return remark


def _mailed(session: Session, *, now: datetime) -> int:
    """Count the remarks of the last hour that were mailed, by their keys: nobody's words walk through all mails there are."""
    lately = session.scalars(select(col(Remark.id)).where(col(Remark.made_at) > now - timedelta(hours=1)))
    keys = [_key(number) for number in lately]
    return session.scalar(select(func.count()).select_from(Delivery).where(col(Delivery.dedupe_key).in_(keys))) or 0


def _key(remark_id: int) -> str:
    return f"remark:{remark_id}"


def _mail(remark: Remark, about: Told, office: Office) -> Mail:
    return Mail(
        kind=DeliveryKind.REMARK,
        dedupe_key=_key(remark.id),
        address=office.operator,
        newsletter_id=about.newsletter.id,
        values={
            "issue": about.issue.subject,
            "paper": _card(about),
            "prompt_version": about.summary.prompt_version if about.summary else "",
            "matter": remark.matter.value,
            "words": [one_line(words) for words in remark.content.split("\n\n") if words],
            "reply_to": remark.reply_to,
            "desk_url": office.links.desk(about.newsletter.slug, about.name),
        },
    )


def _card(about: Told) -> dict[str, Any]:
    """Return what the mail shows of the paper, as JSON holds it."""
    summary = about.summary
    return {
        "paper_id": about.paper.id,
        "title": about.paper.title,
        "url": about.paper.url,
        "bullets": list(summary.bullets) if summary else [],
        "origin": summary.origin.value if summary else "",
        "model": summary.model if summary else "",
        "checked": bool(summary and summary.checks.get("passed")),
        "summary_language": summary.written_in if summary and summary.written_in != about.newsletter.language else "",
    }


def open_remarks(session: Session, *, limit: int = 200) -> list[OpenRemark]:
    """Return the remarks that nobody closed yet, the oldest first."""
    rows = session.execute(
        select(Remark, Issue, Newsletter, Paper, Summary)
        .join(Issue, col(Issue.id) == col(Remark.issue_id))
        .join(Newsletter, col(Newsletter.id) == col(Issue.newsletter_id))
        .join(Paper, col(Paper.id) == col(Remark.paper_id))
        .outerjoin(Summary, col(Summary.id) == col(Remark.summary_id))
        .where(col(Remark.closed_at).is_(None))
        .order_by(col(Remark.id))
        .limit(limit)
    )
    return [_open(*row) for row in rows]


def _open(remark: Remark, issue: Issue, newsletter: Newsletter, paper: Paper, summary: Summary | None) -> OpenRemark:
    return OpenRemark(
        id=remark.id,
        newsletter=newsletter.slug,
        issue=schedule.name_of(issue.cadence, issue.first_day),
        paper_id=paper.id,
        title=paper.title,
        matter=remark.matter.value,
        content=remark.content,
        reply_to=remark.reply_to,
        origin=summary.origin.value if summary else "",
        model=summary.model if summary else "",
        made_at=remark.made_at,
    )


def count(session: Session) -> int:
    """Return how many remarks are open."""
    return session.scalar(select(func.count()).select_from(Remark).where(col(Remark.closed_at).is_(None))) or 0


def close(session: Session, remark_id: int, *, by: str, now: datetime) -> Remark:
    """Close a remark: somebody looked at it. Raises NotFound, Conflict for one that is closed."""
    remark = session.scalars(select(Remark).where(col(Remark.id) == remark_id).with_for_update()).one_or_none()
    if remark is None:
        raise NotFound(f"There is no remark {remark_id}.", hint="`newsletter remarks` shows those that are open.")
    if remark.closed_at is not None:
        raise Conflict(f"Remark {remark_id} was closed at {remark.closed_at:%Y-%m-%d %H:%M} UTC by {remark.closed_by}.")
    remark.closed_at, remark.closed_by = now, by
    return remark
