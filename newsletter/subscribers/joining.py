"""Asking and confirming: double opt-in, with the evidence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import delete, exists, func, select
from sqlmodel import Session, col

from newsletter import db, i18n, schedule
from newsletter.deliveries import Mail, enqueue
from newsletter.errors import BadInput, LinkExpired, NotFound
from newsletter.lifecycle import IssueStatus, SubscriptionEvent, SubscriptionStatus, advance_subscription
from newsletter.models import (
    Cadence,
    Consent,
    Delivery,
    DeliveryKind,
    Issue,
    Newsletter,
    Subscriber,
    Subscription,
    Suppression,
)
from newsletter.subscribers.addresses import Address
from newsletter.subscribers.records import find, subscriptions
from newsletter.tokens import Links, suppression_key

WORDING_VERSION = "2026-11"
CONFIRMATIONS_A_DAY = 3  # per address: nobody floods a third person's mailbox through the form


@dataclass(frozen=True)
class Request:
    """Somebody asks for newsletters: for which address, in which language, and the evidence of the asking."""

    address: Address
    newsletter_ids: tuple[int, ...]
    language: str
    source: str  # "page", "operator", "import"
    wording: str
    ip: str = ""
    zone: str = ""
    cadences: Mapping[int, Cadence] = field(default_factory=dict)  # by newsletter; its first where nothing was chosen


@dataclass(frozen=True)
class Policy:
    """What the installation says about signing up."""

    secret: bytes  # of the suppression hash; never rotates
    confirm_within: timedelta = timedelta(hours=72)


@dataclass(frozen=True)
class Asked:
    """A request as its confirm page shows it: no address, for the link may have been forwarded."""

    titles: tuple[str, ...]
    slugs: tuple[str, ...]
    language: str
    confirmed: bool


def request(session: Session, asked: Request, policy: Policy, *, now: datetime) -> None:
    """Take a request to subscribe: one confirmation by mail for what is new, a word by mail for what is there already.

    The caller learns nothing about the address, whatever is known of it. Raises BadInput for no or unknown newsletters.
    """
    newsletters = _newsletters(session, asked.newsletter_ids)
    subscriber = _subscriber(session, asked, policy, now=now)
    existing = {row.newsletter_id: row for row in subscriptions(session, subscriber.id)}
    suppressed = _is_suppressed(session, subscriber.suppression_key)  # then this is their way back, active or not
    fresh = []
    for newsletter in newsletters:
        subscription = existing.get(newsletter.id)
        if subscription is not None and subscription.status is SubscriptionStatus.ACTIVE and not suppressed:
            _say_already_subscribed(session, subscriber, subscription, asked.language, now=now)
        else:
            fresh.append(newsletter)
    if fresh and _may_ask_again(session, subscriber.id, now=now):
        consent = _consent(session, subscriber, fresh, asked, policy, now=now)
        for newsletter in fresh:
            _make_pending(session, existing.get(newsletter.id), newsletter, consent)
        _ask_to_confirm(session, subscriber, consent, fresh, asked.language)


def _newsletters(session: Session, ids: Sequence[int]) -> list[Newsletter]:
    rows = list(session.scalars(select(Newsletter).where(col(Newsletter.id).in_(ids)).order_by(col(Newsletter.id))))
    if not rows or len(rows) != len(set(ids)):
        raise BadInput("No such newsletter.", hint="Choose at least one of those on the page.")
    return rows


def _is_suppressed(session: Session, key: str) -> bool:
    return bool(session.scalar(select(exists().where(col(Suppression.suppression_key) == key))))


def _subscriber(session: Session, asked: Request, policy: Policy, *, now: datetime) -> Subscriber:
    """Return the subscriber of the address, made if there is none, and locked: two requests at once take turns."""
    fresh = {
        "address": asked.address.text,
        "address_key": asked.address.key,
        "suppression_key": suppression_key(policy.secret, asked.address.key),
        "language": asked.language,
        "zone": _zone_or_none(asked.zone),
        "created_at": now,
    }
    db.insert_new(session, Subscriber, [fresh])
    try:
        return find(session, asked.address, lock=True)
    except NotFound:  # the row that was in the way has just been purged
        db.insert_new(session, Subscriber, [fresh])
        return find(session, asked.address, lock=True)


def _zone_or_none(zone: str) -> str:
    """Return the zone that a browser told, or "" for one that does not exist: no reason to send anybody away."""
    try:
        return zone and schedule.zone(zone).key
    except BadInput:
        return ""


def _may_ask_again(session: Session, subscriber_id: int, *, now: datetime) -> bool:
    recent = select(func.count()).select_from(Delivery)
    recent = recent.where(col(Delivery.subscriber_id) == subscriber_id, col(Delivery.kind) == DeliveryKind.CONFIRM)
    return (session.scalar(recent.where(col(Delivery.created_at) > now - timedelta(days=1))) or 0) < CONFIRMATIONS_A_DAY


def _consent(  # noqa: PLR0913 -- the evidence, item by item
    session: Session, subscriber: Subscriber, newsletters: Sequence[Newsletter], asked: Request, policy: Policy, *, now: datetime
) -> Consent:
    consent = Consent(
        subscriber_id=subscriber.id,
        newsletter_ids=[row.id for row in newsletters],
        cadences={str(row.id): asked.cadences[row.id].value for row in newsletters if row.id in asked.cadences},
        source=asked.source,
        wording=asked.wording,
        language=asked.language,
        wording_version=WORDING_VERSION,
        requested_at=now,
        requested_ip=asked.ip,
        expires_at=now + policy.confirm_within,
    )
    session.add(consent)
    session.flush()
    return consent


def _make_pending(session: Session, subscription: Subscription | None, newsletter: Newsletter, consent: Consent) -> Subscription:
    if subscription is None:
        subscription = Subscription(
            subscriber_id=consent.subscriber_id,
            newsletter_id=newsletter.id,
            consent_id=consent.id,
            cadence=Cadence(consent.cadences.get(str(newsletter.id), newsletter.cadences[0])),
            created_at=consent.requested_at,
        )
    subscription.status = advance_subscription(subscription.status, SubscriptionEvent.REQUEST)
    if subscription.status is SubscriptionStatus.PENDING:  # what is active keeps the evidence it became so by
        subscription.consent_id = consent.id
    session.add(subscription)
    return subscription


def _ask_to_confirm(
    session: Session, subscriber: Subscriber, consent: Consent, newsletters: Sequence[Newsletter], language: str
) -> None:
    now = consent.requested_at
    hours = round((consent.expires_at - now).total_seconds() / 3600)
    slots = {"titles": ", ".join(row.title for row in newsletters), "requested_at": i18n.moment(now, language), "hours": hours}
    mail = Mail(
        kind=DeliveryKind.CONFIRM,
        dedupe_key=f"confirm:{consent.id}",
        address=subscriber.address,
        newsletter_id=newsletters[0].id,
        subscriber_id=subscriber.id,
        language=language,
        values={"slots": slots, "consent_id": consent.id, "expires_at": consent.expires_at.isoformat()},
    )
    enqueue(session, mail, now=now)


def _say_already_subscribed(
    session: Session, subscriber: Subscriber, subscription: Subscription, language: str, *, now: datetime
) -> None:
    """Tell an active subscriber by mail that nothing changed: once a day at most, whoever asks how often."""
    mail = Mail(
        kind=DeliveryKind.ALREADY_SUBSCRIBED,
        dedupe_key=f"already:{subscription.id}:{now.date()}",
        address=subscriber.address,
        newsletter_id=subscription.newsletter_id,
        subscriber_id=subscriber.id,
        subscription_id=subscription.id,
        language=language,
        values={"slots": {"requested_at": i18n.moment(now, language)}},
    )
    enqueue(session, mail, now=now)


def look_at_request(session: Session, consent_id: int) -> Asked:
    """Return what a confirm link is about; changes nothing. Raises LinkExpired if the request is gone."""
    consent = session.get(Consent, consent_id)
    if consent is None:
        raise LinkExpired("This request is no longer known.", hint="Sign up again and use the new link.")
    language = session.get_one(Subscriber, consent.subscriber_id).language
    newsletters = _newsletters(session, consent.newsletter_ids)
    titles, slugs = tuple(row.title for row in newsletters), tuple(row.slug for row in newsletters)
    return Asked(titles, slugs, language, confirmed=consent.confirmed_at is not None)


def confirm(session: Session, consent_id: int, links: Links, *, ip: str = "", now: datetime) -> Asked:
    """Make the subscriptions of a request active: the person pressed the button. Pressing twice changes nothing more.

    What has been left since the request stays left. Raises LinkExpired if the request is gone.
    """
    look_at_request(session, consent_id)
    consent = session.get_one(Consent, consent_id)
    subscriber = _locked(session, consent.subscriber_id)
    asked_for = [row for row in subscriptions(session, subscriber.id) if row.newsletter_id in consent.newsletter_ids]
    confirmed = [row for row in asked_for if _confirm_one(row, consent, now=now)]
    if consent.confirmed_at is None and any(row.status is SubscriptionStatus.ACTIVE for row in asked_for):
        _choose_cadences(asked_for, confirmed, consent)
        consent.confirmed_at, consent.confirmed_ip = now, ip  # also where another request of theirs was confirmed before
        _lift_suppression(session, subscriber, consent)
    for subscription in confirmed:
        _welcome(session, subscriber, subscription, links, now=now)
    return look_at_request(session, consent_id)


def _locked(session: Session, subscriber_id: int) -> Subscriber:
    """Return the subscriber, locked before their subscriptions as erasing does: in another order the two wait for each other."""
    locked = select(Subscriber).where(col(Subscriber.id) == subscriber_id).with_for_update(key_share=True)
    subscriber = session.scalars(locked.execution_options(populate_existing=True)).one_or_none()
    if subscriber is None:  # erased while we waited
        raise LinkExpired("This request is no longer known.", hint="Sign up again and use the new link.")
    return subscriber


def _choose_cadences(asked_for: Sequence[Subscription], confirmed: Sequence[Subscription], consent: Consent) -> None:
    """Let what was chosen hold: for what begins now, and for what was active when it was chosen, but suppressed."""
    for row in asked_for:
        chosen = consent.cadences.get(str(row.newsletter_id))
        was_active = row.confirmed_at is not None and row.confirmed_at <= consent.requested_at
        if chosen and (row in confirmed or was_active):
            row.cadence = Cadence(chosen)


def _lift_suppression(session: Session, subscriber: Subscriber, consent: Consent) -> None:
    """Take the address off the list it was put on before this request: it is their own, and confirmed."""
    earlier = (
        col(Suppression.suppression_key) == subscriber.suppression_key,
        col(Suppression.created_at) <= consent.requested_at,
    )
    session.execute(delete(Suppression).where(*earlier))


def _confirm_one(subscription: Subscription, consent: Consent, *, now: datetime) -> bool:
    """Advance a subscription that the request asked for, unless it was left since; return whether that made it active."""
    left = subscription.unsubscribed_at
    if left is not None and left >= consent.requested_at:
        return False
    after = advance_subscription(subscription.status, SubscriptionEvent.CONFIRM)
    if after is subscription.status:
        return False
    subscription.confirmed_at, subscription.consent_id = now, consent.id
    subscription.status = after
    return True


def _welcome(session: Session, subscriber: Subscriber, subscription: Subscription, links: Links, *, now: datetime) -> None:
    newsletter = session.get_one(Newsletter, subscription.newsletter_id)
    latest = _latest_issue(session, newsletter.id)
    values = {
        "cadence": subscription.cadence,
        "send_hour": subscription.send_hour if subscription.send_hour is not None else newsletter.send_hour,
        "zone": subscription.zone or subscriber.zone or newsletter.zone,
        "latest_url": links.issue(newsletter.slug, schedule.name_of(latest.cadence, latest.first_day)) if latest else "",
        "latest_title": latest.subject if latest else "",
    }
    mail = Mail(
        kind=DeliveryKind.WELCOME,
        dedupe_key=f"welcome:{subscription.id}:{subscription.consent_id}",
        address=subscriber.address,
        newsletter_id=newsletter.id,
        subscriber_id=subscriber.id,
        subscription_id=subscription.id,
        values=values,
    )
    enqueue(session, mail, now=now)


def _latest_issue(session: Session, newsletter_id: int) -> Issue | None:
    out = (IssueStatus.PUBLISHED, IssueStatus.SENT)
    wanted = select(Issue).where(col(Issue.newsletter_id) == newsletter_id, col(Issue.status).in_(out))
    return session.scalars(wanted.order_by(col(Issue.first_day).desc()).limit(1)).first()


def add_recorded(session: Session, asked: Request, policy: Policy, *, now: datetime) -> list[str]:
    """Subscribe an address whose consent the operator has on record elsewhere; return the titles that became active.

    Only where nothing is known yet: who left, or is suppressed, comes back by their own double opt-in alone.
    """
    if _is_suppressed(session, suppression_key(policy.secret, asked.address.key)):
        return []
    subscriber = _subscriber(session, asked, policy, now=now)
    known = {row.newsletter_id for row in subscriptions(session, subscriber.id)}
    fresh = [row for row in _newsletters(session, asked.newsletter_ids) if row.id not in known]
    if not fresh:
        return []
    consent = _consent(session, subscriber, fresh, asked, policy, now=now)
    consent.confirmed_at = now
    for newsletter in fresh:
        _confirm_one(_make_pending(session, None, newsletter, consent), consent, now=now)
    return [row.title for row in fresh]
