"""What is kept no longer than it is needed: sign-ups that nobody confirmed, IP addresses, and who made a remark."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, String, and_, cast, delete, exists, func, literal, or_, select, update
from sqlmodel import Session, SQLModel, col

from newsletter.db import Sessions
from newsletter.lifecycle import ENDED, SubscriptionStatus
from newsletter.models import (
    AddressChange,
    Bounce,
    Consent,
    Delivery,
    Remark,
    Subscriber,
    Subscription,
    Suppression,
    SuppressionReason,
)

UNCONFIRMED_KEPT = timedelta(days=14)  # a link works for seven days at most
IPS_KEPT = timedelta(days=90)  # after the confirmation: who was signed up by another will have said so by then
BATCH = 1000  # subscribers in a transaction
_UNLOADED = {"synchronize_session": False}


@dataclass(frozen=True)
class Purged:
    """How many rows were deleted, and of how many pieces of evidence the IP addresses were blanked."""

    subscriptions: int = 0
    requests: int = 0
    subscribers: int = 0
    ips: int = 0


def purge(sessions: Sessions, *, now: datetime, batch: int = BATCH) -> Purged:
    """Delete the sign-ups that nobody confirmed in time, and whom they alone made known; blank old IP addresses.

    Who left stays as they are: a request that they did not confirm brings them back no more than one they did not make. Each
    step works on whole sets, in transactions of its own, and can be repeated.
    """
    with sessions.begin() as session:
        _let_stay_away(session, now - UNCONFIRMED_KEPT)
        subscriptions = _delete(session, Subscription, _never_confirmed(now - UNCONFIRMED_KEPT))
    with sessions.begin() as session:
        requests = _delete(session, Consent, *_stale_requests(now - UNCONFIRMED_KEPT))
    subscribers = _forget_the_unknown(sessions, now - UNCONFIRMED_KEPT, batch)
    with sessions.begin() as session:
        ips = _blank_ips(session, now - IPS_KEPT)
        _forget_who_remarked(session, now - IPS_KEPT)
    return Purged(subscriptions, requests, subscribers, ips)


def _delete(session: Session, table: type[SQLModel], *which: ColumnElement[bool]) -> int:
    return int(session.connection().execute(delete(table).where(*which)).rowcount)


def _asked_before(moment: datetime) -> ColumnElement[bool]:
    """Say of a subscription that the last request for it was made before a moment."""
    return exists().where(col(Consent.id) == col(Subscription.consent_id), _is_older(moment))


def _is_older(moment: datetime) -> ColumnElement[bool]:
    """Say of a request that it was made before a moment; of what a file brought, that its link had expired by then.

    A file tells when its rows were asked for elsewhere: that may be years ago, and here they wait since today.
    """
    return and_(col(Consent.requested_at) < moment, or_(col(Consent.source) != "import", col(Consent.expires_at) < moment))


def _let_stay_away(session: Session, before: datetime) -> None:
    """Have those who left, and whom a request made pending that is not confirmed, be unsubscribed again as they were."""
    waiting = (
        col(Subscription.status) == SubscriptionStatus.PENDING,
        col(Subscription.unsubscribed_at).is_not(None),
        _asked_before(before),
    )
    stay = update(Subscription).where(*waiting).values(status=SubscriptionStatus.UNSUBSCRIBED)
    session.execute(stay.execution_options(**_UNLOADED))


def _never_confirmed(before: datetime) -> ColumnElement[bool]:
    pending = col(Subscription.status) == SubscriptionStatus.PENDING
    return pending & col(Subscription.confirmed_at).is_(None) & _asked_before(before)


def _stale_requests(before: datetime) -> tuple[ColumnElement[bool], ...]:
    used = exists().where(col(Subscription.consent_id) == col(Consent.id))
    return col(Consent.confirmed_at).is_(None), _is_older(before), ~used


def _forget_the_unknown(sessions: Sessions, before: datetime, batch: int) -> int:
    """Delete subscribers in batches, each locked before it is looked at again: somebody may sign up at this moment."""
    forgotten = after = 0
    while True:
        with sessions.begin() as session:
            some = select(col(Subscriber.id)).where(col(Subscriber.id) > after, _unknown(before)).order_by(col(Subscriber.id))
            locked = list(session.scalars(some.limit(batch).with_for_update(skip_locked=True)))
            still = select(col(Subscriber.id)).where(col(Subscriber.id).in_(locked), _unknown(before))
            ids = list(session.scalars(still))
            _blank_mails(session, ids)
            forgotten += _delete(session, Subscriber, col(Subscriber.id).in_(ids))
        if len(locked) < batch:
            return forgotten
        after = locked[-1]


def _unknown(before: datetime) -> ColumnElement[bool]:
    """Say of a subscriber that nothing is known of them but an address that somebody once typed.

    A suppressed one stays, unless they were erased, and one to whom a mail is still on its way.
    """
    by_whom = col(Subscriber.id)
    suppressed = exists().where(
        col(Suppression.suppression_key) == col(Subscriber.suppression_key), col(Suppression.reason) != SuppressionReason.ERASED
    )
    kept = (
        exists().where(col(Subscription.subscriber_id) == by_whom),
        exists().where(col(Consent.subscriber_id) == by_whom),
        exists().where(col(AddressChange.subscriber_id) == by_whom),
        suppressed,
        exists().where(col(Delivery.subscriber_id) == by_whom, col(Delivery.status).not_in(ENDED)),
    )
    return (col(Subscriber.created_at) < before) & ~or_(*kept)


def _blank_mails(session: Session, subscriber_ids: Sequence[int]) -> None:
    """Forget in the mails that asked them to confirm whom they went to; that they were, and how it went, still counts."""
    theirs = col(Delivery.subscriber_id).in_(subscriber_ids)
    about = col(Bounce.delivery_id).in_(select(col(Delivery.id)).where(theirs))
    session.execute(update(Bounce).where(about).values(reason="").execution_options(**_UNLOADED))
    blank: dict[str, Any] = {
        "address": "",
        "values": {},
        "reply_text": "",
        "dedupe_key": literal("purged:", String) + cast(col(Delivery.id), String),
    }
    session.execute(update(Delivery).where(theirs).values(blank).execution_options(**_UNLOADED))


def _forget_who_remarked(session: Session, before: datetime) -> None:
    """Keep of an old remark only what is wrong, and of the mail that told of it only that it was."""
    old = (col(Remark.made_at) < before, or_(col(Remark.ip) != "", col(Remark.reply_to) != ""))
    keys = select(literal("remark:", String) + cast(col(Remark.id), String)).where(*old)
    told = update(Delivery).where(col(Delivery.dedupe_key).in_(keys), col(Delivery.status).in_(ENDED))
    session.execute(told.values(values={}).execution_options(**_UNLOADED))
    session.execute(update(Remark).where(*old).values(ip="", reply_to="").execution_options(**_UNLOADED))


def _blank_ips(session: Session, before: datetime) -> int:
    since = func.coalesce(col(Consent.confirmed_at), col(Consent.requested_at))
    known = or_(col(Consent.requested_ip) != "", col(Consent.confirmed_ip) != "")
    blank = update(Consent).where(since < before, known).values(requested_ip="", confirmed_ip="")
    old = (col(AddressChange.requested_at) < before, col(AddressChange.requested_ip) != "")
    session.execute(update(AddressChange).where(*old).values(requested_ip="").execution_options(**_UNLOADED))
    return int(session.connection().execute(blank).rowcount)
