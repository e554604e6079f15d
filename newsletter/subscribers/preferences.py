"""What a reader has chosen: how often, when, about what; and the link to it, for whoever asks at the address itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import case, exists, func, select
from sqlmodel import Session, col

from newsletter import i18n
from newsletter.deliveries import Mail, enqueue
from newsletter.errors import BadToken
from newsletter.lifecycle import SubscriptionStatus
from newsletter.models import Cadence, Delivery, DeliveryKind, Newsletter, NoMatch, Subscriber, Subscription, Suppression
from newsletter.subscribers.addresses import Address
from newsletter.subscribers.masking import mask
from newsletter.subscribers.records import subscriptions

LINKS_A_DAY = 3  # per address and kind of link: nobody floods a third person's mailbox with them


@dataclass(frozen=True)
class Wanted:
    """How somebody wants a newsletter."""

    cadence: Cadence
    send_hour: int | None = None  # local; None: the newsletter's
    topics: tuple[str, ...] = ()  # none: all
    keywords: tuple[str, ...] = ()
    max_papers: int | None = None  # None: the newsletter's
    paused_until: date | None = None  # the first day that brings mail again
    match_first: bool = False  # what meets most of the wishes comes first; else by votes


@dataclass(frozen=True)
class Choice:
    """A newsletter of this installation, and how the reader has it."""

    newsletter_id: int
    slug: str
    title: str
    description: str
    language: str
    cadences: tuple[Cadence, ...]
    usual_hour: int | None  # None: as soon as an issue is ready
    zone: str  # the newsletter's
    most_papers: int
    short: bool  # on a day without a paper for them they get a short mail, not none
    subscription_id: int | None  # None: never asked for
    status: SubscriptionStatus | None
    wanted: Wanted

    @property
    def receives(self) -> bool:
        """Whether its issues are sent to them."""
        return self.status is SubscriptionStatus.ACTIVE


@dataclass(frozen=True)
class Preferences:
    """All that a reader has chosen; the address is masked, for the mail with the link may have been forwarded."""

    subscriber_id: int
    address: str
    language: str
    zone: str  # empty: each newsletter's own
    suppressed: bool  # nothing is sent to the address, whatever was chosen
    choices: tuple[Choice, ...]


@dataclass(frozen=True)
class Changes:
    """What is to be different: by the id of a subscription how it is wanted; a zone of None leaves the zones as they are."""

    language: str
    zone: str | None
    wanted: Mapping[int, Wanted]


def person(session: Session, subscriber_id: int) -> Subscriber:
    """Return the subscriber that a link is about; raises BadToken if they are gone."""
    subscriber = session.get(Subscriber, subscriber_id)
    if subscriber is None:
        raise BadToken("This link is about somebody who is no longer known: no more mail comes.")
    return subscriber


def address_of(session: Session, subscriber_id: int) -> Address:
    """Return the address of whom a link is about, to write to and never to show; raises BadToken if they are gone."""
    subscriber = person(session, subscriber_id)
    return Address(subscriber.address, subscriber.address_key)


def look(session: Session, subscriber_id: int) -> Preferences:
    """Return what a reader has chosen; changes nothing. Raises BadToken if they are gone."""
    subscriber = person(session, subscriber_id)
    wanted = select(Subscription).where(col(Subscription.subscriber_id) == subscriber_id)
    existing = {row.newsletter_id: row for row in session.scalars(wanted)}
    newsletters = session.scalars(select(Newsletter).order_by(col(Newsletter.id)))
    choices = [_choice(newsletter, existing.get(newsletter.id)) for newsletter in newsletters]
    return Preferences(
        subscriber_id=subscriber.id,
        address=mask(subscriber.address),
        language=subscriber.language,
        zone=_zone(subscriber, list(existing.values())),
        suppressed=is_suppressed(session, subscriber.suppression_key),
        choices=tuple(sorted(choices, key=lambda choice: not choice.receives)),
    )


def is_suppressed(session: Session, key: str) -> bool:
    """Whether an address, by its keyed hash, is never mailed."""
    return bool(session.scalar(select(exists().where(col(Suppression.suppression_key) == key))))


def _zone(subscriber: Subscriber, rows: Sequence[Subscription]) -> str:
    """Return the zone that holds for them: one brought in with a subscription goes before the person's."""
    return next((row.zone for row in rows if row.zone and row.status is SubscriptionStatus.ACTIVE), subscriber.zone)


