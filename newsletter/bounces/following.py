"""What follows from the reports of an address: it is suppressed, its subscriptions end, or it is only counted.

Set-based: a thousand reports cost a dozen statements. Who is suppressed is skipped by the last look at what is queued.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, func, or_, select, text, update
from sqlmodel import Session, col

from newsletter import alarms, db
from newsletter.alarms import Cause
from newsletter.bounces import breaker, rates
from newsletter.bounces.rules import Rules, Terms
from newsletter.db import Sessions
from newsletter.errors import BadAddress
from newsletter.lifecycle import SubscriptionEvent, SubscriptionStatus, advance_subscription
from newsletter.models import (
    Bounce,
    BounceKind,
    Consent,
    Delivery,
    Subscriber,
    Subscription,
    Suppression,
    SuppressionReason,
)
from newsletter.subscribers import parse_address
from newsletter.tokens import suppression_key

AT_ONCE = 1000  # rows looked at in one transaction
HELD = "held back"  # begins the action of what waits for the operator's word
HELD_ALARM = "bounces:held"
_WAITING = text("bounces.action = ''")  # word for word the index's condition, or it is not used
SUPPRESSED, UNSUBSCRIBED, COUNTED = "suppressed", "unsubscribed", "counted"
_REASONS = {
    BounceKind.HARD: SuppressionReason.BOUNCE,
    BounceKind.SOFT: SuppressionReason.BOUNCE,
    BounceKind.COMPLAINT: SuppressionReason.COMPLAINT,
}


@dataclass(frozen=True)
class Followed:
    """How many reports were looked at, and what came of them."""

    looked_at: int = 0
    suppressed: int = 0
    held_back: int = 0


@dataclass
class _Case:
    """A report that nobody has looked at yet, and the mail it is about."""

    bounce: Bounce
    delivery: Delivery | None
    confirmed_at: datetime | None = None  # when its person last confirmed
    action: str = ""

    @property
    def address(self) -> str:
        return self.delivery.address if self.delivery else ""


def keys_of(session: Session, mails: Collection[Delivery], secret: bytes) -> dict[int, str]:
    """Return by which keyed hash the address of each mail is suppressed; "" for one that is no reader's, or was blanked.

    As a rule it is the one that its reader is known by; the address may be another by now.
    """
    readers = {mail.subscriber_id for mail in mails if mail.subscriber_id is not None}
    rows = session.scalars(select(Subscriber).where(col(Subscriber.id).in_(readers)))
    known = {row.id: (row.address.casefold(), row.suppression_key) for row in rows}
    keys = {}
    for mail in mails:
        address, key = known.get(mail.subscriber_id or 0, ("", ""))
        same = address == mail.address.casefold()
        keys[mail.id] = key if same or not address else _key_of(mail.address, secret)
    return keys


def _key_of(address: str, secret: bytes) -> str:
    if "@" not in address:
        return ""
    try:
        return suppression_key(secret, parse_address(address).key)
    except BadAddress:  # of a domain that is for trials alone
        return suppression_key(secret, address.casefold())


def follow(session: Session, terms: Terms, *, now: datetime, only: Collection[int] | None = None) -> Followed:
    """Look at the reports that nobody has looked at yet, at most `AT_ONCE` of them, or at these; do what the rules say."""
    cases = _cases(session, terms.secret, only)
    judged = [case for case in cases if not _pass_over(case)]
    due = _due(session, judged, terms.rules, now=now)
    _hold_back(session, due, now=now)
    suppressed = [case for case in due if not case.action]
    _suppress(session, suppressed, now=now)
    complaints = [case for case in judged if case.bounce.kind is BounceKind.COMPLAINT]
    _end_subscriptions(session, complaints, "complaint", now=now)
    for case in judged:
        if not case.action:
            case.action = UNSUBSCRIBED if case.bounce.kind is BounceKind.COMPLAINT else COUNTED
    _write(session, cases)
    held = sum(case.action.startswith(HELD) for case in cases)
    if held:
        alarm_held(session, now=now)
    rates.review(session, {case.delivery.issue_id for case in complaints if case.delivery}, now=now)
    return Followed(len(cases), len(suppressed), held)


def follow_all(sessions: Sessions, terms: Terms, *, now: datetime) -> Followed:
    """Look at all reports that nobody has looked at yet, some at a time, and end the alarms of what has been calm for long."""
    total = Followed()
    while True:
        with sessions.begin() as session:
            done = follow(session, terms, now=now)
            if not done.looked_at:
                rates.close_calm(session, now=now)
        if not done.looked_at:
            return total
        total = Followed(*(one + other for one, other in zip(astuple(total), astuple(done), strict=True)))


def leave(session: Session, report_key: str, *, now: datetime) -> str:
    """End the subscriptions of the address that a report is about, at its person's wish, and return what was done."""
    row = session.scalars(select(Bounce).where(col(Bounce.report_key) == report_key).with_for_update()).one()
    mail = session.get(Delivery, row.delivery_id) if row.delivery_id is not None else None
    _end_subscriptions(session, [_Case(row, mail)], row.source, now=now)
    row.action = UNSUBSCRIBED
    return row.action


