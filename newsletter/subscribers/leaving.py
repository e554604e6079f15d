"""Leaving, and coming back: at once, for as long as any mail of ours lives."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlmodel import Session, col

from newsletter.deliveries import Mail, enqueue
from newsletter.errors import BadToken
from newsletter.lifecycle import SubscriptionEvent, SubscriptionStatus, advance_subscription
from newsletter.models import DeliveryKind, Newsletter, Subscriber, Subscription
from newsletter.subscribers.addresses import Address
from newsletter.subscribers.joining import Policy, Request, request
from newsletter.subscribers.records import find, subscriptions


@dataclass(frozen=True)
class Membership:
    """A subscription as its unsubscribe page shows it: no address, for the link may have been forwarded."""

    newsletter_id: int
    title: str
    slug: str
    language: str
    status: SubscriptionStatus


def look_at(session: Session, subscription_id: int) -> Membership:
    """Return what an unsubscribe link is about; changes nothing. Raises BadToken if the subscription is gone."""
    subscription = session.get(Subscription, subscription_id)
    if subscription is None:
        raise BadToken("This subscription is no longer known: no more mail comes by it.")
    newsletter = session.get_one(Newsletter, subscription.newsletter_id)
    language = session.get_one(Subscriber, subscription.subscriber_id).language
    return Membership(newsletter.id, newsletter.title, newsletter.slug, language, subscription.status)


def unsubscribe(session: Session, subscription_id: int, *, by: str, now: datetime) -> Membership:
    """End a subscription: at once, also for mails already queued. Doing it twice changes nothing more."""
    seen = look_at(session, subscription_id)
    locked = select(Subscription).where(col(Subscription.id) == subscription_id).with_for_update()
    row = session.scalars(locked.execution_options(populate_existing=True)).one()  # as it is now, not as it was looked at
    after = advance_subscription(row.status, SubscriptionEvent.UNSUBSCRIBE)
    if after is row.status:
        return seen
    row.status, row.unsubscribed_at, row.unsubscribed_by = after, now, by
    subscriber = session.get_one(Subscriber, row.subscriber_id)
    mail = Mail(
        kind=DeliveryKind.GOODBYE,
        dedupe_key=f"goodbye:{row.id}:{row.consent_id}",
        address=subscriber.address,
        newsletter_id=row.newsletter_id,
        subscriber_id=subscriber.id,
        subscription_id=row.id,
        language=subscriber.language,
    )
    enqueue(session, mail, now=now)
    return look_at(session, subscription_id)


def unsubscribe_address(
    session: Session, address: Address, newsletter_ids: Collection[int] = (), *, by: str, now: datetime
) -> list[Membership]:
    """End the subscriptions of an address to these newsletters, or to all, and return those that this ended.

    Raises NotFound for an address that is no subscriber's.
    """
    rows = subscriptions(session, find(session, address).id)
    wanted = [row for row in rows if not newsletter_ids or row.newsletter_id in newsletter_ids]
    ends = [row for row in wanted if row.status is not SubscriptionStatus.UNSUBSCRIBED]
    return [unsubscribe(session, row.id, by=by, now=now) for row in ends]


def come_back(  # noqa: PLR0913 -- who, and the evidence of the asking
    session: Session, subscription_id: int, policy: Policy, *, wording: str, ip: str, now: datetime
) -> Membership:
    """Ask again for a newsletter one has left: the same double opt-in as for anybody, by mail to the address."""
    seen = look_at(session, subscription_id)
    subscriber = session.get_one(Subscriber, session.get_one(Subscription, subscription_id).subscriber_id)
    address = Address(subscriber.address, subscriber.address_key)
    asked = Request(address, (seen.newsletter_id,), subscriber.language, "page", wording, ip)
    request(session, asked, policy, now=now)
    return seen
