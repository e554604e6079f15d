"""Child processes that are started, watched, started again, and never left behind.

Each runs in a session of its own, so that Ctrl-C reaches the supervisor alone, which then ends them in their order; and
each is tethered to its parent (see `tether`), so call `spawn` and `Supervisor.start` from the main thread.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from newsletter.embedded import tether

LOG_LIMIT = 10_000_000  # bytes; a longer log is put aside at the next start, one generation is kept
LONGEST_DELAY = 60.0  # seconds between a death and the next start
HEALTHY_AFTER = 60.0  # seconds; who lived this long begins again with the shortest delay


@dataclass(frozen=True)
class Program:
    """What to run: its name in reports, its words, where its output goes."""

    name: str
    arguments: tuple[str, ...]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)  # beside our own
    grace: float = 10.0  # seconds between SIGTERM and SIGKILL
    lock: Path | None = None  # held while it lives, so that two never share a folder


@dataclass(frozen=True)
class Death:
    """A program ended unasked: its exit code (negative: the signal), its last words, and when it starts again."""

    name: str
    code: int
    last_lines: tuple[str, ...]
    restart_in: float  # seconds

    def __str__(self) -> str:
        """Say it in one paragraph."""
        how = f"was killed by signal {-self.code}" if self.code < 0 else f"ended with code {self.code}"
        words = "".join(f"\n    {line}" for line in self.last_lines)
        return f"{self.name} {how}; it starts again in {self.restart_in:.0f} s{words}"


def spawn(program: Program) -> subprocess.Popen[bytes]:
    """Start the program, tethered to this process, its output appended to its log."""
    program.log.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        if program.log.stat().st_size > LOG_LIMIT:
            program.log.replace(program.log.with_suffix(".old.log"))
    tethered = [sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), str(program.lock or ""), *program.arguments]
    with program.log.open("ab") as log:
        return subprocess.Popen(  # noqa: S603 -- our own programs, no shell
            tethered,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **program.environment},
            start_new_session=True,
        )


def end(process: subprocess.Popen[bytes], *, grace: float) -> int:
    """Ask the process to end, wait `grace` seconds, kill what is left of its group; return its exit code.

    Only the leader is asked: a Celery worker's children die of SIGTERM at once, with the task in their hands.
    """
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=grace)
    kill_group(process)
    return process.wait()


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill the process and everything it started in its session, at once."""
    with suppress(ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
        os.killpg(process.pid, signal.SIGKILL)


def last_lines(log: Path, count: int = 8) -> tuple[str, ...]:
    """Return the last lines of a log; none if there is no log."""
    try:
        with log.open("rb") as source:
            source.seek(max(0, source.seek(0, os.SEEK_END) - 8192))
            return tuple(source.read().decode(errors="replace").splitlines()[-count:])
    except FileNotFoundError:
        return ()


@dataclass
class _Child:
    """A program as it lives: its process, since when, how often it has died in a row."""

    program: Program
    process: subprocess.Popen[bytes]
    since: float  # seconds of the caller's clock; after a death: when to start again
    deaths: int = 0
    dead: bool = False


class Supervisor:
    """Keeps programs running, in the order of their start; the times it is handed are seconds of one steady clock."""

    def __init__(self, *, first_delay: float = 1.0) -> None:
        self._children: list[_Child] = []
        self._first_delay = first_delay

    @property
    def pids(self) -> dict[str, int]:
        """The process ids of the programs that are running now, by name."""
        return {child.program.name: child.process.pid for child in self._children if child.process.poll() is None}

    def start(self, program: Program, *, now: float) -> None:
        """Start the program and watch it from now on."""
        self._children.append(_Child(program, spawn(program), since=now))

    def check(self, *, now: float) -> tuple[Death, ...]:
        """Return what died since the last check, and start again what has waited long enough; never blocks."""
        deaths = [self._bury(child, now) for child in self._children if not child.dead and child.process.poll() is not None]
        for child in self._children:
            if child.dead and now >= child.since:
                child.process, child.since, child.dead = spawn(child.program), now, False
        return tuple(deaths)

    def stop(self, *, grace: float | None = None) -> None:
        """End all programs, the last started first; `grace` (seconds) instead of each program's own, for the impatient."""
        while self._children:
            child = self._children[-1]
            end(child.process, grace=child.program.grace if grace is None else grace)
            self._children.pop()  # only now, so that a call interrupted by Ctrl-C can be repeated

    def _bury(self, child: _Child, now: float) -> Death:
        """Note the death, clear away what the program left in its session, and set the time of its next start."""
        kill_group(child.process)
        child.deaths = 1 if now - child.since >= HEALTHY_AFTER else child.deaths + 1
        delay = min(LONGEST_DELAY, self._first_delay * 2.0 ** min(child.deaths - 1, 10))
        child.since, child.dead = now + delay, True
        return Death(child.program.name, child.process.returncode, last_lines(child.program.log), delay)