def _cases(session: Session, secret: bytes, only: Collection[int] | None) -> list[_Case]:
    """Return the rows that wait, locked, each with its mail and its person's last confirmation."""
    waiting = select(Bounce).where(_WAITING).order_by(col(Bounce.id)).limit(AT_ONCE)
    if only is not None:
        waiting = waiting.where(col(Bounce.id).in_(only))
    rows = session.scalars(waiting.with_for_update(skip_locked=True)).all()
    numbers = {row.delivery_id for row in rows if row.delivery_id is not None}
    mails = {mail.id: mail for mail in session.scalars(select(Delivery).where(col(Delivery.id).in_(numbers)))}
    cases = [_Case(row, mails.get(row.delivery_id or 0)) for row in rows]
    fresh = {case.delivery.id: case.delivery for case in cases if case.delivery and not case.bounce.suppression_key}
    keys = keys_of(session, fresh.values(), secret)
    for case in cases:
        if not case.bounce.suppression_key and case.delivery is not None:
            case.bounce.suppression_key = keys[case.delivery.id]
    confirmed = dict(session.execute(_confirmed(_keys(cases))).all())
    for case in cases:
        case.confirmed_at = confirmed.get(case.bounce.suppression_key)
    return cases


def _keys(cases: Sequence[_Case]) -> list[str]:
    return sorted({case.bounce.suppression_key for case in cases} - {""})


def _confirmed(keys: Collection[str]) -> Select[str, datetime | None]:
    """Select when the person of each key last confirmed: that proves the address alive, whatever was reported before."""
    return (
        select(col(Subscriber.suppression_key), func.max(col(Consent.confirmed_at)))
        .join(Consent, col(Consent.subscriber_id) == col(Subscriber.id))
        .where(col(Subscriber.suppression_key).in_(keys), col(Consent.confirmed_at).is_not(None))
        .group_by(col(Subscriber.suppression_key))
    )


def _pass_over(case: _Case) -> bool:
    """Say whether a report counts for nothing, and write down why."""
    mail, is_complaint = case.delivery, case.bounce.kind is BounceKind.COMPLAINT
    if not case.bounce.suppression_key:
        case.action = "ignored: the mail was no reader's"
    elif mail is not None and case.confirmed_at and not is_complaint and (mail.sent_at or mail.updated_at) < case.confirmed_at:
        case.action = "ignored: its person confirmed since"
    return bool(case.action)


def _due(session: Session, cases: Sequence[_Case], rules: Rules, *, now: datetime) -> list[_Case]:
    """Return the reports that, with those before them, are enough to suppress."""
    due = []
    for kind in BounceKind:
        of_kind = [case for case in cases if case.bounce.kind is kind]
        threshold = rules.of(kind)
        counts = _counts(session, kind, _keys(of_kind), since=now - timedelta(days=threshold.days)) if of_kind else {}
        due += [case for case in of_kind if threshold.is_met(counts.get(case.bounce.suppression_key, 0))]
    return due


