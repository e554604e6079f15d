"""Log-ins: begun with a password, known by a token, ended by hand, by time or by a new password.

The token is 32 random bytes; only its SHA-256 is kept, which is no key to anything. Each log-in has a token of its own, so
there is none that somebody else could have set before.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from sqlalchemy import delete, or_, select, update
from sqlmodel import Session, col

from newsletter.admins import passwords
from newsletter.admins.accounts import normal_name
from newsletter.db import Sessions
from newsletter.models import Admin, AdminSession

SEEN_EVERY = timedelta(minutes=1)  # that a log-in in use is noted to be: not with every page


@dataclass(frozen=True)
class Rules:
    """How long a log-in holds: unused, and at all."""

    idle: timedelta = timedelta(hours=24)
    lasts: timedelta = timedelta(days=30)


@dataclass(frozen=True)
class SignedIn:
    """Whom a request comes from."""

    admin_id: int
    name: str


def log_in(sessions: Sessions, name: str, password: str, rules: Rules, *, now: datetime) -> str | None:
    """Return the token of a new log-in; None where the name or the password is wrong, in the same time.

    No transaction is open while the password is compared. One that was changed meanwhile is wrong.
    """
    wanted = select(Admin).where(col(Admin.name) == normal_name(name))
    with sessions.read() as session:
        found = session.scalars(wanted).first()
    kept = found.password_hash if found else passwords.nobodys()
    right, anew = passwords.verify(password, kept)
    if not right or found is None:
        return None
    with sessions.begin() as session:
        row = session.scalars(wanted.with_for_update()).first()
        if row is None or row.password_hash != kept:
            return None
        row.password_hash, row.logged_in_at = anew or kept, now
        return _begun(session, row.id, rules, now=now)


def _begun(session: Session, admin_id: int, rules: Rules, *, now: datetime) -> str:
    token = secrets.token_urlsafe(32)
    ends = now + rules.lasts
    session.add(AdminSession(token_hash=_hash(token), admin_id=admin_id, created_at=now, seen_at=now, expires_at=ends))
    return token


def signed_in(sessions: Sessions, token: str, rules: Rules, *, now: datetime) -> SignedIn | None:
    """Return whose log-in a token is, None for one that is over or never was; notes that it is in use."""
    if not token:
        return None
    rows = select(AdminSession, col(Admin.name)).join(Admin, col(Admin.id) == col(AdminSession.admin_id))
    with sessions.read() as session:
        found = session.execute(rows.where(col(AdminSession.token_hash) == _hash(token))).first()
    if found is None or not _holds(found[0], rules, now=now):
        return None
    if now - found[0].seen_at >= SEEN_EVERY:
        with sessions.begin() as session:
            session.execute(update(AdminSession).where(col(AdminSession.id) == found[0].id).values(seen_at=now))
    return SignedIn(found[0].admin_id, found[1])


def _holds(row: AdminSession, rules: Rules, *, now: datetime) -> bool:
    """Say whether a log-in holds, by the rules of today if they are stricter than those it began under."""
    return now < min(row.expires_at, row.created_at + rules.lasts, row.seen_at + rules.idle)


def log_out(session: Session, token: str) -> None:
    """End a log-in; one that is over already stays so."""
    session.execute(delete(AdminSession).where(col(AdminSession.token_hash) == _hash(token)))


def log_out_everywhere(session: Session, admin_id: int) -> int:
    """End all log-ins of an administrator, and return how many those were."""
    ended = delete(AdminSession).where(col(AdminSession.admin_id) == admin_id)
    return int(session.connection().execute(ended).rowcount)


def purge(session: Session, rules: Rules, *, now: datetime) -> int:
    """Delete the log-ins that are over, and return how many those were."""
    over = or_(col(AdminSession.expires_at) <= now, col(AdminSession.seen_at) <= now - rules.idle)
    return int(session.connection().execute(delete(AdminSession).where(over)).rowcount)


def _hash(token: str) -> str:
    return sha256(token.encode()).hexdigest()
