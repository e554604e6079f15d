"""What an import asks the database and writes to it: for a whole chunk in one statement each."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import String, bindparam, cast, exists, literal, select, update
from sqlmodel import Session, SQLModel, col

from newsletter import db, i18n
from newsletter.lifecycle import SubscriptionStatus
from newsletter.models import Cadence, Consent, Delivery, Newsletter, Subscriber, Subscription, Suppression, SuppressionReason
from newsletter.subscribers import import_confirmations
from newsletter.subscribers.csv_files import Row
from newsletter.subscribers.deciding import Decision, Known, KnownSubscription, Outcome
from newsletter.subscribers.joining import Policy
from newsletter.subscribers.wishes import Wish

SOURCE = "import"  # of the consents that come from a file
_OPTIONS = ("zone", "cadence", "send_hour", "topics", "keywords", "max_papers", "match_first", "paused_until")


@dataclass(frozen=True)
class Plan:
    """What the operator says of an import."""

    newsletters: Mapping[str, Newsletter]  # all there are, by slug
    file: str  # its name: part of the evidence
    newsletter: str = ""  # the slug of the only one that is meant; empty: each row says
    consent: str = ""  # where and how it was given, by the operator's word; empty: rows wait to be confirmed
    confirmations: bool = False  # whether those who wait are mailed
    dry_run: bool = False


@dataclass(frozen=True)
class Item:
    """A row that says something, and what it is about."""

    row: Row
    wish: Wish
    newsletter: Newsletter
    suppression_key: str

    @property
    def key(self) -> tuple[str, int]:
        """Whom and which newsletter it is about."""
        return self.wish.address.key, self.newsletter.id


Decided = tuple[Item, Known, Decision]


def suppressed(session: Session, keys: Sequence[str]) -> dict[str, SuppressionReason]:
    """Return which of these keyed hashes are on the list, and why."""
    found = select(col(Suppression.suppression_key), col(Suppression.reason)).where(col(Suppression.suppression_key).in_(keys))
    return dict(session.execute(found).all())


def add_people(session: Session, items: Sequence[Item], *, now: datetime) -> None:
    """Add the subscribers that are not there."""
    rows = [
        {
            "address": item.wish.address.text,
            "address_key": item.wish.address.key,
            "suppression_key": item.suppression_key,
            "language": item.wish.person.get("language") or i18n.negotiate([item.newsletter.language]),
            "zone": item.wish.person.get("zone", ""),
            "created_at": _past(item.wish.since, now),
        }
        for item in sorted(items, key=lambda item: item.key)  # two imports at once wait for each other in one order
    ]
    db.insert_many(session, Subscriber, rows)


def known(
    session: Session, items: Sequence[Item], listed: Mapping[str, SuppressionReason], *, lock: bool
) -> dict[tuple[str, int], Known]:
    """Return what is known of each item's address and subscription; locked, in the order of ids, where wanted."""
    people = _people(session, [item.wish.address.key for item in items], lock=lock)
    subscriptions = _subscriptions(session, [row.id for row in people.values()], lock=lock)
    found = {}
    for item in items:
        person = people.get(item.wish.address.key)
        reason = listed.get(item.suppression_key)
        if person is None:
            found[item.key] = Known(suppressed=reason)
        else:
            columns = {"language": person.language, "zone": person.zone}
            found[item.key] = Known(person.id, columns, subscriptions.get((person.id, item.newsletter.id)), reason)
    return found


def _people(session: Session, keys: Sequence[str], *, lock: bool) -> dict[str, Any]:
    columns = (col(Subscriber.id), col(Subscriber.address_key), col(Subscriber.language), col(Subscriber.zone))
    wanted = select(*columns).where(col(Subscriber.address_key).in_(keys)).order_by(col(Subscriber.id))
    return {row.address_key: row for row in session.execute(wanted.with_for_update(key_share=True) if lock else wanted)}


