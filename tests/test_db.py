import os
import subprocess
import sys

import pytest
from factories import DAY, LONG_AGO, NOW
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from newsletter import db
from newsletter.errors import DatabaseError, SettingsError
from newsletter.models import Newsletter, Tick

COUNTING = """
import sys
from sqlmodel import col, select
from newsletter import db
from newsletter.models import Newsletter

sessions = db.connect(sys.argv[1])
sys.stdin.read(1)
for _ in range(int(sys.argv[2])):
    with sessions.begin() as session:
        row = session.exec(select(Newsletter).with_for_update()).one()
        row.give_up_hours += 1
"""

RAISE = text("UPDATE newsletters SET give_up_hours = give_up_hours + 1")


def _run(program, *arguments):
    """Start Python with our import path, waiting for a line on its standard input."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True)


def _run_at_once(processes):
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors


def test_four_processes_lose_no_update(database, make):
    make.newsletter(give_up_hours=0)

    _run_at_once([_run(COUNTING, database, 50) for _ in range(4)])

    assert make.all(Newsletter)[0].give_up_hours == 200


def test_processes_that_migrate_at_once_take_turns(database_url):
    program = "import sys; from newsletter import db; sessions = db.connect(sys.argv[1]); sys.stdin.read(1); db.migrate(sessions)"

    _run_at_once([_run(program, database_url) for _ in range(2)])

    sessions = db.connect(database_url)
    db.check(sessions)
    sessions.engine.dispose()


def test_a_reader_does_not_wait_for_a_writer(sessions, make):
    make.newsletter()

    with sessions.begin() as writer, sessions.read() as reader:
        writer.execute(text("UPDATE newsletters SET title = 'New'"))
        assert reader.execute(text("SELECT title FROM newsletters")).scalar_one() == "Daily Papers"


def test_an_error_undoes_the_whole_transaction(sessions, make):
    def fail_after_writing():
        with sessions.begin() as session:
            session.add(Tick(name="sweep", at=NOW))
            session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_after_writing()

    with sessions.read() as session:
        assert session.get(Tick, "sweep") is None


def test_insert_new_passes_over_what_is_there_and_counts_the_rest(sessions):
    rows = [{"name": f"stage {number}", "at": NOW} for number in range(1200)]  # more than one statement takes

    with sessions.begin() as session:
        assert db.insert_new(session, Tick, rows[:3]) == 3
        assert db.insert_new(session, Tick, [*rows, *rows[:10]]) == 1197
        assert db.insert_new(session, Tick, []) == 0


def test_times_come_back_aware_and_days_as_days(sessions, make):
    newsletter = make.again(make.newsletter())

    assert newsletter.created_at == LONG_AGO
    assert newsletter.created_at.utcoffset().total_seconds() == 0
    issue = make.issue(newsletter)
    assert make.again(issue).first_day == DAY


def test_foreign_keys_hold_on_both(sessions):
    with pytest.raises(Exception, match=r"(?i)foreign key"), sessions.begin() as session:  # noqa: PT012 -- raised at the commit
        session.execute(text("INSERT INTO issue_pieces (issue_id, part, position, name, content) VALUES (1, 'x', 1, 'x', 'x')"))
        session.flush()


@pytest.mark.parametrize(
    "url",
    ["", "nonsense", "mysql://u:hunter2@localhost/x", "postgresql://u:hunter2@h:port/x"],
)
def test_a_url_that_is_none_of_ours_is_refused_without_its_password(url):
    with pytest.raises(SettingsError, match="DATABASE_URL") as caught:
        db.connect(url)

    assert "hun" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
@pytest.mark.parametrize("act", [db.check, db.migrate])
def test_a_server_that_is_away_is_named_without_its_password(scheme, act):
    sessions = db.connect(f"{scheme}://ari:hunter2@127.0.0.1:1/newsletter")

    with pytest.raises(DatabaseError, match=r"127\.0\.0\.1:1") as caught:
        act(sessions)

    assert "hunter2" not in str(caught.value)
    assert "DATABASE_URL" in caught.value.hint


@pytest.mark.parametrize("act", [db.check, db.migrate])
def test_a_file_that_is_no_database_is_named(tmp_path, act):
    (tmp_path / "notes.txt").write_text("Buy milk. " * 1000)
    sessions = db.connect(f"sqlite:///{tmp_path}/notes.txt")

    with pytest.raises(DatabaseError, match=r"notes\.txt"):
        act(sessions)
    sessions.engine.dispose()


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(DatabaseError, match="file"):
        db.connect(f"sqlite:///{tmp_path}/file/newsletter.sqlite3")


def test_a_folder_is_made_for_a_new_database(tmp_path):
    sessions = db.connect(f"sqlite:///{tmp_path}/new/folder/newsletter.sqlite3")
    assert db.migrate(sessions) == ""
    assert db.migrate(sessions) == db.head()
    sessions.engine.dispose()


def test_a_database_without_tables_says_what_to_run(database_url):
    sessions = db.connect(database_url)

    with pytest.raises(DatabaseError, match="no tables") as caught:
        db.check(sessions)

    assert "newsletter migrate" in caught.value.hint
    sessions.engine.dispose()


@pytest.mark.parametrize("act", [db.check, db.migrate])
def test_a_database_of_a_newer_program_is_left_alone(sessions, act):
    with sessions.begin() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(DatabaseError, match="9999") as caught:
        act(sessions)

    assert "newest program" in caught.value.hint


@pytest.mark.parametrize("database_kind", ["postgres"])
def test_a_transaction_of_a_process_that_hangs_frees_its_locks_soon(database, make):
    make.newsletter(give_up_hours=0)
    hanging, other = db.connect(database, idle_seconds=0.1), db.connect(database)

    def hang(sessions):
        with sessions.begin() as session:
            session.execute(RAISE)
            with other.begin() as second:
                second.execute(RAISE)  # waits for the lock
            session.execute(RAISE)

    with pytest.raises(DBAPIError, match="idle-in-transaction"):
        hang(hanging)

    assert make.all(Newsletter)[0].give_up_hours == 1
    hanging.engine.dispose()
    other.engine.dispose()
