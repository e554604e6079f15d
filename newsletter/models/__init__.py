"""All tables: columns and constraints, one sentence each, no behaviour.

Times are aware UTC. States are stored as their words, checked by the database; ids are the database's own and never
shown to readers (tokens hide them).
"""

from newsletter.models.content import (
    Collection,
    CollectionStatus,
    DueTime,
    Issue,
    IssuePaper,
    IssuePiece,
    Paper,
    PaperListing,
    Summary,
    SummaryOrigin,
)
from newsletter.models.inbound import InboundMail, InboundStatus
from newsletter.models.outbox import Alarm, Attempt, Bounce, BounceKind, Delivery, DeliveryKind, Lane, Pause, PauseScope, Tick
from newsletter.models.readers import (
    AddressChange,
    Cadence,
    Consent,
    Newsletter,
    Subscriber,
    Subscription,
    Suppression,
    SuppressionReason,
)

__all__ = [
    "AddressChange",
    "Alarm",
    "Attempt",
    "Bounce",
    "BounceKind",
    "Cadence",
    "Collection",
    "CollectionStatus",
    "Consent",
    "Delivery",
    "DeliveryKind",
    "DueTime",
    "InboundMail",
    "InboundStatus",
    "Issue",
    "IssuePaper",
    "IssuePiece",
    "Lane",
    "Newsletter",
    "Paper",
    "PaperListing",
    "Pause",
    "PauseScope",
    "Subscriber",
    "Subscription",
    "Summary",
    "SummaryOrigin",
    "Suppression",
    "SuppressionReason",
    "Tick",
]
