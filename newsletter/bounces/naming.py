"""Which mail of ours a report is about: only what we have signed names one, never an address in a report's text."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import select
from sqlmodel import Session, col

from newsletter.bounces.reading import Original
from newsletter.errors import BadToken
from newsletter.models import Delivery, Subscription
from newsletter.tokens import Links, Purpose

_UNSUBSCRIBE_LINK = re.compile(r"/u/([A-Za-z0-9_-]+)")


class Found(NamedTuple):
    """A mail, and whether the report came back to the return path that it alone had."""

    delivery: Delivery
    by_return_path: bool


@dataclass(frozen=True)
class Signed:
    """What the genuine tokens in a report name."""

    by_return_path: frozenset[int]  # deliveries
    by_message_id: frozenset[int]  # deliveries
    subscriptions: frozenset[int]

    @property
    def deliveries(self) -> frozenset[int]:
        """All mails that are named: none, one, or too many to believe."""
        return self.by_return_path | self.by_message_id


def signed_in(original: Original, links: Links) -> Signed:
    """Return what is named by tokens of ours; what is forged names nothing."""
    keyring = links.keyring
    written = [address.partition(":")[2] or address for address in original.unsubscribe if "+" in address]
    linked = [found[1] for text in original.unsubscribe if (found := _UNSUBSCRIBE_LINK.search(text))]
    subscriptions = [
        *_genuine(_tags(written, "u"), lambda token: keyring.unsign_local_part(token, Purpose.UNSUBSCRIBE_MAIL)),
        *_genuine(linked, links.read_unsubscribe),
    ]
    return Signed(
        by_return_path=frozenset(
            _genuine(_tags(original.return_paths, "b"), lambda token: keyring.unsign_local_part(token, Purpose.RETURN_PATH))
        ),
        by_message_id=frozenset(
            _genuine(
                (text.strip("<>").rpartition("@")[0] for text in original.message_ids),
                lambda token: keyring.unsign_local_part(token, Purpose.MESSAGE_ID),
            )
        ),
        subscriptions=frozenset(subscriptions),
    )


def _tags(addresses: Iterable[str], letter: str) -> Iterator[str]:
    """Yield the tags of addresses as `b+tag@domain`."""
    for address in addresses:
        name, _, tag = address.rpartition("@")[0].partition("+")
        if name.lower() == letter and tag:
            yield tag


def _genuine(tokens: Iterable[str], read: Callable[[str], int]) -> Iterator[int]:
    for token in tokens:
        try:
            yield read(token)
        except BadToken:
            continue


def find(session: Session, original: Original, links: Links, *, delivery_id: int | None = None) -> Found | None:
    """Return the mail that a report is about; None where it names none of ours, or several.

    `delivery_id` is the mail to whose return path the report came, where the caller has read that token already.
    """
    signed = signed_in(original, links)
    named = signed.deliveries | ({delivery_id} if delivery_id is not None else set())
    if len(named) > 1:
        return None
    for number in named:
        delivery = session.get(Delivery, number)
        return Found(delivery, number == delivery_id or number in signed.by_return_path) if delivery else None
    if len(signed.subscriptions) == 1:
        return _last_of(session, next(iter(signed.subscriptions)))
    return None


def _last_of(session: Session, subscription_id: int) -> Found | None:
    """Return the last mail that was sent for a subscription."""
    subscriber_id = select(col(Subscription.subscriber_id)).where(col(Subscription.id) == subscription_id).scalar_subquery()
    rows = select(Delivery).where(
        col(Delivery.subscriber_id) == subscriber_id,
        col(Delivery.subscription_id) == subscription_id,
        col(Delivery.sent_at).is_not(None),
    )
    delivery = session.scalars(rows.order_by(col(Delivery.id).desc()).limit(1)).first()
    return Found(delivery, by_return_path=False) if delivery else None
