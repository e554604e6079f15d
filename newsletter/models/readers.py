"""Tables of newsletters and their readers."""

from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, false
from sqlmodel import Field, SQLModel

from newsletter.lifecycle import SubscriptionStatus
from newsletter.models.base import enum_column, json_column

# An id that is in a link of a mail must not become another person's once its row is deleted; PostgreSQL gives none twice.
NEVER_AGAIN = {"sqlite_autoincrement": True}


class Cadence(StrEnum):
    """How often an issue comes."""

    DAILY = "daily"
    WEEKLY = "weekly"


class CatchUp(StrEnum):
    """What becomes of the days that an outage missed."""

    EACH = "each"  # an issue a day
    MERGED = "merged"  # all of them in one issue


class Review(StrEnum):
    """Whether a person looks at an issue before it goes, and what happens if nobody does until its deadline."""

    AUTOMATIC = "automatic"  # nobody has to
    THEN_SEND = "then-send"
    THEN_HOLD = "then-hold"


class NoMatch(StrEnum):
    """What a reader gets of an issue in which nothing is about their topics."""

    SKIP = "skip"  # no mail that day
    SHORT = "short"  # its papers as one line each


class SuppressionReason(StrEnum):
    """Why an address is never mailed again."""

    BOUNCE = "bounce"
    COMPLAINT = "complaint"
    ERASED = "erased"
    OPERATOR = "operator"


class Newsletter(SQLModel, table=True):
    """A publication: what it is called, what it is made of, when it goes and who signs it."""

    __tablename__ = "newsletters"
    __table_args__ = (
        UniqueConstraint("slug"),
        CheckConstraint("send_hour BETWEEN 0 AND 23", name="send_hour"),
        CheckConstraint("max_papers BETWEEN 1 AND 200", name="max_papers"),
        CheckConstraint("weekly_papers BETWEEN 1 AND 200", name="weekly_papers"),
    )

    id: int = Field(default=None, primary_key=True)  # None only until flushed
    slug: str
    title: str
    description: str = ""
    language: str  # BCP 47
    sources: list[str] = Field(default_factory=list, sa_column=json_column())
    cadences: list[str] = Field(default_factory=lambda: [Cadence.DAILY.value], sa_column=json_column())
    zone: str = "UTC"  # IANA
    send_hour: int | None = None  # local hour of who did not choose one; None: as soon as an issue is ready
    cutoff_hours: int = 24  # after 00:00 UTC of a list day, when its issue is made
    give_up_hours: int = 12  # after its due time, when a digest is no longer worth sending
    max_papers: int = 50
    weekly_papers: int = Field(default=20, sa_column_kwargs={"server_default": "20"})  # the week's best, by votes
    patience_hours: int = Field(default=6, sa_column_kwargs={"server_default": "6"})  # after the cut-off, for a source that fails
    catch_up: CatchUp = Field(default=CatchUp.EACH, sa_column=enum_column(CatchUp, "catch_up", server_default="each"))
    review: Review = Field(default=Review.AUTOMATIC, sa_column=enum_column(Review, "review", server_default="automatic"))
    review_hours: int = Field(default=6, sa_column_kwargs={"server_default": "6"})  # after it is made, until the deadline
    no_match: NoMatch = Field(default=NoMatch.SKIP, sa_column=enum_column(NoMatch, "no_match", server_default="skip"))
    from_name: str
    from_address: str
    reply_to: str = ""
    postal_address: str
    created_at: datetime


class Subscriber(SQLModel, table=True):
    """An address and its person."""

    __tablename__ = "subscribers"
    __table_args__ = (UniqueConstraint("address_key"), NEVER_AGAIN)

    id: int = Field(default=None, primary_key=True)
    address: str  # as given, domain in lower case
    address_key: str  # case-folded: one mailbox, one subscriber
    suppression_key: str = Field(index=True)  # keyed hash of the address key: what suppressions are joined by
    language: str
    zone: str = ""  # empty: the newsletter's
    created_at: datetime


