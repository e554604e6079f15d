"""Tables of who administers this installation."""

from datetime import datetime

from sqlalchemy import Index, UniqueConstraint
from sqlmodel import Field, SQLModel


class Admin(SQLModel, table=True):
    """A person who may see and do everything behind the log-in."""

    __tablename__ = "admins"
    __table_args__ = (UniqueConstraint("name"),)

    id: int = Field(default=None, primary_key=True)
    name: str  # lower case; what edits are kept under
    password_hash: str  # argon2id
    created_at: datetime
    logged_in_at: datetime | None = None


class AdminSession(SQLModel, table=True):
    """A log-in that holds until it is ended, unused for long, or old."""

    __tablename__ = "admin_sessions"
    __table_args__ = (UniqueConstraint("token_hash"),)

    id: int = Field(default=None, primary_key=True)
    token_hash: str  # of what the cookie holds: who reads the table cannot log in by it
    admin_id: int = Field(foreign_key="admins.id", index=True, ondelete="CASCADE")
    created_at: datetime
    seen_at: datetime
    expires_at: datetime


class FailedLogIn(SQLModel, table=True):
    """A log-in that failed, once for each thing it is counted by; kept for an hour."""

    __tablename__ = "failed_log_ins"
    __table_args__ = (Index("ix_failed_log_ins_subject_at", "subject", "at"),)

    id: int = Field(default=None, primary_key=True)
    subject: str  # a keyed hash of the name, IP address or network: some type the password for the name
    at: datetime = Field(index=True)
