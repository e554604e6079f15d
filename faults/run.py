"""Play what can break and count who was reached: `python faults/run.py`, or `make test-faults`."""

import argparse
import json
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path

from helpers import Postgres
from promises import Result
from repertoire import BOTH, POLICIES, SCENARIOS, Scenario
from stage import Order, staged

from tests.postgres_server import HASTY, postgres

# What is committed survives the server's death, though not the machine's, which nobody kills here.
KILLABLE = {**HASTY, "synchronous_commit": "on"}
COLUMNS = [each.name for each in fields(Result) if each.name not in {"broken", "allowed_unknown"}]


def main(arguments: Sequence[str]) -> int:
    """Do what the command line asks for; return 1 where a promise was broken."""
    given = _parser().parse_args(arguments)
    if given.list:
        for name, scenario in SCENARIOS.items():
            print(f"{name:16} {(scenario.play.__doc__ or '').splitlines()[0]}")
        return 0
    results: list[Result] = []
    with ExitStack() as closing:
        server: Postgres | None = None
        print(_row(COLUMNS))
        for order in _orders(given):
            if order.database == "postgres" and server is None:
                server = Postgres(closing.enter_context(postgres(KILLABLE)))
            results.append(play(order, server))
            print(_row([_shown(getattr(results[-1], name)) for name in COLUMNS]), flush=True)
            for words in results[-1].broken:
                print(f"  BROKEN: {words}", flush=True)
            given.out.write_text(json.dumps([each.as_json() for each in results], indent=1) + "\n")
    return int(any(each.broken for each in results))


def play(order: Order, server: Postgres | None) -> Result:
    """Play one scenario."""
    started = time.monotonic()
    with staged(order, server) as stage:
        try:
            result = SCENARIOS[order.scenario].play(stage)
        except (TimeoutError, AssertionError) as error:
            result = stage.result
            result.broken.append(f"it did not end: {error}")
        if result.broken:
            result.broken += [log.read_text(errors="replace")[-1500:] for log in stage.folder.glob("*/tree.log")]
    result.seconds = round(time.monotonic() - started, 1)
    return result


def _orders(given: argparse.Namespace) -> Iterator[Order]:
    for name in given.scenario or SCENARIOS:
        scenario = SCENARIOS[name]
        number = given.n or (scenario.quick if given.quick else scenario.number)
        kills = given.kills or (scenario.quick_kills if given.quick else scenario.kills)
        for database, policy in _pairs(given, scenario):
            yield Order(name, database, policy, number, kills)


def _pairs(given: argparse.Namespace, scenario: Scenario) -> Sequence[tuple[str, str]]:
    """Return the databases and policies to play on."""
    if given.quick and not (given.database or given.policy):
        return scenario.hasty
    databases, policies = given.database or scenario.databases, given.policy or scenario.policies
    return [(database, policy) for database in databases if database in scenario.databases for policy in policies]


def _row(cells: Sequence[str]) -> str:
    """Return a line of the table: names to the left, numbers to the right."""
    named = [f"{cell:<{width}}" for cell, width in zip(cells, (max(map(len, SCENARIOS)), 8, 11), strict=False)]
    counted = [f"{cell:>{len(name)}}" for cell, name in zip(cells, COLUMNS, strict=True)][len(named) :]
    return "  ".join((*named, *counted))


def _shown(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make test-faults", description="Break things while mail is being sent; count who was reached."
    )
    parser.add_argument("--scenario", action="append", choices=SCENARIOS, help="this one alone (may be given several times)")
    parser.add_argument("--database", action="append", choices=BOTH)
    parser.add_argument("--policy", action="append", choices=POLICIES)
    parser.add_argument("--n", type=int, default=0, help="deliveries; each scenario has a number of its own")
    parser.add_argument("--kills", type=int, default=0, help="how often something breaks")
    parser.add_argument("--quick", action="store_true", help="everything small, in less than four minutes")
    parser.add_argument("--out", type=Path, default=Path("faults.json"), help="where the figures go (faults.json)")
    parser.add_argument("--list", action="store_true", help="list the scenarios")
    return parser


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started is ended then, too
    sys.exit(main(sys.argv[1:]))
