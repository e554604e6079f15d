"""States, events, and what follows what: three total functions, no behaviour.

Reports come late, twice and out of order, so every (state, event) pair has an answer: an event that says
nothing new, or comes too late to matter, leaves the state as it is.
"""

from enum import StrEnum


class SubscriptionStatus(StrEnum):
    """Whether a subscriber gets a newsletter."""

    PENDING = "pending"  # asked for, not confirmed: gets nothing but the confirmation
    ACTIVE = "active"
    UNSUBSCRIBED = "unsubscribed"


class SubscriptionEvent(StrEnum):
    """What happens to a subscription."""

    REQUEST = "request"  # the form was sent: by anybody
    CONFIRM = "confirm"  # the button behind the mailed link was pressed: by the person
    UNSUBSCRIBE = "unsubscribe"


_SUBSCRIPTION_MOVES = {
    (SubscriptionStatus.PENDING, SubscriptionEvent.CONFIRM): SubscriptionStatus.ACTIVE,
    (SubscriptionStatus.PENDING, SubscriptionEvent.UNSUBSCRIBE): SubscriptionStatus.UNSUBSCRIBED,
    (SubscriptionStatus.ACTIVE, SubscriptionEvent.UNSUBSCRIBE): SubscriptionStatus.UNSUBSCRIBED,
    # Only a new request makes a way back, and only to pending: a confirmation of old does not.
    (SubscriptionStatus.UNSUBSCRIBED, SubscriptionEvent.REQUEST): SubscriptionStatus.PENDING,
}


def advance_subscription(status: SubscriptionStatus, event: SubscriptionEvent) -> SubscriptionStatus:
    """Return the status after `event`."""
    return _SUBSCRIPTION_MOVES.get((status, event), status)


class IssueStatus(StrEnum):
    """How far an issue has come."""

    EMPTY = "empty"  # nothing to report that day, and why is on record
    DRAFT = "draft"  # papers chosen and ordered
    READY = "ready"  # frozen: rendered into pieces, unchangeable
    PUBLISHED = "published"  # its deliveries exist
    SENT = "sent"  # all of them have ended
    CANCELLED = "cancelled"  # its papers are free again


class IssueEvent(StrEnum):
    """What happens to an issue."""

    ASSEMBLE = "assemble"  # there are papers for it
    FREEZE = "freeze"
    PUBLISH = "publish"
    FINISH = "finish"  # no delivery of it is left to end
    CANCEL = "cancel"


_ISSUE_MOVES = {
    (IssueStatus.EMPTY, IssueEvent.ASSEMBLE): IssueStatus.DRAFT,
    (IssueStatus.EMPTY, IssueEvent.CANCEL): IssueStatus.CANCELLED,
    (IssueStatus.DRAFT, IssueEvent.FREEZE): IssueStatus.READY,
    (IssueStatus.DRAFT, IssueEvent.CANCEL): IssueStatus.CANCELLED,
    (IssueStatus.READY, IssueEvent.PUBLISH): IssueStatus.PUBLISHED,
    (IssueStatus.READY, IssueEvent.CANCEL): IssueStatus.CANCELLED,
    (IssueStatus.PUBLISHED, IssueEvent.FINISH): IssueStatus.SENT,
    (IssueStatus.PUBLISHED, IssueEvent.CANCEL): IssueStatus.CANCELLED,
    # Someone confirmed or resent late: there is work again.
    (IssueStatus.SENT, IssueEvent.PUBLISH): IssueStatus.PUBLISHED,
}


def advance_issue(status: IssueStatus, event: IssueEvent) -> IssueStatus:
    """Return the status after `event`."""
    return _ISSUE_MOVES.get((status, event), status)


class DeliveryStatus(StrEnum):
    """Where one email to one address stands."""

    QUEUED = "queued"
    CLAIMED = "claimed"  # in a worker's hands, not begun; its lease expires back to queued
    SENDING = "sending"  # begun or about to; its lease expires to unknown
    DEFERRED = "deferred"  # the server said later
    UNKNOWN = "unknown"  # begun, and no answer known: it may have arrived
    SENT = "sent"
    FAILED = "failed"
    SKIPPED = "skipped"  # not owed any more: left, suppressed, cancelled
    HELD = "held"  # unknown, and left to the operator


class DeliveryEvent(StrEnum):
    """What happens to a delivery."""

    CLAIM = "claim"
    GIVE_BACK = "give_back"  # the worker stops, or its lease ran out, before it began
    BEGIN = "begin"
    ACCEPT = "accept"  # 2xx after the dot
    PUT_OFF = "put_off"  # 4xx, the relay was away, or it is paused
    REFUSE = "refuse"  # 5xx, or the time for trying is over
    LOSE = "lose"  # no answer: the connection or the worker is gone
    SKIP = "skip"
    RESEND = "resend"
    HOLD = "hold"


