"""The processes a scenario is made of: the mail server that counts, wires that can be cut, machines; and databases."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from tree import Spec

from tests.postgres_server import PostgresServer

HERE = Path(__file__).parent
ROOT = HERE.parent
PATIENCE = 90.0  # seconds that anything may take on a busy machine


def until(true: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Wait until it is true, looking often; raises TimeoutError saying what was waited for."""
    give_up = time.monotonic() + seconds
    while not true():
        if time.monotonic() > give_up:
            raise TimeoutError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(0.02)


def _spawn(program: str, *words: str, log: Path, talk: bool = True) -> subprocess.Popen[str]:
    path = os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, str(HERE / program), *words],
            stdin=subprocess.PIPE if talk else subprocess.DEVNULL,
            stdout=subprocess.PIPE if talk else output,
            stderr=output,
            env=os.environ | {"PYTHONPATH": path},
            start_new_session=True,
            text=True,
        )


def _tell(process: subprocess.Popen[str], words: str) -> None:
    assert process.stdin is not None
    process.stdin.write(words + "\n")
    process.stdin.flush()


def _hear(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def kill_session(process: subprocess.Popen[Any]) -> None:
    """Kill a process and everything it started in its session, at once."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@dataclass
class Counted:
    """What the mail server's book says, by Message-ID."""

    accepted: Counter[str] = field(default_factory=Counter)
    withheld: Counter[str] = field(default_factory=Counter)
    recipients: dict[str, set[str]] = field(default_factory=dict)
    inside: int = 0  # connections broken off within DATA or before the answer to it

    @property
    def twice(self) -> set[str]:
        """Messages of which a reader may have got two: a server may deliver what it could not answer."""
        both = self.accepted + self.withheld
        return {name for name, times in both.items() if times > 1}


class Sink:
    """The mail server."""

    def __init__(self, folder: Path) -> None:
        self.book = folder / "book"
        self.book.touch()
        self._process = _spawn("sink.py", str(self.book), log=folder / "sink.log")
        self.port = int(_hear(self._process))

    def slow(self, seconds: float) -> None:
        """Wait up to so long before each answer to a dot from now on."""
        _tell(self._process, str(seconds))

    def lines(self, kind: str = "") -> int:
        """Return how many messages were noted, of one kind or of all."""
        return sum(line.startswith(kind) for line in self.book.read_text().splitlines())

    def taken(self) -> int:
        """Return how many were accepted."""
        return self.lines("accepted")

    def count(self) -> Counted:
        """Return what the book says."""
        found = Counted()
        for kind, name, recipient in (line.split("\t") for line in self.book.read_text().splitlines()):
            if kind == "partial":
                found.inside += 1
                continue
            found.inside += kind == "withheld"
            (found.accepted if kind == "accepted" else found.withheld)[name] += 1
            found.recipients.setdefault(recipient, set()).add(name)
        return found

    def close(self) -> None:
        """End it."""
        kill_session(self._process)


class Wire:
    """A proxy before a port."""

    def __init__(self, upstream: int, folder: Path) -> None:
        self._process = _spawn("proxy.py", str(upstream), log=folder / "proxy.log")
        self.port = int(_hear(self._process))

    def become(self, state: str) -> None:
        """Be whole, hole or cut from now on."""
        _tell(self._process, state)
        assert _hear(self._process) == state

    def close(self) -> None:
        """End it."""
        kill_session(self._process)


class Machine:
    """A process tree of `tree.py`, which can be killed, stopped and started again."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.folder = folder = Path(spec.folder)
        self.log = folder / "tree.log"
        folder.mkdir(parents=True, exist_ok=True)
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it."""
        for stale in self.folder.glob("*.pid"):
            stale.unlink()
        self.process = _spawn("tree.py", json.dumps(asdict(self.spec)), log=self.log, talk=False)

    def pid(self, name: str) -> int:
        """Return the id of the child that drains or sweeps."""
        path = self.folder / f"{name}.pid"
        until(path.exists, f"{self.folder.name} to start: {self.last_words()}")
        return int(path.read_text())

    def kill_child(self, name: str = "drain") -> None:
        """Kill one child at once; its parent makes another."""
        with suppress(ProcessLookupError):
            os.kill(self.pid(name), signal.SIGKILL)

    def kill(self) -> None:
        """Kill all of it at once."""
        if self.process is not None:
            kill_session(self.process)

    def signal(self, number: int) -> None:
        """Send all of it a signal."""
        assert self.process is not None
        os.killpg(self.process.pid, number)

    def stop(self) -> int:
        """Ask it to end, as `newsletter worker` is asked, and return its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=PATIENCE)

    def last_words(self) -> str:
        """Return the end of its log."""
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""


class Postgres:
    """A PostgreSQL server that can be killed and started again on the same data."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self.port = urlsplit(server.url).port or 5432

    def make(self) -> str:
        """Return the URL of a new database."""
        name = f"faults_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(self._server.url.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        return urlsplit(self._server.url)._replace(path=f"/{name}").geturl()

    def kill(self) -> None:
        """Kill -9 its first process; the others notice and end."""
        self._server.process.kill()
        self._server.process.wait()

    def start(self) -> None:
        """Start it again: it recovers from its log, once the last process of before is gone."""
        for _ in range(20):
            with suppress(RuntimeError):
                self._server = self._server.again()
                return
            time.sleep(0.2)
        raise TimeoutError("PostgreSQL did not start again")


def through(url: str, port: int) -> str:
    """Return a URL with another port: that of a wire."""
    parts = urlsplit(url)
    user = parts.netloc.rpartition("@")[0]
    return parts._replace(netloc=f"{user}{'@' if user else ''}127.0.0.1:{port}").geturl()


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[bool]:
    """Have the folder be a disk of that size (as root; gives False where we may not)."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["/bin/mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(folder)]
    mounted = (
        os.geteuid() == 0
        and Path("/bin/mount").exists()
        and subprocess.run(mount, check=False, capture_output=True).returncode == 0
    )
    try:
        yield bool(mounted)
    finally:
        if mounted:
            subprocess.run(["/bin/umount", "-l", str(folder)], check=True)


@contextmanager
def scratch() -> Iterator[Path]:
    """Give a folder for a scenario, and remove it afterwards."""
    with tempfile.TemporaryDirectory(prefix="newsletter-faults-", ignore_cleanup_errors=True) as name:
        yield Path(name)
