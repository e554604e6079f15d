"""What is kept of a person, for that person: led to by a link that is mailed and expires, and given as data."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Any

from sqlalchemy import func, or_, select
from sqlmodel import Session, SQLModel, col

from newsletter import i18n
from newsletter.models import (
    AddressChange,
    Attempt,
    Bounce,
    Consent,
    Delivery,
    DeliveryKind,
    InboundMail,
    Issue,
    Newsletter,
    Remark,
    Subscriber,
    Subscription,
    Suppression,
)
from newsletter.subscribers.preferences import mail_person, may_mail, person

LINK_LASTS = timedelta(hours=1)

# What of each table is told: all but keys of ours that say nothing to anybody.
_PERSON = ("address", "language", "zone", "created_at")
_SUBSCRIPTION = (
    "status", "cadence", "send_hour", "zone", "topics", "keywords", "max_papers", "match_first", "paused_until", "created_at",
    "confirmed_at", "unsubscribed_at", "unsubscribed_by",
)  # fmt: skip
_CONSENT = (
    "source", "wording", "wording_version", "language", "requested_at", "requested_ip", "expires_at", "confirmed_at",
    "confirmed_ip",
)  # fmt: skip
_DELIVERY = (
    "kind", "status", "address", "language", "created_at", "due_at", "sent_at", "attempts", "reason", "reply_code",
    "reply_enhanced", "reply_text", "reply_server",
)  # fmt: skip
_ATTEMPT = ("number", "status", "at", "reason", "reply_code", "reply_enhanced", "reply_text", "reply_server")
_CHANGE = (
    "old_address", "new_address", "requested_at", "requested_ip", "expires_at", "old_agreed_at", "new_agreed_at", "done_at",
)  # fmt: skip
_BOUNCE = ("kind", "status", "reason", "source", "action", "received_at")
_LETTER = ("purpose", "status", "reason", "subject", "size", "received_at")
_REMARK = ("matter", "content", "reply_to", "made_at", "closed_at")
_SUPPRESSION = ("reason", "evidence", "created_at")


def send_link(session: Session, subscriber_id: int, *, now: datetime) -> bool:
    """Mail a person the link to their data; False where it went too often today. Raises BadToken if they are gone."""
    subscriber = person(session, subscriber_id)
    if not may_mail(session, subscriber, DeliveryKind.MY_DATA, now=now):
        return False
    slots = {"requested_at": i18n.moment(now, subscriber.language)}
    values = {"slots": slots, "expires_at": (now + LINK_LASTS).isoformat()}
    return mail_person(session, subscriber, DeliveryKind.MY_DATA, now=now, values=values)


def collect(session: Session, subscriber_id: int) -> dict[str, Any]:
    """Return all that is kept of a person, ready for JSON; raises BadToken if they are gone."""
    subscriber = person(session, subscriber_id)
    titles = {row.id: row.title for row in session.scalars(select(Newsletter))}
    suppressed = select(Suppression).where(col(Suppression.suppression_key) == subscriber.suppression_key)
    return {
        "person": _told(subscriber, _PERSON),
        "suppression": [_told(row, _SUPPRESSION) for row in session.scalars(suppressed)],
        "subscriptions": [
            {"newsletter": titles[row.newsletter_id], **_told(row, _SUBSCRIPTION)}
            for row in _of(session, Subscription, subscriber_id)
        ],
        "consents": [
            {"newsletters": [titles.get(number, "") for number in row.newsletter_ids], **_told(row, _CONSENT)}
            for row in _of(session, Consent, subscriber_id)
        ],
        "mails_to_you": _mails(session, subscriber_id, titles),
        "changes_of_address": [_told(row, _CHANGE) for row in _of(session, AddressChange, subscriber_id)],
        "reports_of_failed_mail": [_told(row, _BOUNCE) for row in _bounces(session, subscriber)],
        "mails_from_you": [_told(row, _LETTER) for row in _letters(session, subscriber)],
        "remarks_of_yours": [_told(row, _REMARK) for row in _remarks(session, subscriber)],
    }


def _of(session: Session, table: Any, subscriber_id: int) -> Sequence[Any]:  # noqa: ANN401 -- any table with the column
    rows = select(table).where(col(table.subscriber_id) == subscriber_id).order_by(col(table.id))
    return session.scalars(rows).all()


def _mails(session: Session, subscriber_id: int, titles: Mapping[int, str]) -> list[dict[str, Any]]:
    rows = _of(session, Delivery, subscriber_id)
    theirs = select(col(Delivery.id)).where(col(Delivery.subscriber_id) == subscriber_id)
    tries: dict[int, list[dict[str, Any]]] = {}
    for row in session.scalars(select(Attempt).where(col(Attempt.delivery_id).in_(theirs)).order_by(col(Attempt.id))):
        tries.setdefault(row.delivery_id, []).append(_told(row, _ATTEMPT))
    read = select(col(Issue.id), col(Issue.subject)).where(
        col(Issue.id).in_(select(col(Delivery.issue_id)).where(col(Delivery.subscriber_id) == subscriber_id))
    )
    subjects = {row.id: row.subject for row in session.execute(read)}
    return [
        {
            "newsletter": titles.get(row.newsletter_id or 0, ""),
            "issue": subjects.get(row.issue_id or 0, ""),
            **_told(row, _DELIVERY),
            "tries": tries.get(row.id, []),
        }
        for row in rows
    ]


def _bounces(session: Session, subscriber: Subscriber) -> Sequence[Bounce]:
    theirs = select(col(Delivery.id)).where(col(Delivery.subscriber_id) == subscriber.id)
    about = or_(col(Bounce.suppression_key) == subscriber.suppression_key, col(Bounce.delivery_id).in_(theirs))
    return session.scalars(select(Bounce).where(about).order_by(col(Bounce.id))).all()


def _letters(session: Session, subscriber: Subscriber) -> Sequence[InboundMail]:
    theirs = func.lower(col(InboundMail.sender)).in_((subscriber.address.lower(), subscriber.address_key))
    return session.scalars(select(InboundMail).where(theirs).order_by(col(InboundMail.id))).all()


def _remarks(session: Session, subscriber: Subscriber) -> Sequence[Remark]:
    """Return what is said to be theirs; from which IP address is left out, for nobody proved that it is."""
    theirs = func.lower(col(Remark.reply_to)).in_((subscriber.address.lower(), subscriber.address_key))
    return session.scalars(select(Remark).where(theirs).order_by(col(Remark.id))).all()


def _told(row: SQLModel, columns: Sequence[str]) -> dict[str, Any]:
    return {name: _plain(getattr(row, name)) for name in columns}


def _plain(value: object) -> object:
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value.value if isinstance(value, Enum) else value
