"""The demo as a person runs it, and what is left of it."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from installation import command, environment, eventually, kill_session

from newsletter.embedded.presence import present
from newsletter.embedded.valkey import free_port


class Running:
    """A command with a temporary folder of its own, by which its processes are known."""

    def __init__(self, folder: Path, *words: str, temporary: Path | None = None) -> None:
        self.temporary = temporary or Path(tempfile.mkdtemp(prefix="demo-", dir=folder))
        self._log = folder / "said"
        surroundings = environment(folder) | {"TMPDIR": str(self.temporary), "PYTHONUNBUFFERED": "1"}
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "newsletter", *words],
                env=surroundings,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def said(self) -> str:
        """Return what it said."""
        return self._log.read_text()

    def wait_for(self, words: str) -> None:
        """Wait until it says something."""
        eventually(lambda: re.search(words, self.said()) or self.process.poll() is not None, self.said, seconds=60)
        assert self.process.poll() is None, self.said()

    def code(self) -> int:
        """Return its exit code as a shell tells it.

        `python -m` ends itself by the signal where an interrupt came within an `exec` of text, as dataclasses are made with.
        """
        code = self.process.wait(timeout=15)
        return 128 - code if code < 0 else code

    def alive(self) -> list[str]:
        """Return the processes that were started with its temporary folder, whoever is their parent by now."""
        mark = f"TMPDIR={self.temporary}\0".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if mark in (path / "environ").read_bytes() and (path / "stat").read_text().rpartition(")")[2].split()[0] != "Z":
                    found.append((path / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        return found

    def folders(self) -> list[str]:
        """Return what is in its temporary folder, but for what the interpreter's own locks and caches leave there."""
        return sorted(path.name for path in self.temporary.glob("newsletter-*"))


@pytest.fixture
def run(tmp_path):
    """Return what runs a command; whatever is left of it is killed after the test."""
    started = []

    def start(*words, **options):
        started.append(Running(tmp_path, *words, **options))
        return started[-1]

    yield start
    for each in started:
        kill_session(each.process)
        for path in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if f"TMPDIR={each.temporary}\0".encode() in (path / "environ").read_bytes():
                    os.kill(int(path.name), signal.SIGKILL)


def test_the_demo_runs_once_and_leaves_nothing(run):
    with socket.create_server(("127.0.0.1", 0)) as taken:  # so another port is found
        demo = run("demo", "--once", "--port", str(taken.getsockname()[1]))
        demo.process.wait(timeout=90)

    assert demo.process.returncode == 0, demo.said()
    assert "Every reader got one digest of each newsletter they asked for" in " ".join(demo.said().split())
    assert demo.alive() == []
    assert demo.folders() == []


@pytest.mark.parametrize("deadly", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_stopped_while_it_starts_leaves_nothing(run, deadly):
    demo = run("demo")
    demo.wait_for("runs in")

    demo.process.send_signal(deadly)

    assert demo.code() == 130
    assert "Traceback" not in demo.said()
    assert demo.alive() == []
    assert demo.folders() == []


def test_a_demo_interrupted_in_the_middle_of_the_day_leaves_nothing(run):
    demo = run("demo")
    demo.wait_for("Signed up and confirmed")

    demo.process.send_signal(signal.SIGINT)
    demo.process.wait(timeout=15)

    assert "Traceback" not in demo.said()
    assert demo.alive() == []
    assert demo.folders() == []


def test_a_demo_killed_in_the_middle_leaves_no_process(run):
    demo = run("demo")
    eventually(lambda: len(demo.alive()) >= 6, demo.said, seconds=60)  # broker, mailbox, pages, worker, clock and itself

    demo.process.kill()
    demo.process.wait()

    eventually(lambda: demo.alive() == [], demo.alive, seconds=15)


def test_the_next_demo_removes_what_a_killed_one_left_and_nothing_else(run):
    killed = run("demo")
    eventually(killed.folders, killed.said)
    eventually(lambda: list(killed.temporary.glob("newsletter-demo-*/running.json")), killed.said)
    killed.process.kill()
    killed.process.wait()
    left = killed.folders()
    eventually(lambda: killed.alive() == [], killed.alive, seconds=15)
    for name in ("newsletter-demo-strangers", "newsletter-demo-alive"):
        (killed.temporary / name).mkdir()
    with present(killed.temporary / "newsletter-demo-alive"):
        following = run("demo", temporary=killed.temporary)
        following.wait_for("runs in")
        following.process.send_signal(signal.SIGINT)
        following.process.wait(timeout=15)

    assert len(left) == 1
    assert following.folders() == ["newsletter-demo-alive", "newsletter-demo-strangers"]


def test_up_stops_at_ctrl_c_and_keeps_its_data(run, tmp_path):
    up = run("up", "--port", str(free_port()))
    up.wait_for("Nobody is mailed: smtp.host is not set")

    up.process.send_signal(signal.SIGINT)
    up.process.wait(timeout=20)

    assert up.process.returncode == 0, up.said()
    assert "Traceback" not in up.said()
    assert up.alive() == []
    assert (tmp_path / "data" / "newsletter.sqlite3").exists()


def test_commands_in_a_second_terminal_find_what_up_runs(run, tmp_path):
    port = free_port()
    up = run("up", "--port", str(port))
    up.wait_for("Running:")

    def well(part):
        return command("health", part, environment=environment(tmp_path), cwd=tmp_path)

    for part in ("web", "worker", "beat"):
        eventually(lambda part=part: well(part).returncode == 0, lambda part=part: well(part).stderr, seconds=60)
    second = command("up", "--port", str(free_port()), environment=environment(tmp_path), cwd=tmp_path)

    assert second.returncode == 1
    assert f"running in {tmp_path / 'data'} already, as process {up.process.pid}" in second.stderr

    up.process.send_signal(signal.SIGINT)
    up.process.wait(timeout=20)

    assert "No broker is set" in well("worker").stderr
    assert not (tmp_path / "data" / "running.json").exists()


def test_up_interrupted_while_it_starts_leaves_nothing(run):
    up = run("up", "--port", str(free_port()))
    up.wait_for("Made the tables")

    up.process.send_signal(signal.SIGTERM)
    up.process.wait(timeout=20)

    assert "Traceback" not in up.said()
    assert up.alive() == []
