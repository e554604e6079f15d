"""The tables as they are migrated to, against the models; and databases full of rows of every former version."""

from datetime import UTC, date, datetime

import pytest
from alembic.autogenerate import compare_metadata
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import JSON, Boolean, CheckConstraint, Date, DateTime, Integer, LargeBinary, MetaData, event, func, insert, select
from sqlmodel import SQLModel

from newsletter import db

REVISIONS = sorted(script.revision for script in ScriptDirectory(str(db.PACKAGE / "migrations")).walk_revisions())


@pytest.fixture
def empty(database_url):
    """Return transactions on a database without tables."""
    sessions = db.connect(database_url)
    yield sessions
    sessions.engine.dispose()


def _context(connection):
    return MigrationContext.configure(connection, opts={"compare_type": True, "target_metadata": SQLModel.metadata})


def test_the_tables_are_those_of_the_models(sessions):
    with sessions.engine.connect() as connection:
        assert compare_metadata(_context(connection), SQLModel.metadata) == []


def test_the_checks_are_those_of_the_models(sessions):
    with sessions.engine.connect() as connection:
        there = _reflected(connection)
    for table in SQLModel.metadata.sorted_tables:
        assert _checks(there.tables[table.name]) == _checks(table)


def _checks(table):
    return {str(check.name) for check in table.constraints if isinstance(check, CheckConstraint)}


def _reflected(connection):
    metadata = MetaData()
    metadata.reflect(connection)
    return metadata


def test_there_is_one_newest_version_and_no_fork():
    assert len(ScriptDirectory(str(db.PACKAGE / "migrations")).get_heads()) == 1


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_full_database_of_every_version_comes_up_to_date_with_all_its_rows(empty, revision):
    db.migrate(empty, revision)
    with empty.engine.connect() as connection:
        former = _reflected(connection)
        connection.rollback()
    _fill(empty, former)
    before = _counts(empty, former)

    db.migrate(empty)

    db.check(empty)
    assert before == _counts(empty, former)
    assert set(before.values()) == {1}
    with empty.engine.connect() as connection:
        assert compare_metadata(_context(connection), SQLModel.metadata) == []


def test_a_table_that_others_hang_on_can_be_altered_without_losing_them(empty):
    db.migrate(empty)
    with empty.engine.connect() as connection:
        former = _reflected(connection)
        connection.rollback()
    _fill(empty, former)

    recreate = "always" if empty.is_sqlite else "auto"
    with empty.engine.connect() as connection, db._without_cascades(connection), connection.begin():  # noqa: SLF001 -- what migrate does
        operations = Operations(MigrationContext.configure(connection))
        with operations.batch_alter_table("subscribers", recreate=recreate) as batch:
            batch.alter_column("zone", nullable=True)

    assert set(_counts(empty, former).values()) == {1}


@pytest.mark.parametrize("statements", [5, 40, 90])
def test_an_interrupt_while_tables_are_made_is_an_interrupt_and_the_next_try_finishes(empty, statements):
    left = statements

    @event.listens_for(empty.engine, "before_cursor_execute")
    def interrupt(*_):
        nonlocal left
        left -= 1
        if left == 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        db.migrate(empty)
    db.migrate(empty)

    db.check(empty)
    with empty.engine.connect() as connection:
        assert compare_metadata(_context(connection), SQLModel.metadata) == []


def _fill(sessions, metadata):
    """Put one row into every table, knowing only the tables: words of checks are taken from the checks."""
    with sessions.begin() as session:
        for table in metadata.sorted_tables:
            if table.name != "alembic_version":
                session.execute(insert(table).values({column.name: _value(table, column) for column in table.columns}))


def _value(table, column):
    samples = [
        (DateTime, datetime(2024, 3, 14, 8, 0, tzinfo=UTC)),
        (Date, date(2024, 3, 14)),
        (Boolean, False),
        (Integer, 1),
        (JSON, []),
        (LargeBinary, b"some bytes"),
    ]
    words = [str(check.sqltext) for check in table.constraints if isinstance(check, CheckConstraint)]
    for check in words:
        if check.replace("(", "").replace('"', "").startswith(column.name) and "'" in check:
            return check.split("'")[1]
    found = next((sample for kind, sample in samples if isinstance(column.type, kind)), f"some {column.name}")
    if isinstance(found, datetime) and str(column.type) == "DATETIME":
        return found.replace(tzinfo=None)  # what SQLite's own type takes
    return found


def _counts(sessions, metadata):
    with sessions.read() as session:
        return {
            table.name: session.scalar(select(func.count()).select_from(table))
            for table in metadata.sorted_tables
            if table.name != "alembic_version"
        }


def test_an_id_that_is_in_links_is_never_given_twice(make):
    newsletter = make.newsletter()
    first = make.reader("ari", newsletter)
    with make.sessions.begin() as session:
        for table in ("subscriptions", "consents", "subscribers"):
            session.connection().exec_driver_sql(f"DELETE FROM {table}")

    second = make.reader("bora", newsletter)

    assert (second.id, second.consent_id, second.subscriber_id) == (
        first.id + 1,
        first.consent_id + 1,
        first.subscriber_id + 1,
    )
