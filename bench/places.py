"""Where the benchmarks happen: a database with an issue and its readers, a mail server, a signing key."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy import delete, text

from bench import corpus
from bench.publisher import DOMAIN, LINKS, PAPERS
from bench.sink import Seen
from newsletter import db, issues, papers
from newsletter.db import Sessions
from newsletter.models import Cadence, Delivery, Issue, Newsletter
from tests.postgres_server import postgres

# Durable as an installation is; a checkpoint in the middle of a run would be counted as the ledger's.
DURABLE = {"shared_buffers": "256MB", "max_wal_size": "8GB", "checkpoint_timeout": "1h"}

_READERS = """
WITH RECURSIVE numbers(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < :readers)
INSERT INTO subscribers (address, address_key, suppression_key, language, zone, created_at)
SELECT address, address, address, 'ko', '', :now
FROM (SELECT 'reader' || i || '@inbox' || (i % 97) || '.example.net' AS address FROM numbers) AS named
"""
_CONSENTS = """
INSERT INTO consents (subscriber_id, newsletter_ids, source, wording, wording_version, requested_at, requested_ip, expires_at,
  confirmed_at, confirmed_ip)
SELECT id, '[1]', 'page', 'I want it.', 'bench', created_at, '', created_at, created_at, '' FROM subscribers
"""
_SUBSCRIPTIONS = """
INSERT INTO subscriptions (subscriber_id, newsletter_id, consent_id, status, cadence, zone, topics, created_at, confirmed_at,
  unsubscribed_by)
SELECT subscriber_id, :newsletter, id, 'active', 'daily', '', '[]', requested_at, requested_at, '' FROM consents
"""


@dataclass(frozen=True)
class Place:
    """A database with one ready issue and its readers; `postgres_pid` is 0 where it is SQLite."""

    url: str
    postgres_pid: int
    sessions: Sessions
    issue_id: int

    def queue(self, *, now: datetime, tidy: bool = True) -> int:
        """Forget all deliveries, queue the issue for every reader anew, tidy up, and return how many those are."""
        with self.sessions.begin() as session:
            if self.sessions.is_sqlite:
                session.execute(delete(Delivery))
            else:
                session.execute(text("TRUNCATE deliveries CASCADE"))
        with self.sessions.begin() as session:
            queued = issues.publish(session, self.issue_id, now=now)
        if tidy and not self.sessions.is_sqlite:
            self._tidy()
        return queued

    def _tidy(self) -> None:
        """Have PostgreSQL tidy up now instead of during the measurement, and reckon with the tables as they are."""
        with self.sessions.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for statement in ("VACUUM ANALYZE deliveries", "CHECKPOINT"):
                connection.exec_driver_sql(statement)


@contextmanager
def postgres_server() -> Iterator[tuple[str, int]]:
    """Run a durable PostgreSQL; give the URL of its maintenance database and the id of its first process."""
    with postgres(DURABLE) as server:
        yield server.url, server.pid


@contextmanager
def on_postgres(server: tuple[str, int], name: str, *, readers: int, now: datetime) -> Iterator[Place]:
    """Give a place on the server."""
    url, pid = server
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    yield from _furnished(urlsplit(url)._replace(path=f"/{name}").geturl(), pid, readers=readers, now=now)


@contextmanager
def on_sqlite(*, readers: int, now: datetime) -> Iterator[Place]:
    """Give a place in a SQLite file."""
    with tempfile.TemporaryDirectory(prefix="newsletter-bench-") as folder:
        yield from _furnished(f"sqlite:///{folder}/newsletter.sqlite3", 0, readers=readers, now=now)


def _furnished(url: str, pid: int, *, readers: int, now: datetime) -> Iterator[Place]:
    sessions = db.connect(url)
    db.migrate(sessions)
    newsletter = _add_newsletter(sessions, now=now)
    with sessions.begin() as session:
        session.execute(text(_READERS), {"readers": readers, "now": now - timedelta(days=9)})
        session.execute(text(_CONSENTS))
        session.execute(text(_SUBSCRIPTIONS), {"newsletter": newsletter.id})
    issue = _add_issue(sessions, newsletter, now=now)
    yield Place(url, pid, sessions, issue.id)
    sessions.engine.dispose()


def _add_newsletter(sessions: Sessions, *, now: datetime) -> Newsletter:
    newsletter = Newsletter(
        slug="daily",
        title="오늘의 논문",
        language="ko",
        sources=[corpus.SOURCE],
        from_name="오늘의 논문",
        from_address=f"news@{DOMAIN}",
        postal_address="7 Example Road, 04524 Seoul",
        created_at=now - timedelta(days=99),
    )
    with sessions.begin() as session:
        session.add(newsletter)
    return newsletter


def _add_issue(sessions: Sessions, newsletter: Newsletter, *, now: datetime) -> Issue:
    with sessions.begin() as session:
        papers.store(session, corpus.SOURCE, corpus.listing(PAPERS), now=now)
        issue = issues.assemble(session, newsletter, Cadence.DAILY, corpus.DAY, now=now)
    return issues.freeze(sessions, issue.id, LINKS, now=now)


def make_key(path: Path) -> Path:
    """Write a new RSA-2048 key, as PEM, and return where."""
    key = rsa.generate_private_key(65537, 2048)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    return path


class Receiver:
    """A sink of our own while a block lasts: its port, and afterwards what it saw."""

    def __init__(self, *, delay_ms: int = 0, processes: int = 2, ids_file: str = "") -> None:
        """Start it."""
        command = [sys.executable, "-m", "bench.sink", "0", str(processes), str(delay_ms), ids_file]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def close(self) -> list[Seen]:
        """End it; return what each of its processes saw."""
        self._process.terminate()
        said, _ = self._process.communicate(timeout=30)
        return [Seen(**seen) for seen in json.loads(said)]