def _subscriptions(session: Session, ids: Sequence[int], *, lock: bool) -> dict[tuple[int, int], KnownSubscription]:
    columns = [getattr(Subscription, name) for name in _OPTIONS]
    key = literal("confirm:", String) + cast(col(Consent.id), String)
    asked = exists().where(col(Delivery.dedupe_key) == key)
    wanted = (
        select(
            col(Subscription.subscriber_id),
            col(Subscription.newsletter_id),
            col(Subscription.id),
            col(Subscription.consent_id),
            col(Subscription.status),
            (col(Consent.source) == SOURCE) & ~asked,
            *columns,
        )
        .join(Consent, col(Consent.id) == col(Subscription.consent_id))
        .where(col(Subscription.subscriber_id).in_(ids))
        .order_by(col(Subscription.id))
    )
    rows = session.execute(wanted.with_for_update(of=Subscription) if lock else wanted)
    return {
        (subscriber, newsletter): KnownSubscription(
            number, consent, status, dict(zip(_OPTIONS, options, strict=True)), only_imported=bool(only_imported)
        )
        for subscriber, newsletter, number, consent, status, only_imported, *options in rows
    }


def write(session: Session, decided: Sequence[Decided], plan: Plan, policy: Policy, *, now: datetime) -> None:
    """Write down what was decided, with its evidence, and ask those to confirm who wait for it, if that is wanted."""
    agreed = [each for each in decided if _needs_consent(each)]
    consents = _add_consents(session, agreed, plan, policy, now=now)
    added = [each for each in agreed if each[1].subscription is None]
    rows = [_subscription(item, known, decision, consents, now=now) for item, known, decision in added]
    db.insert_many(session, Subscription, rows)
    _change(session, Subscriber, [(known.subscriber_id, decision.person) for _, known, decision in decided])
    changes = [_changes(*each, consents, now=now) for each in decided if each[1].subscription is not None]
    _change(session, Subscription, changes)
    _suppress(session, decided, now=now)
    if plan.confirmations:
        import_confirmations.ask(session, [known.subscriber_id for _, known, _ in decided], plan.newsletters, policy, now=now)


def _needs_consent(each: Decided) -> bool:
    _, known, decision = each
    return decision.status is not None and (known.subscription is None or decision.outcome is Outcome.ACTIVATE)


def _add_consents(
    session: Session, agreed: Sequence[Decided], plan: Plan, policy: Policy, *, now: datetime
) -> dict[tuple[int | None, int], int]:
    """Add the evidence of each, and return its number by subscriber and newsletter."""
    db.insert_many(session, Consent, [_consent(*each, plan, policy, now=now) for each in agreed])
    ids = [known.subscriber_id for _, known, _ in agreed]
    columns = (col(Consent.id), col(Consent.subscriber_id), col(Consent.newsletter_ids))
    found = select(*columns).where(col(Consent.subscriber_id).in_(ids), col(Consent.source) == SOURCE).order_by(col(Consent.id))
    return {(subscriber, newsletters[0]): number for number, subscriber, newsletters in session.execute(found)}


def _consent(  # noqa: PLR0913 -- the evidence, item by item
    item: Item, known: Known, decision: Decision, plan: Plan, policy: Policy, *, now: datetime
) -> dict[str, Any]:
    evidence, active = item.wish.evidence, decision.status is SubscriptionStatus.ACTIVE
    was = decision.status is SubscriptionStatus.UNSUBSCRIBED and evidence.confirmed_at is not None
    agreed_at = _past(evidence.confirmed_at or evidence.requested_at, now)
    return {
        "subscriber_id": known.subscriber_id,
        "newsletter_ids": [item.newsletter.id],
        "source": SOURCE,
        "wording": _wording(item, plan, recorded=active),
        "wording_version": evidence.version,
        "requested_at": _past(evidence.requested_at, now),
        "requested_ip": evidence.requested_ip,
        "expires_at": now + policy.confirm_within,
        "confirmed_at": agreed_at if active or was else None,
        "confirmed_ip": evidence.confirmed_ip if active or was else "",
    }


