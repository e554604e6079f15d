"""A migrated database for every test, once as SQLite and once as PostgreSQL, and `make`, which fills it.

`sessions`: transactions on it. `make`: the cast and the things of `factories`. `database`: its URL, for other processes.
"""

from collections.abc import Callable, Iterator
from functools import cache

import pytest
from factories import Make
from sqlalchemy import event

from newsletter import db
from newsletter.db import Sessions


@pytest.fixture(scope="session")
def migrated(databases) -> Callable[[str], str]:
    """Return `migrated(kind) -> url` of a template that has all tables and nothing in them."""

    @cache
    def template(kind: str) -> str:
        url = databases.make(kind)
        sessions = db.connect(url)
        db.migrate(sessions)
        sessions.engine.dispose()
        return url

    return template


@pytest.fixture
def database(make_database, migrated, database_kind) -> str:
    """Return the URL of a migrated, empty database."""
    return make_database(template=migrated(database_kind))


@pytest.fixture
def sessions(database) -> Iterator[Sessions]:
    """Return transactions on a migrated, empty database."""
    opened = db.connect(database)
    if opened.is_sqlite:
        event.listen(opened.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    yield opened
    opened.engine.dispose()


@pytest.fixture
def make(sessions) -> Make:
    """Return what fills the database: `make.newsletter()`, `make.reader("ari")`, `make.issue()` and so on."""
    return Make(sessions)
