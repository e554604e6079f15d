import resource
import socket
import subprocess
import sys

import pytest
from cli_parts import ADD, installed_terminal, terminal
from installation import environment

__all__ = ["installed_terminal", "terminal"]

DAY = "2024-03-14"
HEAVY = ("sqlalchemy", "sqlmodel", "celery", "fastapi", "alembic", "jinja2", "httpx2", "pydantic")
NOWHERE = "postgresql://ari:canary-password@127.0.0.1:1/news"


def test_help_says_what_there_is_and_imports_little():
    code = (
        "import sys; sys.argv = ['newsletter', '--help']\n"
        "from newsletter.cli import main\n"
        "try: main()\n"
        f"finally: print('imported:', [name for name in {HEAVY!r} if name in sys.modules])"
    )

    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert answer.returncode == 0
    assert "imported: []" in answer.stdout
    assert all(word in answer.stdout for word in ("demo", "up", "run", "subscribers", "preview", "export"))


def test_help_takes_less_than_a_second_of_work(tmp_path):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)

    subprocess.run([sys.executable, "-m", "newsletter", "--help"], check=True, capture_output=True, env=environment(tmp_path))

    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.0


def test_the_version_is_told(terminal):
    assert terminal.ok("--version").strip()[0].isdigit()


def test_a_word_that_is_no_command_is_refused(terminal):
    assert "No such command" in terminal.refused("sned", code=2)


def test_a_day_by_hand_from_nothing_to_the_files_of_the_mails(installed_terminal):
    newsletter = installed_terminal
    assert "is subscribed to Daily Papers" in newsletter.ok(
        "subscribers", "add", "ari@example.org", "-n", "daily", "--consent", "on paper"
    )

    said = newsletter.ok("run", DAY)

    assert "sample lists 9 papers" in said
    assert "queued 1 deliveries" in said
    assert "Sent 1, failed 0" in said
    assert len(list((newsletter.folder / "data" / "outgoing").glob("*.eml"))) == 1
    assert "1 sent" in newsletter.ok("issues")


def test_a_day_run_twice_mails_nobody_twice(installed_terminal):
    installed_terminal.ok("subscribers", "add", "ari@example.org", "-n", "daily", "--consent", "on paper")
    installed_terminal.ok("run", DAY)

    said = installed_terminal.ok("run", DAY)

    assert "queued 0 deliveries" in said
    assert "Sent 0, failed 0" in said


def test_the_stages_are_commands_of_their_own(installed_terminal):
    assert "9 papers" in installed_terminal.ok("collect", DAY)
    assert "ready" in installed_terminal.ok("assemble", DAY)
    assert "queued 0" in installed_terminal.ok("publish", DAY)
    assert "Sent 0" in installed_terminal.ok("send")


def test_a_weekly_issue_is_made_of_the_days_of_its_week(terminal):
    terminal.ok("migrate")
    terminal.ok(*ADD, "both", "--title", "Both", "--from-address", "news@example.org", "--weekly")
    terminal.ok("collect", DAY)

    said = terminal.ok("assemble", DAY, "--weekly")

    assert "both 2024-W11: ready" in said


def test_a_day_without_papers_makes_no_issue_and_says_so(installed_terminal):
    said = installed_terminal.ok("run", "2024-03-15")

    assert "daily 2024-03-15: empty. No new papers: sample listed 0 on 2024-03-15." in said
    assert "nothing to publish" in said


def test_a_day_that_is_none_is_refused(installed_terminal):
    assert "does not match the format" in installed_terminal.refused("run", "14.03.2024", code=2)


@pytest.mark.parametrize("words", [("run",), ("collect",), ("assemble",)])
def test_a_day_to_come_is_refused_and_makes_no_issue(installed_terminal, words):
    assert "2199-01-01 is still to come" in installed_terminal.refused(*words, "2199-01-01")
    assert "There is no issue yet" in installed_terminal.ok("issues")


def test_publishing_what_was_never_assembled_is_refused(installed_terminal):
    error = installed_terminal.refused("publish", DAY)

    assert "daily has no issue of 2024-03-14" in error
    assert "newsletter assemble" in error


def test_a_stage_without_any_newsletter_says_what_to_do(terminal):
    terminal.ok("migrate")

    for words in (("run", DAY), ("collect", DAY), ("assemble", DAY), ("publish", DAY)):
        error = terminal.refused(*words)
        assert "There is no newsletter yet" in error
        assert "newsletter newsletters add" in error


