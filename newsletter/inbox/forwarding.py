"""Passing on what people write to people: to the newsletter's Reply-To address, or to the operator."""

from datetime import timedelta

from sqlalchemy import func, select
from sqlmodel import Session, col

from newsletter.bounces.ingesting import IGNORED
from newsletter.bounces.rules import Step
from newsletter.deliveries import Mail, enqueue
from newsletter.inbox.authentication import Author
from newsletter.inbox.office import Case, Outcome, done, quarantined
from newsletter.models import DeliveryKind, InboundMail, InboundStatus, Newsletter

A_SENDER = 10  # letters an hour that are passed on for one sender
ALL = 60  # and for all of them together: the others wait in quarantine
SIZE_LIMIT = 2_000_000  # bytes of a letter that is passed on
LETTER = "letter"
_UNKNOWN = (Step.NOTHING.value, IGNORED)  # what is said of a report that only a person can make something of


def forward(session: Session, case: Case) -> Outcome:
    """Pass a letter on to the person behind a newsletter."""
    return _forward(session, case, _person(case), case.newsletter)


def to_operator(session: Session, case: Case) -> Outcome:
    """Pass on what is written to postmaster@ and abuse@, also by machines; a report only where it names no mail of ours."""
    if case.came_back:
        return done(LETTER, "left alone: it is our own")
    if not case.row.sender or case.letter.type == "multipart/report":
        assert case.row.content is not None
        said = case.office.reports(session, case.row.content, None, case.now)
        if said not in _UNKNOWN:
            return done("report", said)
    return _forward(session, case, _operator(case), None)


def _forward(session: Session, case: Case, person: str, newsletter: Newsletter | None) -> Outcome:
    author = case.author
    if not person:
        return quarantined(LETTER, "nobody is set to read letters: set operator_email, or the newsletter's reply_to")
    if author is None:
        return quarantined(LETTER, "its From field does not name one address that could be answered")
    if case.row.size > SIZE_LIMIT:
        return quarantined(LETTER, f"too large to be passed on: {case.row.size} bytes")
    if storm := _storm(session, case):
        return quarantined(LETTER, storm)
    enqueue(session, _mail(case, author, person, newsletter), now=case.now)
    return Outcome(InboundStatus.FORWARDED, LETTER, "passed on to a person")


def _mail(case: Case, author: Author, person: str, newsletter: Newsletter | None) -> Mail:
    slots = {
        "writer": author.address.text,
        "recipient": case.row.recipient,
        "subject": case.letter.subject or "–",
    }
    return Mail(
        kind=DeliveryKind.FORWARD,
        dedupe_key=f"forward:{case.row.id}",
        address=person,
        newsletter_id=newsletter.id if newsletter else None,
        values={"slots": slots, "inbound_id": case.row.id, "reply_to": author.address.text, "proven": author.proven},
    )


def _person(case: Case) -> str:
    """Return who reads what is written to a newsletter; "" for nobody, also where mail to them would come back here."""
    reply_to = case.newsletter.reply_to if case.newsletter else ""
    return reply_to if reply_to and not case.is_ours(reply_to) else _operator(case)


def _operator(case: Case) -> str:
    operator = case.office.operator
    return operator if operator and not case.is_ours(operator) else ""


def _storm(session: Session, case: Case) -> str:
    """Return why a letter is not passed on: too many were within the hour."""
    lately = select(func.count()).select_from(InboundMail)
    lately = lately.where(
        col(InboundMail.status) == InboundStatus.FORWARDED, col(InboundMail.handled_at) > case.now - timedelta(hours=1)
    )
    if (session.scalar(lately.where(col(InboundMail.sender) == case.row.sender)) or 0) >= A_SENDER:
        return f"more than {A_SENDER} letters an hour of this sender"
    return f"more than {ALL} letters an hour" if (session.scalar(lately) or 0) >= ALL else ""
