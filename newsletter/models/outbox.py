"""Tables of what is sent, what comes back, and what the operator must know."""

from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any

from sqlalchemy import Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from newsletter.lifecycle import DeliveryStatus
from newsletter.models.base import big_integer, enum_column, json_column


class DeliveryKind(StrEnum):
    """What an email is: the folder of its templates."""

    DIGEST = "digest"
    CONFIRM = "confirm"
    WELCOME = "welcome"
    GOODBYE = "goodbye"
    ALREADY_SUBSCRIBED = "already-subscribed"
    PREFERENCES = "preferences"  # the link to them, asked for by page or mail
    MY_DATA = "my-data"  # the link to what is kept of a person
    CHANGE_OF_ADDRESS = "change-of-address"  # to the old end
    NEW_ADDRESS = "new-address"  # to the new end
    HELP = "help"  # the answer to a mail that asks for it
    FORWARD = "forward"  # what somebody wrote to us, passed on to a person
    REMARK = "remark"  # what a reader finds wrong with a paper's summary, for the operator
    ALARM = "alarm"


class Lane(IntEnum):
    """What goes first: a person who waits, before a list that waits."""

    PERSON = 0
    LIST = 1


class PauseScope(StrEnum):
    """What a pause stops."""

    RELAY = "relay"  # everything over it
    DOMAIN = "domain"  # everything over a relay to a recipients' domain
    ISSUE = "issue"


class BounceKind(StrEnum):
    """What a report says of an address."""

    HARD = "hard"
    SOFT = "soft"
    COMPLAINT = "complaint"


class Delivery(SQLModel, table=True):
    """One email on its way to one address: the send queue and the record of it."""

    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("dedupe_key"),
        Index(
            "ix_deliveries_waiting",
            "lane",
            "due_at",
            "id",
            sqlite_where=text("status IN ('queued', 'deferred')"),
            postgresql_where=text("status IN ('queued', 'deferred')"),
        ),
        Index(
            "ix_deliveries_leased",
            "lease_until",
            sqlite_where=text("status IN ('claimed', 'sending')"),
            postgresql_where=text("status IN ('claimed', 'sending')"),
        ),
        Index("ix_deliveries_issue_id_status", "issue_id", "status"),
        Index("ix_deliveries_subscriber_id", "subscriber_id"),
        Index(
            "ix_deliveries_doubtful",
            "claimed_by",
            sqlite_where=text("status IN ('unknown', 'held')"),
            postgresql_where=text("status IN ('unknown', 'held')"),
        ),
        Index(
            "ix_deliveries_held",
            "updated_at",
            sqlite_where=text("status = 'held'"),
            postgresql_where=text("status = 'held'"),
        ),
    )

    id: int = Field(default=None, primary_key=True, sa_type=big_integer())
    dedupe_key: str
    kind: DeliveryKind = Field(sa_column=enum_column(DeliveryKind, "kind"))
    lane: int = Lane.LIST.value
    status: DeliveryStatus = Field(default=DeliveryStatus.QUEUED, sa_column=enum_column(DeliveryStatus, "status"))
    newsletter_id: int | None = Field(default=None, foreign_key="newsletters.id")
    issue_id: int | None = Field(default=None, foreign_key="issues.id")
    subscriber_id: int | None = Field(default=None, foreign_key="subscribers.id", ondelete="SET NULL")
    # No key of another table: each of a mail's three changes would write its index, and no id is ever given twice.
    subscription_id: int | None = None
    address: str
    language: str = ""  # of the mail, where it is not the newsletter's
    values: dict[str, Any] = Field(
        default_factory=dict, sa_column=json_column(server_default="{}")
    )  # what its email is filled from
    due_at: datetime
    give_up_at: datetime  # after this it is no longer worth sending
    attempts: int = 0
    resends: int = 0  # how often an unknown outcome was sent again
    claimed_by: str = ""
    lease_until: datetime | None = None
    reason: str = ""  # why skipped, failed or held
    reply_code: int = 0  # the server's last words: basic code, enhanced code, text, who and when
    reply_enhanced: str = ""
    reply_text: str = ""
    reply_phase: str = ""
    reply_server: str = ""
    created_at: datetime
    updated_at: datetime
    sent_at: datetime | None = None


