"""A machine: a process tree that drains and sweeps until it is killed: `python faults/tree.py SPEC`, a `Spec` as JSON.

The first process imports everything and forks two children, one that drains and one that sweeps, and forks again whichever
dies: as a Celery worker does with its pool, a hundred times faster. SIGTERM ends it as `newsletter worker` is ended.
"""

import json
import mmap
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from newsletter import db, deliveries, issues, wiring
from newsletter.config import Settings, SmtpSettings
from newsletter.deliveries import Journal, Leases, Mailer, MailerSettings, Pace
from newsletter.mail.smtp import Relay
from newsletter.mail.smtp.relay import Timeouts
from newsletter.tokens import Keyring, Links

SECRET = b"a-secret-of-the-faults-of-no-use-elsewhere"  # one word: the settings take several keys
LINKS = Links("https://news.example.com", Keyring([SECRET]))
LEASES = Leases(timedelta(seconds=6), timedelta(seconds=6), begin_within=timedelta(seconds=2), look_holds=2, renew_after=1.5)
ANSWER = 3.0  # seconds, to the dot: with `begin_within` it is shorter than a lease
IDLE = 3.0  # seconds that a transaction may hold locks without a word


@dataclass(frozen=True)
class Spec:
    """A machine: its name, where its parts are, and its patience in seconds. The leases are short, or a test would take hours."""

    host: str
    folder: str  # of its journals and its pids
    database: str
    smtp: int  # port
    hold: bool = False
    connections: int = 8
    late_news: float = 1.0
    entries: int = 4096  # of a journal at first

    @property
    def journals(self) -> Path:
        """Where its journals are."""
        return Path(self.folder) / "journal"


def utcnow() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


def pace_with(connections: int) -> Pace:
    """Return the pace of an installation with so many connections, but for its leases and its budget."""
    settings = Settings.model_construct(smtp=SmtpSettings(connections=connections))
    return replace(wiring.pace_of(settings, budget=timedelta(seconds=5)), batch=100, leases=LEASES)


def drain_on(spec: Spec, stopping: Callable[[], bool]) -> None:
    """Drain for as long as the process lives."""
    sessions, mailer = db.connect(spec.database, idle_seconds=IDLE), Mailer(MailerSettings(LINKS))
    journal = Journal.open(spec.journals, f"{spec.host}-{deliveries.worker_name()}", entries=spec.entries)
    times = Timeouts(connect=ANSWER, greeting=ANSWER, command=ANSWER, data=ANSWER, block=ANSWER, dot=ANSWER)
    relay = Relay("127.0.0.1", spec.smtp, security="none", helo="one.example.org", timeouts=times)
    way = deliveries.over(relay, connections=spec.connections)
    pace = replace(pace_with(spec.connections), grace=timedelta(seconds=2 * ANSWER))

    def once() -> None:
        deliveries.settle(sessions, spec.journals, now=utcnow())
        report = deliveries.drain(sessions, way, mailer, journal, clock=utcnow, pace=pace, stopping=stopping)
        if not report.more:
            time.sleep(0.2)

    _again_and_again(once, stopping)
    journal.close()


def sweep_on(spec: Spec, stopping: Callable[[], bool]) -> None:
    """Sweep for as long as the process lives."""
    sessions = db.connect(spec.database, idle_seconds=IDLE)

    def once() -> None:
        deliveries.settle(sessions, spec.journals, now=utcnow())
        with sessions.begin() as session:
            late = timedelta(seconds=spec.late_news)
            deliveries.recover(session, hold_unknown=spec.hold, late_news=late, now=utcnow())
            issues.finish(session, now=utcnow())
        time.sleep(0.3)

    _again_and_again(once, stopping)


def _again_and_again(once: Callable[[], None], stopping: Callable[[], bool]) -> None:
    """Do it until told to stop; what fails is done again, as the clock asks for it again."""
    while not stopping():
        try:
            once()
        except Exception:  # noqa: BLE001 -- as a task that failed
            traceback.print_exc()
            time.sleep(0.2)


def _fork(work: Callable[[], None]) -> int:
    pid = os.fork()
    if pid:
        return pid
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the flag tells it
    try:
        work()
        os._exit(0)
    finally:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def main(spec: Spec) -> None:
    """Keep both children running until SIGTERM."""
    flag = mmap.mmap(-1, 1)
    signal.signal(signal.SIGTERM, lambda *_: flag.write_byte(1))
    stopping: Callable[[], bool] = lambda: flag[0] != 0  # noqa: E731 -- shared with both
    works = {"drain": partial(drain_on, spec, stopping), "sweep": partial(sweep_on, spec, stopping)}
    pids: dict[str, int] = {}
    while not stopping():
        for name, work in works.items():
            if name not in pids or os.waitpid(pids[name], os.WNOHANG)[0]:
                pids[name] = _fork(work)
                _tell(Path(spec.folder) / f"{name}.pid", pids[name])
        time.sleep(0.05)
    for pid in pids.values():
        os.waitpid(pid, 0)


def _tell(path: Path, pid: int) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(str(pid))
    fresh.replace(path)


if __name__ == "__main__":
    main(Spec(**json.loads(sys.argv[1])))
