"""The cast of the tests and the things they handle: one way to make each, with everything a test does not care about filled in.

Readers are called ari, bora, chan and dana; their addresses are `<name>@example.org`. The day is 14 March 2024, and `NOW`
is the morning after, when its issue is made.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any, TypeVar

from sqlalchemy import select, text
from sqlmodel import Session, SQLModel

from newsletter import issues, papers
from newsletter.db import Sessions
from newsletter.deliveries import Mailer, MailerSettings
from newsletter.lifecycle import IssueStatus, SubscriptionStatus
from newsletter.models import (
    Cadence,
    Consent,
    Delivery,
    DeliveryKind,
    Issue,
    Lane,
    Newsletter,
    Subscriber,
    Subscription,
    Summary,
    SummaryOrigin,
    Suppression,
    SuppressionReason,
)
from newsletter.sources import Listing, PaperData
from newsletter.subscribers import Policy, Request, parse_address
from newsletter.tokens import Keyring, Links, suppression_key

DAY = date(2024, 3, 14)
NOW = datetime(2024, 3, 15, 0, 5, tzinfo=UTC)
LONG_AGO = datetime(2024, 1, 1, 8, 0, tzinfo=UTC)
SECRET = b"a secret of the tests, of no use elsewhere"
LINKS = Links("https://news.example.com", Keyring([SECRET]))
POLICY = Policy(SECRET)

Row = TypeVar("Row", bound=SQLModel)
_numbers = count(1)


def paper(number: int = 1, **changes: Any) -> PaperData:
    """Return a paper as a source tells it; its number makes its id and its title."""
    given = PaperData(
        source="arxiv",
        source_id=f"2403.{number:05}",
        title=f"Paper {number} on small models",
        url=f"https://arxiv.org/abs/2403.{number:05}",
        abstract="We train small models. They do well on long tasks. The code is public.",
        authors=("Ari Kim", "Bora Lee"),
        votes=100 - number,
    )
    return replace(given, **changes)


def listing(*numbers: int, day: date = DAY, **changes: Any) -> Listing:
    """Return what a source lists on a day: the papers of these numbers."""
    return Listing(day, tuple(paper(number, **changes) for number in numbers))


def asking(name: str, *newsletters: Newsletter, **changes: Any) -> Request:
    """Return somebody's request for newsletters, as the page makes it."""
    ids = tuple(row.id for row in newsletters)
    return replace(Request(parse_address(f"{name}@example.org"), ids, "en", "page", "I want it.", "192.0.2.7"), **changes)


def mailer(**changes: Any) -> Mailer:
    """Return a mailer with the links of the tests, to which changes show at once."""
    return Mailer(MailerSettings(LINKS, **changes), fresh=0)


