"""Sending what is due for at most a minute at a time: the engine, run to its end in an event loop of its own."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from newsletter.db import Sessions
from newsletter.deliveries.books import Books
from newsletter.deliveries.engine import DrainReport, Engine, OpenWay, Pace
from newsletter.deliveries.journal import Journal
from newsletter.deliveries.mailer import Mailer
from newsletter.deliveries.outcomes import outcome_of_reply

FULL_PACE = Pace()


def drain(  # noqa: PLR0913 -- the parts it works with
    sessions: Sessions,
    way: OpenWay,
    mailer: Mailer,
    journal: Journal,
    *,
    clock: Callable[[], datetime],
    pace: Pace = FULL_PACE,
    stopping: Callable[[], bool] = lambda: False,
    watch: Callable[[DrainReport], None] = lambda _: None,
) -> DrainReport:
    """Send what is due until nothing is, the budget is spent, the relay sends us away, or `stopping` says so.

    What was claimed and not begun is given back. The journal's worker name is this process's among all others: one drain at
    a time. `watch` sees the report once a round, a second apart at the most. Raises what `Engine.run` does.
    """
    books = Books(sessions, mailer, journal.worker, clock, pace.batch, pace.persons_every.total_seconds(), pace.leases)
    _catch_up(books, journal)
    return asyncio.run(Engine(books, mailer, journal, pace, stopping, watch).run(way))


def _catch_up(books: Books, journal: Journal) -> None:
    """Tell the ledger what an earlier drain of this process could not tell it, and give back what that one had in hand."""
    late = [outcome_of_reply(number, reply, attempts=1) for number, reply in journal.unsettled().items()]
    books.leave(late, journal.under_way)
    journal.settled(outcome.delivery_id for outcome in late)
