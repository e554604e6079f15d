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

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from postgres_server import postgres

from newsletter.embedded.valkey import start_valkey

KINDS = ("sqlite", "postgres")


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
    with postgres() as server:
        yield server.url


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
