"""What the database says in the end, read once."""

from dataclasses import dataclass

from audience import Audience
from sqlalchemy import select
from sqlmodel import SQLModel
from works import BASE_URL, SECRET

from newsletter.db import Sessions
from newsletter.models import Alarm, Delivery, Issue, IssuePaper, Paper, Summary, SummaryAttempt
from newsletter.tokens import Keyring, Links

LINKS = Links(BASE_URL, Keyring([SECRET.encode()]))


@dataclass(frozen=True)
class Book:
    """The rows, those with an id by it."""

    audience: Audience
    issues: dict[int, Issue]
    placed: list[IssuePaper]
    papers: dict[int, Paper]
    summaries: dict[int, Summary]
    attempts: list[SummaryAttempt]
    deliveries: dict[int, Delivery]
    alarms: list[Alarm]

    def slug_of(self, issue: Issue) -> str:
        """Return which newsletter an issue is of."""
        return next(slug for slug, row in self.audience.newsletters.items() if row.id == issue.newsletter_id)

    def papers_of(self, issue: Issue) -> list[int]:
        """Return the papers of an issue, in its order."""
        return [row.paper_id for row in sorted(self.placed, key=lambda row: row.position) if row.issue_id == issue.id]

    def message_id(self, delivery: Delivery) -> str:
        """Return the Message-ID that a delivery has each time."""
        newsletter = next((row for row in self.audience.newsletters.values() if row.id == delivery.newsletter_id), None)
        domain = newsletter.from_address.rpartition("@")[2] if newsletter else "example.org"
        return LINKS.message_id(delivery.id, domain)


def read_book(sessions: Sessions, audience: Audience) -> Book:
    """Read it."""

    def rows(table: type[SQLModel]) -> list[SQLModel]:
        with sessions.read() as session:
            return list(session.scalars(select(table)))

    def by_id(table: type[SQLModel]) -> dict[int, SQLModel]:
        return {row.id: row for row in rows(table)}  # type: ignore[attr-defined]  # all of these have one

    return Book(
        audience,
        issues=by_id(Issue),  # type: ignore[arg-type]
        placed=rows(IssuePaper),  # type: ignore[arg-type]
        papers=by_id(Paper),  # type: ignore[arg-type]
        summaries=by_id(Summary),  # type: ignore[arg-type]
        attempts=rows(SummaryAttempt),  # type: ignore[arg-type]
        deliveries=by_id(Delivery),  # type: ignore[arg-type]
        alarms=rows(Alarm),  # type: ignore[arg-type]
    )
