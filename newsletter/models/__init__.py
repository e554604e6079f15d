"""All tables: columns and constraints, one sentence each, no behaviour.

Times are aware UTC. States are stored as their words, checked by the database; ids are the database's own and never
shown to readers (tokens hide them).
"""

from newsletter.models.content import (
    AttemptStatus,
    Collection,
    CollectionStatus,
    DueTime,
    Issue,
    IssueEdit,
    IssuePaper,
    IssuePiece,
    Matter,
    Paper,
    PaperListing,
    PaperRecord,
    Remark,
    Summary,
    SummaryAttempt,
    SummaryOrigin,
)
from newsletter.models.inbound import InboundMail, InboundStatus
from newsletter.models.operators import Admin, AdminSession
from newsletter.models.outbox import Alarm, Attempt, Bounce, BounceKind, Delivery, DeliveryKind, Lane, Pause, PauseScope, Tick
from newsletter.models.readers import (
    AddressChange,
    Cadence,
    CatchUp,
    Consent,
    Newsletter,
    NoMatch,
    Review,
    Subscriber,
    Subscription,
    Suppression,
    SuppressionReason,
)

__all__ = [
    "AddressChange",
    "Admin",
    "AdminSession",
    "Alarm",
    "Attempt",
    "AttemptStatus",
    "Bounce",
    "BounceKind",
    "Cadence",
    "CatchUp",
    "Collection",
    "CollectionStatus",
    "Consent",
    "Delivery",
    "DeliveryKind",
    "DueTime",
    "InboundMail",
    "InboundStatus",
    "Issue",
    "IssueEdit",
    "IssuePaper",
    "IssuePiece",
    "Lane",
    "Matter",
    "Newsletter",
    "NoMatch",
    "Paper",
    "PaperListing",
    "PaperRecord",
    "Pause",
    "PauseScope",
    "Remark",
    "Review",
    "Subscriber",
    "Subscription",
    "Summary",
    "SummaryAttempt",
    "SummaryOrigin",
    "Suppression",
    "SuppressionReason",
    "Tick",
]
