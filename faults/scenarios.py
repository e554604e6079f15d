"""What breaks, one function a scenario; each ends with the verdict on the promises."""

import shutil
import signal
import time
from pathlib import Path

from helpers import small_disk, until
from promises import Result
from stage import CONNECTIONS, WINDOW, Stage
from tree import pace_with

CUT = 9.0  # seconds: longer than the leases of `tree`
EVERY = 3  # kills: then the whole tree is killed


def kill(stage: Stage) -> Result:
    """Kill -9 the worker at random moments: mostly the child that sends, every third time the whole process tree."""
    machine = stage.machine()
    for at in stage.moments(stage.order.kills):
        pid = machine.pid("drain")
        with stage.counted():
            if at % EVERY == EVERY - 1:
                machine.kill()
                machine.start()
            else:
                machine.kill_child()
        until(lambda: machine.pid("drain") != pid, "another child")  # noqa: B023 -- within the same turn
    stage.result.allowed_unknown = CONNECTIONS * stage.result.kills
    return stage.finish()


def machine_lost(stage: Stage) -> Result:
    """Kill a whole machine, and take its disk with its journal away: the window is unknown, no more."""
    machine = stage.machine("gone")
    for _ in stage.moments(1, last=0.5):
        with stage.counted():
            machine.kill()
        shutil.rmtree(machine.folder)
    stage.machine("other")
    stage.result.allowed_unknown = WINDOW * stage.result.kills
    return stage.finish()


def stopped(stage: Stage) -> Result:
    """Stop the worker beyond its leases while another takes over, and let it go on."""
    machine, _ = stage.machine("sleeper"), stage.machine("other", connections=1)
    for _ in stage.moments(stage.order.kills, last=0.3):
        with stage.counted():
            machine.signal(signal.SIGSTOP)
            time.sleep(CUT)
            machine.signal(signal.SIGCONT)
    # Stopped within a transaction, the one writer that SQLite has keeps the other from renewing its leases.
    kept_waiting = pace_with(1).window if stage.order.database == "sqlite" else 0
    stage.result.allowed_unknown = (WINDOW + kept_waiting) * stage.result.kills
    return stage.finish(late=CUT)


def relay_cut(stage: Stage) -> Result:
    """Cut the network to the relay: reset, then a hole for longer than an answer is waited for."""
    wire = stage.wire(stage.sink.port)
    stage.machine(smtp=wire.port)
    for at in stage.moments(stage.order.kills, last=0.6):
        with stage.counted():
            wire.become("cut" if at % 2 == 0 else "hole")
            time.sleep(1 if at % 2 == 0 else CUT)
            wire.become("whole")
        stage.place.hurry()
    stage.result.allowed_unknown = CONNECTIONS * stage.result.kills
    return stage.finish()


def database_cut(stage: Stage) -> Result:
    """Cut the network to the database: reset, then a hole for longer than the leases."""
    wire = stage.wire(stage.postgres.port)
    stage.machine("cut", database=stage.database_through(wire))
    stage.machine("other", connections=1)
    for at in stage.moments(stage.order.kills, last=0.6):
        with stage.counted():
            wire.become("cut" if at % 2 == 0 else "hole")
            time.sleep(CUT)
            wire.become("whole")
    stage.result.allowed_unknown = WINDOW * stage.result.kills
    return stage.finish(late=CUT)


def database_killed(stage: Stage) -> Result:
    """Kill -9 PostgreSQL's first process, and start it again."""
    stage.machine()
    for _ in stage.moments(stage.order.kills):
        with stage.counted():
            stage.postgres.kill()
            time.sleep(stage.dice.uniform(0, 1.5))
            stage.postgres.start()
    stage.result.allowed_unknown = 0  # whoever is alive knows what was answered
    return stage.finish()


def journal_full(stage: Stage) -> Result:
    """Fill the disk that the journal is on; nothing may begin that cannot be written down."""
    journals = stage.folder / "one" / "journal"
    with small_disk(journals, "64k") as small:
        if not small:
            stage.result.broken.append("only root can make a small disk for the journal")
            return stage.result
        machine = stage.machine(entries=8)
        for _ in stage.moments(stage.order.kills, last=0.6):
            filler = journals / "filler"
            _fill(filler)
            with stage.counted():
                machine.kill_child()  # the next one finds no room for a journal at all
                time.sleep(1.5)
            filler.unlink()
        stage.result.allowed_unknown = CONNECTIONS * stage.result.kills
        result = stage.finish()
        machine.kill()
    return result


def _fill(path: Path) -> None:
    """Write until there is no room."""
    with path.open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(bytes(4096))
        except OSError:
            return


def told_to_stop(stage: Stage) -> Result:
    """SIGTERM in the middle of a long drain: what was begun is finished, the rest given back, nothing is unknown."""
    machine = stage.machine()
    for _ in stage.moments(stage.order.kills):
        with stage.counted():
            code = machine.stop()
        if code:
            stage.result.broken.append(f"it ended with code {code}")
        machine.start()
    stage.result.allowed_unknown = 0
    return stage.finish()
