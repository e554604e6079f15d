"""Changing the address: done once both ends have agreed, each by the link in a mail of its own.

Whoever holds one end alone can do nothing: not the stranger who was forwarded a digest, for the old address must agree, nor the
reader who mistypes the new one, for its person must. A new address that is a subscriber's already stays as it is, whatever it
receives or has left: two readers are never made one, or what one has left would come back by the wish of the other. It is told
by mail, and the change ends without effect. A suppressed new address is not mailed, so it cannot agree; a suppressed old one
may not. Both come back by their own double opt-in alone. The page answers the same in each case but the last.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col

from newsletter import i18n
from newsletter.deliveries import Mail, enqueue
from newsletter.errors import BadToken
from newsletter.lifecycle import DeliveryStatus
from newsletter.models import AddressChange, Delivery, DeliveryKind, Subscriber
from newsletter.subscribers.addresses import Address
from newsletter.subscribers.joining import Policy
from newsletter.subscribers.masking import mask
from newsletter.subscribers.preferences import is_suppressed, person, sender_of
from newsletter.tokens import suppression_key

AGREE_WITHIN = timedelta(hours=72)
NEW_END = "new-address:"  # with the change's id the dedupe key of the mail to the new end
CHANGES_A_DAY = 3  # that a reader may ask for, and that an address may be asked by


class Answer(StrEnum):
    """What became of asking for a change."""

    ASKED = "asked"  # mails are on their way, or it must look so
    TOO_OFTEN = "too-often"  # by this reader, today
    SUPPRESSED = "suppressed"  # nothing is sent to the old address, so it cannot agree


class Stage(StrEnum):
    """Where a change stands for one of its ends."""

    OPEN = "open"  # this end is asked
    AGREED = "agreed"  # this end has agreed, the other not yet
    DONE = "done"
    VOID = "void"  # stopped, too old, overtaken, or one end cannot take part


@dataclass(frozen=True)
class Change:
    """A change as the page of one end shows it, both addresses masked."""

    stage: Stage
    old: str
    new: str
    language: str


def ask(  # noqa: PLR0913 -- who, where to, and the evidence of the asking
    session: Session, subscriber_id: int, new: Address, policy: Policy, *, ip: str, now: datetime
) -> Answer:
    """Take the wish for another address, and mail both ends; it takes the place of an earlier one. Raises BadToken."""
    subscriber = _locked(session, subscriber_id)
    if is_suppressed(session, subscriber.suppression_key):
        return Answer.SUPPRESSED
    if _asked_today(session, now, col(AddressChange.subscriber_id) == subscriber_id) >= CHANGES_A_DAY:
        return Answer.TOO_OFTEN
    new_today = _asked_today(session, now, col(AddressChange.new_address_key) == new.key)
    open_ones = (col(AddressChange.subscriber_id) == subscriber_id, col(AddressChange.done_at).is_(None))
    session.execute(update(AddressChange).where(*open_ones, col(AddressChange.expires_at) > now).values(expires_at=now))
    change = AddressChange(
        subscriber_id=subscriber_id,
        old_address=subscriber.address,
        new_address=new.text,
        new_address_key=new.key,
        requested_at=now,
        requested_ip=ip,
        expires_at=now + AGREE_WITHIN,
    )
    session.add(change)
    session.flush()
    if new.text != subscriber.address:
        _mail_old_end(session, subscriber, change)
        if new_today < CHANGES_A_DAY and not is_suppressed(session, suppression_key(policy.secret, new.key)):
            _mail_new_end(session, subscriber, change)
    return Answer.ASKED


def _locked(session: Session, subscriber_id: int) -> Subscriber:
    locked = select(Subscriber).where(col(Subscriber.id) == subscriber_id).with_for_update(key_share=True)
    session.scalars(locked.execution_options(populate_existing=True)).one_or_none()
    return person(session, subscriber_id)


def _asked_today(session: Session, now: datetime, whose: ColumnElement[bool]) -> int:
    recent = select(func.count()).select_from(AddressChange)
    recent = recent.where(whose, col(AddressChange.requested_at) > now - timedelta(days=1))
    return session.scalar(recent) or 0


def _mail_old_end(session: Session, subscriber: Subscriber, change: AddressChange) -> None:
    mail = Mail(
        kind=DeliveryKind.CHANGE_OF_ADDRESS,
        dedupe_key=f"change-of-address:{change.id}",
        address=subscriber.address,
        newsletter_id=sender_of(session, subscriber.id),
        subscriber_id=subscriber.id,
        language=subscriber.language,
        values=_values(change, subscriber.language) | {"change_id": change.id},
    )
    enqueue(session, mail, now=change.requested_at)


def _mail_new_end(session: Session, subscriber: Subscriber, change: AddressChange) -> None:
    """Ask the new end, or tell it why nothing happens.

    As long as it has not agreed it is a stranger's: the mail names no subscriber, so that what is reported of it harms nobody.
    """
    known = _somebody_else(session, subscriber.id, change.new_address_key)
    language = known.language if known else subscriber.language
    mail = Mail(
        kind=DeliveryKind.NEW_ADDRESS,
        dedupe_key=f"{NEW_END}{change.id}",
        address=known.address if known else change.new_address,
        newsletter_id=sender_of(session, known.id if known else subscriber.id),
        subscriber_id=known.id if known else None,
        language=language,
        values=_values(change, language) | ({} if known else {"change_id": change.id}),
    )
    enqueue(session, mail, now=change.requested_at)


def _values(change: AddressChange, language: str) -> dict[str, object]:
    slots = {
        "requested_at": i18n.moment(change.requested_at, language),
        "hours": round(AGREE_WITHIN.total_seconds() / 3600),
        "old_address": mask(change.old_address),
        "new_address": mask(change.new_address),
    }
    return {"slots": slots, "expires_at": change.expires_at.isoformat()}


def _somebody_else(session: Session, subscriber_id: int, address_key: str) -> Subscriber | None:
    others = select(Subscriber).where(col(Subscriber.address_key) == address_key, col(Subscriber.id) != subscriber_id)
    return session.scalars(others).one_or_none()


def look(session: Session, change_id: int, *, new: bool, now: datetime) -> Change:
    """Return a change as one end sees it; changes nothing. Raises BadToken if it is gone."""
    change = session.get(AddressChange, change_id)
    if change is None:
        raise BadToken("This change of address is no longer known.")
    subscriber = person(session, change.subscriber_id)
    stage = _stage(change, subscriber, suppressed=is_suppressed(session, subscriber.suppression_key), new=new, now=now)
    return Change(stage, mask(change.old_address), mask(change.new_address), subscriber.language)


def _stage(change: AddressChange, subscriber: Subscriber, *, suppressed: bool, new: bool, now: datetime) -> Stage:
    if change.done_at is not None:
        return Stage.DONE
    if change.expires_at <= now or subscriber.address != change.old_address or suppressed:
        return Stage.VOID
    return Stage.AGREED if (change.new_agreed_at if new else change.old_agreed_at) is not None else Stage.OPEN


def agree(session: Session, change_id: int, policy: Policy, *, new: bool, now: datetime) -> Change:
    """Agree at one end: the button was pressed. With both it is done. Pressing twice changes nothing more."""
    change = _locked_change(session, change_id, new=new, now=now)
    if change is not None:
        if new:
            change.new_agreed_at = now
        else:
            change.old_agreed_at = now
        if change.old_agreed_at is not None and change.new_agreed_at is not None:
            _move(session, change, policy, now=now)
        session.flush()
    return look(session, change_id, new=new, now=now)


def stop(session: Session, change_id: int, *, new: bool, now: datetime) -> Change:
    """End a change without effect: it was not the person at this end who asked for it."""
    change = session.get(AddressChange, change_id)
    if change is not None and _locked(session, change.subscriber_id):
        session.refresh(change)
        if change.done_at is None and change.expires_at > now:
            change.expires_at = now
            session.flush()
    return look(session, change_id, new=new, now=now)


def _locked_change(session: Session, change_id: int, *, new: bool, now: datetime) -> AddressChange | None:
    """Return a change that waits for an end to agree, its subscriber locked: both ends at once take turns."""
    seen = session.get(AddressChange, change_id)
    if seen is None:
        return None
    _locked(session, seen.subscriber_id)
    session.refresh(seen)
    return seen if look(session, change_id, new=new, now=now).stage is Stage.OPEN else None


def _move(session: Session, change: AddressChange, policy: Policy, *, now: datetime) -> None:
    """Give the subscriber the new address, unless it has become another's, or suppressed, since it was asked for."""
    key = suppression_key(policy.secret, change.new_address_key)
    subscriber = session.get_one(Subscriber, change.subscriber_id)
    if is_suppressed(session, key) or _somebody_else(session, subscriber.id, change.new_address_key):
        change.expires_at = now
        return
    try:
        with session.begin_nested():
            subscriber.address, subscriber.address_key = change.new_address, change.new_address_key
            subscriber.suppression_key = key
            session.flush()
    except IntegrityError:  # somebody signed up with it in this very moment
        session.refresh(subscriber)
        change.expires_at = now
        return
    change.done_at = now
    _redirect(session, change)


def _redirect(session: Session, change: AddressChange) -> None:
    """Let what waits go to the new address; what a worker has in hand goes to the old one."""
    waiting = or_(col(Delivery.status) == DeliveryStatus.QUEUED, col(Delivery.status) == DeliveryStatus.DEFERRED)
    theirs = (col(Delivery.subscriber_id) == change.subscriber_id, col(Delivery.address) == change.old_address)
    moved = update(Delivery).where(*theirs, waiting, col(Delivery.kind) != DeliveryKind.CHANGE_OF_ADDRESS)
    session.execute(moved.values(address=change.new_address).execution_options(synchronize_session=False))
