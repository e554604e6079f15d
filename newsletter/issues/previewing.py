"""An issue as its mail would be now, before it is frozen; or as it is, after."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlmodel import Session

from newsletter import schedule
from newsletter.db import Sessions
from newsletter.deliveries.frozen import load_rendered
from newsletter.issues.freezing import digest_of
from newsletter.mail.emails import DigestEmail
from newsletter.mail.pieces import FOOT, HEAD, SLOT, Piece, Rendered
from newsletter.mail.render import render
from newsletter.mail.web import web_page
from newsletter.models import Issue, Newsletter
from newsletter.tokens import Links


@dataclass(frozen=True)
class Preview:
    """A mail with every paper, without pictures, and with nobody's own links."""

    subject: str
    html: str
    text: str


def preview(sessions: Sessions, issue_id: int, links: Links) -> Preview:
    """Return what the mail of an issue looks like; rendering happens outside the transaction that reads."""
    with sessions.read() as session:
        issue = session.get_one(Issue, issue_id)
        slots = _slots(session, issue, links)
        found: Rendered | DigestEmail
        found = load_rendered(session, issue) if issue.frozen_at else digest_of(session, issue, links)[0]
    rendered = found if isinstance(found, Rendered) else render(_without_pictures(found))
    return Preview(rendered.subject, web_page(rendered.html, slots), _plain(rendered.text, slots))


def _without_pictures(email: DigestEmail) -> DigestEmail:
    """Leave out what a page does not load from elsewhere."""
    return replace(email, papers=tuple(replace(paper, thumbnail_url="") for paper in email.papers))


def _slots(session: Session, issue: Issue, links: Links) -> dict[str, str]:
    slug, name = session.get_one(Newsletter, issue.newsletter_id).slug, schedule.name_of(issue.cadence, issue.first_day)
    return {**dict.fromkeys(DigestEmail.slots, links.home()), "view_url": links.issue(slug, name)}


def _plain(pieces: Sequence[Piece], slots: Mapping[str, str]) -> str:
    """Return the text part with every paper as a card."""
    shown = [piece for piece in pieces if piece.name in {HEAD, FOOT} or piece.name.startswith("card:")]
    values = {**slots, "count": str(len(shown) - 2)}
    return "".join(_fill(piece.content, {**values, "rank": str(rank)}) for rank, piece in enumerate(shown))


def _fill(content: str, values: Mapping[str, str]) -> str:
    return SLOT.sub(lambda slot: values[slot[1]], content)
