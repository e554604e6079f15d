"""Freezing: an issue is rendered once into pieces and never changes again."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import select
from sqlmodel import Session, col

from newsletter import schedule
from newsletter.db import Sessions
from newsletter.deliveries.mailer import publication_of
from newsletter.errors import NotFound
from newsletter.issues.editing import version
from newsletter.issues.readiness import note_deadline, waits_for_approval
from newsletter.issues.telling import chosen
from newsletter.lifecycle import IssueEvent, IssueStatus, advance_issue
from newsletter.mail.emails import DigestEmail, PaperCard, ways_of
from newsletter.mail.pieces import Piece, Rendered
from newsletter.mail.render import render, render_page
from newsletter.mail.web import web_page
from newsletter.models import Issue, IssuePaper, IssuePiece, Newsletter, Paper, Summary
from newsletter.tokens import Links


def freeze(sessions: Sessions, issue_id: int, links: Links, *, now: datetime) -> Issue:
    """Render a draft into pieces and make it ready; one that waits for approval, or is no draft, is returned as it stands.

    Rendering takes a while and happens outside the transaction that stores it. A draft that an editor changed meanwhile
    stays one: what they did must be in it, or they want it held. Raises NotFound.
    """
    with sessions.read() as session:
        seen = version(session, issue_id)  # first: PostgreSQL shows each statement what was committed before it
        issue = _get(session, issue_id)
        newsletter = session.get_one(Newsletter, issue.newsletter_id)
        if issue.status is not IssueStatus.DRAFT or waits_for_approval(issue, newsletter, now=now):
            return issue
        email, told = digest_of(session, issue, links)
    rendered, page = render(email), web_page(render_page(_without_pictures(email)), {})
    with sessions.begin() as session:
        issue = session.scalars(select(Issue).where(col(Issue.id) == issue_id).with_for_update()).one()
        if issue.status is IssueStatus.DRAFT and version(session, issue_id) == seen:  # nobody else was quicker
            note_deadline(session, issue, now=now)
            _store(session, issue, rendered, page, told, now=now)
        return issue


def _without_pictures(email: DigestEmail) -> DigestEmail:
    """Return an issue for its page: pages load nothing from elsewhere, so that nobody else learns who reads them."""
    return replace(email, papers=tuple(replace(paper, thumbnail_url="") for paper in email.papers))


def _get(session: Session, issue_id: int) -> Issue:
    issue = session.get(Issue, issue_id)
    if issue is None:
        raise NotFound(f"There is no issue {issue_id}.")
    return issue


def digest_of(session: Session, issue: Issue, links: Links) -> tuple[DigestEmail, dict[int, int]]:
    """Return an issue as the email it becomes, and which summary each paper is told by (paper id -> summary id)."""
    newsletter = session.get_one(Newsletter, issue.newsletter_id)
    papers = _papers(session, issue)
    told = chosen(session, issue, newsletter.language)
    name = schedule.name_of(issue.cadence, issue.first_day)
    cards = tuple(
        replace(card_of(paper, told.get(paper.id), newsletter.language), remark_url=links.remark(newsletter.slug, name, paper.id))
        for paper in papers
    )
    email = DigestEmail(
        publication_of(newsletter, links), first_day=issue.first_day, last_day=issue.last_day, papers=cards, note=issue.note
    )
    return email, {paper.id: told[paper.id].id for paper in papers if paper.id in told}


def _papers(session: Session, issue: Issue) -> Sequence[Paper]:
    joined = select(Paper).join(IssuePaper, col(IssuePaper.paper_id) == col(Paper.id))
    kept = joined.where(col(IssuePaper.issue_id) == issue.id, ~col(IssuePaper.dropped))
    return session.scalars(kept.order_by(col(IssuePaper.position))).all()


def card_of(paper: Paper, summary: Summary | None, language: str) -> PaperCard:
    """Return a paper as the digest shows it; without a summary it is its title and authors."""
    return PaperCard(
        paper_id=paper.id,
        title=paper.title,
        url=paper.url,
        authors=tuple(paper.authors),
        more_authors=paper.more_authors,
        votes=paper.votes,
        thumbnail_url=paper.thumbnail_url,
        bullets=tuple(summary.bullets) if summary else (),
        origin=summary.origin.value if summary else "",
        ways=ways_of(paper.links, paper.url),
        model=summary.model if summary else "",
        checked=bool(summary and summary.checks.get("passed")),
        summary_language=summary.written_in if summary and summary.written_in != language else "",
    )


def _store(  # noqa: PLR0913 -- an issue in all its forms
    session: Session, issue: Issue, rendered: Rendered, page: str, told: dict[int, int], *, now: datetime
) -> None:
    for part, pieces in (("text", rendered.text), ("html", rendered.html), ("page", (Piece("page", page),))):
        for position, piece in enumerate(pieces):
            session.add(IssuePiece(issue_id=issue.id, part=part, position=position, name=piece.name, content=piece.content))
    for row in session.scalars(select(IssuePaper).where(col(IssuePaper.issue_id) == issue.id)):
        row.summary_id = told.get(row.paper_id)
    issue.subject, issue.frozen_at = rendered.subject, now
    issue.status = advance_issue(issue.status, IssueEvent.FREEZE)
