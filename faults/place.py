"""Where a scenario happens: a database with an issue queued for its readers, which notes every delivery that is ever unknown."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from sqlalchemy import func, select, text, update
from sqlmodel import col
from tree import LINKS

from newsletter import db, issues, papers
from newsletter.db import Sessions
from newsletter.lifecycle import ENDED, DeliveryStatus
from newsletter.models import Cadence, Delivery, Newsletter, Pause
from newsletter.sources import Listing, PaperData

DOMAIN = "example.org"
DAY = date(2024, 3, 14)

_READERS = """
WITH RECURSIVE numbers(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < :readers)
INSERT INTO subscribers (address, address_key, suppression_key, language, zone, created_at)
SELECT address, address, address, 'en', '', :now
FROM (SELECT 'reader' || i || '@inbox' || (i % 50) || '.example.net' AS address FROM numbers) AS named
"""
_CONSENTS = """
INSERT INTO consents (subscriber_id, newsletter_ids, source, wording, wording_version, requested_at, requested_ip, expires_at,
  confirmed_at, confirmed_ip)
SELECT id, '[1]', 'page', 'I want it.', 'faults', created_at, '', created_at, created_at, '' FROM subscribers
"""
_SUBSCRIPTIONS = """
INSERT INTO subscriptions (subscriber_id, newsletter_id, consent_id, status, cadence, zone, topics, created_at, confirmed_at,
  unsubscribed_by)
SELECT subscriber_id, :newsletter, id, 'active', 'daily', '', '[]', requested_at, requested_at, '' FROM consents
"""
# The database itself writes down each change from and to unknown and held: whatever the program believes, it cannot forget one.
_OPEN = "(NEW.status IN ('unknown', 'held') OR OLD.status IN ('unknown', 'held'))"
_TRIGGER = f"CREATE TRIGGER traced AFTER UPDATE OF status ON deliveries{{}} WHEN (NEW.status <> OLD.status AND {_OPEN}) {{}}"
_NOTE = "BEGIN INSERT INTO traces VALUES (NEW.id, OLD.status, NEW.status);{} END"
_TRACES = {
    "sqlite": (
        "CREATE TABLE traces (delivery_id INTEGER, before TEXT, after TEXT)",
        _TRIGGER.format("", _NOTE.format("")),
    ),
    "postgresql": (
        "CREATE TABLE traces (delivery_id BIGINT, before TEXT, after TEXT)",
        f"CREATE FUNCTION trace() RETURNS trigger LANGUAGE plpgsql AS '{_NOTE.format(' RETURN NULL;')}'",
        _TRIGGER.format(" FOR EACH ROW", "EXECUTE FUNCTION trace()"),
    ),
}


def utcnow() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Place:
    """A database with its readers."""

    url: str
    sessions: Sessions

    def statuses(self) -> Counter[str]:
        """Return how many deliveries are in which state."""
        with self.sessions.read() as session:
            rows = session.execute(select(col(Delivery.status), func.count()).group_by(col(Delivery.status)))
            return Counter({status.value: number for status, number in rows})

    def moving(self) -> int:
        """Return how many deliveries have not ended; what was put off is due at once, as if the time for it had passed."""
        statuses = self.statuses()
        if statuses[DeliveryStatus.DEFERRED]:
            self.hurry()
        return sum(statuses.values()) - sum(statuses[status] for status in ENDED)

    def hurry(self) -> None:
        """Make what was put off due now, and end the pauses that it was put off for."""
        later = update(Delivery).where(col(Delivery.status) == DeliveryStatus.DEFERRED, col(Delivery.due_at) > utcnow())
        with self.sessions.begin() as session:
            session.execute(later.values(due_at=utcnow()).execution_options(synchronize_session=False))
            session.execute(update(Pause).where(col(Pause.until) > utcnow()).values(until=utcnow()))

    def is_sending(self, host: str) -> bool:
        """Return whether a host has mails in the air, and has sent some."""
        its_own = select(col(Delivery.status)).where(col(Delivery.claimed_by).startswith(f"{host}-")).distinct()
        with self.sessions.read() as session:
            return {DeliveryStatus.SENDING, DeliveryStatus.SENT} <= set(session.scalars(its_own))

    def expected(self) -> dict[str, tuple[int, str]]:
        """Return who is to be reached: the delivery and the address, by the Message-ID of their mail."""
        with self.sessions.read() as session:
            rows = session.execute(select(col(Delivery.id), col(Delivery.address)))
            return {LINKS.message_id(number, DOMAIN): (number, address) for number, address in rows}

    def traces(self) -> list[tuple[int, str, str]]:
        """Return the changes from and to unknown and held: the delivery, the state before and after."""
        with self.sessions.read() as session:
            return [tuple(row) for row in session.execute(text("SELECT delivery_id, before, after FROM traces"))]

    def left(self) -> dict[int, str]:
        """Return the state of each delivery that is not sent."""
        with self.sessions.read() as session:
            rows = session.execute(select(col(Delivery.id), col(Delivery.status)).where(col(Delivery.status) != "sent"))
            return {number: status.value for number, status in rows}


def furnish(url: str, readers: int) -> Place:
    """Make the tables, the readers and an issue that is due for all of them."""
    sessions, now = db.connect(url), utcnow()
    db.migrate(sessions)
    with sessions.begin() as session:
        newsletter = Newsletter(
            slug="daily",
            title="Daily Papers",
            language="en",
            sources=["sample"],
            from_name="Daily Papers",
            from_address=f"news@{DOMAIN}",
            postal_address="1 Example Road, Seoul",
            created_at=now,
        )
        session.add(newsletter)
    with sessions.begin() as session:
        session.execute(text(_READERS), {"readers": readers, "now": now - timedelta(days=9)})
        session.execute(text(_CONSENTS))
        session.execute(text(_SUBSCRIPTIONS), {"newsletter": newsletter.id})
        papers.store(session, "sample", Listing(DAY, tuple(_paper(number) for number in range(1, 4))), now=now)
        issue = issues.assemble(session, newsletter, Cadence.DAILY, DAY, now=now)
    issues.freeze(sessions, issue.id, LINKS, now=now)
    with sessions.begin() as session:
        issues.publish(session, issue.id, now=now)
        for statement in _TRACES[sessions.engine.dialect.name]:
            session.execute(text(statement))
    return Place(url, sessions)


def _paper(number: int) -> PaperData:
    return PaperData(
        source="arxiv",
        source_id=f"2403.{number:05}",
        title=f"Paper {number} on machines that break",
        url=f"https://arxiv.org/abs/2403.{number:05}",
        abstract="We break machines at random. Nobody is missed and nobody is mailed twice. The code is public.",
        authors=("Ari Kim", "Bora Lee"),
        votes=100 - number,
    )


def sqlite_url(folder: Path) -> str:
    """Return the URL of a SQLite file in the folder."""
    return f"sqlite:///{folder / 'newsletter.sqlite3'}"
