"""A worker as it runs: a real process on a real broker, a database of either kind, and a mail server that keeps count."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from urllib.parse import urlsplit

import pytest
from factories import Make
from fastapi.testclient import TestClient
from installation import BASE_URL, Installation, add_readers, eventually, installed
from redis import Redis
from smtp_sink import Sink, running
from sqlalchemy import func, select, text
from sqlmodel import col
from web_parts import AT_ONCE

from newsletter import deliveries, wiring
from newsletter.config import Settings
from newsletter.db import Sessions
from newsletter.lifecycle import DeliveryStatus, IssueStatus
from newsletter.models import Delivery, Issue
from newsletter.web import Services, create_app
from newsletter.wiring import utcnow

_numbers = count(1)
CONNECTIONS = 4  # to the mail server, of each drain


def pages(settings: Settings, sessions: Sessions) -> TestClient:
    """Return a browser on the pages of an installation, which wake its workers."""
    policy, wake = wiring.policy_of(settings), wiring.waker_of(settings)
    services = Services(sessions, wiring.links_of(settings), policy, wake, utcnow, sign_up=AT_ONCE)
    return TestClient(create_app(services), base_url=BASE_URL, follow_redirects=False)


@pytest.fixture
def broker(valkey_url) -> Iterator[str]:
    """Return the URL of an empty broker: a database of the server for this test alone."""
    url = urlsplit(valkey_url)._replace(path=f"/{next(_numbers) % 15 + 1}").geturl()
    with Redis.from_url(url) as client:
        client.flushdb()
    return url


@pytest.fixture
def sink() -> Iterator[Sink]:
    """Return a mail server that takes everything."""
    with running() as server:
        yield server


@dataclass(frozen=True)
class Floor:
    """An installation with its database and its mail server."""

    installation: Installation
    make: Make
    sink: Sink

    def publish(self, readers: int) -> tuple[Issue, list[str]]:
        """Publish an issue to that many readers, without telling any worker."""
        newsletter = self.make.newsletter()
        addresses = add_readers(self.make, newsletter, readers)
        return self.make.issue(newsletter, IssueStatus.PUBLISHED, now=utcnow()), addresses

    def start_worker(self, concurrency: int = 3) -> None:
        """Start a worker; its first drain is asked for."""
        self.installation.start("worker", "--concurrency", str(concurrency))
        self.installation.ask("drain")

    def send_the_rest(self) -> None:
        """Send what is due in this process, as `newsletter send` does."""
        settings = self.installation.settings
        with closing(wiring.journal_of(settings)) as journal:
            deliveries.drain(self.make.sessions, wiring.way_of(settings), wiring.mailer_of(settings), journal, clock=utcnow)

    def visitor(self) -> TestClient:
        """Return a browser on the pages."""
        return pages(self.installation.settings, self.make.sessions)

    def statuses(self) -> Counter[str]:
        """Return how many deliveries are in which state."""
        with self.make.sessions.read() as session:
            rows = session.execute(select(col(Delivery.status), func.count()).group_by(col(Delivery.status)))
            return Counter({status.value: number for status, number in rows})

    def addresses(self, status: DeliveryStatus) -> set[str]:
        """Return whose deliveries are in a state."""
        return {row.address for row in self.make.all(Delivery, status=status)}

    def wait_for(self, number: int) -> None:
        """Wait until the mail server took that many messages."""
        eventually(lambda: len(self.sink.taken) >= number, self.explain, seconds=60)

    def wait_until_all_sent(self, number: int) -> None:
        """Wait until all deliveries are sent."""
        eventually(lambda: self.statuses() == {"sent": number}, self.explain, seconds=60)

    def sweep_until_all_sent(self, number: int) -> None:
        """Do what the clock does until all deliveries are sent: what is left unknown is sent again."""
        eventually(lambda: set(self.statuses()) <= {"sent", "unknown"}, self.explain, seconds=60)
        self.installation.ask("sweep")
        eventually(lambda: not self.statuses()["unknown"], self.explain)
        self.installation.ask("drain")
        self.wait_until_all_sent(number)

    def break_database(self) -> None:
        """Take the outbox away, under everybody's feet."""
        with self.make.sessions.begin() as session:
            session.execute(text("ALTER TABLE deliveries RENAME TO gone"))

    def explain(self) -> str:
        """Say how it stands, for a test that waited in vain."""
        return f"{len(self.sink.taken)} taken, {dict(self.statuses())}\n{self.installation.log()[-3000:]}"


def floor_of(tmp_path, sessions: Sessions, sink: Sink, database: str, broker: str) -> Iterator[Floor]:
    """Give an installation on these parts."""
    urls = {"DATABASE_URL": database, "REDIS_URL": broker}
    relay = {"smtp__host": "127.0.0.1", "smtp__port": sink.port, "smtp__security": "none", "smtp__connections": CONNECTIONS}
    with installed(tmp_path, **urls, **relay, resend_after_minutes=0) as installation:
        yield Floor(installation, Make(sessions), sink)


@pytest.fixture
def floor(tmp_path, sessions, sink, database, broker) -> Iterator[Floor]:
    """Return an installation without readers, nothing of it running yet."""
    yield from floor_of(tmp_path, sessions, sink, database, broker)
