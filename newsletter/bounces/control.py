"""What the operator sees and says: the list of reports, and the word on those that were held back."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, select, update
from sqlmodel import Session, col

from newsletter.bounces.following import HELD, alarm_held, suppress, suppression
from newsletter.deliveries.brakes import domain_of
from newsletter.models import Bounce, BounceKind, Delivery


@dataclass(frozen=True)
class Listed:
    """A report and the address that it is about, "" where that is erased."""

    bounce: Bounce
    address: str


@dataclass(frozen=True)
class HeldBack:
    """Whom a wave of reports would suppress: how many, and by domain, the most first."""

    readers: int
    domains: tuple[tuple[str, int], ...]


def listing(
    session: Session, *, kind: BounceKind | None = None, before_id: int | None = None, limit: int = 50
) -> Sequence[Listed]:
    """Return up to `limit` reports, the newest first, of those older than `before_id`."""
    rows = select(Bounce, col(Delivery.address)).outerjoin(Delivery, col(Delivery.id) == col(Bounce.delivery_id))
    if kind is not None:
        rows = rows.where(col(Bounce.kind) == kind)
    if before_id is not None:
        rows = rows.where(col(Bounce.id) < before_id)
    found = session.execute(rows.order_by(col(Bounce.id).desc()).limit(limit))
    return [Listed(bounce, address or "") for bounce, address in found]


def held_back(session: Session) -> HeldBack:
    """Return whom the reports that were held back would suppress."""
    rows = select(col(Bounce.suppression_key), col(Delivery.address))
    rows = rows.outerjoin(Delivery, col(Delivery.id) == col(Bounce.delivery_id)).where(col(Bounce.action).startswith(HELD))
    addresses = {key: address or "" for key, address in session.execute(rows)}
    return HeldBack(len(addresses), tuple(Counter(map(domain_of, addresses.values())).most_common()))


def apply_held_back(session: Session, *, by: str, now: datetime) -> int:
    """Suppress whom the reports that were held back are about, and return how many that were; raises nothing for none."""
    rows = session.scalars(_held()).all()
    suppressed = {row.suppression_key: suppression(row, now=now) for row in rows}
    suppress(session, list(suppressed.values()))
    _settle(session, rows, f"suppressed: by {by}", now=now)
    return len(suppressed)


def drop_held_back(session: Session, *, by: str, now: datetime) -> int:
    """Hold the reports that were held back against nobody, and return how many readers they were about."""
    rows = session.scalars(_held()).all()
    _settle(session, rows, f"dropped: by {by}", now=now)
    return len({row.suppression_key for row in rows})


def _held() -> Select[Bounce]:
    return select(Bounce).where(col(Bounce.action).startswith(HELD)).with_for_update()


def _settle(session: Session, rows: Sequence[Bounce], action: str, *, now: datetime) -> None:
    ids = [row.id for row in rows]
    for start in range(0, len(ids), 1000):
        settled = update(Bounce).where(col(Bounce.id).in_(ids[start : start + 1000])).values(action=action)
        session.execute(settled.execution_options(synchronize_session=False))
    alarm_held(session, now=now)
