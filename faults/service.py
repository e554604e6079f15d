"""The service as it runs: `newsletter worker` and `beat` on a Valkey of their own, and somebody who asks for drains."""

import os
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from celery import Celery
from helpers import HERE, ROOT, kill_session, until
from stage import CONNECTIONS, Stage
from tree import SECRET

from newsletter import wiring
from newsletter.embedded.processes import kill_group, spawn
from newsletter.embedded.valkey import RunningServer, answers, start_valkey

CHILDREN = 2  # of a worker, each of which may drain
ASK_EVERY = 1.0  # seconds


@dataclass
class Service:
    """A broker, and the processes that live on it."""

    stage: Stage
    broker: RunningServer
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def port(self) -> int:
        """The broker's."""
        return urlsplit(self.broker.url).port or 6379

    def environment(self, folder: Path, **changes: str) -> dict[str, str]:
        """Return the environment of a host whose data are in the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "newsletter.toml").touch()
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("NEWSLETTER_", "DATABASE", "REDIS"))
        }
        return inherited | {
            "PYTHONPATH": str(ROOT),
            "NEWSLETTER_CONFIG": str(folder / "newsletter.toml"),
            "NEWSLETTER_DATA_DIR": str(folder),
            "NEWSLETTER_BASE_URL": "https://news.example.com",
            "NEWSLETTER_SECRET_KEY": SECRET.decode(),
            "NEWSLETTER_SMTP__HOST": "127.0.0.1",
            "NEWSLETTER_SMTP__PORT": str(self.stage.sink.port),
            "NEWSLETTER_SMTP__SECURITY": "none",
            "NEWSLETTER_SMTP__CONNECTIONS": str(CONNECTIONS // CHILDREN),
            "NEWSLETTER_UNKNOWN_POLICY": self.stage.order.policy,
            "NEWSLETTER_RESEND_AFTER_MINUTES": "0",
            "DATABASE_URL": self.stage.place.url,
            "REDIS_URL": self.broker.url,
            **changes,
        }

    def start(self, *words: str, folder: str = "one", **changes: str) -> subprocess.Popen[bytes]:
        """Start `newsletter …`, or a program of ours where the first word ends in .py."""
        environment = self.environment(self.stage.folder / folder, **changes)
        program = [str(HERE / words[0])] if words[0].endswith(".py") else ["-m", "newsletter", words[0]]
        with (self.stage.folder / folder / "tree.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *program, *words[1:]],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.running.append(process)
        return process

    def worker(self, folder: str = "one", **changes: str) -> subprocess.Popen[bytes]:
        """Start a worker."""
        return self.start("worker", "--concurrency", str(CHILDREN), folder=folder, **changes)

    def sender(self, worker: subprocess.Popen[bytes]) -> int:
        """Return the id of a pool child that keeps a journal."""
        found: list[int] = []

        def look() -> bool:
            with suppress(OSError):
                children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
                found[:] = [int(pid) for pid in children if _keeps_journal(pid)]
            return bool(found)

        until(look, "a child that sends")
        return self.stage.dice.choice(found)

    def ask(self) -> None:
        """Ask for drains and sweeps until it is over: what the clock does, more often."""
        while not self.over.wait(ASK_EVERY):
            with suppress(Exception), Celery(broker=self.broker.url, set_as_current=False) as app:
                app.conf.task_default_queue = wiring.QUEUE
                app.conf.broker_transport_options = {"socket_connect_timeout": 1, "socket_timeout": 1, "max_retries": 0}
                for name in ("sweep", wiring.DRAIN_TASK, wiring.DRAIN_TASK):
                    app.send_task(name, expires=10, retry=False)

    def kill_broker(self) -> None:
        """Kill the broker at once."""
        kill_group(self.broker.process)
        self.broker.process.wait()

    def restart_broker(self) -> None:
        """Start the broker again on its data."""
        self.broker = RunningServer(self.broker.url, spawn(self.broker.program), self.broker.program)
        until(lambda: answers(self.broker.url), "the broker")

    def keep(self, worker: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
        """Return the worker, or another in its place where it has ended, as its supervisor would."""
        return worker if worker.poll() is None else self.worker()

    def close(self) -> None:
        """End everything."""
        self.over.set()
        for process in self.running:
            kill_session(process)
        self.broker.stop()


def _keeps_journal(pid: str) -> bool:
    return any(each.readlink().suffix == ".journal" for each in Path(f"/proc/{pid}/fd").iterdir())


def serving(stage: Stage, *, asked: bool = True) -> Service:
    """Start a broker for the stage, and somebody who asks for drains."""
    service = Service(stage, start_valkey(stage.folder / "valkey"))
    stage.closing.callback(service.close)
    if asked:
        asker = threading.Thread(target=service.ask, daemon=True)
        asker.start()
        stage.closing.callback(asker.join, 10)
        stage.closing.callback(service.over.set)
    return service