class Consent(SQLModel, table=True):
    """The evidence: one request to subscribe, in which words, from where, and its confirmation."""

    __tablename__ = "consents"
    __table_args__ = (NEVER_AGAIN,)

    id: int = Field(default=None, primary_key=True)
    subscriber_id: int = Field(foreign_key="subscribers.id", index=True, ondelete="CASCADE")
    newsletter_ids: list[int] = Field(default_factory=list, sa_column=json_column())  # what was asked for
    # How often each should come, by its id as a word: of a newsletter that is not named nothing was chosen.
    cadences: dict[str, str] = Field(default_factory=dict, sa_column=json_column(server_default="{}"))
    source: str  # "page", "mail", "operator", "import"
    wording: str  # what was agreed to, as shown
    language: str = Field(default="", sa_column_kwargs={"server_default": ""})  # of the page; empty: not known
    wording_version: str
    requested_at: datetime = Field(index=True)
    requested_ip: str = ""
    expires_at: datetime
    confirmed_at: datetime | None = None
    confirmed_ip: str = ""


class AddressChange(SQLModel, table=True):
    """A subscriber's wish to get their mail at another address; done once both ends have agreed."""

    __tablename__ = "address_changes"
    __table_args__ = (NEVER_AGAIN,)

    id: int = Field(default=None, primary_key=True)
    subscriber_id: int = Field(foreign_key="subscribers.id", index=True, ondelete="CASCADE")
    old_address: str  # what it was when asked for: a later change makes this one void
    new_address: str
    new_address_key: str = Field(index=True)
    requested_at: datetime
    requested_ip: str = ""
    expires_at: datetime
    old_agreed_at: datetime | None = None
    new_agreed_at: datetime | None = None
    done_at: datetime | None = None


class Subscription(SQLModel, table=True):
    """A subscriber's wish for a newsletter, and how they want it."""

    __tablename__ = "subscriptions"
    __table_args__ = (
        UniqueConstraint("subscriber_id", "newsletter_id"),
        Index("ix_subscriptions_newsletter_id_cadence_status", "newsletter_id", "cadence", "status"),
        CheckConstraint("send_hour BETWEEN 0 AND 23", name="send_hour"),
        CheckConstraint("status <> 'active' OR confirmed_at IS NOT NULL", name="active_is_confirmed"),
        NEVER_AGAIN,
    )

    id: int = Field(default=None, primary_key=True)
    subscriber_id: int = Field(foreign_key="subscribers.id", ondelete="CASCADE")
    newsletter_id: int = Field(foreign_key="newsletters.id")
    consent_id: int = Field(foreign_key="consents.id", index=True)
    status: SubscriptionStatus = Field(default=SubscriptionStatus.PENDING, sa_column=enum_column(SubscriptionStatus, "status"))
    cadence: Cadence = Field(default=Cadence.DAILY, sa_column=enum_column(Cadence, "cadence"))
    send_hour: int | None = None  # None: the newsletter's
    zone: str = ""  # empty: the subscriber's, or else the newsletter's
    topics: list[str] = Field(default_factory=list, sa_column=json_column())  # arXiv categories: "cs.CL"
    keywords: list[str] = Field(default_factory=list, sa_column=json_column(server_default="[]"))  # free words
    max_papers: int | None = None
    match_first: bool = Field(default=False, sa_column_kwargs={"server_default": false()})  # else by votes
    paused_until: date | None = None
    created_at: datetime
    confirmed_at: datetime | None = None
    unsubscribed_at: datetime | None = None
    unsubscribed_by: str = ""  # "page", "one-click", "operator" …


class Suppression(SQLModel, table=True):
    """An address never to be mailed again and why; a keyed hash, so that it outlives the subscriber."""

    __tablename__ = "suppressions"
    __table_args__ = (UniqueConstraint("suppression_key"),)

    id: int = Field(default=None, primary_key=True)
    suppression_key: str
    reason: SuppressionReason = Field(sa_column=enum_column(SuppressionReason, "reason"))
    evidence: str = ""
    created_at: datetime
