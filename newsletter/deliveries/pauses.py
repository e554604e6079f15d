"""What is not sent for a while, or until somebody resumes it: a relay, a recipients' domain over it, an issue.

Whatever waits because of a pause is put off, never ended by it, and counts no attempt.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, case, func, or_, select, text, update
from sqlmodel import Session, col

from newsletter import alarms, db
from newsletter.alarms import Cause
from newsletter.lifecycle import DeliveryEvent, DeliveryStatus, advance_delivery
from newsletter.models import Delivery, Pause, PauseScope
from newsletter.text import one_line
from newsletter.watch import pause_key

RESUMED = datetime.max.replace(tzinfo=UTC)  # the end of a pause that lasts until somebody resumes it
WORTH_AN_ALARM = timedelta(minutes=5)  # shorter pauses come and go
LOOK_AGAIN = timedelta(minutes=30)  # what waits until somebody resumes it is looked at so often
REASON = "paused: "  # begins the reason of every delivery that a pause puts off
_WAITING = text("deliveries.status IN ('queued', 'deferred')")  # word for word the index's condition, or it is not used


@dataclass(frozen=True)
class Stop:
    """A pause to open: `until` None lasts until somebody resumes it."""

    scope: PauseScope
    key: str
    cause: str
    until: datetime | None


@dataclass(frozen=True)
class Pauses:
    """What is paused now, and until when (`RESUMED`: until somebody says so)."""

    relays: Mapping[str, datetime] = field(default_factory=dict)
    domains: Mapping[str, datetime] = field(default_factory=dict)  # by `domain_key`
    issues: Mapping[int, datetime] = field(default_factory=dict)

    def relay_paused(self, relay: str) -> datetime | None:
        """Return until when nothing goes over a relay, None if it may."""
        return self.relays.get(relay)

    def domain_paused(self, relay: str, domain: str) -> datetime | None:
        """Return until when nothing goes over the relay to a recipients' domain, None if it may."""
        return self.domains.get(domain_key(relay, domain)) if self.domains else None

    def issue_paused(self, issue_id: int | None) -> datetime | None:
        """Return until when nothing of an issue goes, None if it may."""
        return self.issues.get(issue_id) if issue_id is not None else None


def domain_key(relay: str, domain: str) -> str:
    """Return the key of a recipients' domain (lower case) over a relay."""
    return f"{relay} {domain}"


def active(session: Session, *, now: datetime) -> Pauses:
    """Return what is paused now. One small select."""
    found: dict[PauseScope, dict[str, datetime]] = {scope: {} for scope in PauseScope}
    rows = select(col(Pause.scope), col(Pause.key), col(Pause.until)).where(*_holding(now))
    for scope, key, until in session.execute(rows):
        found[scope][key] = until or RESUMED
    issues = {int(key): until for key, until in found[PauseScope.ISSUE].items()}
    return Pauses(found[PauseScope.RELAY], found[PauseScope.DOMAIN], issues)


def _holding(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return col(Pause.closed_at).is_(None), or_(col(Pause.until).is_(None), col(Pause.until) > now)


def paused_domains(session: Session, relay: str, *, now: datetime) -> int:
    """Return how many domains are paused over a relay."""
    of_relay = (col(Pause.scope) == PauseScope.DOMAIN, col(Pause.key).startswith(f"{relay} ", autoescape=True))
    return session.scalar(select(func.count()).select_from(Pause).where(*of_relay, *_holding(now))) or 0


def pause(session: Session, stop: Stop, *, now: datetime) -> bool:
    """Open a pause, or make the open one last as long as both; raise an alarm unless it is short. Return whether it is new."""
    cause = one_line(stop.cause)[:500]
    row = {"scope": stop.scope, "key": stop.key, "until": stop.until, "cause": cause, "opened_at": now}
    is_new = bool(db.insert_new(session, Pause, [row]))
    which = (col(Pause.scope) == stop.scope, col(Pause.key) == stop.key, col(Pause.closed_at).is_(None))
    if not is_new:
        session.execute(update(Pause).where(*which).values(until=_longer(stop.until), cause=cause))
    opened_at, until = session.execute(select(col(Pause.opened_at), col(Pause.until)).where(*which)).one()
    if until is None or until - opened_at >= WORTH_AN_ALARM:
        alarms.raise_alarm(session, _alarm(stop, cause, until), now=now)
    return is_new


def _longer(until: datetime | None) -> Any:  # noqa: ANN401 -- an SQL expression
    return until and case((col(Pause.until) < until, until), else_=col(Pause.until))


def _alarm(stop: Stop, cause: str, until: datetime | None) -> Cause:
    """Return what the operator hears of a pause."""
    relay, _, domain = stop.key.partition(" ")
    what = {
        PauseScope.RELAY: f"Nothing is sent over {relay}",
        PauseScope.DOMAIN: f"Nothing is sent to {domain} over {relay}",
        PauseScope.ISSUE: f"Issue {stop.key} is stopped",
    }[stop.scope]
    end = f"It goes on by itself at {until:%H:%M} UTC." if until else "It goes on when you resume it."
    return Cause(pause_key(stop.scope, stop.key), what, f"{cause} {end}")


def resume(session: Session, scope: PauseScope, key: str, *, now: datetime) -> bool:
    """End a pause, make due what it put off, and close its alarm; return whether there was one."""
    which = (col(Pause.scope) == scope, col(Pause.key) == key, col(Pause.closed_at).is_(None))
    ended = session.connection().execute(update(Pause).where(*which).values(closed_at=now)).rowcount
    alarms.close(session, pause_key(scope, key), now=now)
    because = (_WAITING, col(Delivery.due_at) > now, col(Delivery.reason).startswith(REASON, autoescape=True))
    concerned = {
        PauseScope.RELAY: (),
        PauseScope.DOMAIN: (func.lower(col(Delivery.address)).endswith(f"@{key.partition(' ')[2]}", autoescape=True),),
        PauseScope.ISSUE: (col(Delivery.issue_id) == (int(key) if scope is PauseScope.ISSUE else None),),
    }[scope]
    if ended:
        waiting = update(Delivery).where(*because, *concerned)
        session.execute(waiting.values(due_at=now, updated_at=now).execution_options(synchronize_session=False))
    return bool(ended)


@dataclass(frozen=True)
class Wait:
    """Until when deliveries wait, and why."""

    until: datetime
    reason: str


def wait_for(until: datetime, *, now: datetime) -> Wait:
    """Return how long a delivery waits for the end of a pause."""
    return Wait(min(until, now + LOOK_AGAIN) if until == RESUMED else until, REASON + _words(until))


def _words(until: datetime) -> str:
    return "until it is resumed" if until == RESUMED else f"until {until:%Y-%m-%d %H:%M} UTC"


def put_off(session: Session, waits: Mapping[Wait, Sequence[int]], *, worker: str, now: datetime) -> None:
    """Let claimed deliveries wait without counting an attempt. A statement for each kind of wait."""
    after = advance_delivery(DeliveryStatus.CLAIMED, DeliveryEvent.PUT_OFF)
    for wait, ids in waits.items():
        mine = (col(Delivery.id).in_(ids), col(Delivery.status) == DeliveryStatus.CLAIMED, col(Delivery.claimed_by) == worker)
        values = {"status": after, "due_at": wait.until, "reason": wait.reason, "claimed_by": "", "lease_until": None}
        waiting = update(Delivery).where(*mine).values(**values, updated_at=now)
        session.execute(waiting.execution_options(synchronize_session=False))
