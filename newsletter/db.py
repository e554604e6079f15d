"""The database: `connect(url)` gives `Sessions`. What SQLite and PostgreSQL need differently is here and nowhere else.

SQLite: WAL, each commit on the disk before it counts (a power cut must not make us forget a mail that was sent), and every
writing transaction begins with BEGIN IMMEDIATE. Without that, SQLAlchemy's default reads outside the transaction and two
writers silently lose each other's updates.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Select,
    bindparam,
    column,
    create_engine,
    event,
    func,
    inspect,
    make_url,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.pool import ConnectionPoolEntry
from sqlmodel import Session, SQLModel

from newsletter.errors import DatabaseError, SettingsError
from newsletter.paths import PACKAGE

BUSY_SECONDS = 30
IDLE_SECONDS = 30.0  # that a transaction may hold its locks without a word: no transaction of ours waits for anything
# An answer that a broken network swallows is given up after about a minute; the operating system would wait for two hours.
_KEEPALIVE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 60_000}
_MIGRATIONS = PACKAGE / "migrations"
INSERT_ROWS = 500  # per statement: SQLite takes 32,766 values in one


class Sessions:
    """Transactions on one database: `begin()` to write, `read()` to look."""

    def __init__(self, engine: Engine) -> None:
        """Take an engine made by `connect`."""
        self.engine = engine
        self._reader = engine.execution_options(read_only=True)

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """Open a writing transaction: committed at the end, rolled back on an error."""
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a transaction that only looks: on SQLite it waits for no writer."""
        with Session(self._reader, expire_on_commit=False) as session, session.begin():
            yield session

    @property
    def is_sqlite(self) -> bool:
        """Whether there is one writer at a time."""
        return self.engine.dialect.name == "sqlite"

    def close(self) -> None:
        """Forget all connections, which are a parent's after a fork; the next transaction opens new ones."""
        self.engine.dispose(close=False)


def connect(url: str, *, idle_seconds: float = IDLE_SECONDS) -> Sessions:
    """Return transactions on the database at `url`; opens no connection yet.

    PostgreSQL rolls a transaction back that is idle for `idle_seconds`: its process is stopped or cut off, and what it has
    locked would stop every other. Raises SettingsError for a URL that is none of ours.
    """
    try:
        parsed = make_url(url)
        name = parsed.get_backend_name()
    except (ArgumentError, ValueError):  # the latter for a port that is no number, and may quote the password
        raise SettingsError("DATABASE_URL is no database URL.", hint=_URLS) from None
    if name == "sqlite":
        return Sessions(_sqlite(url))
    if name in {"postgresql", "postgres"}:
        return Sessions(_postgres(parsed.set(drivername="postgresql+psycopg"), idle_seconds))
    raise SettingsError(f"DATABASE_URL: {name} is not supported.", hint=_URLS)


_URLS = "Use sqlite:////path/to/newsletter.sqlite3 or postgresql://user:password@host/name."


def _postgres(url: URL, idle_seconds: float) -> Engine:
    engine = create_engine(
        url,
        pool_pre_ping=True,
        hide_parameters=True,
        json_deserializer=_from_json,
        connect_args={"connect_timeout": 10, **_KEEPALIVE},
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: ConnectionPoolEntry) -> None:  # noqa: ANN401 -- the driver's own type
        connection.execute(f"SET idle_in_transaction_session_timeout = {int(idle_seconds * 1000)}")
        connection.commit()

    return engine