@dataclass(frozen=True)
class Make:
    """Fills the database; each method commits and returns the row, detached."""

    sessions: Sessions

    def add(self, row: Row) -> Row:
        """Store a row."""
        with self.sessions.begin() as session:
            session.add(row)
        return row

    def again(self, row: Row) -> Row:
        """Return the row as it stands now."""
        with self.sessions.read() as session:
            return session.get_one(type(row), row.id)

    def all(self, table: type[Row], **equal: Any) -> list[Row]:
        """Return the rows of a table whose columns are as given, in the order they were made."""
        with self.sessions.read() as session:
            return _all(session, table, equal)

    def newsletter(self, **changes: Any) -> Newsletter:
        """Add a newsletter: English, daily, from the source "sample", as soon as it is ready."""
        number = next(_numbers)
        given = {
            "slug": f"daily-{number}",
            "title": "Daily Papers",
            "language": "en",
            "sources": ["sample"],
            "from_name": "Daily Papers",
            "from_address": "news@example.org",
            "postal_address": "1 Example Road, Seoul",
            "created_at": LONG_AGO,
        }
        return self.add(Newsletter(**(given | changes)))

    def subscriber(self, name: str = "ari", **changes: Any) -> Subscriber:
        """Return the subscriber of that name, added if there is none."""
        address = parse_address(name if "@" in name else f"{name}@example.org")
        for row in self.all(Subscriber, address_key=address.key):
            return row
        given = {
            "address": address.text,
            "address_key": address.key,
            "suppression_key": suppression_key(POLICY.secret, address.key),
            "language": "en",
            "created_at": LONG_AGO,
        }
        return self.add(Subscriber(**(given | changes)))

    def reader(self, name: str, newsletter: Newsletter, *, zone: str = "", **changes: Any) -> Subscription:
        """Add a subscription, active and confirmed long ago unless told otherwise; `zone` is the subscriber's."""
        subscriber = self.subscriber(name, zone=zone)
        consent = self.add(
            Consent(
                subscriber_id=subscriber.id,
                newsletter_ids=[newsletter.id],
                source="page",
                wording="I want it.",
                wording_version="test",
                requested_at=LONG_AGO,
                expires_at=LONG_AGO + timedelta(days=3),
                confirmed_at=LONG_AGO,
            )
        )
        given = {
            "subscriber_id": subscriber.id,
            "newsletter_id": newsletter.id,
            "consent_id": consent.id,
            "status": SubscriptionStatus.ACTIVE,
            "created_at": LONG_AGO,
            "confirmed_at": LONG_AGO,
        }
        return self.add(Subscription(**(given | changes)))

    def suppression(self, name: str = "ari", reason: SuppressionReason = SuppressionReason.BOUNCE) -> Suppression:
        """Suppress somebody's address."""
        key = suppression_key(POLICY.secret, parse_address(f"{name}@example.org").key)
        return self.add(Suppression(suppression_key=key, reason=reason, created_at=NOW))

    def papers(self, *numbers: int, day: date = DAY, source: str = "sample", seen_at: datetime = NOW, **changes: Any) -> None:
        """Collect the papers of these numbers."""
        with self.sessions.begin() as session:
            papers.store(session, source, listing(*numbers, day=day, **changes), now=seen_at)

    def summary(self, paper_id: int, *bullets: str, **changes: Any) -> Summary:
        """Add a summary in English, a person's unless told otherwise."""
        given = {
            "paper_id": paper_id,
            "language": "en",
            "written_in": "en",
            "origin": SummaryOrigin.HUMAN,
            "bullets": list(bullets),
            "created_at": NOW,
        }
        return self.add(Summary(**(given | changes)))

    def issue(
        self,
        newsletter: Newsletter,
        status: IssueStatus = IssueStatus.READY,
        *,
        numbers: Sequence[int] = (1, 2),
        day: date = DAY,
        now: datetime = NOW,
    ) -> Issue:
        """Make an issue of the papers of these numbers and bring it to `status`: draft, ready or published."""
        self.papers(*numbers, day=day, seen_at=now)
        with self.sessions.begin() as session:
            issue = issues.assemble(session, newsletter, Cadence.DAILY, day, now=now)
        if status is not IssueStatus.DRAFT:
            issues.freeze(self.sessions, issue.id, LINKS, now=now)
        if status is IssueStatus.PUBLISHED:
            with self.sessions.begin() as session:
                issues.publish(session, issue.id, now=now)
        return self.again(issue)

    def delivery(self, name: str = "ari", **changes: Any) -> Delivery:
        """Queue a confirmation, due now; other kinds and columns by `changes`."""
        newsletter_id = changes.pop("newsletter_id", None) or self.newsletter().id
        given = {
            "dedupe_key": f"test:{next(_numbers)}",
            "kind": DeliveryKind.CONFIRM,
            "lane": Lane.PERSON.value,
            "newsletter_id": newsletter_id,
            "address": f"{name}@example.org",
            "language": "en",
            "values": {
                "slots": {"titles": "Daily Papers", "requested_at": "today", "hours": "72"},
                "consent_id": 1,
                "expires_at": NOW.isoformat(),
            },
            "due_at": NOW,
            "give_up_at": NOW + timedelta(hours=24),
            "created_at": NOW,
            "updated_at": NOW,
        }
        return self.add(Delivery(**(given | changes)))


def _all(session: Session, table: type[Row], equal: dict[str, Any]) -> list[Row]:
    return list(session.scalars(select(table).filter_by(**equal).order_by(text("id"))))
