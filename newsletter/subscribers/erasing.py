"""Erasing a person: everything goes but a keyed hash, by which the address is known when somebody brings it back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, String, and_, case, cast, delete, func, literal, or_, select, update
from sqlmodel import Session, col

from newsletter import db
from newsletter.deliveries import attempts
from newsletter.lifecycle import DeliveryEvent, DeliveryStatus, advance_delivery, before
from newsletter.models import (
    AddressChange,
    Bounce,
    Consent,
    Delivery,
    DeliveryKind,
    InboundMail,
    Remark,
    Subscriber,
    Subscription,
    Suppression,
    SuppressionReason,
)
from newsletter.subscribers.addresses import Address
from newsletter.subscribers.changing import NEW_END
from newsletter.subscribers.joining import Policy
from newsletter.tokens import suppression_key


@dataclass(frozen=True)
class Erased:
    """What was known of an address and is no more."""

    subscriber: bool
    subscriptions: int
    deliveries: int  # blanked: they still count
    stopped: int  # of them, those that were still to be sent
    letters: int  # mails of theirs to us, and those about them


def erase(session: Session, address: Address, policy: Policy, *, now: datetime) -> Erased:
    """Forget a person: subscriptions, evidence, letters; of mails only that they were, when, and how it went.

    What waits is not sent. A mail in the air at this moment may arrive and is never repeated. The address is suppressed by its
    keyed hash, so that no file brings it back; its person may still sign up anew.
    """
    key = suppression_key(policy.secret, address.key)
    subscriber = session.scalars(select(Subscriber).where(col(Subscriber.address_key) == address.key).with_for_update()).first()
    subscriber_id = subscriber.id if subscriber else None
    former = _former(session, subscriber_id)
    letters = _forget_letters(session, address, former)
    _forget_remarks(session, address, former)
    theirs = or_(_theirs(address, subscriber_id), col(Delivery.dedupe_key).in_(_questions(session, subscriber_id)))
    stopped, blanked = _blank_deliveries(session, theirs, now=now)
    session.execute(delete(AddressChange).where(col(AddressChange.new_address_key) == address.key))
    subscriptions = _forget_person(session, subscriber_id) if subscriber_id is not None else 0
    _suppress(session, key, now=now)
    return Erased(subscriber is not None, subscriptions, blanked, stopped, letters)


def _theirs(address: Address, subscriber_id: int | None) -> ColumnElement[bool]:
    named = or_(func.lower(col(Delivery.address)).in_((address.text.lower(), address.key)), _passes_on(address))
    return or_(col(Delivery.subscriber_id) == subscriber_id, named) if subscriber_id is not None else named


def _passes_on(address: Address) -> ColumnElement[bool]:
    """Say which mails pass on a letter or a remark of theirs: an answer to it would go to them."""
    writer = func.lower(col(Delivery.values)["reply_to"].as_string())
    return and_(
        col(Delivery.kind).in_((DeliveryKind.FORWARD, DeliveryKind.REMARK)), writer.in_((address.text.lower(), address.key))
    )


def _questions(session: Session, subscriber_id: int | None) -> list[str]:
    """Return the keys of the mails that ask a new address whether it is theirs: these name no subscriber."""
    changes = select(col(AddressChange.id)).where(col(AddressChange.subscriber_id) == subscriber_id)
    return [f"{NEW_END}{number}" for number in session.scalars(changes)]


def _blank_deliveries(session: Session, theirs: ColumnElement[bool], *, now: datetime) -> tuple[int, int]:
    """Skip what waits, and blank addresses, contents and servers' words, which quote addresses; return how many of each."""
    ids = list(session.scalars(select(col(Delivery.id)).where(theirs).with_for_update()))
    chosen = col(Delivery.id).in_(ids)
    _forget_reports(session, chosen)
    attempts.forget_words(session, ids)
    skip = (DeliveryStatus.QUEUED, DeliveryStatus.DEFERRED, DeliveryStatus.CLAIMED)
    after = advance_delivery(DeliveryStatus.QUEUED, DeliveryEvent.SKIP)
    assert set(skip) <= set(before(DeliveryEvent.SKIP, after))
    gone = {"status": after, "reason": "erased", "claimed_by": "", "lease_until": None, "updated_at": now}
    stop = update(Delivery).where(chosen, col(Delivery.status).in_(skip)).values(gone)
    stopped = session.connection().execute(stop.execution_options(synchronize_session=False)).rowcount
    # The key of a test mail holds the address it went to.
    test = col(Delivery.dedupe_key).startswith("test:")
    blank: dict[str, Any] = {
        "address": "",
        "values": {},
        "reply_text": "",
        "subscriber_id": None,
        "subscription_id": None,
        "give_up_at": now,  # whatever becomes of what is in the air, it is not tried again
        "dedupe_key": case((test, literal("erased:") + cast(col(Delivery.id), String)), else_=col(Delivery.dedupe_key)),
    }
    session.execute(update(Delivery).where(chosen).values(blank).execution_options(synchronize_session=False))
    return int(stopped), len(ids)


def _forget_reports(session: Session, deliveries: ColumnElement[bool]) -> None:
    """Blank what reports of failed mail say; that they were, and of which kind, still counts."""
    about = col(Bounce.delivery_id).in_(select(col(Delivery.id)).where(deliveries))
    session.execute(update(Bounce).where(about).values(reason="").execution_options(synchronize_session=False))


def _former(session: Session, subscriber_id: int | None) -> list[str]:
    """Return the addresses that were theirs before they changed them, in lower case."""
    changes = select(col(AddressChange.old_address))
    changes = changes.where(col(AddressChange.subscriber_id) == subscriber_id, col(AddressChange.done_at).is_not(None))
    return [former.lower() for former in session.scalars(changes)]


def _forget_letters(session: Session, address: Address, former: Sequence[str]) -> int:
    """Delete what they wrote to us, from this address and from their former ones."""
    sent_by_them = func.lower(col(InboundMail.sender)).in_((address.text.lower(), address.key, *former))
    passed_on = select(col(Delivery.dedupe_key)).where(_passes_on(address))
    theirs = or_(sent_by_them, (literal("forward:") + cast(col(InboundMail.id), String)).in_(passed_on))
    gone = delete(InboundMail).where(theirs).execution_options(synchronize_session=False)
    return int(session.connection().execute(gone).rowcount)


def _forget_remarks(session: Session, address: Address, former: Sequence[str]) -> None:
    """Blank what they said is wrong with an issue, where they left an address; that somebody did still counts."""
    theirs = func.lower(col(Remark.reply_to)).in_((address.text.lower(), address.key, *former))
    blank = update(Remark).where(theirs).values(content="", reply_to="", ip="")
    session.execute(blank.execution_options(synchronize_session=False))


def _forget_person(session: Session, subscriber_id: int) -> int:
    gone = delete(Subscription).where(col(Subscription.subscriber_id) == subscriber_id)
    number = int(session.connection().execute(gone.execution_options(synchronize_session=False)).rowcount)
    for table, column in ((Consent, col(Consent.subscriber_id)), (Subscriber, col(Subscriber.id))):
        session.execute(delete(table).where(column == subscriber_id).execution_options(synchronize_session=False))
    session.expire_all()
    return number


def _suppress(session: Session, key: str, *, now: datetime) -> None:
    """Keep the address out; a suppression that is there keeps its reason, and loses its evidence, which may name somebody."""
    row = {"suppression_key": key, "reason": SuppressionReason.ERASED, "evidence": "", "created_at": now}
    db.insert_new(session, Suppression, [row])
    session.execute(update(Suppression).where(col(Suppression.suppression_key) == key).values(evidence=""))
