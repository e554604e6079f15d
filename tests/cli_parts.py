"""The command line as a person types it, in this process: words in; exit code, output and errors out."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from installation import environment

from newsletter import cli


@dataclass(frozen=True)
class Answer:
    """What a command said."""

    code: int
    out: str
    err: str


class Terminal:
    """Types commands with settings of its own; `set` changes one."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        monkeypatch.chdir(folder)
        for name, value in environment(folder).items():
            monkeypatch.setenv(name, value)
        for name in ("DATABASE_URL", "REDIS_URL"):
            monkeypatch.delenv(name, raising=False)

    def set(self, name: str, value: object) -> None:
        """Set an environment variable."""
        self._monkeypatch.setenv(name, str(value))

    def __call__(self, *words: object) -> Answer:
        """Type a command."""
        self._monkeypatch.setattr(sys, "argv", ["newsletter", *map(str, words)])
        self._capsys.readouterr()
        code = _exit_code(cli.main)
        said = self._capsys.readouterr()
        return Answer(code, said.out, said.err)

    def ok(self, *words: object) -> str:
        """Type a command that must go well, and return what it said."""
        answer = self(*words)
        assert answer.code == 0, answer.out + answer.err
        return answer.out

    def refused(self, *words: object, code: int = 1) -> str:
        """Type a command that must be refused without a traceback, and return its error."""
        answer = self(*words)
        assert answer.code == code, answer.out + answer.err
        assert "Traceback" not in answer.out + answer.err
        return " ".join(answer.err.split())


def _exit_code(run: Callable[[], None]) -> int:
    try:
        run()
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else int(left.code is not None)
    return 0


@pytest.fixture
def terminal(tmp_path, monkeypatch, capsys) -> Terminal:
    """Return a terminal whose installation has an empty, unmigrated SQLite database and no broker."""
    return Terminal(tmp_path, monkeypatch, capsys)


@pytest.fixture
def installed_terminal(terminal, databases, migrated) -> Terminal:
    """Return a terminal whose installation has its tables and one newsletter, "daily", of the sample."""
    terminal.set("DATABASE_URL", databases.make("sqlite", template=migrated("sqlite")))
    terminal.ok(*ADD, "daily", "--title", "Daily Papers", "--from-address", "news@example.org")
    return terminal


ADD = ("newsletters", "add", "--source", "sample", "--postal-address", "1 Example Road, Seoul")
