"""Sending what is due for at most a minute at a time: the engine, run to its end in an event loop of its own."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from newsletter.db import Sessions
from newsletter.deliveries import pauses
from newsletter.deliveries.books import Books, ticks
from newsletter.deliveries.brakes import Brakes
from newsletter.deliveries.engine import DrainReport, Engine, Pace
from newsletter.deliveries.gate import Gate
from newsletter.deliveries.journal import Journal
from newsletter.deliveries.mailer import Mailer
from newsletter.deliveries.outcomes import outcome_of_reply
from newsletter.deliveries.ways import OpenWay
from newsletter.limits import NO_LIMITS, Limits

FULL_PACE = Pace()


def drain(  # noqa: PLR0913 -- the parts it works with
    sessions: Sessions,
    way: OpenWay,
    mailer: Mailer,
    journal: Journal,
    *,
    clock: Callable[[], datetime],
    backup: OpenWay | None = None,
    brakes: Brakes | None = None,
    limits: Limits = NO_LIMITS,
    pace: Pace = FULL_PACE,
    stopping: Callable[[], bool] = lambda: False,
    watch: Callable[[DrainReport], None] = lambda _: None,
) -> DrainReport:
    """Send what is due until nothing is, the budget is spent, the relay sends us away, or `stopping` says so.

    Goes over the backup while the relay is paused. What was claimed and not begun is given back. The journal's worker name
    is this process's among all others: one drain at a time; `brakes` are this process's, too. `watch` sees the report once
    a round, a second apart at the most. Raises what `Engine.run` does.
    """
    report, until = DrainReport(), ticks() + pace.budget.total_seconds()
    given = brakes or Brakes()
    for out in (way, backup):
        if out is None:
            continue
        report.relay_away = _paused(sessions, out, clock())
        if report.relay_away:
            continue
        gate = Gate(out.name, journal.worker, pace.window, given, limits)
        left = replace(pace, budget=timedelta(seconds=max(0.0, until - ticks())))
        books = Books(sessions, mailer, gate, journal.worker, clock, pace.batch, pace.persons_every.total_seconds(), pace.leases)
        _catch_up(books, journal)
        with gate.leased(out.connections) as connections:
            if connections:
                open_way = out.narrowed(connections)
                asyncio.run(Engine(books, mailer, journal, left, stopping, watch, report).run(open_way))
        report.relay_away = report.relay_away or _paused(sessions, out, clock())
        if not report.relay_away:
            break
    return report


def _paused(sessions: Sessions, way: OpenWay, now: datetime) -> str:
    """Return in words that a relay is paused, "" if it is not."""
    with sessions.read() as session:
        until = pauses.active(session, now=now).relay_paused(way.name)
    return f"{way.name} is paused until {until:%H:%M:%S} UTC" if until else ""


def _catch_up(books: Books, journal: Journal) -> None:
    """Tell the ledger what an earlier drain of this process could not tell it, and give back what that one had in hand."""
    late = [outcome_of_reply(number, reply, attempts=1) for number, reply in journal.unsettled().items()]
    books.leave(late, journal.under_way)
    journal.settled(outcome.delivery_id for outcome in late)
