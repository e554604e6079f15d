"""An installation for a test: settings of its own, its commands as real processes, many readers, nothing left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from celery import Celery
from factories import LONG_AGO, POLICY, SECRET, Make
from sqlalchemy import select
from sqlmodel import SQLModel, col

from newsletter import db, wiring
from newsletter.config import Settings
from newsletter.lifecycle import SubscriptionStatus
from newsletter.models import Cadence, Consent, Newsletter, Subscriber, Subscription
from newsletter.tokens import suppression_key

ROOT = Path(__file__).parent.parent
BASE_URL = "https://news.example.com"


def environment(folder: Path, **settings: object) -> dict[str, str]:
    """Return an environment with these settings alone; a name with a double underscore is a part of another."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("NEWSLETTER_", "DATABASE", "REDIS"))}
    (folder / "newsletter.toml").touch()
    given = {
        "config": folder / "newsletter.toml",
        "data_dir": folder / "data",
        "base_url": BASE_URL,
        "secret_key": SECRET.decode(),
        "sources__enrich": False,  # who wants it names an arXiv of their own
    }
    own = {f"NEWSLETTER_{name.upper()}": str(value) for name, value in (given | settings).items()}
    urls = {name: own.pop(f"NEWSLETTER_{name}") for name in ("DATABASE_URL", "REDIS_URL") if name in settings}
    return inherited | own | urls | {"PYTHONPATH": str(ROOT), "PYTHONFAULTHANDLER": "", "COLUMNS": "200"}


def command(*words: object, environment: Mapping[str, str], **options: object) -> subprocess.CompletedProcess[str]:
    """Run one of our commands to its end, a minute at most."""
    arguments = [sys.executable, "-m", "newsletter", *map(str, words)]
    return subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=60, check=False, **options)


@dataclass
class Installation:
    """Settings, and the processes that run on them."""

    folder: Path
    environment: dict[str, str]
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        """The settings as the processes read them."""
        env = self.environment
        given = {name.removeprefix("NEWSLETTER_").lower(): value for name, value in env.items() if name.startswith("NEWSLETTER_")}
        parts: dict[str, dict[str, str]] = {}
        for name in [name for name in given if "__" in name]:
            whole, _, part = name.partition("__")
            parts.setdefault(whole, {})[part] = given.pop(name)
        urls = {name.lower(): env[name] for name in ("DATABASE_URL", "REDIS_URL") if name in env}
        return Settings(**{name: value for name, value in given.items() if name != "config"}, **urls, **parts)

    def command(self, *words: object) -> subprocess.CompletedProcess[str]:
        """Run one of our commands to its end."""
        return command(*words, environment=self.environment, cwd=self.folder)

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start one of our commands as a process in a session of its own; what it says is in `log`."""
        with (self.folder / f"{words[0]}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "newsletter", *words],
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.running.append(process)
        return process

    def log(self, name: str = "worker") -> str:
        """Return what the process said."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def ask(self, task: str, *arguments: object) -> None:
        """Ask a worker for a task by its name."""
        with Celery(broker=self.environment["REDIS_URL"], set_as_current=False) as app:
            app.conf.task_default_queue = wiring.QUEUE
            app.send_task(task, args=arguments)

    def kill(self) -> None:
        """Kill everything that still runs, and what it started."""
        for process in self.running:
            kill_session(process)


def kill_session(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and everything it started in its session, at once."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def installed(folder: Path, **settings: object) -> Iterator[Installation]:
    """Give an installation, and leave no process of it behind."""
    installation = Installation(folder, environment(folder, **settings))
    try:
        yield installation
    finally:
        installation.kill()


def eventually(
    true: Callable[[], object], explain: Callable[[], object] = lambda: "it never came true", *, seconds: float = 30.0
) -> None:
    """Wait until `true()` is, looking often."""
    give_up = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < give_up, explain()
        time.sleep(0.02)


def add_readers(make: Make, newsletter: Newsletter, number: int) -> list[str]:
    """Add active readers r0@example.org, r1@… in a few statements, and return their addresses."""
    addresses = [f"r{index}@example.org" for index in range(number)]
    people = [
        {
            "address": each,
            "address_key": each,
            "suppression_key": suppression_key(POLICY.secret, each),
            "language": "en",
            "zone": "",
        }
        | {"created_at": LONG_AGO}
        for each in addresses
    ]
    with make.sessions.begin() as session:
        db.insert_new(session, Subscriber, people)
        ids = list(session.scalars(select(col(Subscriber.id)).where(col(Subscriber.address).in_(addresses))))
        consents = [
            {
                "subscriber_id": each,
                "newsletter_ids": [newsletter.id],
                "source": "page",
                "wording": "I want it.",
                "wording_version": "1",
            }
            | {"requested_ip": "", "confirmed_ip": "", "requested_at": LONG_AGO, "expires_at": LONG_AGO + timedelta(days=3)}
            | {"confirmed_at": LONG_AGO}
            for each in ids
        ]
        db.insert_new(session, Consent, consents)
        given = session.execute(
            select(col(Consent.subscriber_id), col(Consent.id)).where(col(Consent.subscriber_id).in_(ids))
        ).all()
        rows = [
            {"subscriber_id": person, "newsletter_id": newsletter.id, "consent_id": consent, "status": SubscriptionStatus.ACTIVE}
            | {
                "cadence": Cadence.DAILY,
                "topics": [],
                "zone": "",
                "created_at": LONG_AGO,
                "confirmed_at": LONG_AGO,
                "unsubscribed_by": "",
            }
            for person, consent in given
        ]
        db.insert_new(session, Subscription, rows)
    return addresses


def count(make: Make, table: type[SQLModel], **equal: object) -> int:
    """Return how many rows of a table have columns as given."""
    return len(make.all(table, **equal))