def _wording(item: Item, plan: Plan, *, recorded: bool) -> str:
    """Return the operator's statement, if it counts, where the row comes from, and what it says of the consent itself."""
    evidence = item.wish.evidence
    there = ": ".join(word for word in (evidence.source, evidence.wording) if word)
    return "; ".join(word for word in (plan.consent if recorded else "", f"{plan.file}, line {item.row.line}", there) if word)


def _subscription(
    item: Item, known: Known, decision: Decision, consents: Mapping[tuple[int | None, int], int], *, now: datetime
) -> dict[str, Any]:
    wish, left = item.wish, decision.status is SubscriptionStatus.UNSUBSCRIBED
    confirmed_at = _past(wish.confirmed_at, now) if decision.status is SubscriptionStatus.ACTIVE else None
    return {
        "subscriber_id": known.subscriber_id,
        "newsletter_id": item.newsletter.id,
        "consent_id": consents[known.subscriber_id, item.newsletter.id],
        "status": decision.status,
        **{name: decision.wanted.get(name, default) for name, default in _defaults(item.newsletter).items()},
        "created_at": _past(wish.subscribed_at, now),
        "confirmed_at": confirmed_at or (_past(wish.confirmed_at, now) if left and wish.confirmed_at else None),
        "unsubscribed_at": _past(wish.left_at, now) if left else None,
        "unsubscribed_by": wish.left_by if left else "",
    }


def _defaults(newsletter: Newsletter) -> dict[str, Any]:
    blank: dict[str, Any] = {
        "zone": "",
        "send_hour": None,
        "topics": [],
        "keywords": [],
        "max_papers": None,
        "match_first": False,
        "paused_until": None,
    }
    return {"cadence": Cadence(newsletter.cadences[0]), **blank}


def _changes(
    item: Item, known: Known, decision: Decision, consents: Mapping[tuple[int | None, int], int], *, now: datetime
) -> tuple[int | None, Mapping[str, Any]]:
    """Return the subscription and its columns that change."""
    assert known.subscription is not None
    changed = dict(decision.wanted)
    if decision.outcome is Outcome.ACTIVATE:
        consent_id = consents[known.subscriber_id, item.newsletter.id]
        changed |= {"status": decision.status, "confirmed_at": now, "consent_id": consent_id}
    elif decision.status is SubscriptionStatus.UNSUBSCRIBED:
        by = {"unsubscribed_at": _past(item.wish.left_at, now), "unsubscribed_by": item.wish.left_by}
        changed |= {"status": decision.status, **by}
    return known.subscription.id, changed


def _change(session: Session, table: type[SQLModel], changes: Sequence[tuple[int | None, Mapping[str, Any]]]) -> None:
    """Change rows by their ids, all those at once that change in the same columns."""
    alike: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for number, columns in changes:
        if columns:
            alike[tuple(columns)].append({"row_id": number, **{f"new_{name}": value for name, value in columns.items()}})
    row_id = table.__table__.c.id  # type: ignore[attr-defined]  # SQLModel does not declare it
    for names, rows in alike.items():
        changed = update(table).where(row_id == bindparam("row_id")).values({name: bindparam(f"new_{name}") for name in names})
        session.connection().execute(changed, rows)


def _suppress(session: Session, decided: Sequence[Decided], *, now: datetime) -> None:
    rows = [
        {
            "suppression_key": item.suppression_key,
            "reason": item.wish.suppressed,
            "evidence": item.wish.suppressed_because,
            "created_at": _past(item.wish.suppressed_at, now),
        }
        for item, _, decision in decided
        if decision.suppress
    ]
    db.insert_many(session, Suppression, sorted(rows, key=lambda row: str(row["suppression_key"])))


def _past(moment: datetime | None, now: datetime) -> datetime:
    """Return a time of the file, but none that is yet to come; now where there is none."""
    return min(moment, now) if moment else now
