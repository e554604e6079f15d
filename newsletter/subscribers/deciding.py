"""What a wish of a file comes to, beside what is known here: consent is never invented and never overwritten. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from newsletter.lifecycle import SubscriptionEvent, SubscriptionStatus, advance_subscription
from newsletter.models import SuppressionReason
from newsletter.subscribers.wishes import Wish


class Outcome(StrEnum):
    """What becomes of a row."""

    ADD_PENDING = "add pending"
    ADD_ACTIVE = "add active"
    ADD_UNSUBSCRIBED = "add unsubscribed"
    ACTIVATE = "activate"
    UPDATE = "update"
    UNCHANGED = "unchanged"
    UNSUBSCRIBE = "unsubscribe"
    SUPPRESS = "suppress"
    KEPT = "keeps unsubscribed"
    DUPLICATE = "duplicate"
    REFUSED = "refused"


@dataclass(frozen=True)
class KnownSubscription:
    """A subscription as it stands here."""

    id: int
    consent_id: int
    status: SubscriptionStatus
    columns: Mapping[str, Any]
    only_imported: bool  # a file brought it, and nobody was asked to confirm it


@dataclass(frozen=True)
class Known:
    """What is known here of an address and of its subscription to one newsletter."""

    subscriber_id: int | None = None
    person: Mapping[str, Any] = field(default_factory=dict)
    subscription: KnownSubscription | None = None
    suppressed: SuppressionReason | None = None


@dataclass(frozen=True)
class Decision:
    """What is done about a row, and the words to say it; changes are columns with their new values."""

    outcome: Outcome
    words: str = ""
    status: SubscriptionStatus | None = None  # that the subscription comes to; None: there is none, or it stays
    suppress: bool = False
    person: Mapping[str, Any] = field(default_factory=dict)
    wanted: Mapping[str, Any] = field(default_factory=dict)


NOBODY = Known()
_ADDED = {
    SubscriptionStatus.PENDING: Outcome.ADD_PENDING,
    SubscriptionStatus.ACTIVE: Outcome.ADD_ACTIVE,
    SubscriptionStatus.UNSUBSCRIBED: Outcome.ADD_UNSUBSCRIBED,
}


def decide(wish: Wish, known: Known, *, recorded: bool) -> Decision:
    """Return what a wish comes to; `recorded`: the operator states where its consent is on record."""
    if known.suppressed is not None:
        return _of_suppressed(wish, known)
    decision = _of_subscription(wish, known, recorded=recorded)
    if wish.suppressed is None:
        return decision
    words = f"{wish.suppressed}: {wish.suppressed_because}".removesuffix(": ")
    return Decision(Outcome.SUPPRESS, words, decision.status, suppress=True, person=decision.person, wanted=decision.wanted)


def _of_suppressed(wish: Wish, known: Known) -> Decision:
    """Leave an address alone that is suppressed here, but for what ends its subscription."""
    if wish.status is SubscriptionStatus.UNSUBSCRIBED and known.subscription is not None:
        return _of_known(wish, known, known.subscription, recorded=False)
    if wish.leaves:
        return Decision(Outcome.UNCHANGED, f"suppressed here: {known.suppressed}")
    return Decision(Outcome.REFUSED, f"suppressed here: {known.suppressed}. Only the person can undo it, by signing up anew.")


def _of_subscription(wish: Wish, known: Known, *, recorded: bool) -> Decision:
    if wish.status is None:
        return Decision(Outcome.UNCHANGED)
    if known.subscription is not None:
        return _of_known(wish, known, known.subscription, recorded=recorded)
    status = _entry(wish, recorded=recorded)
    person = wish.person if known.subscriber_id is None else _news(wish.person, known.person)
    return Decision(_ADDED[status], status=status, person=person, wanted=wish.wanted)


def _entry(wish: Wish, *, recorded: bool) -> SubscriptionStatus:
    """Return the state in which somebody comes in: active only by consent on record."""
    if wish.status is SubscriptionStatus.ACTIVE and not recorded:
        return SubscriptionStatus.PENDING
    assert wish.status is not None
    return wish.status


def _of_known(wish: Wish, known: Known, there: KnownSubscription, *, recorded: bool) -> Decision:
    if there.status is SubscriptionStatus.UNSUBSCRIBED:
        if wish.leaves:
            return Decision(Outcome.UNCHANGED)
        return Decision(Outcome.KEPT, "they left here; only they can come back, by signing up anew")
    if wish.status is SubscriptionStatus.UNSUBSCRIBED:
        return Decision(Outcome.UNSUBSCRIBE, status=advance_subscription(there.status, SubscriptionEvent.UNSUBSCRIBE))
    person, wanted = _news(wish.person, known.person), _news(wish.wanted, there.columns)
    pending = there.status is SubscriptionStatus.PENDING
    if pending and there.only_imported and recorded and wish.status is SubscriptionStatus.ACTIVE:
        after = advance_subscription(there.status, SubscriptionEvent.CONFIRM)
        return Decision(Outcome.ACTIVATE, "by the consent on record", after, person=person, wanted=wanted)
    if person or wanted:
        words = "; ".join(f"{name} {_said(value)}" for name, value in (*person.items(), *wanted.items()))
        return Decision(Outcome.UPDATE, words, person=person, wanted=wanted)
    return Decision(Outcome.UNCHANGED, "waits for their confirmation" if pending else "")


def _news(stated: Mapping[str, Any], here: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in stated.items() if here.get(name) != value}


def _said(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
