"""Everything about readers as rows of text: what a spreadsheet opens, what a person may ask for, what an import takes back."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any, TextIO

from sqlalchemy import Executable, Row, select
from sqlmodel import col

from newsletter.db import Sessions
from newsletter.lifecycle import SubscriptionStatus
from newsletter.models import Consent, Newsletter, Subscriber, Subscription, Suppression
from newsletter.subscribers.csv_files import defuse
from newsletter.subscribers.wishes import OWN_COLUMNS

PAGE = 2_000  # rows held at a time
_COLUMNS = (
    col(Subscriber.address),
    col(Newsletter.slug),
    col(Subscription.status),
    col(Subscriber.language),
    col(Subscriber.zone),
    col(Subscriber.created_at),
    col(Subscription.zone),
    col(Subscription.cadence),
    col(Subscription.send_hour),
    col(Subscription.topics),
    col(Subscription.keywords),
    col(Subscription.max_papers),
    col(Subscription.match_first),
    col(Subscription.paused_until),
    col(Subscription.created_at),
    col(Subscription.confirmed_at),
    col(Subscription.unsubscribed_at),
    col(Subscription.unsubscribed_by),
    col(Consent.source),
    col(Consent.wording),
    col(Consent.wording_version),
    col(Consent.requested_at),
    col(Consent.requested_ip),
    col(Consent.confirmed_at),
    col(Consent.confirmed_ip),
    col(Suppression.reason),
    col(Suppression.created_at),
    col(Suppression.evidence),
)


def export(
    sessions: Sessions, *, newsletter_id: int | None = None, status: SubscriptionStatus | None = None
) -> Iterator[Mapping[str, Any]]:
    """Yield a row for each subscription, by `OWN_COLUMNS`, in the order they were made.

    A page of them is held at a time, each read by itself: whoever takes the rows may take their time.
    """
    wanted = (
        select(col(Subscription.id), *_COLUMNS)
        .join(Subscriber, col(Subscriber.id) == col(Subscription.subscriber_id))
        .join(Newsletter, col(Newsletter.id) == col(Subscription.newsletter_id))
        .join(Consent, col(Consent.id) == col(Subscription.consent_id))
        .outerjoin(Suppression, col(Suppression.suppression_key) == col(Subscriber.suppression_key))
        .order_by(col(Subscription.id))
        .limit(PAGE)
    )
    if newsletter_id is not None:
        wanted = wanted.where(col(Subscription.newsletter_id) == newsletter_id)
    if status is not None:
        wanted = wanted.where(col(Subscription.status) == status)
    last = 0
    while rows := _page(sessions, wanted.where(col(Subscription.id) > last)):
        for row in rows:
            yield dict(zip(OWN_COLUMNS, row[1:], strict=True))
        last = rows[-1][0]


def _page(sessions: Sessions, wanted: Executable) -> Sequence[Row[Any]]:
    with sessions.read() as session:
        return session.execute(wanted).all()


def write_csv(rows: Iterator[Mapping[str, Any]], to: TextIO) -> int:
    """Write rows as CSV, defused for spreadsheets, and return how many."""
    writer, number = csv.writer(to), 0
    writer.writerow(OWN_COLUMNS)
    for number, row in enumerate(rows, start=1):  # noqa: B007 -- the last is how many
        writer.writerow([defuse(_text(row[name])) for name in OWN_COLUMNS])
    return number


def write_json(rows: Iterator[Mapping[str, Any]], to: TextIO) -> int:
    """Write a JSON object a line, and return how many."""
    number = 0
    for number, row in enumerate(rows, start=1):  # noqa: B007 -- the last is how many
        to.write(json.dumps(row, ensure_ascii=False, default=_text) + "\n")
    return number


def _text(value: object) -> str:
    """Return a value as a cell holds it; what is none is empty."""
    if value is None or value == []:
        return ""
    if isinstance(value, datetime | date):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else str(value)