def _choice(newsletter: Newsletter, row: Subscription | None) -> Choice:
    cadences = tuple(map(Cadence, newsletter.cadences))
    return Choice(
        newsletter_id=newsletter.id,
        slug=newsletter.slug,
        title=newsletter.title,
        description=newsletter.description,
        language=newsletter.language,
        cadences=cadences,
        usual_hour=newsletter.send_hour,
        zone=newsletter.zone,
        most_papers=newsletter.max_papers,
        short=newsletter.no_match is NoMatch.SHORT,
        subscription_id=row.id if row else None,
        status=row.status if row else None,
        wanted=_wanted(row) if row else Wanted(cadences[0]),
    )


def _wanted(row: Subscription) -> Wanted:
    return Wanted(
        row.cadence, row.send_hour, tuple(row.topics), tuple(row.keywords), row.max_papers, row.paused_until, row.match_first
    )


def save(session: Session, subscriber_id: int, changes: Changes) -> None:
    """Store what a reader has chosen; what is left or not confirmed stays so. Raises BadToken if they are gone.

    It holds from the next issue: what is queued has its time already.
    """
    subscriber = person(session, subscriber_id)
    rows = subscriptions(session, subscriber_id)
    subscriber.language = changes.language
    if changes.zone is not None:
        subscriber.zone = changes.zone
        for row in rows:
            row.zone = ""
    for row in rows:
        if row.id in changes.wanted and row.status is SubscriptionStatus.ACTIVE:
            _change(row, changes.wanted[row.id])


def _change(row: Subscription, wanted: Wanted) -> None:
    row.cadence, row.send_hour, row.max_papers = wanted.cadence, wanted.send_hour, wanted.max_papers
    row.topics, row.keywords, row.match_first = list(wanted.topics), list(wanted.keywords), wanted.match_first
    row.paused_until = wanted.paused_until


def send_link(session: Session, address: Address, *, now: datetime) -> bool:
    """Mail a reader the link to their preferences; False where there is nobody, or it went too often today.

    Whoever asked is told the same in each case.
    """
    row = session.scalars(select(Subscriber).where(col(Subscriber.address_key) == address.key)).one_or_none()
    if row is None or not may_mail(session, row, DeliveryKind.PREFERENCES, now=now):
        return False
    values = {"slots": {"requested_at": i18n.moment(now, row.language)}}
    return mail_person(session, row, DeliveryKind.PREFERENCES, now=now, values=values)


def may_mail(session: Session, subscriber: Subscriber, kind: DeliveryKind, *, now: datetime) -> bool:
    """Whether a person may be sent another mail of a kind that anybody with a link can ask for."""
    recent = select(func.count()).select_from(Delivery)
    recent = recent.where(col(Delivery.subscriber_id) == subscriber.id, col(Delivery.kind) == kind)
    number = session.scalar(recent.where(col(Delivery.created_at) > now - timedelta(days=1))) or 0
    return number < LINKS_A_DAY and not is_suppressed(session, subscriber.suppression_key)


def mail_person(
    session: Session, subscriber: Subscriber, kind: DeliveryKind, *, now: datetime, values: Mapping[str, object]
) -> bool:
    """Queue a mail to a person as such, from a newsletter of theirs; False where there is no newsletter at all."""
    newsletter_id = sender_of(session, subscriber.id)
    if newsletter_id is None:
        return False
    mail = Mail(
        kind=kind,
        dedupe_key=f"{kind.value}:{subscriber.id}:{now.isoformat()}",
        address=subscriber.address,
        newsletter_id=newsletter_id,
        subscriber_id=subscriber.id,
        language=subscriber.language,
        values=values,
    )
    return enqueue(session, mail, now=now)


def sender_of(session: Session, subscriber_id: int) -> int | None:
    """Return the newsletter that a person's mails come from: one they receive, else one they asked for, else the first."""
    theirs = (col(Subscription.newsletter_id) == col(Newsletter.id)) & (col(Subscription.subscriber_id) == subscriber_id)
    active = case((col(Subscription.status) == SubscriptionStatus.ACTIVE, 1), else_=0)
    rows = select(col(Newsletter.id)).outerjoin(Subscription, theirs)
    ordered = rows.order_by(active.desc(), col(Subscription.id).is_(None), col(Newsletter.id))
    return session.scalars(ordered.limit(1)).first()
