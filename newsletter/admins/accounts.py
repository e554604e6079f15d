"""Administrators: added, listed, given another password, removed."""

import re
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, select
from sqlmodel import Session, col

from newsletter import db
from newsletter.admins import passwords
from newsletter.errors import BadInput, Conflict, NotFound
from newsletter.models import Admin, AdminSession

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{2,63}")


def normal_name(given: str) -> str:
    """Return a name as it is kept: lower case, no spaces around it; NUL, which PostgreSQL takes in no text, is "?"."""
    return given.strip().lower().replace("\0", "?")


def create(session: Session, name: str, password: str, *, now: datetime) -> str:
    """Add an administrator and return the name as it is kept.

    Raises BadInput for a name or password that cannot be used, Conflict for a name that is taken.
    """
    kept = normal_name(name)
    if not _NAME.fullmatch(kept):
        raise BadInput(f"{name!r} cannot be a name.", hint="Use 3 to 64 letters from a to z, digits, dots and dashes.")
    passwords.check(password, kept)
    row = {"name": kept, "password_hash": passwords.hashed(password), "created_at": now}
    if not db.insert_new(session, Admin, [row]):
        raise Conflict(f"There is an administrator {kept} already.", hint=f"newsletter admin password {kept}")
    return kept


def set_password(session: Session, name: str, password: str) -> None:
    """Give an administrator another password, and end all their log-ins. Raises NotFound and BadInput."""
    row = find(session, name)
    passwords.check(password, row.name)
    row.password_hash = passwords.hashed(password)
    session.execute(delete(AdminSession).where(col(AdminSession.admin_id) == row.id))


def listing(session: Session) -> Sequence[Admin]:
    """Return all administrators by name."""
    return session.scalars(select(Admin).order_by(col(Admin.name))).all()


def remove(session: Session, name: str) -> None:
    """Remove an administrator, whose log-ins end with it; what they did stays under their name. Raises NotFound."""
    row = find(session, name)
    session.execute(delete(AdminSession).where(col(AdminSession.admin_id) == row.id))
    session.delete(row)


def find(session: Session, name: str) -> Admin:
    """Return an administrator; raises NotFound."""
    row = session.scalars(select(Admin).where(col(Admin.name) == normal_name(name))).first()
    if row is None:
        raise NotFound(f"There is no administrator {name}.", hint="`newsletter admin list` shows their names.")
    return row
