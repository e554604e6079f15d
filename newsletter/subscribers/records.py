"""What is known of subscribers: finding, counting, showing."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlmodel import Session, col

from newsletter.errors import NotFound
from newsletter.lifecycle import SubscriptionStatus
from newsletter.models import Bounce, Consent, Delivery, Newsletter, Subscriber, Subscription, Suppression
from newsletter.subscribers.addresses import Address


def find(session: Session, address: Address, *, lock: bool = False) -> Subscriber:
    """Return the subscriber of an address, locked where wanted; raises NotFound."""
    wanted = select(Subscriber).where(col(Subscriber.address_key) == address.key)
    row = session.scalars(wanted.with_for_update(key_share=True) if lock else wanted).one_or_none()
    if row is None:
        raise NotFound(f"{address.text} is no subscriber.")
    return row


def subscriptions(session: Session, subscriber_id: int) -> Sequence[Subscription]:
    """Return a subscriber's subscriptions, locked: a confirmation and a departure at once take turns."""
    wanted = select(Subscription).where(col(Subscription.subscriber_id) == subscriber_id).order_by(col(Subscription.id))
    return session.scalars(wanted.with_for_update().execution_options(populate_existing=True)).all()


def show(session: Session, address: Address) -> dict[str, Any]:
    """Return all that is known of an address, ready for JSON; raises NotFound."""
    subscriber = find(session, address)
    rows = session.execute(
        select(Subscription, Newsletter, Consent)
        .join(Newsletter, col(Newsletter.id) == col(Subscription.newsletter_id))
        .join(Consent, col(Consent.id) == col(Subscription.consent_id))
        .where(col(Subscription.subscriber_id) == subscriber.id)
        .order_by(col(Newsletter.slug))
    ).all()
    suppressed = session.scalars(
        select(Suppression).where(col(Suppression.suppression_key) == subscriber.suppression_key)
    ).first()
    return {
        "address": subscriber.address,
        "language": subscriber.language,
        "zone": subscriber.zone,
        "since": subscriber.created_at.isoformat(),
        "suppressed": suppressed.reason.value if suppressed else None,
        "suppression": show_suppression(suppressed) if suppressed else None,
        "subscriptions": [_show_subscription(*row) for row in rows],
        "deliveries": [_show_delivery(row) for row in _last_deliveries(session, subscriber.id)],
        "bounces": [_show_bounce(row) for row in _last_bounces(session, subscriber.suppression_key)],
    }


def show_suppression(row: Suppression) -> dict[str, Any]:
    """Return why and since when an address is never mailed, ready for JSON."""
    return {"reason": row.reason.value, "evidence": row.evidence, "since": _iso(row.created_at)}


def _show_subscription(subscription: Subscription, newsletter: Newsletter, consent: Consent) -> dict[str, Any]:
    return {
        "newsletter": newsletter.slug,
        "status": subscription.status.value,
        "cadence": subscription.cadence.value,
        "send_hour": subscription.send_hour,
        "zone": subscription.zone,
        "topics": subscription.topics,
        "keywords": subscription.keywords,
        "max_papers": subscription.max_papers,
        "match_first": subscription.match_first,
        "paused_until": subscription.paused_until.isoformat() if subscription.paused_until else None,
        "confirmed_at": _iso(subscription.confirmed_at),
        "unsubscribed_at": _iso(subscription.unsubscribed_at),
        "unsubscribed_by": subscription.unsubscribed_by,
        "consent": {
            "source": consent.source,
            "wording": consent.wording,
            "wording_version": consent.wording_version,
            "language": consent.language,
            "requested_at": _iso(consent.requested_at),
            "requested_ip": consent.requested_ip,
            "confirmed_at": _iso(consent.confirmed_at),
            "confirmed_ip": consent.confirmed_ip,
        },
    }


def _last_deliveries(session: Session, subscriber_id: int, limit: int = 20) -> Sequence[Delivery]:
    wanted = select(Delivery).where(col(Delivery.subscriber_id) == subscriber_id).order_by(col(Delivery.id).desc())
    return session.scalars(wanted.limit(limit)).all()


def _show_delivery(row: Delivery) -> dict[str, Any]:
    reply = " ".join(word for word in (str(row.reply_code or ""), row.reply_enhanced, row.reply_text) if word)
    return {
        "kind": row.kind.value,
        "status": row.status.value,
        "reason": row.reason,
        "reply": reply,
        "server": row.reply_server,
        "attempts": row.attempts,
        "updated_at": _iso(row.updated_at),
    }


def _last_bounces(session: Session, key: str, limit: int = 20) -> Sequence[Bounce]:
    wanted = select(Bounce).where(col(Bounce.suppression_key) == key).order_by(col(Bounce.received_at).desc())
    return session.scalars(wanted.limit(limit)).all()


def _show_bounce(row: Bounce) -> dict[str, Any]:
    shown = {name: getattr(row, name) for name in ("status", "reason", "source", "action")}
    return {"kind": row.kind.value, "delivery": row.delivery_id, **shown, "received_at": _iso(row.received_at)}


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def counts(session: Session) -> Mapping[int, Mapping[SubscriptionStatus, int]]:
    """Return how many subscriptions each newsletter has in each state."""
    rows = session.execute(
        select(col(Subscription.newsletter_id), col(Subscription.status), func.count()).group_by(
            col(Subscription.newsletter_id), col(Subscription.status)
        )
    )
    found: dict[int, dict[SubscriptionStatus, int]] = {}
    for newsletter_id, status, number in rows:
        found.setdefault(newsletter_id, {})[status] = number
    return found


def listing(session: Session, *, newsletter_id: int | None = None, after: int = 0, limit: int = 50) -> Sequence[Subscriber]:
    """Return up to `limit` subscribers whose id is above `after`, of one newsletter or of all."""
    wanted = select(Subscriber).where(col(Subscriber.id) > after).order_by(col(Subscriber.id)).limit(limit)
    if newsletter_id is not None:
        wanted = wanted.join(Subscription, col(Subscription.subscriber_id) == col(Subscriber.id))
        wanted = wanted.where(col(Subscription.newsletter_id) == newsletter_id)
    return session.scalars(wanted).all()