def _counts(session: Session, kind: BounceKind, keys: Collection[str], *, since: datetime) -> dict[str, int]:
    """Return how many mails to each address came back: a mail that is reported of twice counts once."""
    session.flush()  # the keys of what was refused at once
    confirmed = _confirmed(keys).subquery("confirmed")
    key, confirmed_at = confirmed.c
    rows = (
        select(col(Bounce.suppression_key), func.count(func.distinct(col(Bounce.delivery_id))))
        .outerjoin(confirmed, key == col(Bounce.suppression_key))
        .where(
            col(Bounce.suppression_key).in_(keys),
            col(Bounce.kind) == kind,
            col(Bounce.received_at) > since,
            or_(confirmed_at.is_(None), col(Bounce.received_at) > confirmed_at),
            breaker.counts(),
        )
        .group_by(col(Bounce.suppression_key))
    )
    return dict(session.execute(rows).all())


def _hold_back(session: Session, due: Sequence[_Case], *, now: datetime) -> None:
    """Leave to the operator whom a wave of reports would suppress."""
    hard = [case for case in due if case.bounce.kind is BounceKind.HARD]
    newest = max((case.bounce.delivery_id or 0 for case in hard), default=0)
    if not newest:
        return
    wave = breaker.look(session, newest, now=now)
    for case in hard:
        why = wave.why(case.address)
        case.action = f"{HELD}: {why}" if why else ""


def _suppress(session: Session, cases: Sequence[_Case], *, now: datetime) -> None:
    rows = {}
    for case in cases:
        case.action = SUPPRESSED
        rows[case.bounce.suppression_key] = suppression(case.bounce, now=now)
    suppress(session, list(rows.values()))


def suppression(bounce: Bounce, *, now: datetime) -> dict[str, Any]:
    """Return the row by which the address of a report is suppressed; its evidence quotes no address."""
    status = f" {bounce.status}" if bounce.status else ""
    evidence = f"{bounce.kind.value}{status}, told by {bounce.source}: report {bounce.id}"
    return {
        "suppression_key": bounce.suppression_key,
        "reason": _REASONS[bounce.kind],
        "evidence": evidence,
        "created_at": now,
    }


def suppress(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Never mail these addresses again; who is suppressed already stays as they are."""
    db.insert_new(session, Suppression, sorted(rows, key=lambda row: str(row["suppression_key"])))


def _end_subscriptions(session: Session, cases: Sequence[_Case], by: str, *, now: datetime) -> None:
    """End all subscriptions of who asked to be left alone, at once and without a mail, also if their address is another now."""
    if not cases:
        return
    after = advance_subscription(SubscriptionStatus.ACTIVE, SubscriptionEvent.UNSUBSCRIBE)
    persons = {case.delivery.subscriber_id for case in cases if case.delivery and case.delivery.subscriber_id is not None}
    theirs = or_(col(Subscriber.suppression_key).in_(_keys(cases)), col(Subscriber.id).in_(persons))
    whose = select(col(Subscriber.id)).where(theirs)
    ended = update(Subscription).where(col(Subscription.subscriber_id).in_(whose), col(Subscription.status) != after)
    values = {"status": after, "unsubscribed_at": now, "unsubscribed_by": by}
    session.execute(ended.values(values).execution_options(synchronize_session=False))


def _write(session: Session, cases: Sequence[_Case]) -> None:
    by_action = defaultdict(list)
    for case in cases:
        by_action[case.action].append(case.bounce.id)
    for action, ids in by_action.items():
        done = update(Bounce).where(col(Bounce.id).in_(ids)).values(action=action)
        session.execute(done.execution_options(synchronize_session=False))


def alarm_held(session: Session, *, now: datetime) -> None:
    """Tell the operator that readers wait to be suppressed or not; close the alarm where none does any more."""
    number = session.scalar(select(func.count()).select_from(Bounce).where(col(Bounce.action).startswith(HELD))) or 0
    if not number:
        alarms.close(session, HELD_ALARM, now=now)
        return
    detail = f"{number} reports say so. Nobody is suppressed by them until you say: newsletter bounces apply."
    alarms.raise_alarm(session, Cause(HELD_ALARM, "Suddenly many readers are said not to exist", detail), now=now)
