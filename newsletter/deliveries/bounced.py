"""Refusals at send time that are about the address: each a bounce, written where the ledger writes the refusal down.

What follows from it is for whoever looks at bounces: here is only what the server said.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import String, cast, literal, select
from sqlmodel import Session, col

from newsletter import db
from newsletter.deliveries.verdicts import Blame, judge
from newsletter.lifecycle import DeliveryEvent, DeliveryStatus
from newsletter.models import Bounce, BounceKind, Delivery

if TYPE_CHECKING:  # the ledger calls this module
    from newsletter.deliveries.ledger import Outcome

_KIND = Bounce.__table__.c.kind.type  # type: ignore[attr-defined]  # SQLModel does not declare it
_KINDS = {Blame.ADDRESS: BounceKind.HARD, Blame.MAILBOX: BounceKind.SOFT}


def keep(session: Session, outcomes: Iterable["Outcome"], *, now: datetime) -> None:
    """Add a bounce for each refusal that the ledger recorded at `now` and that blames the address; repeating adds nothing."""
    refused: dict[BounceKind, list[int]] = {}
    for outcome in outcomes:
        if outcome.event is DeliveryEvent.REFUSE and outcome.reply is not None and outcome.reply.code:
            kind = _KINDS.get(judge(outcome.reply).blame)
            if kind is not None:
                refused.setdefault(kind, []).append(outcome.delivery_id)
    for kind, ids in refused.items():
        _keep(session, kind, ids, now)


def _keep(session: Session, kind: BounceKind, ids: list[int], now: datetime) -> None:
    ended = select(Delivery).where(
        col(Delivery.id).in_(ids), col(Delivery.updated_at) == now, col(Delivery.status) == DeliveryStatus.FAILED
    )
    key = literal("smtp:") + cast(col(Delivery.id), String) + ":" + cast(col(Delivery.attempts), String)
    columns = {
        "delivery_id": col(Delivery.id),
        "suppression_key": literal(""),
        "kind": literal(kind, _KIND),
        "status": col(Delivery.reply_enhanced),
        "reason": col(Delivery.reply_text),
        "reader": col(Delivery.reply_phase),
        "source": literal("smtp"),
        "report_key": key,
        "action": literal(""),
        "received_at": col(Delivery.updated_at),
    }
    db.insert_from(session, Bounce, columns, ended)
