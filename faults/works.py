"""The installation that lives through the days: broker, worker, and a beat that is as quick as the clock is set."""

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from almanac import FIRST, HOUR, Almanac, at
from celery import Celery
from clockwork import Clock
from helpers import HERE, ROOT, kill_session, until
from redis import Redis
from sites import Sites

from newsletter.embedded.valkey import start_valkey
from newsletter.wiring import QUEUE

SECRET = "a-secret-of-the-days-of-no-use-elsewhere"  # noqa: S105 -- as it says
OPERATOR = "operator@example.org"
BASE_URL = "https://news.example.com"
DAILY_TOKENS = 75_000
PRICES = (0.5, 1.5)  # of a million tokens in, out
AT_ONCE = 4
_QUIET = 3  # looks in a row that find nothing to do
_PATIENCE = 180.0  # seconds
_HEARD = ("collect_due", "enrich_due", "summarise_due")  # what comes before the issues are made


def environment(folder: Path, sites: Sites, *, database: str, broker: str, mail_port: int) -> dict[str, str]:
    """Return the environment of the worker."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "newsletter.toml").touch()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("NEWSLETTER_", "DATABASE", "REDIS"))}
    given = {
        "CONFIG": folder / "newsletter.toml",
        "DATA_DIR": folder / "data",
        "BASE_URL": BASE_URL,
        "SECRET_KEY": SECRET,
        "OPERATOR_EMAIL": OPERATOR,
        "POSTAL_ADDRESS": "1 Example Road, Seoul",
        "HUGGINGFACE_URL": sites.list_url,
        "SOURCES__ARXIV_URL": sites.arxiv_url,
        "SOURCES__ARXIV_FEED_URL": sites.arxiv_url,
        "SUMMARIES__URL": sites.model.url,
        "SUMMARIES__MODEL": "parrot-1",
        "SUMMARIES__SECONDS": 1,
        "SUMMARIES__AT_ONCE": AT_ONCE,
        "SUMMARIES__DAILY_TOKENS": DAILY_TOKENS,
        "SUMMARIES__INPUT_PRICE": PRICES[0],
        "SUMMARIES__OUTPUT_PRICE": PRICES[1],
        "SMTP__HOST": "127.0.0.1",
        "SMTP__PORT": mail_port,
        "SMTP__SECURITY": "none",
        "SMTP__CONNECTIONS": 2,
    }
    own = {f"NEWSLETTER_{name}": str(value) for name, value in given.items()}
    return inherited | own | {"DATABASE_URL": database, "REDIS_URL": broker, "PYTHONPATH": str(ROOT)}


@dataclass
class Works:
    """The processes, and what is known of them."""

    folder: Path
    almanac: Almanac
    clock: Clock
    environment: dict[str, str]
    beat: dict[str, float]  # how often each task is due, in seconds
    app: Celery
    broker: Redis
    children: int
    step: timedelta
    dice: random.Random
    worker: subprocess.Popen[bytes] | None = None
    abandoned: set[bytes] = field(default_factory=set)  # tasks that died with their worker; the broker gives them back later
    purged: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    sent: Counter[str] = field(default_factory=Counter)
    kills: int = 0
    seconds: Counter[str] = field(default_factory=Counter)  # real ones

    @property
    def log(self) -> Path:
        """What the worker said."""
        return self.folder / "worker.log"

    def start(self) -> None:
        """Start the worker."""
        with self.log.open("ab") as log:
            self.worker = subprocess.Popen(
                [sys.executable, str(HERE / "days_worker.py"), str(self.folder / "clock"), str(self.children)],
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        """Kill -9 all of the worker, and note what it was at."""
        if self.worker is not None:
            kill_session(self.worker)
            self.worker = None
            self.abandoned |= set(self._unacknowledged())

    def live_through(self, days: int, tell: Callable[[datetime], None]) -> None:
        """Go from the first day's beginning to the end of the last, step by step."""
        now, end = at(FIRST, 0), at(FIRST, 24 * days)
        while now < end:
            self._live(now)
            tell(now)
            now += self.step

    def _live(self, now: datetime) -> None:
        """Do what beat and worker do in one step of time."""
        self.clock.set(now)
        if self.almanac.behaviour("all", now):
            self.kill()
            return
        if self.worker is None:
            self.start()
        due = [name for name in self.beat if name != "purge" or now - self.purged >= timedelta(days=1)]
        self.purged = now if "purge" in due else self.purged
        self._ask([name for name in due if name in _HEARD])
        if self._is_last(now):
            time.sleep(self.dice.uniform(0, 1.5))
            self.kill()
            self.kills += 1
            self.start()
            self._ask([name for name in due if name in _HEARD])
        self._wait("sources")
        self._ask([name for name in due if name not in _HEARD])
        self._wait("issues")

    def _is_last(self, now: datetime) -> bool:
        return any(now <= moment < now + self.step for moment in self.almanac.kills)

    def _ask(self, names: list[str]) -> None:
        for name in names:
            self.app.send_task(name, queue=QUEUE)
            self.sent[name] += 1

    def _wait(self, what: str) -> None:
        """Wait until the worker has nothing to do any more."""
        began, quiet = time.monotonic(), 0
        while quiet < _QUIET:
            if self.worker is None or self.worker.poll() is not None:
                raise AssertionError(f"the worker ended by itself: {self.last_words()}")
            busy = self.broker.llen(QUEUE) or set(self._unacknowledged()) - self.abandoned
            quiet = 0 if busy else quiet + 1
            if time.monotonic() - began > _PATIENCE:
                raise TimeoutError(f"the worker was busy for {_PATIENCE:.0f} s: {self.last_words()}")
            time.sleep(0.01)
        self.seconds[what] += time.monotonic() - began  # type: ignore[assignment]

    def _unacknowledged(self) -> list[bytes]:
        return self.broker.hkeys("unacked")  # type: ignore[return-value]

    def last_words(self) -> str:
        """Return the end of the worker's log."""
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""


@contextmanager
def works_of(  # noqa: PLR0913 -- what it is made of
    folder: Path, sites: Sites, *, database: str, mail_port: int, children: int = 0, step: timedelta = HOUR
) -> Iterator[Works]:
    """Give an installation, its worker not started yet; leave nothing of it behind."""
    server = start_valkey(folder / "valkey")
    given = environment(folder / "home", sites, database=database, broker=server.url, mail_port=mail_port)
    os.environ.update({name: value for name, value in given.items() if name.startswith(("NEWSLETTER_", "DATABASE", "REDIS"))})
    from worker import app  # noqa: PLC0415 -- reads the settings that were made just now

    app.conf.update(broker_url=server.url)
    beat = {entry["task"]: entry["schedule"] for entry in app.conf.beat_schedule.values()}
    with Redis.from_url(server.url) as broker:
        dice = random.Random(sites.almanac.seed)
        works = Works(folder, sites.almanac, sites.clock, given, beat, app, broker, children, step, dice)
        try:
            until(broker.ping, "the broker")
            yield works
        finally:
            works.kill()
            server.stop()
