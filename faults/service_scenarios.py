"""What breaks where Celery and its broker are the point; as `scenarios`."""

import os
import signal
import subprocess
import time
from contextlib import suppress

from helpers import PATIENCE, Wire, through, until
from promises import Result
from scenarios import CUT
from service import CHILDREN, Service, serving
from stage import CONNECTIONS, Stage
from tree import pace_with

LONG = 0.15  # seconds at most between a dot and its answer, so that machines have the time to begin


def child_killed(stage: Stage) -> Result:
    """Kill -9 the pool child that sends; Celery makes another, which settles its journal."""
    service = serving(stage)
    worker = service.worker()
    for _ in stage.moments(stage.order.kills, last=0.7):
        pid = service.sender(worker)
        with stage.counted(), suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    stage.result.allowed_unknown = CONNECTIONS // CHILDREN * stage.result.kills
    return stage.finish()


def broker_killed(stage: Stage) -> Result:
    """Kill -9 the broker: what is being sent goes on, and nothing is sent twice when it is back."""
    service = serving(stage)
    worker = service.worker()
    for _ in stage.moments(stage.order.kills, last=0.5):
        with stage.counted():
            service.kill_broker()
            time.sleep(1)
            service.restart_broker()
        worker = service.keep(worker)
    return stage.finish()


def broker_cut(stage: Stage) -> Result:
    """Cut the network to the broker: reset, then a hole."""
    service = serving(stage)
    wire = stage.wire(service.port)
    redis = {"REDIS_URL": through(service.broker.url, wire.port)}
    worker = service.worker(**redis)
    for at in stage.moments(stage.order.kills, last=0.5):
        with stage.counted():
            wire.become("cut" if at % 2 == 0 else "hole")
            time.sleep(CUT)
            wire.become("whole")
        if worker.poll() is not None:
            worker = service.worker(**redis)
    return stage.finish()


def worker_stopped(stage: Stage) -> Result:
    """SIGTERM the worker in the middle of a long drain: it finishes what it began, gives back the rest, and ends with code 0."""
    service = serving(stage)
    for _ in range(stage.order.kills):
        worker, before = service.worker(), stage.sink.taken()
        until(lambda: stage.sink.taken() > before + 20, "mails to be on their way")  # noqa: B023 -- within the same turn
        with stage.counted():
            worker.send_signal(signal.SIGTERM)
            code = worker.wait(timeout=PATIENCE)
        if code:
            stage.result.broken.append(f"it ended with code {code}")
    service.worker()
    return stage.finish()


def two_beats(stage: Stage) -> Result:
    """Two clocks at once, one of them killed: mail goes out all the same, and once."""
    service = serving(stage, asked=False)
    service.worker()
    first, _ = service.start("beat", folder="first"), service.start("beat", folder="second")
    stage.progress(0.2)
    with stage.counted():
        first.kill()
    return stage.finish()


def machines(stage: Stage) -> Result:
    """Cut one of three machines off for longer than its leases and stop another; each has wires of its own to all it needs.

    The third finishes their work, and what the first has done in the meantime comes to light without a resend.
    """
    service = serving(stage)
    stage.sink.slow(LONG)
    cut = [stage.wire(stage.postgres.port), stage.wire(service.port)]
    _machine(service, "cut", *cut)
    stopped = _machine(service, "stopped", stage.wire(stage.postgres.port), stage.wire(service.port))
    _machine(service, "sound", stage.wire(stage.postgres.port), stage.wire(service.port))
    until(lambda: all(map(stage.place.is_sending, ("cut", "stopped"))), "the machines to send")
    with stage.counted():
        for wire in cut:
            wire.become("hole")
        os.killpg(stopped.pid, signal.SIGSTOP)
        until(stage.place.traces, "leases to run out")
        time.sleep(CUT)
        os.killpg(stopped.pid, signal.SIGCONT)
        for wire in cut:
            wire.become("whole")
    stage.result.allowed_unknown = 2 * CHILDREN * pace_with(1).window  # two machines' windows
    result = stage.finish(late=CUT)
    if not result.settled_late:
        result.broken.append("no late answer settled an unknown, so nothing was proved")
    return result


def _machine(service: Service, host: str, database: Wire, broker: Wire) -> subprocess.Popen[bytes]:
    """Start a worker of a host behind its wires: two connections at most."""
    stage = service.stage
    return service.start(
        "celery_worker.py",
        host,
        folder=host,
        DATABASE_URL=stage.database_through(database),
        REDIS_URL=through(service.broker.url, broker.port),
        NEWSLETTER_SMTP__PORT=str(stage.wire(stage.sink.port).port),
        NEWSLETTER_SMTP__CONNECTIONS="1",
        NEWSLETTER_RESEND_AFTER_MINUTES="1",
    )
