"""One sending process under measurement: `python -m bench.sender SPEC`, where SPEC is a `Spec` as JSON.

It makes itself ready, says so, waits for a line on its standard input, works, and prints what it cost as JSON. What comes
before that line (the interpreter, imports) is not counted.
"""

import json
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from sqlalchemy import event

from bench.publisher import DOMAIN, LINKS, PAPERS
from newsletter import db, deliveries, wiring
from newsletter.config import Settings, SmtpSettings
from newsletter.deliveries import Journal, Mailer, MailerSettings, Pace
from newsletter.mail.dkim import Signer, SigningKey
from newsletter.mail.smtp import Relay


@dataclass(frozen=True)
class Spec:
    """What to do: `work` is a name of WORK; the rest is what that needs."""

    work: str
    number: int = 0  # messages, where the database does not say how many
    port: int = 0
    database: str = ""
    key: str = ""  # of the signature; empty: unsigned
    connections: int = 64
    window: int = 0  # 0: as an installation has it
    budget_s: float = 900
    options: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Cost:
    """What the work cost this process: CPU is user and system time of all its threads."""

    messages: int
    wall_s: float
    cpu_s: float
    peak_mb: float
    details: dict[str, Any]


def utcnow() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


def mailer_for(spec: Spec) -> Mailer:
    """Return what makes the bytes, signed if there is a key."""
    signers: dict[str, Signer] = {}
    if spec.key:
        private = load_pem_private_key(Path(spec.key).read_bytes(), None)
        assert isinstance(private, RSAPrivateKey)
        signers = {DOMAIN: Signer([SigningKey(DOMAIN, "bench", private)])}
    return Mailer(MailerSettings(LINKS, signers=lambda: signers))


def relay_for(spec: Spec) -> Relay:
    """Return the relay: the sink, whose connections are kept."""
    return Relay("127.0.0.1", spec.port, security="none", helo="bench.example.org", messages_per_connection=1_000_000)


def pace_for(spec: Spec) -> Pace:
    """Return the pace that an installation with so many connections has, or the window that is asked for."""
    settings = Settings.model_construct(smtp=SmtpSettings(connections=spec.connections))
    pace = wiring.pace_of(settings, budget=timedelta(seconds=spec.budget_s))
    return replace(pace, window=spec.window or pace.window)


def prepare_engine(spec: Spec) -> Callable[[], tuple[int, dict[str, Any]]]:
    """Make the engine ready with everything on, ledger and journal."""
    sessions = db.connect(spec.database)
    db.check(sessions)
    counted = count_statements(sessions)
    folder = tempfile.mkdtemp(prefix="newsletter-bench-journal-", dir=spec.options[0])
    journal = Journal.open(Path(folder), deliveries.worker_name())
    mailer = mailer_for(spec)

    def work() -> tuple[int, dict[str, Any]]:
        way = deliveries.over(relay_for(spec), connections=spec.connections)
        report = deliveries.drain(sessions, way, mailer, journal, clock=utcnow, pace=pace_for(spec))
        journal.close()
        loaded = sys.modules.get("newsletter.mail.render")  # what an issue's sender should not even load
        renders = loaded.render.cache_info().misses if loaded else 0
        return report.sent, {**vars(report), "statements": counted["statements"], "errors": counted["errors"], "renders": renders}

    return work


def count_statements(sessions: db.Sessions) -> Counter[str]:
    """Count from now on what the database is asked and how often it fails."""
    counted: Counter[str] = Counter()

    @event.listens_for(sessions.engine, "before_cursor_execute")
    def _asked(*_: object) -> None:
        counted["statements"] += 1

    @event.listens_for(sessions.engine, "handle_error")
    def _failed(*_: object) -> None:
        counted["errors"] += 1

    return counted


def prepare_bare(spec: Spec) -> Callable[[], tuple[int, dict[str, Any]]]:
    """Make the same sender ready with neither ledger nor journal: the deliveries come from a list."""
    from bench.bare import send_all  # noqa: PLC0415 -- what is measured elsewhere should not pay for it

    return lambda: (send_all(spec), {})


def prepare_baseline(spec: Spec) -> Callable[[], tuple[int, dict[str, Any]]]:
    """Make one of the baselines ready."""
    from bench import baselines  # noqa: PLC0415 -- premailer and dkimpy are for the baselines alone

    send = {"naive": baselines.naive, "once": baselines.once}[spec.work]
    send(spec.port, 2, PAPERS, Path(spec.key))  # templates compiled, style sheets parsed

    def work() -> tuple[int, dict[str, Any]]:
        send(spec.port, spec.number, PAPERS, Path(spec.key))
        return spec.number, {}

    return work


def prepare_selections(spec: Spec) -> Callable[[], tuple[int, dict[str, Any]]]:
    """Make messages of many selections ready to be made."""
    from bench.selections import prepare  # noqa: PLC0415 -- as above

    return prepare(spec)


def prepare_claims(spec: Spec) -> Callable[[], tuple[int, dict[str, Any]]]:
    """Make the claims at both ends of a long queue ready."""
    from bench.queue import prepare  # noqa: PLC0415 -- as above

    return prepare(spec)


WORK = {
    "engine": prepare_engine,
    "bare": prepare_bare,
    "naive": prepare_baseline,
    "once": prepare_baseline,
    "selections": prepare_selections,
    "claims": prepare_claims,
}


def cpu() -> float:
    """Return the seconds of CPU this process and its ended children took."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def measured(work: Callable[[], tuple[int, dict[str, Any]]]) -> Cost:
    """Do the work; return what it cost."""
    cpu_before, wall_before = cpu(), time.perf_counter()
    messages, details = work()
    wall, used = time.perf_counter() - wall_before, cpu() - cpu_before
    return Cost(messages, wall, used, peak_mb(), details)


def peak_mb() -> float:
    """Return the most memory this process had resident; rusage would count that of the process it was forked from."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main(spec_json: str) -> None:
    """Make ready, wait for the word, work, tell."""
    given = json.loads(spec_json)
    spec = Spec(**{**given, "options": tuple(given.get("options", ()))})
    work = WORK[spec.work](spec)
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(vars(measured(work))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
