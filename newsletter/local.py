"""The whole service on one machine: broker, web, worker and beat as child processes of one supervisor."""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from newsletter.config import Settings
from newsletter.deliveries.ledger import SENDING_LEASE
from newsletter.embedded.presence import Running, present
from newsletter.embedded.processes import Death, Program, Supervisor
from newsletter.errors import BrokerError, Conflict

WORKER_GRACE = SENDING_LEASE.total_seconds()  # longer than a drain waits for the last answers
OTHERS_GRACE = 15.0  # seconds
START_PATIENCE = 60.0  # seconds for a process to answer after its start, on a slow machine


@dataclass(frozen=True)
class Service:
    """The processes to run: where their logs go, and what their environment says beside ours."""

    logs: Path
    environment: Mapping[str, str]

    def program(self, *words: str, grace: float = OTHERS_GRACE) -> Program:
        """Return one of our own commands as a program, named by its first word."""
        arguments = (sys.executable, "-m", "newsletter", *words)
        return Program(words[0], arguments, self.logs / f"{words[0]}.log", self.environment, grace)


@contextmanager
def supervised() -> Iterator[Supervisor]:
    """Give a supervisor whose programs are ended when the block is left; SIGTERM leaves it as Ctrl-C does."""
    supervisor = Supervisor()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield supervisor
    finally:
        _stop(supervisor)


def _stop(supervisor: Supervisor) -> None:
    """End all programs; a second Ctrl-C does not wait for them."""
    try:
        supervisor.stop()
    except KeyboardInterrupt:
        supervisor.stop(grace=0.5)


def broker(supervisor: Supervisor, folder: Path) -> str:
    """Start a Valkey server on the data in the folder and return its URL; raises BrokerError."""
    from newsletter.embedded.valkey import answers, valkey_program

    plan = valkey_program(folder)
    supervisor.start(plan.program, now=time.monotonic())
    if not until(lambda: answers(plan.url)):
        raise BrokerError(f"Valkey did not start in {folder}.", hint=f"All it said is in {plan.program.log}.")
    return plan.url


def until(condition: Callable[[], bool], *, patience: float = START_PATIENCE) -> bool:
    """Wait until the condition holds, `patience` seconds at most; return whether it does."""
    give_up = time.monotonic() + patience
    while not condition():
        if time.monotonic() > give_up:
            return False
        time.sleep(0.05)
    return True


def port_or_free(port: int, host: str = "127.0.0.1") -> int:
    """Return the port if nobody listens at it, else any free one."""
    from newsletter.embedded.valkey import free_port

    return free_port() if why_not(port, host) else port


def why_not(port: int, host: str) -> str:
    """Return why no server could listen at the port, "" if one could."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            return error.strerror or str(error)
    return ""


def watch(supervisor: Supervisor, report: Callable[[Death], None]) -> None:
    """Keep the programs running until Ctrl-C or SIGTERM, and report each that dies."""
    with suppress(KeyboardInterrupt):
        while True:
            time.sleep(0.5)
            for death in supervisor.check(now=time.monotonic()):
                report(death)


def run(settings: Settings, *, host: str, port: int, say: Callable[[str], None]) -> None:
    """Run everything until Ctrl-C: our own broker where none is set, then web, worker and beat.

    Other commands of this machine find it while it runs. Raises Conflict if nobody can listen at the port, or if it runs
    already, before anything is started.
    """
    if reason := why_not(port, host):
        raise Conflict(
            f"Nobody can listen at port {port} of {host}: {reason}.",
            hint="Is the newsletter running already? Choose another with --port, or another address with --host.",
        )
    with present(settings.data_dir) as tell:
        _make_tables(settings, say)
        with supervised() as supervisor:
            redis_url = settings.redis_url or broker(supervisor, settings.data_dir / "valkey")
            environment = {
                "DATABASE_URL": settings.database,
                "REDIS_URL": redis_url,
                "NEWSLETTER_DATA_DIR": str(settings.data_dir),
            }
            service = Service(settings.data_dir / "logs", environment)
            inbox = [service.program("inbox", "run")] if settings.inbox.domain else []
            start(supervisor, service, host=host, port=port, extra=inbox)
            tell(Running(os.getpid(), redis_url, reached_at(host, port)))
            say(f"Running: {settings.base_url} (listening at {host}:{port}). Logs: {service.logs}. Ctrl-C stops it.")
            if not settings.smtp.host:
                say(f"Nobody is mailed: smtp.host is not set, and mails become files in {settings.data_dir / 'outgoing'}.")
            if inbox:
                say(f"Mail to {settings.inbox.domain} is taken in at {settings.inbox.host}:{settings.inbox.port}.")
            watch(supervisor, lambda death: say(str(death)))
            say("Stopping …")


def _make_tables(settings: Settings, say: Callable[[str], None]) -> None:
    from newsletter import db

    before = db.migrate(db.connect(settings.database))
    say("Made the tables." if not before else f"The tables are of version {db.head()}.")


def reached_at(host: str, port: int) -> str:
    """Return the host:port at which this machine reaches a server that listens at the address."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 -- nobody listens here
    return f"[{reached}]:{port}" if ":" in reached else f"{reached}:{port}"


def start(supervisor: Supervisor, service: Service, *, host: str, port: int, extra: Sequence[Program] = ()) -> None:
    """Start web, worker and beat, and what comes beside them."""
    programs = (
        *extra,
        service.program("web", "--host", host, "--port", str(port)),
        service.program("worker", grace=WORKER_GRACE),
        service.program("beat"),
    )
    for program in programs:
        supervisor.start(program, now=time.monotonic())
