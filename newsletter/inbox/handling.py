"""Handling what was received: each mail in a transaction of its own, exactly once, and none stops another."""

from datetime import datetime

import structlog
from sqlalchemy import select
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlmodel import Session, col

from newsletter import newsletters
from newsletter.alarms import Cause, raise_alarm
from newsletter.db import Sessions
from newsletter.errors import BadToken, BrokerError
from newsletter.inbox import acting, forwarding, letters, recipients
from newsletter.inbox.commands import Command, Verb, command_of
from newsletter.inbox.office import Case, Office, Outcome, done, quarantined
from newsletter.inbox.recipients import COMMANDS, Recipient, Use
from newsletter.models import InboundMail, InboundStatus
from newsletter.text import one_line
from newsletter.tokens import Purpose

log = structlog.get_logger()
QUARANTINE = "inbox:quarantine"  # the alarm's key
REASON_LIMIT = 500
_PAGE = 100
_AWAY = (OperationalError, InterfaceError, BrokerError)  # nobody's fault but ours: the mail waits


def sweep(sessions: Sessions, office: Office, *, now: datetime) -> int:
    """Handle all mail that waits, the oldest first, and return how much that was.

    Raises what a database or a broker raises that is away: what is not handled yet waits for the next sweep. Only requests to
    subscribe need a broker: all other mail is handled before its error is raised.
    """
    handled, last, waits = 0, 0, None
    while ids := _waiting(sessions, last):
        for mail_id in ids:
            try:
                handled += handle(sessions, mail_id, office, now=now) is not None
            except BrokerError as error:  # a request to subscribe waits; who leaves must not wait behind it
                waits = error
        last = ids[-1]
    if waits is not None:
        raise waits
    return handled


def _waiting(sessions: Sessions, after: int) -> list[int]:
    with sessions.read() as session:
        received = col(InboundMail.status) == InboundStatus.RECEIVED
        wanted = select(col(InboundMail.id)).where(received, col(InboundMail.id) > after).order_by(col(InboundMail.id))
        return list(session.scalars(wanted.limit(_PAGE)))


def handle(sessions: Sessions, mail_id: int, office: Office, *, now: datetime) -> Outcome | None:
    """Handle one mail; None where somebody else has. What it fails over goes into quarantine with the error's words.

    Raises what a database or a broker raises that is away.
    """
    try:
        with sessions.begin() as session:
            return _settle(session, mail_id, office, now=now)
    except _AWAY:
        raise
    except Exception as error:  # a fault of ours, or a mail nobody thought of: it must not stop the others
        log.exception("mail_broke", mail=mail_id)
        failed = quarantined("", f"{type(error).__name__}: {error}")
    with sessions.begin() as session:
        row = _locked(session, mail_id)
        if row is not None:
            _record(session, row, failed, now=now)
        return failed if row is not None else None


def _locked(session: Session, mail_id: int) -> InboundMail | None:
    """Return a mail that waits, held against every other process; None where it waits no more."""
    wanted = select(InboundMail).where(col(InboundMail.id) == mail_id, col(InboundMail.status) == InboundStatus.RECEIVED)
    return session.scalars(wanted.with_for_update().execution_options(populate_existing=True)).one_or_none()


def _settle(session: Session, mail_id: int, office: Office, *, now: datetime) -> Outcome | None:
    row = _locked(session, mail_id)
    if row is None:
        return None
    outcome = _read(session, row, office, now=now)
    _record(session, row, outcome, now=now)
    return outcome


def _record(session: Session, row: InboundMail, outcome: Outcome, *, now: datetime) -> None:
    """Note what became of a mail; its content is kept only while somebody may still need it."""
    row.status, row.purpose, row.handled_at = outcome.status, str(outcome.purpose), now
    row.reason = _storable(outcome.reason)
    if outcome.status is InboundStatus.DONE and not outcome.kept:
        row.content = None
    if outcome.status is InboundStatus.QUARANTINED:
        detail = f"The last: {row.reason} `newsletter inbox list` shows them."
        raise_alarm(session, Cause(QUARANTINE, "Mail to us waits for you in quarantine", detail), now=now)
    if outcome.doubt:
        log.info("mail_not_believed", mail=row.id, why=outcome.doubt)
    log.info("mail_handled", mail=row.id, status=row.status.value, purpose=row.purpose)


def _storable(words: str) -> str:
    return one_line(words.encode("utf-8", "replace").decode("utf-8").replace("\0", "?"))[:REASON_LIMIT]


def _read(session: Session, row: InboundMail, office: Office, *, now: datetime) -> Outcome:
    """Find out what a mail is and do what it asks for."""
    assert row.content is not None
    known = recipients.directory(session, office.domain, office.bounce_domain)
    recipient = known.find(row.recipient)
    if recipient is None:
        return quarantined("", "the address it was written to is ours no more")
    if recipient.use is Use.BOUNCE:
        return _bounce(session, row.content, recipient, office, now=now)
    letter = letters.read(row.content)
    row.subject = _storable(letter.subject)
    case = Case(row, letter, recipient, {each.slug: each for each in newsletters.listing(session)}, office, now)
    if recipient.use is Use.ONE_CLICK:
        return acting.one_click(session, case)
    if recipient.use is Use.OPERATOR:
        return forwarding.to_operator(session, case)
    if automatic := case.automatic:
        return _automatic(session, case, automatic)
    command = _command(case)
    return acting.act(session, case, command) if command else forwarding.forward(session, case)


def _bounce(session: Session, content: bytes, recipient: Recipient, office: Office, *, now: datetime) -> Outcome:
    """Hand on what came to a delivery's return path; a token that is not ours changes nothing."""
    try:
        delivery_id = office.links.keyring.unsign_local_part(recipient.token, Purpose.RETURN_PATH)
    except BadToken:
        return done("bounce", "nothing changed: the address it came to is forged", doubt="its token is not ours")
    return done("bounce", office.reports(session, content, delivery_id, now))


def _automatic(session: Session, case: Case, why: str) -> Outcome:
    """Leave a machine's mail alone, unless it reports: some servers send bounces to the From address."""
    assert case.row.content is not None
    if case.row.sender and case.letter.type != "multipart/report":
        return done("automatic", f"left alone: {why}", kept=True)  # a person's letter may look like a machine's
    return done("report", case.office.reports(session, case.row.content, None, case.now))


def _command(case: Case) -> Command | None:
    """Return what a mail asks for: by the address it was written to, or else by its words."""
    said = command_of(case.letter.subject, case.letter.text, tuple(case.newsletters))
    if case.recipient.use not in COMMANDS:
        return said
    return Command(Verb(case.recipient.use.value), language=said.language if said else "en")