_WAITING = (DeliveryStatus.QUEUED, DeliveryStatus.DEFERRED)
_IN_HAND = (DeliveryStatus.CLAIMED, DeliveryStatus.SENDING)  # of the second, only what has not begun is skipped
_DELIVERY_MOVES = {
    **{(status, DeliveryEvent.CLAIM): DeliveryStatus.CLAIMED for status in _WAITING},
    **{(status, DeliveryEvent.SKIP): DeliveryStatus.SKIPPED for status in (*_WAITING, *_IN_HAND)},
    **{(status, DeliveryEvent.REFUSE): DeliveryStatus.FAILED for status in (*_WAITING, DeliveryStatus.CLAIMED)},
    (DeliveryStatus.CLAIMED, DeliveryEvent.GIVE_BACK): DeliveryStatus.QUEUED,
    (DeliveryStatus.CLAIMED, DeliveryEvent.BEGIN): DeliveryStatus.SENDING,
    (DeliveryStatus.CLAIMED, DeliveryEvent.PUT_OFF): DeliveryStatus.DEFERRED,  # a pause or a limit: it was not tried
    # Its connection or its worker's journal shows that its content never left.
    (DeliveryStatus.SENDING, DeliveryEvent.GIVE_BACK): DeliveryStatus.QUEUED,
    (DeliveryStatus.SENDING, DeliveryEvent.ACCEPT): DeliveryStatus.SENT,
    (DeliveryStatus.SENDING, DeliveryEvent.PUT_OFF): DeliveryStatus.DEFERRED,
    (DeliveryStatus.SENDING, DeliveryEvent.REFUSE): DeliveryStatus.FAILED,
    (DeliveryStatus.SENDING, DeliveryEvent.LOSE): DeliveryStatus.UNKNOWN,
    # It left just before the last look of somebody's leaving.
    (DeliveryStatus.SKIPPED, DeliveryEvent.ACCEPT): DeliveryStatus.SENT,
    # The answer came to light after all: no resend.
    (DeliveryStatus.QUEUED, DeliveryEvent.ACCEPT): DeliveryStatus.SENT,
    (DeliveryStatus.CLAIMED, DeliveryEvent.ACCEPT): DeliveryStatus.SENT,  # by the same worker, to send it again
    (DeliveryStatus.UNKNOWN, DeliveryEvent.ACCEPT): DeliveryStatus.SENT,
    (DeliveryStatus.UNKNOWN, DeliveryEvent.PUT_OFF): DeliveryStatus.DEFERRED,
    (DeliveryStatus.UNKNOWN, DeliveryEvent.REFUSE): DeliveryStatus.FAILED,
    (DeliveryStatus.UNKNOWN, DeliveryEvent.RESEND): DeliveryStatus.QUEUED,
    # Its worker, that was thought lost, tells that it never began it: no resend, and no doubt.
    (DeliveryStatus.UNKNOWN, DeliveryEvent.GIVE_BACK): DeliveryStatus.QUEUED,
    (DeliveryStatus.HELD, DeliveryEvent.GIVE_BACK): DeliveryStatus.QUEUED,
    (DeliveryStatus.HELD, DeliveryEvent.PUT_OFF): DeliveryStatus.DEFERRED,
    (DeliveryStatus.UNKNOWN, DeliveryEvent.HOLD): DeliveryStatus.HELD,
    (DeliveryStatus.HELD, DeliveryEvent.ACCEPT): DeliveryStatus.SENT,
    (DeliveryStatus.HELD, DeliveryEvent.REFUSE): DeliveryStatus.FAILED,
    (DeliveryStatus.HELD, DeliveryEvent.RESEND): DeliveryStatus.QUEUED,
    (DeliveryStatus.FAILED, DeliveryEvent.RESEND): DeliveryStatus.QUEUED,
}

ENDED = frozenset({DeliveryStatus.SENT, DeliveryStatus.FAILED, DeliveryStatus.SKIPPED, DeliveryStatus.HELD})


def advance_delivery(status: DeliveryStatus, event: DeliveryEvent) -> DeliveryStatus:
    """Return the status after `event`."""
    return _DELIVERY_MOVES.get((status, event), status)


def before(event: DeliveryEvent, after: DeliveryStatus) -> tuple[DeliveryStatus, ...]:
    """Return the states that `event` leads to `after` from: what a set-based UPDATE asks for in its WHERE."""
    return tuple(old for (old, what), new in _DELIVERY_MOVES.items() if what is event and new is after)
