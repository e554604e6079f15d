"""Putting mails into the outbox: one at a time for a person, a whole issue by one INSERT … SELECT."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, String, Subquery, cast, exists, func, literal, or_, select
from sqlmodel import Session, col

from newsletter import db
from newsletter.deliveries import due
from newsletter.deliveries.due import Earlier
from newsletter.lifecycle import DeliveryStatus, SubscriptionStatus
from newsletter.models import (
    Delivery,
    DeliveryKind,
    DueTime,
    Issue,
    Lane,
    Newsletter,
    Subscriber,
    Subscription,
    Suppression,
)

PERSON_GIVES_UP = timedelta(hours=24)  # a confirmation that comes later helps nobody


@dataclass(frozen=True)
class Mail:
    """One mail for one person, to be put into the outbox."""

    kind: DeliveryKind
    dedupe_key: str  # the same mail asked for twice is one mail
    address: str
    newsletter_id: int | None = None
    subscriber_id: int | None = None
    subscription_id: int | None = None
    language: str = ""  # empty: the newsletter's
    values: Mapping[str, Any] = field(default_factory=dict)


def enqueue(session: Session, mail: Mail, *, now: datetime) -> bool:
    """Put a mail that somebody waits for into the outbox; False if it is there already."""
    row = {
        **_EMPTY,
        "dedupe_key": mail.dedupe_key,
        "kind": mail.kind,
        "lane": Lane.PERSON.value,
        "newsletter_id": mail.newsletter_id,
        "issue_id": None,
        "subscriber_id": mail.subscriber_id,
        "subscription_id": mail.subscription_id,
        "address": mail.address,
        "language": mail.language,
        "values": dict(mail.values),
        "due_at": now,
        "give_up_at": now + PERSON_GIVES_UP,
        "created_at": now,
        "updated_at": now,
    }
    return db.insert_new(session, Delivery, [row]) == 1


_EMPTY: dict[str, Any] = {
    "status": DeliveryStatus.QUEUED,
    "attempts": 0,
    "resends": 0,
    "claimed_by": "",
    "reason": "",
    "reply_code": 0,
    "reply_enhanced": "",
    "reply_text": "",
    "reply_phase": "",
    "reply_server": "",
}


def fan_out(session: Session, issue: Issue, *, confirmed_since: datetime | None = None, now: datetime) -> int:
    """Queue the digest of a published issue for every subscriber who has not got it, and return how many that were.

    `confirmed_since` narrows it to those who confirmed then or later. One INSERT … SELECT over subscriptions and due times;
    the dedupe key makes it repeatable. It is repeated at once for whoever changed zone or hour between the reckoning of due
    times and the insertion. The newsletter is to be locked: two issues that are fanned out at once would not see whose day
    the other takes.
    """
    before = due.earlier(session, issue)
    readers = _readers(issue)
    if confirmed_since is not None:
        readers = readers.where(col(Subscription.confirmed_at) >= confirmed_since)
    pairs = readers.with_only_columns(due.zone_of(), due.hour_of()).distinct()
    due.add_due_times(session, issue, pairs, before)
    queued = _insert_digests(session, issue, readers, before, now=now)
    while due.add_due_times(session, issue, pairs, before):
        queued += _insert_digests(session, issue, readers, before, now=now)
    return queued


def _insert_digests(session: Session, issue: Issue, owed: Select[Any], before: Earlier, *, now: datetime) -> int:
    chosen = owed.with_only_columns(
        col(Subscription.id),
        col(Subscription.subscriber_id),
        col(Subscriber.address),
        due.zone_of().label("zone"),
        due.hour_of().label("send_hour"),
    )
    # Zone and hour come of three tables: PostgreSQL would join due times by the hour alone before it has the zone as well,
    # were it not for the OFFSET, over which it moves nothing.
    readers = chosen.offset(0).subquery("readers")
    source = due.join_due_times(session, select(readers.c.id), readers, issue, before)
    return db.insert_from(session, Delivery, _digest_columns(readers, issue, now=now), source)


def _readers(issue: Issue) -> Select[Any]:
    """Select the subscriptions that an issue is owed to."""
    source = select(col(Subscription.id)).select_from(Subscription)
    source = source.join(Subscriber, col(Subscriber.id) == col(Subscription.subscriber_id))
    source = source.join(Newsletter, col(Newsletter.id) == col(Subscription.newsletter_id))
    return source.where(*_owed(issue))


def _digest_columns(readers: Subquery, issue: Issue, *, now: datetime) -> dict[str, Any]:
    key = literal(f"digest:{issue.id}:", String) + cast(readers.c.id, String)
    typed = Delivery.__table__.c  # type: ignore[attr-defined]  # SQLModel does not declare it
    fixed = {**_EMPTY, "kind": DeliveryKind.DIGEST, "lane": Lane.LIST.value, "language": "", "created_at": now, "updated_at": now}
    return {
        "dedupe_key": key,
        "newsletter_id": literal(issue.newsletter_id),
        "issue_id": literal(issue.id),
        "subscriber_id": readers.c.subscriber_id,
        "subscription_id": readers.c.id,
        "address": readers.c.address,
        "due_at": col(DueTime.due_at),
        "give_up_at": col(DueTime.give_up_at),
        **{name: literal(value, typed[name].type) for name, value in fixed.items()},
    }


def _owed(issue: Issue) -> tuple[ColumnElement[bool], ...]:
    """Say who gets an issue: active, confirmed before it was published, not paused, not suppressed."""
    assert issue.published_at is not None
    suppressed = exists().where(col(Suppression.suppression_key) == col(Subscriber.suppression_key))
    return (
        col(Subscription.newsletter_id) == issue.newsletter_id,
        col(Subscription.cadence) == issue.cadence,
        col(Subscription.status) == SubscriptionStatus.ACTIVE,
        col(Subscription.confirmed_at) <= issue.published_at,
        or_(col(Subscription.paused_until).is_(None), col(Subscription.paused_until) <= issue.published_at.date()),
        ~suppressed,
    )


def counts(session: Session, issue_id: int) -> dict[DeliveryStatus, int]:
    """Return how many deliveries of an issue are in which state."""
    rows = session.execute(
        select(col(Delivery.status), func.count()).where(col(Delivery.issue_id) == issue_id).group_by(col(Delivery.status))
    )
    return {DeliveryStatus(status): number for status, number in rows}
