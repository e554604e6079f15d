"""The breaker: when a great many readers are suddenly said not to exist, the reports are wrong rather than the readers.

A provider that loses its list of users, or that refuses us in the words for nobody, would have us suppress all of its readers.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, exists, func, not_, or_, select
from sqlmodel import Session, col

from newsletter.deliveries.brakes import domain_of
from newsletter.deliveries.verdicts import LIMITS, Limits, Window, breaks, breaks_for_domain
from newsletter.lifecycle import DeliveryStatus
from newsletter.models import Bounce, BounceKind, Delivery

MAILS_BACK = 20_000  # that one look goes through, from the newest that came back
LATELY = timedelta(days=7)
_ENDED = (DeliveryStatus.SENT, DeliveryStatus.FAILED)


@dataclass(frozen=True)
class Wave:
    """Whose addresses are not to be believed dead: everybody's, or those of some domains."""

    everybody: str = ""  # why, "" for not
    domains: frozenset[str] = frozenset()

    def why(self, address: str) -> str:
        """Return why a report about an address is held back, "" if it is not."""
        domain = domain_of(address)
        return self.everybody or (f"many of {domain} are said not to exist" if domain in self.domains else "")


def counts() -> ColumnElement[bool]:
    """Say which reports count: neither those that were ignored nor those that the operator dropped."""
    return not_(or_(col(Bounce.action).startswith("ignored"), col(Bounce.action).startswith("dropped")))


def look(session: Session, newest: int, *, now: datetime, limits: Limits = LIMITS) -> Wave:
    """Look back from a delivery that came back over the last recipients of issues; cheap where few of them did."""
    hard = _hard(session, newest, now)
    if len(hard) > limits.hard_share * limits.recipients:
        window = _window(_recipients(session, newest, now, "", limits), hard, limits)
        if breaks(window, limits):
            return Wave(f"{window.wrong} of the last {window.seen} recipients are said not to exist")
    by_domain = Counter(domain_of(address) for address in hard)
    fewest = int(limits.domain_hard_share * limits.domain_recipients) + 1
    domains = (domain for domain, number in by_domain.items() if number >= fewest)
    broken = frozenset(
        domain
        for domain in domains
        if breaks_for_domain(_window(_recipients(session, newest, now, domain, limits), hard, limits), limits)
    )
    return Wave(domains=broken)


def _hard(session: Session, newest: int, now: datetime) -> set[str]:
    """Return the addresses, in lower case, that are said not to exist."""
    reported = exists().where(col(Bounce.delivery_id) == col(Delivery.id), col(Bounce.kind) == BounceKind.HARD, counts())
    rows = select(func.lower(col(Delivery.address))).where(*_lately(newest, now), reported)
    return set(session.scalars(rows))


def _lately(newest: int, now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        col(Delivery.id) > newest - MAILS_BACK,
        col(Delivery.id) <= newest,
        col(Delivery.issue_id).is_not(None),
        col(Delivery.created_at) > now - LATELY,
    )


def _recipients(session: Session, newest: int, now: datetime, domain: str, limits: Limits) -> list[str]:
    """Return whom the last mails went to, the newest first; of one domain, or of all."""
    address = func.lower(col(Delivery.address))
    rows = select(address).where(*_lately(newest, now), col(Delivery.status).in_(_ENDED))
    if domain:
        rows = rows.where(address.endswith(f"@{domain}", autoescape=True))
    return list(session.scalars(rows.order_by(col(Delivery.id).desc()).limit(limits.recipients * 7)))


def _window(recipients: Iterable[str], hard: Collection[str], limits: Limits) -> Window:
    """Return how the last recipients fare: each once, however many mails they got."""
    window = Window(limits.recipients)
    for address in reversed(list(dict.fromkeys(recipients))[: limits.recipients]):
        window.add(wrong=address in hard)
    return window
