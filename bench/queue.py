"""Taking from a very long queue: what the first and the last of it cost, and what the process that takes them holds."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import text

from bench.measure import database_cpu
from bench.sender import Spec, cpu, utcnow
from newsletter import db
from newsletter.db import Sessions
from newsletter.deliveries import ledger
from newsletter.models import Lane

AT_ONCE = 128  # for which 64 connections leave room each time
WHOLE_LOOKS = 12  # each how many times the queue is looked through from its beginning: about once a second
_BYGONE = text("""
UPDATE deliveries SET status = 'sent', sent_at = updated_at WHERE id IN (
  SELECT id FROM deliveries WHERE deliveries.status IN ('queued', 'deferred') ORDER BY lane, due_at, id LIMIT :number)
""")


def prepare(spec: Spec) -> Callable[[], tuple[int, dict[str, Any]]]:
    """Make ready to claim both ends of the queue, `spec.number` each; `spec.options`: PostgreSQL's pid, the queue's length."""
    sessions = db.connect(spec.database)
    pid, length = int(spec.options[0]), int(spec.options[1])

    def work() -> tuple[int, dict[str, Any]]:
        first = _take(sessions, spec.number, pid)
        begun_at = _resident_mb()
        _send_the_middle(sessions, length - 2 * spec.number)
        last = _take(sessions, spec.number, pid)
        return 2 * spec.number, {"first": first, "last": last, "rss_first_mb": begun_at, "rss_last_mb": _resident_mb()}

    return work


def _take(sessions: Sessions, number: int, pid: int) -> dict[str, float]:
    """Take so many, as an engine does; return microseconds a delivery of this process, of the database, and in all."""
    before = (time.perf_counter(), cpu(), database_cpu(pid))
    taken, looks, since = 0, 0, ledger.START
    while taken < number:
        if looks % WHOLE_LOOKS == 0:
            since = ledger.START
        limit = min(AT_ONCE, number - taken)
        with sessions.begin() as session:
            found = ledger.take(session, Lane.LIST, worker="bench", limit=limit, now=utcnow(), since=since)
        assert found.rows, "the queue is shorter than it should be"
        taken, looks, since = taken + len(found.rows), looks + 1, found.last
    after = (time.perf_counter(), cpu(), database_cpu(pid))
    wall, own, database = ((end - start) / number * 1e6 for start, end in zip(before, after, strict=True))
    return {"wall_us": wall, "cpu_us": own, "database_us": database}


def _send_the_middle(sessions: Sessions, number: int) -> None:
    """Call so many sent, ten thousand at a time, as workers would have left them."""
    for start in range(0, number, 10_000):
        with sessions.begin() as session:
            session.execute(_BYGONE, {"number": min(10_000, number - start)})


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6
