import io
import json
import os

import pytest
from cli_parts import installed_terminal, terminal

from newsletter import db

__all__ = ["installed_terminal", "terminal"]
GOOD = "seven herons over the river"


@pytest.fixture
def typed(installed_terminal, monkeypatch):
    """Return `typed(password, *words)`: the command gets the password by standard input."""

    def type_it(password, *words, ok=True):
        monkeypatch.setattr("sys.stdin", io.StringIO(password))
        return (installed_terminal.ok if ok else installed_terminal.refused)(*words, "--password-file", "-")

    return type_it


def test_an_administrator_is_made_listed_and_removed(installed_terminal, typed):
    assert "admin create NAME" in installed_terminal.ok("admin", "list")
    assert typed(f"{GOOD}\n", "admin", "create", "Mina").startswith("mina can log in at http")

    (row,) = json.loads(installed_terminal.ok("admin", "list", "--json"))
    assert (row["name"], row["logged_in_at"]) == ("mina", None)
    assert "mina" in installed_terminal.ok("admin", "list")
    assert "another password" in typed(f"{GOOD} again\n", "admin", "password", "mina")
    installed_terminal.ok("admin", "remove", "mina")
    assert "no administrator mina" in installed_terminal.refused("admin", "remove", "mina")


def test_a_password_is_read_from_the_first_line_of_a_file(installed_terminal, tmp_path):
    file = tmp_path / "password"
    file.write_text(f"{GOOD}\r\nno part of it\n")

    installed_terminal.ok("admin", "create", "mina", "--password-file", file)
    file.write_text("\n")

    assert "no password in its first line" in installed_terminal.refused("admin", "password", "mina", "--password-file", file)


def test_a_file_that_is_no_text_is_refused_in_words(installed_terminal, tmp_path):
    file = tmp_path / "password"
    file.write_bytes(b"\xe0\x80 seven herons over the river")

    assert "no text in UTF-8" in installed_terminal.refused("admin", "create", "mina", "--password-file", file)


def test_a_password_is_typed_twice_and_not_shown(installed_terminal, monkeypatch):
    shown = []
    monkeypatch.setattr("typer.prompt", lambda text, **how: shown.append((text, how)) or GOOD)

    said = installed_terminal.ok("admin", "create", "mina")

    assert shown == [("Password", {"hide_input": True, "confirmation_prompt": "Once more"})]
    assert GOOD not in said


@pytest.mark.parametrize(
    ("name", "password", "why"),
    [
        ("mina", "short", "has 5 characters"),
        ("mina", "minaminamina1", "first that are tried"),
        ("mina", "Password123456", "first that are tried"),
        ("mina", "newsletter2026!", "first that are tried"),
        ("mi", GOOD, "cannot be a name"),
        ("mina mina", GOOD, "cannot be a name"),
    ],
)
def test_what_is_too_weak_is_refused_with_the_reason(typed, name, password, why):
    assert why in typed(f"{password}\n", "admin", "create", name, ok=False)


def test_a_name_is_given_once(typed):
    typed(GOOD, "admin", "create", "mina")

    assert "mina already" in typed(GOOD, "admin", "create", "MINA", ok=False)


def test_no_password_stands_in_the_database(installed_terminal, typed, monkeypatch):
    typed(GOOD, "admin", "create", "mina")

    sessions = db.connect(os.environ["DATABASE_URL"])
    with sessions.engine.connect() as connection:
        (kept,) = connection.exec_driver_sql("SELECT password_hash FROM admins").one()
    sessions.engine.dispose()
    assert kept.startswith("$argon2id$")
    assert GOOD not in kept