def _sqlite(url: str) -> Engine:
    file = make_url(url).database
    if file and file != ":memory:":
        _make_private(Path(file))
    # Parameters are hidden in errors: they are addresses, and errors are logged.
    engine = create_engine(
        url,
        hide_parameters=True,
        json_deserializer=_from_json,
        connect_args={"timeout": BUSY_SECONDS, "isolation_level": None, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: ConnectionPoolEntry) -> None:  # noqa: ANN401 -- the driver's own type
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        read_only = connection.get_execution_options().get("read_only", False)
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def _from_json(text: str | bytes) -> Any:  # noqa: ANN401 -- whatever it says
    """Read JSON; most of it is empty, and to find that out takes longer than all else that is read of a delivery."""
    return {} if text in {"{}", b"{}"} else json.loads(text)


def _make_private(file: Path) -> None:
    """Make the database's folder and file where they are missing, for their owner alone: readers' addresses are in it."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.touch(mode=0o600, exist_ok=True)
    except OSError as error:
        hint = "DATABASE_URL must name a file in a folder that can be written to."
        raise DatabaseError(f"{file.parent}: the folder cannot be used: {error.strerror}.", hint=hint) from None


def insert_new(session: Session, table: type[SQLModel], rows: Sequence[dict[str, Any]]) -> int:
    """Insert the rows that break no unique constraint, pass over the others, and return how many went in."""
    added = 0
    for start in range(0, len(rows), INSERT_ROWS):
        added += _insert(session, table, partial(_values, list(rows[start : start + INSERT_ROWS])))
    return added


def insert_from(session: Session, table: type[SQLModel], columns: Mapping[str, Any], source: Select[Any]) -> int:
    """Insert what `source` selects, a column for each of `columns`, pass over what is there, and return how many went in."""
    selected = source.with_only_columns(*columns.values(), maintain_column_froms=True)
    with _hashed_joins(session):
        return _insert(session, table, lambda insert: insert.from_select(list(columns), selected))


@contextmanager
def _hashed_joins(session: Session) -> Iterator[None]:
    """Keep PostgreSQL from joining row by row: of rows just written it knows nothing, takes them for few, and is wrong."""
    if session.get_bind().dialect.name != "postgresql":
        yield
        return
    session.execute(text("SET LOCAL enable_nestloop = off"))
    yield
    session.execute(text("SET LOCAL enable_nestloop TO DEFAULT"))


def insert_many(session: Session, table: type[SQLModel], rows: Sequence[dict[str, Any]]) -> None:
    """Insert a great many rows of the same columns, passing over those that break a unique constraint.

    `insert_new` says how many went in; this is several times faster. On PostgreSQL one statement unnests an array for each
    column, on SQLite the driver repeats one statement for each row.
    """
    if not rows:
        return
    if session.get_bind().dialect.name == "sqlite":
        session.connection().execute(sqlite.insert(table).on_conflict_do_nothing(), list(rows))
        return
    types = {name: table.__table__.c[name].type for name in rows[0]}  # type: ignore[attr-defined]  # SQLModel does not declare it
    arrays = (bindparam(name, type_=postgresql.ARRAY(kind, dimensions=1)) for name, kind in types.items())
    given = func.unnest(*arrays).table_valued(*(column(name, kind) for name, kind in types.items())).render_derived("given")
    insert = postgresql.insert(table).from_select(list(types), select(*given.c)).on_conflict_do_nothing()
    session.connection().execute(insert, {name: [row[name] for row in rows] for name in types})


def _values(rows: list[dict[str, Any]], insert: Any) -> Any:  # noqa: ANN401 -- either dialect's Insert
    return insert.values(rows)


def _insert(session: Session, table: type[SQLModel], fill: Callable[[Any], Any]) -> int:
    dialect: Any = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    statement = fill(dialect.insert(table)).on_conflict_do_nothing().execution_options(preserve_rowcount=True)
    return int(session.connection().execute(statement).rowcount)


def migrate(sessions: Sessions, revision: str = "head") -> str:
    """Bring the tables to `revision` and return the revision that stood before ("" for an empty database)."""
    from alembic import command  # noqa: PLC0415 -- 11 MB that no sending process needs
    from alembic.config import Config  # noqa: PLC0415 -- as above

    with _named_errors(sessions), sessions.engine.connect() as connection, _without_cascades(connection):
        before = _revision(connection)
        connection.rollback()
        if before and before not in _revisions():
            raise _other_version(sessions, before)
        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    return before


def _revision(connection: Connection) -> str:
    """Return the revision of the tables, "" where there are none."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or ""


def _revisions() -> list[str]:
    """Return the revisions this program knows, oldest first: each is the number that its file begins with."""
    return sorted(path.name.partition("_")[0] for path in (_MIGRATIONS / "versions").glob("[0-9]*.py"))


@contextmanager
def _without_cascades(connection: Connection) -> Iterator[None]:
    """Leave foreign keys unenforced on SQLite: a table is altered by replacing it, and dropping the old one would cascade."""
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name != "sqlite":
        yield
        return
    driver.execute("PRAGMA foreign_keys=OFF")  # past SQLAlchemy: within a transaction it would do nothing
    try:
        yield
    finally:
        if not connection.invalidated:  # an interrupt closes it
            connection.rollback()
            driver.execute("PRAGMA foreign_keys=ON")


def _other_version(sessions: Sessions, current: str) -> DatabaseError:
    return DatabaseError(
        f"{_place(sessions)}: its tables are of version {current}, this program's of {head()}.",
        hint="Run `newsletter migrate` with the newest program that uses this database.",
    )


def check(sessions: Sessions) -> None:
    """Raise DatabaseError unless the database answers and its tables are of this version."""
    with _named_errors(sessions), sessions.engine.connect() as connection:
        current = _revision(connection)
    if not current:
        raise DatabaseError(f"{_place(sessions)}: there are no tables yet.", hint="Run `newsletter migrate`.")
    if current != head():
        raise _other_version(sessions, current)


def head() -> str:
    """Return the newest revision of the tables."""
    return _revisions()[-1]


@contextmanager
def _named_errors(sessions: Sessions) -> Iterator[None]:
    """Say which database does not answer and why, without its password."""
    try:
        yield
    except DBAPIError as error:
        raise DatabaseError(f"{_place(sessions)}: {_reason(error)}", hint="Is it running, and is DATABASE_URL right?") from error
    except NoSuchModuleError as error:
        raise SettingsError(f"DATABASE_URL: {error}", hint=_URLS) from error


def _place(sessions: Sessions) -> str:
    return sessions.engine.url.render_as_string(hide_password=True)


def _reason(error: DBAPIError) -> str:
    return " ".join(str(error.orig).split())[:300]