class Bounce(SQLModel, table=True):
    """A report that a mail failed or was called spam, and what was done about it."""

    __tablename__ = "bounces"
    __table_args__ = (
        UniqueConstraint("report_key"),
        Index("ix_bounces_suppression_key_received_at", "suppression_key", "received_at"),
        Index("ix_bounces_waiting", "id", sqlite_where=text("action = ''"), postgresql_where=text("action = ''")),
    )

    id: int = Field(default=None, primary_key=True)
    delivery_id: int | None = Field(
        default=None, foreign_key="deliveries.id", index=True, ondelete="SET NULL", sa_type=big_integer()
    )
    suppression_key: str = ""  # of the address it is about: what is counted stays countable when the person is erased
    kind: BounceKind = Field(sa_column=enum_column(BounceKind, "kind"))
    status: str = ""  # enhanced code, RFC 3463
    reason: str = ""
    reader: str = ""  # which rule read it
    source: str = ""  # how it came: "smtp", "inbox", "ses", "mailgun", "operator"
    report_key: str  # the same report told twice is one
    action: str = ""  # what followed: "suppressed", "unsubscribed", "counted", "held back: …"
    received_at: datetime


class Attempt(SQLModel, table=True):
    """A try to send a delivery that did not end in its being sent, in the server's words; of one that did, the delivery tells."""

    __tablename__ = "attempts"
    __table_args__ = (UniqueConstraint("delivery_id", "at"),)

    id: int = Field(default=None, primary_key=True, sa_type=big_integer())
    delivery_id: int = Field(foreign_key="deliveries.id", ondelete="CASCADE", sa_type=big_integer())
    number: int  # of the try, from 1: an unknown one may be told of twice, as its answer comes to light
    status: DeliveryStatus = Field(sa_column=enum_column(DeliveryStatus, "status"))  # deferred, failed or unknown
    reason: str = ""
    reply_code: int = 0  # as the delivery's
    reply_enhanced: str = ""
    reply_text: str = ""
    reply_phase: str = ""
    reply_server: str = ""
    at: datetime


class Alarm(SQLModel, table=True):
    """Something the operator must know: one open row per cause, closed when it is over."""

    __tablename__ = "alarms"
    __table_args__ = (
        Index(
            "uq_alarms_cause",
            "cause",
            unique=True,
            sqlite_where=text("closed_at IS NULL"),
            postgresql_where=text("closed_at IS NULL"),
        ),
    )

    id: int = Field(default=None, primary_key=True)
    cause: str  # what it is about, as "source:huggingface:2024-03-14"
    subject: str
    detail: str = ""
    times: int = 1  # how often it was raised while open
    opened_at: datetime
    raised_at: datetime  # the last time
    closed_at: datetime | None = None


class Pause(SQLModel, table=True):
    """Something that is not sent for a while, or until somebody resumes it: one open row per scope and key."""

    __tablename__ = "pauses"
    __table_args__ = (
        Index(
            "uq_pauses_scope_key",
            "scope",
            "key",
            unique=True,
            sqlite_where=text("closed_at IS NULL"),
            postgresql_where=text("closed_at IS NULL"),
        ),
    )

    id: int = Field(default=None, primary_key=True)
    scope: PauseScope = Field(sa_column=enum_column(PauseScope, "scope"))
    key: str  # "host:port", "host:port gmail.com", an issue's id
    until: datetime | None = None  # None: until somebody resumes it
    cause: str  # the server's words, or what was counted
    opened_at: datetime
    closed_at: datetime | None = None  # resumed, or over for a while


class Tick(SQLModel, table=True):
    """When a stage last ran: what health checks and a sleepless operator look at."""

    __tablename__ = "ticks"

    name: str = Field(primary_key=True)
    at: datetime
