"""Suppressing: an address that is never mailed again, whoever knows of it and whatever is queued."""

from datetime import datetime

from sqlalchemy import select
from sqlmodel import Session, col

from newsletter import db
from newsletter.models import Suppression, SuppressionReason
from newsletter.subscribers.addresses import Address
from newsletter.subscribers.joining import Policy
from newsletter.tokens import suppression_key


def suppress(  # noqa: PLR0913 -- whom, why, and the evidence of it
    session: Session, address: Address, policy: Policy, reason: SuppressionReason, *, evidence: str, now: datetime
) -> bool:
    """Never mail an address again, not even what is queued; False if it is suppressed already, which stays as it is.

    The address need be no subscriber's. Only its person can undo it, by confirming a new request.
    """
    key = suppression_key(policy.secret, address.key)
    row = {"suppression_key": key, "reason": reason, "evidence": evidence, "created_at": now}
    return db.insert_new(session, Suppression, [row]) == 1


def suppression_of(session: Session, address: Address, policy: Policy) -> Suppression | None:
    """Return why an address is suppressed, None if it is not."""
    key = suppression_key(policy.secret, address.key)
    return session.scalars(select(Suppression).where(col(Suppression.suppression_key) == key)).one_or_none()
