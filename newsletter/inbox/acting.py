"""Doing what a mail asks for: at once for whom our border vouches, by a mail to the address for everybody else.

A mail proves little. So one whose writer is not proven never ends or begins anything: it makes one mail go to the address
that it names, with the link by which that person can do it, and none to an address that never had to do with us, but for the
confirmation that the sign-up form would send it as well.
"""

from collections.abc import Collection

from sqlalchemy import select
from sqlmodel import Session, col

from newsletter import subscribers
from newsletter.deliveries import Mail, enqueue
from newsletter.errors import BadToken, NotFound
from newsletter.inbox.authentication import Author
from newsletter.inbox.commands import Command, Verb
from newsletter.inbox.office import Case, Outcome, done, quarantined
from newsletter.lifecycle import SubscriptionStatus
from newsletter.models import Delivery, DeliveryKind, Newsletter, Subscriber, Subscription
from newsletter.subscribers import Address, Request, records
from newsletter.tokens import Purpose, suppression_key

BY_MAIL = "mail"  # how a subscription was left, and where a consent comes from


def one_click(session: Session, case: Case) -> Outcome:
    """End the subscription that the address written to names: its token is the right, whoever writes and whatever they say."""
    purpose = Purpose.UNSUBSCRIBE_MAIL.value
    if case.answer:
        return done(purpose, f"not acted on: {case.answer}")
    try:
        subscription_id = case.office.links.keyring.unsign_local_part(case.recipient.token, Purpose.UNSUBSCRIBE_MAIL)
        seen = subscribers.unsubscribe(session, subscription_id, by=BY_MAIL, now=case.now)
    except BadToken as error:
        return done(purpose, f"nothing changed: {error}", doubt="its token is not ours")
    return done(purpose, f"left {seen.slug}")


def act(session: Session, case: Case, command: Command) -> Outcome:
    """Do what a command asks for, or ask by mail whether it is meant."""
    author = case.author
    if author is None:
        return quarantined(command.verb, "its From field does not name one address that could be answered")
    if case.is_ours(author.address.text):
        return done(command.verb, "not acted on: it says it is from ourselves")
    slug = command.slug or case.recipient.slug
    chosen = case.newsletters.get(slug)
    if command.verb is Verb.SUBSCRIBE and chosen is not None:
        return _subscribe(session, case, author.address, chosen, command)
    if command.verb is Verb.UNSUBSCRIBE:
        return _unsubscribe(session, case, author, chosen, command)
    return _help(session, case, author, chosen, command)


def _subscribe(session: Session, case: Case, address: Address, newsletter: Newsletter, command: Command) -> Outcome:
    """Ask for confirmation, as the form does: also of a proven writer, for the confirmation is the evidence."""
    if over := case.office.over_limit(address):
        return done(command.verb, f"not followed: {over}")
    asked = Request(
        address=address,
        newsletter_ids=(newsletter.id,),
        language=_language(command, newsletter),
        source=BY_MAIL,
        wording=f"A mail to {case.row.recipient} that asks to subscribe to {newsletter.title}.",
        ip="" if case.office.border.has(case.row.peer) else case.row.peer,
    )
    subscribers.request(session, asked, case.office.policy, now=case.now)
    _mark_answers(session, case, records.find(session, address).id)
    return done(command.verb, f"asked to confirm {newsletter.slug}")


def _unsubscribe(session: Session, case: Case, author: Author, chosen: Newsletter | None, command: Command) -> Outcome:
    """End what a proven writer wants ended; mail the link to any other."""
    ids = (chosen.id,) if chosen else ()
    subscriber = _known(session, author.address)
    current = _subscribed(session, subscriber, ids)
    if author.proven and current:
        ended = subscribers.unsubscribe_address(session, author.address, ids, by=BY_MAIL, now=case.now)
        _mark_answers(session, case, current[0].subscriber_id)
        return done(command.verb, f"left {', '.join(seen.slug for seen in ended)}")
    if author.proven:
        return _answer(session, case, author, command, about=chosen)
    active = [row for row in current if row.status is SubscriptionStatus.ACTIVE]  # the pending have their mail already
    if not active:
        return done(
            command.verb, f"no answer to who is no reader, for it is not proven who wrote it: {author.doubt}", doubt=author.doubt
        )
    newsletter = session.get_one(Newsletter, active[0].newsletter_id)
    return _answer(session, case, author, command, about=newsletter, leaving=active[0])


def _help(session: Session, case: Case, author: Author, chosen: Newsletter | None, command: Command) -> Outcome:
    """Say what can be done by mail; to strangers only where it is proven that they asked."""
    theirs = _subscribed(session, _known(session, author.address), ())
    if not author.proven and not any(row.status is SubscriptionStatus.ACTIVE for row in theirs):
        return done(
            command.verb, f"no answer to a stranger, for it is not proven who wrote it: {author.doubt}", doubt=author.doubt
        )
    return _answer(session, case, author, command, about=chosen)


def _answer(  # noqa: PLR0913 -- to whom, about what
    session: Session,
    case: Case,
    author: Author,
    command: Command,
    *,
    about: Newsletter | None,
    leaving: Subscription | None = None,
) -> Outcome:
    """Put one answer into the outbox, one a day for an address: how to leave, or what can be done by mail."""
    speaker = about or next(iter(case.newsletters.values()), None)
    if speaker is None or subscribers.suppression_of(session, author.address, case.office.policy):
        return done(command.verb, "no answer: the address is suppressed" if speaker else "no answer: there is no newsletter")
    subscriber = _known(session, author.address)
    mail = Mail(
        kind=DeliveryKind.HELP,
        dedupe_key=f"answer:{suppression_key(case.office.policy.secret, author.address.key)}:{case.now.date()}",
        address=author.address.text,
        newsletter_id=speaker.id,
        subscriber_id=subscriber.id if subscriber else None,
        subscription_id=leaving.id if leaving else None,
        language=_language(command, speaker, subscriber),
        values={"domain": case.office.domain, "leaving": leaving is not None, "in_reply_to": case.letter.message_id},
    )
    if not enqueue(session, mail, now=case.now):
        return done(command.verb, "no answer: there was one today", doubt=author.doubt)
    if leaving:
        return done(command.verb, f"answered with the link to leave: {author.doubt}", doubt=author.doubt)
    return done(command.verb, "answered with what can be done by mail", doubt=author.doubt)


def _mark_answers(session: Session, case: Case, subscriber_id: int) -> None:
    """Mark what this mail made us send them as answers to it (RFC 3834 section 3.1.5)."""
    mine = select(Delivery).where(col(Delivery.subscriber_id) == subscriber_id, col(Delivery.created_at) == case.now)
    for row in session.scalars(mine):
        row.values = {**row.values, "in_reply_to": case.letter.message_id}


def _known(session: Session, address: Address) -> Subscriber | None:
    try:
        return records.find(session, address)
    except NotFound:
        return None


def _subscribed(session: Session, subscriber: Subscriber | None, ids: Collection[int]) -> list[Subscription]:
    """Return their subscriptions to these newsletters, or to all, that have not ended."""
    rows = records.subscriptions(session, subscriber.id) if subscriber else []
    wanted = [row for row in rows if not ids or row.newsletter_id in ids]
    return [row for row in wanted if row.status is not SubscriptionStatus.UNSUBSCRIBED]


def _language(command: Command, newsletter: Newsletter, subscriber: Subscriber | None = None) -> str:
    """Return the language to answer in: that of a command in Korean, else theirs, else the newsletter's."""
    if command.language == "ko":
        return "ko"
    return subscriber.language if subscriber else newsletter.language
