"""Readers brought in from a file: `python -m bench.imports DATABASE FILE`, whose cost is printed as JSON."""

import csv
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from bench.measure import Run, database_cpu, in_turns, median, together
from bench.places import on_postgres, on_sqlite
from bench.results import Aim, Result
from bench.sender import Cost, measured
from newsletter import db
from newsletter.models import Newsletter
from newsletter.subscribers import Policy, importing
from newsletter.subscribers.csv_files import open_sheet
from newsletter.subscribers.import_queries import Plan
from newsletter.subscribers.wishes import recognise

if TYPE_CHECKING:
    from bench.cases import Floor
    from bench.places import Place

_SHARE = 5  # the small file beside the large one
_ZONES = ("Asia/Seoul", "Europe/Berlin", "America/New_York", "")


def case(floor: "Floor", number: int) -> Result:
    """Import readers on SQLite and PostgreSQL, consent on record; a fifth of them beside all, for the memory."""
    now = datetime.now(UTC)
    with (
        tempfile.TemporaryDirectory(dir=floor.folder) as folder,
        on_sqlite(readers=1, now=now) as lite,
        on_postgres(floor.server, "imports", readers=1, now=now) as post,
    ):
        ways: dict[str, Callable[[], Run]] = {}
        for name, place in (("PostgreSQL", post), ("SQLite", lite)):
            ways[name] = _fresh(place, Path(folder), number)
            ways[f"{name}, a fifth"] = _fresh(place, Path(folder), number // _SHARE)
        runs = in_turns(floor.rounds, floor.yardstick, ways)
    aims = []
    for name in ("PostgreSQL", "SQLite"):
        rate = 1 / median([run.per_message + run.database_cpu_s / run.messages for run in runs[name]])  # the machine is shared
        more = max(run.peak_mb for run in runs[name]) - max(run.peak_mb for run in runs[f"{name}, a fifth"])
        aims += [
            Aim(f"rows a second of CPU, {name}", rate, 3_000, most=False),
            Aim(f"MB more than for a fifth, {name}", more, 10),
        ]
    return Result("import", runs, aims)


def _fresh(place: "Place", folder: Path, number: int) -> Callable[[], Run]:
    """Return what imports readers whom the place does not know."""
    turn = 0

    def way() -> Run:
        nonlocal turn
        turn += 1
        file = write(folder / "readers.csv", number, f"{number}-{turn}")
        before = database_cpu(place.postgres_pid)
        command = [sys.executable, "-m", "bench.imports", place.url, str(file)]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        run = together([Cost(**json.loads(said))])
        if run.details != {"add active": number}:
            raise RuntimeError(f"{number} readers came to {run.details}")
        return Run(**{**asdict(run), "database_cpu_s": database_cpu(place.postgres_pid) - before})

    return way


def write(path: Path, number: int, which: str) -> Path:
    """Write a file of so many readers as Mailchimp exports them."""
    start = datetime(2020, 1, 1, tzinfo=UTC)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("Email Address", "First Name", "MEMBER_RATING", "OPTIN_TIME", "OPTIN_IP", "TIMEZONE", "LEID", "TAGS"))
        for row in range(number):
            joined = (start + timedelta(minutes=row)).strftime("%Y-%m-%d %H:%M:%S")
            address = f"reader{row}-{which}@inbox{row % 97}.example.net"
            writer.writerow((address, f"Reader {row}", 2, joined, "192.0.2.7", _ZONES[row % len(_ZONES)], row, ""))
    return path


def bring_in(url: str, path: Path) -> tuple[int, dict[str, Any]]:
    """Import a file; return how many rows came to what."""
    sessions = db.connect(url)
    with sessions.read() as session:
        known = {row.slug: row for row in session.scalars(select(Newsletter))}
    plan = Plan(known, path.name, "daily", "a form of the benchmarks")
    policy, counts = Policy(b"a secret of the benchmarks, of no use elsewhere"), dict[str, int]()
    with open_sheet(path) as sheet:
        form = recognise(sheet.columns, path)
        for chunk in importing.run(sessions, sheet, form, plan, policy, now=datetime.now(UTC)):
            for told in chunk:
                counts[told.outcome.value] = counts.get(told.outcome.value, 0) + 1
    sessions.engine.dispose()
    return sum(counts.values()), counts


if __name__ == "__main__":
    print(json.dumps(asdict(measured(lambda: bring_in(sys.argv[1], Path(sys.argv[2]))))))
