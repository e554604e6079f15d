"""`python -m bench`: run the cases, print a table, write bench.json."""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import places
from bench.cases import CASES, Floor
from bench.measure import Yardstick
from bench.results import Result, table

ROUNDS = 3


def main(arguments: Sequence[str]) -> None:
    """Do what the command line asks for."""
    given = _parser().parse_args(arguments)
    if given.list:
        for name, case in CASES.items():
            print(f"{name:12} {(case.run.__doc__ or '').splitlines()[0]}")
        return
    results = run(given.case or list(CASES), number=given.n, rounds=given.rounds, quick=given.quick, out=given.out)
    print(f"\n{table(results)}\n\nThe figures and all repetitions: {given.out}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench", description="What sending a message costs, beside what it must cost.")
    parser.add_argument("--case", action="append", choices=CASES, help="run this one alone (may be given several times)")
    parser.add_argument("--n", type=int, default=0, help="messages; each case has a number of its own")
    parser.add_argument("--rounds", type=int, default=0, help=f"repetitions in turns ({ROUNDS}; with --quick 2)")
    parser.add_argument("--quick", action="store_true", help="everything small: for a look, not for a figure to quote")
    parser.add_argument("--out", type=Path, default=Path("bench.json"), help="where the figures go (bench.json)")
    parser.add_argument("--list", action="store_true", help="list the cases")
    return parser


def run(cases: Sequence[str], *, number: int = 0, rounds: int = 0, quick: bool = False, out: Path) -> list[dict[str, Any]]:
    """Run cases, say of each how it stands, and write the figures to `out` after each; return them."""
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="newsletter-bench-") as name, places.postgres_server() as server:
        folder = Path(name)
        key = places.make_key(folder / "key.pem")
        floor = Floor(server, folder, key, Yardstick(key), rounds or (2 if quick else ROUNDS))
        for case in cases:
            chosen = CASES[case]
            result = chosen.run(floor, number or (chosen.quick if quick else chosen.number))
            results.append(result.as_json())
            out.write_text(json.dumps(results, ensure_ascii=False, indent=1) + "\n")
            _say(result)
    return results


def _say(result: Result) -> None:
    load = os.getloadavg()[0]
    print(f"{result.case} (load {load:.1f} on {os.cpu_count()} cores)")
    for aim in result.aims:
        print(f"  {aim}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
