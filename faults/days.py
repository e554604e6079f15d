"""Live through many days in a row and count what came of every paper: `python faults/days.py`, or `make test-days`."""

import argparse
import json
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path

from almanac import FIRST, almanac, at
from audience import gather
from clockwork import Clock
from helpers import Postgres, scratch
from post import Post
from reckoning import Account, reckon
from sites import sites_of
from works import Works, works_of

from newsletter import db
from tests.postgres_server import postgres


def main(arguments: Sequence[str]) -> int:
    """Do what the command line asks for; return 1 where a promise was broken."""
    given = _parser().parse_args(arguments)
    accounts = []
    for database in given.database or ["sqlite", "postgres"]:
        account = live(given, database)
        accounts.append(account)
        print(account.table(), flush=True)
        for words in account.broken:
            print(f"  BROKEN: {words}", flush=True)
        given.out.write_text(json.dumps([each.as_json() for each in accounts], indent=1, ensure_ascii=False) + "\n")
    return int(any(each.broken for each in accounts))


def live(given: argparse.Namespace, database: str) -> Account:
    """Live through the days on one database."""
    began = time.monotonic()
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        known = almanac(given.days, given.seed, given.corpus)
        clock = Clock(folder / "clock")
        clock.set(at(FIRST, 0))
        url = f"sqlite:///{folder / 'newsletter.sqlite3'}"
        if database == "postgres":
            url = Postgres(stack.enter_context(postgres())).make()
        sessions = db.connect(url)
        stack.callback(sessions.engine.dispose)
        db.migrate(sessions)
        audience = gather(sessions, now=at(FIRST, 0))
        sites = stack.enter_context(sites_of(known, clock))
        post = stack.enter_context(Post.open())
        step = timedelta(minutes=given.step)
        works = stack.enter_context(
            works_of(folder, sites, database=url, mail_port=post.port, children=given.children, step=step)
        )
        problem = ""
        try:
            works.live_through(given.days + given.after, _teller(works, quiet=given.quiet))
        except (TimeoutError, AssertionError) as error:
            problem = f"it did not end: {error}"
        if given.log:
            given.log.write_bytes(works.log.read_bytes())
        account = reckon(sessions, known, audience, sites, post, works)
        if problem:
            account.broken.append(problem)
    named = {"database": database, "days": given.days, "seed": given.seed, "minutes a step": given.step}
    account.figures = {**named, "seconds": round(time.monotonic() - began), **account.figures}
    return account


def _teller(works: Works, *, quiet: bool) -> "Teller":
    return Teller(works, quiet=quiet)


class Teller:
    """Says how far it is, a line a day."""

    def __init__(self, works: Works, *, quiet: bool) -> None:
        """Begin the count of seconds."""
        self._works, self._quiet, self._began = works, quiet, time.monotonic()

    def __call__(self, now: datetime) -> None:
        """Say it at each day's beginning."""
        if now.hour == 0 and now.minute == 0 and not self._quiet:
            spent = {name: round(value) for name, value in self._works.seconds.items()}
            print(f"  {now:%a %Y-%m-%d} after {time.monotonic() - self._began:6.0f} s {spent}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make test-days", description="Live through many days in a row, and count.")
    parser.add_argument("--days", type=int, default=60, help="days of lists (60)")
    parser.add_argument("--after", type=int, default=3, help="further days without any, in which what is late still comes (3)")
    parser.add_argument("--seed", type=int, default=1, help="of papers, their days and all trouble (1)")
    parser.add_argument("--step", type=int, default=60, help="minutes from one tick of the clock to the next (60)")
    parser.add_argument("--children", type=int, default=0, help="processes of the worker's pool; 0: it works by itself")
    parser.add_argument("--database", action="append", choices=("sqlite", "postgres"))
    parser.add_argument("--corpus", type=Path, help="a folder of captured lists, shown on some of the days")
    parser.add_argument("--out", type=Path, default=Path("days.json"), help="where the figures go (days.json)")
    parser.add_argument("--log", type=Path, help="where what the worker said goes; else it is thrown away")
    parser.add_argument("--quiet", action="store_true", help="say nothing until the end")
    return parser


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started is ended then, too
    sys.exit(main(sys.argv[1:]))
