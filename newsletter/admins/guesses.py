"""Who guesses: log-ins that fail are counted by IP address, network and name, and each further one has to wait longer.

In the database and not in Redis: a log-in needs the one anyway, and an operator must not be locked out because the other is
down. A try is counted before its password is looked at, so that many at once are not one. What stands in the table are keyed
hashes, for some type their password where the name belongs.

Who guesses at a name keeps others from logging in under it; but a browser that was logged in under it before is counted by
itself alone, and comes in.
"""

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from sqlalchemy import delete, or_, select
from sqlmodel import Session, col

from newsletter import throttle
from newsletter.admins.accounts import normal_name
from newsletter.alarms import Cause, close, raise_alarm
from newsletter.db import Sessions
from newsletter.models import Admin, Alarm, FailedLogIn

WITHIN = timedelta(hours=1)
FREE = {"ip": 5, "network": 15, "name": 10, "browser": 10}  # tries that fail until the next has to wait
LONGEST = timedelta(minutes=5)
ALARM = "log-in"
MANY = 20  # for a name there is: an alarm


@dataclass(frozen=True)
class Try:
    """Who tries to log in: under which name, from where; and the secret of a browser that was let in before, "" for none."""

    name: str
    ip: str = ""
    browser: str = ""

    def subjects(self) -> list[tuple[str, str]]:
        """Return what it is counted by."""
        if self.browser:
            return [("browser", self.browser)]
        network = throttle.network_of(self.ip)
        places = [("ip", self.ip), ("network", network)] if network else []
        return [*places, ("name", normal_name(self.name))]


def begin(sessions: Sessions, tried: Try, secret: bytes, *, now: datetime) -> timedelta:
    """Count a try as failed and return nothing to wait for; or count nothing and return how long it has to wait."""
    subjects = {kind: _hashed(secret, kind, value) for kind, value in tried.subjects()}
    with sessions.begin() as session:
        counted = {kind: _counted(session, subject, now=now) for kind, subject in subjects.items()}
        wait = max(_wait(FREE[kind], *found, now=now) for kind, found in counted.items())
        if not wait:
            session.execute(delete(FailedLogIn).where(col(FailedLogIn.at) <= now - WITHIN))
            session.add_all(FailedLogIn(subject=subject, at=now) for subject in subjects.values())
            _warn(session, normal_name(tried.name), counted.get("name", (0, None))[0] + 1, now=now)
    return wait


def _counted(session: Session, subject: str, *, now: datetime) -> tuple[int, datetime | None]:
    """Return how many tries of the last hour failed, and when the last of them was."""
    rows = select(col(FailedLogIn.at)).where(col(FailedLogIn.subject) == subject, col(FailedLogIn.at) > now - WITHIN)
    found = session.scalars(rows.order_by(col(FailedLogIn.at).desc())).all()
    return len(found), found[0] if found else None


def _wait(free: int, number: int, last: datetime | None, *, now: datetime) -> timedelta:
    """Return how long the next try has to wait: twice as long each time, until it is `LONGEST`."""
    if number < free or last is None:
        return timedelta()
    pause = min(timedelta(seconds=2.0 ** min(number - free + 1, 20)), LONGEST)
    return max(last + pause - now, timedelta())


def _warn(session: Session, name: str, number: int, *, now: datetime) -> None:
    """Raise an alarm about many guesses at the password of somebody there is."""
    if number < MANY or session.scalars(select(col(Admin.id)).where(col(Admin.name) == name)).first() is None:
        return
    detail = f"{number} in an hour. Each has to wait longer; a browser that was logged in as {name} before comes in at once."
    raise_alarm(session, Cause(f"{ALARM}:{name}", f"Somebody guesses at the password of {name}", detail), now=now)


def end(session: Session, tried: Try, secret: bytes, *, now: datetime) -> None:
    """Uncount a try, begun at `now`, that was right, and what came before it from the same place. The rest stays counted."""
    subjects = {kind: _hashed(secret, kind, value) for kind, value in tried.subjects()}
    place = [subject for kind, subject in subjects.items() if kind in {"ip", "browser"}]
    this = (col(FailedLogIn.subject).in_(subjects.values())) & (col(FailedLogIn.at) == now)
    session.execute(delete(FailedLogIn).where(or_(col(FailedLogIn.subject).in_(place), this)))


def purge(session: Session, secret: bytes, *, now: datetime) -> None:
    """Forget the tries of former hours, and close the alarms about guesses that have stopped."""
    session.execute(delete(FailedLogIn).where(col(FailedLogIn.at) <= now - WITHIN))
    raised = select(col(Alarm.cause)).where(col(Alarm.cause).startswith(f"{ALARM}:"), col(Alarm.closed_at).is_(None))
    for cause in session.scalars(raised).all():
        if not _counted(session, _hashed(secret, "name", cause.partition(":")[2]), now=now)[0]:
            close(session, cause, now=now)


def _hashed(secret: bytes, kind: str, value: str) -> str:
    return hmac.new(secret, f"newsletter:log-in:{kind}:{value}".encode(), sha256).hexdigest()[:32]