@pytest.mark.parametrize(
    "words",
    [
        ("run", DAY, "-n", "weekly"),
        ("export", DAY, "-n", "weekly"),
        ("import", "any.md", "-n", "weekly"),
        ("subscribers", "list", "-n", "weekly"),
        ("subscribers", "add", "ari@example.org", "-n", "weekly"),
        ("issues", "-n", "weekly"),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_an_unknown_newsletter_is_named_beside_those_there_are(installed_terminal, words):
    error = installed_terminal.refused(*words)

    assert "There is no newsletter 'weekly'" in error
    assert "There are: daily" in error


@pytest.mark.parametrize(
    "words", [("run", DAY), ("issues",), ("subscribers", "list"), ("newsletters",), ("web",), ("worker",), ("beat",)]
)
def test_a_database_without_tables_is_refused_with_the_way_out(terminal, words):
    error = terminal.refused(*words)

    assert "there are no tables yet" in error
    assert "newsletter migrate" in error


@pytest.mark.parametrize("words", [("migrate",), ("run", DAY), ("newsletters",), ("web",), ("worker",), ("up", "--port", "0")])
def test_a_database_that_is_away_is_named_without_its_password(terminal, words):
    terminal.set("DATABASE_URL", NOWHERE)
    terminal.set("REDIS_URL", "redis://127.0.0.1:1")

    error = terminal.refused(*words)

    assert "127.0.0.1:1/news" in error
    assert "DATABASE_URL" in error
    assert "canary-password" not in error


@pytest.mark.parametrize("words", [("worker",), ("beat",), ("health", "worker"), ("health", "beat")])
def test_a_broker_that_is_away_is_named_without_its_password(installed_terminal, words):
    installed_terminal.set("REDIS_URL", "redis://:canary-password@127.0.0.1:1/0")

    error = installed_terminal.refused(*words)

    assert "No broker answers at 127.0.0.1:1" in error
    assert "REDIS_URL" in error
    assert "canary-password" not in error


@pytest.mark.parametrize("words", [("worker",), ("beat",), ("health", "beat")])
def test_no_broker_at_all_is_said(installed_terminal, words):
    assert "No broker is set" in installed_terminal.refused(*words)


def test_pages_that_do_not_answer_are_not_well(terminal):
    terminal.set("NEWSLETTER_WEB_PORT", 1)

    assert "Is `newsletter up`, or `newsletter web`, running?" in terminal.refused("health", "web")


def test_a_mail_server_that_is_away_loses_nothing(installed_terminal):
    newsletter = installed_terminal
    newsletter.ok("subscribers", "add", "ari@example.org", "-n", "daily", "--consent", "on paper")
    newsletter.set("NEWSLETTER_SMTP__HOST", "127.0.0.1")
    newsletter.set("NEWSLETTER_SMTP__PORT", 1)

    error = newsletter.refused("run", DAY)

    assert "The mail server is away: 127.0.0.1:1" in error
    assert "newsletter send" in error
    assert "1 queued" in newsletter.ok("issues")


def test_a_wrong_setting_is_named(terminal):
    terminal.set("NEWSLETTER_SMTP__PORT", "many")

    error = terminal.refused("issues")

    assert "NEWSLETTER_SMTP__PORT: Input should be a valid integer" in error


def test_a_database_of_another_kind_is_refused(terminal):
    terminal.set("DATABASE_URL", "mysql://ari:canary-password@127.0.0.1/news")

    error = terminal.refused("migrate")

    assert "mysql is not supported" in error
    assert "canary-password" not in error


def test_a_data_folder_that_cannot_be_made_is_named(terminal):
    (terminal.folder / "file").touch()
    terminal.set("NEWSLETTER_DATA_DIR", terminal.folder / "file" / "data")

    assert "file/data" in terminal.refused("migrate")


def test_up_refuses_a_port_that_is_taken_before_it_starts_anything(terminal, unused_socket):
    error = terminal.refused("up", "--port", unused_socket.getsockname()[1])

    assert "Nobody can listen at port" in error
    assert "Address already in use" in error
    assert "--port" in error
    assert not (terminal.folder / "data").exists()


@pytest.mark.parametrize("words", [("up", "--port"), ("web", "--port"), ("demo", "--port"), ("mailbox", "--smtp-port")])
def test_a_port_that_cannot_be_is_refused(terminal, words):
    assert "65535" in terminal.refused(*words, "99999", code=2)


def test_a_mailbox_whose_port_is_taken_is_refused(terminal, unused_socket):
    assert "in use" in terminal.refused("mailbox", "--smtp-port", unused_socket.getsockname()[1])


@pytest.fixture
def unused_socket():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def test_migrating_can_be_repeated(terminal):
    assert "they are new" in terminal.ok("migrate")
    assert "they were of" in terminal.ok("migrate")
