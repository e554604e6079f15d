"""The cases: what is sent, how, beside what, and what is aimed at."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import perf_counter

from bench import imports, places, postfix, signups
from bench.measure import Run, Yardstick, database_cpu, in_turns, median, ratio, run_senders, send, together
from bench.places import Place
from bench.results import Aim, Result, signature_ratio
from bench.sender import Spec

BASELINES = {"naive": 80, "once": 40}  # how many times fewer they send: what a message costs them does not change by it


@dataclass(frozen=True)
class Floor:
    """What the cases of one run share."""

    server: tuple[str, int]  # PostgreSQL
    folder: Path
    key: Path
    yardstick: Yardstick
    rounds: int

    def spec(self, place: Place, *, signed: bool = True, work: str = "engine") -> Spec:
        """Return what sends a place's queue over 64 connections."""
        return Spec(work, database=place.url, key=str(self.key) if signed else "", options=(str(self.folder),))

    def postgres(self, name: str, readers: int) -> AbstractContextManager[Place]:
        """Give a database with so many readers on PostgreSQL."""
        return places.on_postgres(self.server, name, readers=readers, now=datetime.now(UTC))


def queued(place: Place, *specs: Spec, delay_ms: int = 0) -> Callable[[], Run]:
    """Return what queues the issue for everybody and has the senders send it; checks that all was sent."""

    def way() -> Run:
        expected = place.queue(now=datetime.now(UTC))
        run = send(specs, database_pid=place.postgres_pid, delay_ms=delay_ms)
        if run.messages != expected or run.details["taken"] != expected:
            raise RuntimeError(f"{expected} were owed, {run.messages} are called sent, {run.details['taken']} were received")
        return run

    return way


def _to_smtp_sink(place: Place, spec: Spec) -> Run:
    place.queue(now=datetime.now(UTC))
    with postfix.smtp_sink() as port:
        return together(run_senders([replace(spec, port=port)]))


def _from_smtp_source(number: int) -> Run:
    with postfix.smtp_sink() as port:
        return postfix.smtp_source(port, number=number)


def _beside_postfix(place: Place, spec: Spec, number: int) -> dict[str, Callable[[], Run]]:
    """Return the pair that `ratio_to_smtp_source` is made of, both to Postfix's receiver; nothing where that is not installed."""
    if not postfix.is_here():
        return {}
    return {"to smtp-sink": lambda: _to_smtp_sink(place, spec), "smtp-source": lambda: _from_smtp_source(number)}


