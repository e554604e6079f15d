"""Tables of what is sent to us: mail, and what was asked for by it."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Column, Index, LargeBinary, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from newsletter.models.base import big_integer, enum_column


class InboundStatus(StrEnum):
    """What became of a mail that was sent to us."""

    RECEIVED = "received"  # ours since we said 250; not looked at yet
    DONE = "done"  # read, and what it asks for was done or rightly left alone
    FORWARDED = "forwarded"  # a person wrote to a person: it is passed on
    QUARANTINED = "quarantined"  # not understood, or we failed over it: kept for the operator


class InboundMail(SQLModel, table=True):
    """One mail to one address of ours; kept whole until it is done with."""

    __tablename__ = "inbound_mails"
    __table_args__ = (
        UniqueConstraint("content_key"),
        Index("ix_inbound_mails_status_id", "status", "id"),
        Index(
            "ix_inbound_mails_received_at",
            "received_at",
            sqlite_where=text("content IS NOT NULL"),
            postgresql_where=text("content IS NOT NULL"),
        ),
        {"sqlite_autoincrement": True},  # by its number a letter is passed on once: that of a forgotten one is given to no other
    )

    id: int = Field(default=None, primary_key=True, sa_type=big_integer())
    content_key: str  # hash of recipient and content: a server that missed our answer and sends again brings nothing new
    status: InboundStatus = Field(default=InboundStatus.RECEIVED, sa_column=enum_column(InboundStatus, "status"))
    purpose: str = ""  # what it was read as: "subscribe", "unsubscribe", "help", "bounce", "letter" …
    reason: str = ""  # what was done, or why nothing was
    peer: str = ""  # the IP address it came from
    sender: str = ""  # envelope; empty: the null one
    recipient: str
    subject: str = ""
    size: int  # bytes
    content: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))
    received_at: datetime
    handled_at: datetime | None = None
