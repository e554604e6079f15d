"""Asking those to confirm whom a file brought: once each, in the lane of lists, under the limits that hold for anybody."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Row, String, cast, exists, func, literal, select, update
from sqlmodel import Session, col

from newsletter import db, i18n
from newsletter.lifecycle import SubscriptionStatus
from newsletter.models import Consent, Delivery, DeliveryKind, Lane, Newsletter, Subscriber, Subscription, Suppression
from newsletter.subscribers.joining import CONFIRMATIONS_A_DAY, Policy


def ask(
    session: Session,
    subscriber_ids: Sequence[int | None],
    newsletters: Mapping[str, Newsletter],
    policy: Policy,
    *,
    now: datetime,
) -> int:
    """Queue a confirmation for each of these subscribers' imported subscriptions that waits and was never asked for.

    Suppressed addresses get none, and nobody more than a day's share. Returns how many were queued.
    """
    ids = [number for number in subscriber_ids if number is not None]
    had = _asked_today(session, ids, now=now)
    by_id = {row.id: row for row in newsletters.values()}
    expires_at = now + policy.confirm_within
    mails = []
    for row in _waiting(session, ids):
        if had[row.subscriber_id] < CONFIRMATIONS_A_DAY and row.newsletter_id in by_id:
            had[row.subscriber_id] += 1
            mails.append(_mail(row, by_id[row.newsletter_id], expires_at, now=now))
    asked = [mail.values["consent_id"] for mail in mails]
    session.execute(update(Consent).where(col(Consent.id).in_(asked)).values(expires_at=expires_at))
    db.insert_many(session, Delivery, [mail.model_dump(exclude={"id"}) for mail in mails])
    return len(mails)


def _asked_today(session: Session, ids: Sequence[int], *, now: datetime) -> Counter[int]:
    wanted = select(col(Delivery.subscriber_id), func.count()).where(
        col(Delivery.subscriber_id).in_(ids),
        col(Delivery.kind) == DeliveryKind.CONFIRM,
        col(Delivery.created_at) > now - timedelta(days=1),
    )
    rows = session.execute(wanted.group_by(col(Delivery.subscriber_id))).all()
    return Counter(dict(rows))


def _waiting(session: Session, ids: Sequence[int]) -> Sequence[Row[tuple[int, int, str, str, int, datetime]]]:
    key = literal("confirm:", String) + cast(col(Consent.id), String)
    return session.execute(
        select(
            col(Subscription.subscriber_id),
            col(Subscription.newsletter_id),
            col(Subscriber.address),
            col(Subscriber.language),
            col(Consent.id).label("consent_id"),
            col(Consent.requested_at),
        )
        .join(Subscriber, col(Subscriber.id) == col(Subscription.subscriber_id))
        .join(Consent, col(Consent.id) == col(Subscription.consent_id))
        .where(
            col(Subscription.subscriber_id).in_(ids),
            col(Subscription.status) == SubscriptionStatus.PENDING,
            col(Consent.source) == "import",
            ~exists().where(col(Delivery.dedupe_key) == key),
            ~exists().where(col(Suppression.suppression_key) == col(Subscriber.suppression_key)),
        )
        .order_by(col(Subscription.id))
    ).all()


def _mail(
    row: Row[tuple[int, int, str, str, int, datetime]], newsletter: Newsletter, expires_at: datetime, *, now: datetime
) -> Delivery:
    hours = round((expires_at - now).total_seconds() / 3600)
    slots = {"titles": newsletter.title, "requested_at": i18n.moment(row.requested_at, row.language), "hours": hours}
    return Delivery(
        dedupe_key=f"confirm:{row.consent_id}",
        kind=DeliveryKind.CONFIRM,
        lane=Lane.LIST.value,  # a hundred thousand of them must not stand before somebody who signs up now
        newsletter_id=newsletter.id,
        subscriber_id=row.subscriber_id,
        address=row.address,
        language=row.language,
        values={"slots": slots, "consent_id": row.consent_id, "expires_at": expires_at.isoformat()},
        due_at=now,
        give_up_at=expires_at,
        created_at=now,
        updated_at=now,
    )