def signed(floor: Floor, number: int) -> Result:
    """Signed, with ledger and journal, PostgreSQL, one process."""
    naive_spec, once_spec = (Spec(name, number=max(1, number // share), key=str(floor.key)) for name, share in BASELINES.items())
    with floor.postgres("signed", number) as place:
        spec = floor.spec(place)
        ways = {
            "signed": queued(place, spec),
            "naive": lambda: send([naive_spec]),
            "once": lambda: send([once_spec]),
            **_beside_postfix(place, spec, number),
        }
        runs = in_turns(floor.rounds, floor.yardstick, ways)
    naive, once = (ratio(runs[other], runs["signed"], lambda run: run.per_message) for other in ("naive", "once"))
    aims = (
        Aim("CPU of a message in signatures", signature_ratio(runs["signed"]), 2.5),
        Aim("times less CPU than naive", naive, 25, most=False),
        Aim("times less CPU than once", once, 15, most=False),
    )
    return Result("signed", runs, aims, {"bytes_per_message": runs["signed"][0].octets_per_message})


def unsigned(floor: Floor, number: int) -> Result:
    """Unsigned: the relay signs."""
    with floor.postgres("unsigned", number) as place:
        spec = floor.spec(place, signed=False)
        ways = {"unsigned": queued(place, spec), **_beside_postfix(place, spec, number)}
        runs = in_turns(floor.rounds, floor.yardstick, ways)
    cost = median([run.per_message * 1000 for run in runs["unsigned"]])
    return Result("unsigned", runs, (Aim("CPU s per 1,000", cost, 0.3),))


def ledger(floor: Floor, number: int) -> Result:
    """Ledger and journal: the same sender with them and without, PostgreSQL included."""
    with floor.postgres("ledger", number) as place:
        bare = floor.spec(place, work="bare")
        runs = in_turns(
            floor.rounds, floor.yardstick, {"with ledger": queued(place, floor.spec(place)), "without": _bare(place, bare)}
        )
    share = median([1 - _all_cpu(bare) / _all_cpu(full) for full, bare in zip(*runs.values(), strict=True)])
    last = runs["with ledger"][-1]
    statements = last.details["statements"] / last.messages * 1000
    aims = (
        Aim("share of ledger and journal in CPU", share, 0.15),
        Aim("SQL statements per 1,000 messages", statements, 30),
        Aim("flushes per message", last.turns_per_message, 1.05),
        Aim("renders of the issue while sending", last.details["renders"], 0),  # it was rendered once, when it was frozen
    )
    return Result("ledger", runs, aims)


def _bare(place: Place, spec: Spec) -> Callable[[], Run]:
    def way() -> Run:
        place.queue(now=datetime.now(UTC))
        return send([spec])

    return way


def _all_cpu(run: Run) -> float:
    return (run.cpu_s + run.database_cpu_s) / run.messages


def selections(floor: Floor, number: int) -> Result:
    """Readers who chose their own papers of a day of fifty: a thousand different choices, and one each, beside one for all."""
    kinds = {"1,000 selections": 1000, "a selection each": number, "one selection": 1}
    specs = {
        name: Spec("selections", number=number, key=str(floor.key), options=(different,)) for name, different in kinds.items()
    }
    ways = {name: partial(_alone, spec) for name, spec in specs.items()}
    runs = in_turns(floor.rounds, floor.yardstick, ways)
    many, each = (ratio(runs[name], runs["one selection"], lambda run: run.per_message) for name in list(kinds)[:2])
    aims = (Aim("CPU of 1,000 selections beside one for all", many, 1.2), Aim("CPU of a selection each beside one", each, 1.2))
    return Result("selections", runs, aims)


def _alone(spec: Spec) -> Run:
    return together(run_senders([spec]))


def slow(floor: Floor, number: int) -> Result:
    """Every reply after 200 ms, 200 connections, one process; ideal is one message a connection every 200 ms."""
    delay_ms, connections = 200, 200
    with floor.postgres("slow", number) as place:
        spec = replace(floor.spec(place), connections=connections)
        runs = in_turns(floor.rounds, floor.yardstick, {"slow": queued(place, spec, delay_ms=delay_ms)})
    ideal = connections * 1000 / delay_ms
    share = median([run.rate / ideal for run in runs["slow"]])
    peak = max(run.peak_mb for run in runs["slow"])
    return Result("slow", runs, (Aim("share of the ideal rate", share, 0.75, most=False), Aim("peak MB", peak, 100)))


def fanout(floor: Floor, number: int) -> Result:
    """Queue very many in one statement, claim at both ends, send for a while; once, for it takes long."""
    claimed = min(10_000, number // 8)
    pid = floor.server[1]
    with floor.postgres("fanout", number) as place:
        before, started = database_cpu(pid), perf_counter()
        made = place.queue(now=datetime.now(UTC), tidy=False)
        took, database = perf_counter() - started, database_cpu(pid) - before
        sending = send([replace(floor.spec(place, signed=False), budget_s=number / 100_000)], database_pid=pid)
        spec = replace(floor.spec(place, work="claims"), number=claimed, options=(pid, made - sending.messages))
        claims = together(run_senders([spec]))
    first, last = claims.details["first"], claims.details["last"]
    dearer = (last["cpu_us"] + last["database_us"]) / (first["cpu_us"] + first["database_us"])
    aims = (
        Aim("seconds to queue all", took, 90),
        Aim("last claims beside the first, CPU", dearer, 1.5),
        Aim("peak MB of a worker", max(sending.peak_mb, claims.peak_mb), 150),
    )
    queueing = Run(made, took, 0.0, sending.peak_mb, database)
    return Result("fanout", {"fan out": [queueing], "sending": [sending], "claims": [claims]}, aims)


def sqlite(floor: Floor, number: int) -> Result:
    """Two worker processes on SQLite beside two on PostgreSQL."""
    now = datetime.now(UTC)
    with places.on_sqlite(readers=number, now=now) as lite, floor.postgres("beside_sqlite", number) as post:
        ways = {
            "SQLite": queued(lite, floor.spec(lite), floor.spec(lite)),
            "PostgreSQL": queued(post, floor.spec(post), floor.spec(post)),
        }
        runs = in_turns(floor.rounds, floor.yardstick, ways)
    errors = sum(process["errors"] for run in runs["SQLite"] for process in run.details["processes"])
    aims = (
        Aim("errors of the database", errors, 0),
        Aim("rate beside PostgreSQL's", ratio(runs["SQLite"], runs["PostgreSQL"], lambda run: run.rate), 0.5, most=False),
    )
    return Result("sqlite", runs, aims)


def two_workers(floor: Floor, number: int) -> Result:
    """Two worker processes beside one, every reply after 200 ms, 50 connections each."""
    with floor.postgres("two_workers", number) as place:
        spec = replace(floor.spec(place), connections=50)
        ways = {"two": queued(place, spec, spec, delay_ms=200), "one": queued(place, spec, delay_ms=200)}
        runs = in_turns(floor.rounds, floor.yardstick, ways)
    return Result(
        "two-workers", runs, (Aim("rate beside one's", ratio(runs["two"], runs["one"], lambda run: run.rate), 1.7, most=False),)
    )


@dataclass(frozen=True)
class Case:
    """A case, how many messages it takes, and how many are enough for a quick look."""

    run: Callable[[Floor, int], Result]
    number: int
    quick: int


CASES = {
    "signed": Case(signed, 4_000, 800),
    "unsigned": Case(unsigned, 6_000, 800),
    "ledger": Case(ledger, 8_000, 800),
    "selections": Case(selections, 10_000, 1_200),
    "slow": Case(slow, 20_000, 2_000),
    "fanout": Case(fanout, 1_000_000, 20_000),
    "sqlite": Case(sqlite, 20_000, 600),
    "two-workers": Case(two_workers, 6_000, 1_000),
    "import": Case(imports.case, 100_000, 10_000),
    "sign-up": Case(signups.case, 1_000, 200),
}
