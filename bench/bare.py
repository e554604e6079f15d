"""The sender without its memory: the same engine, connections and messages, but no ledger and no journal."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlmodel import col

from bench.sender import Spec, mailer_for, pace_for, relay_for, utcnow
from newsletter import db, deliveries
from newsletter.deliveries.books import Books, Exchanged, Wanted
from newsletter.deliveries.brakes import Brakes
from newsletter.deliveries.engine import Engine
from newsletter.deliveries.gate import Gate
from newsletter.deliveries.journal import Journal
from newsletter.deliveries.ledger import Claimed, Outcome
from newsletter.errors import Reply
from newsletter.limits import NO_LIMITS
from newsletter.models import Delivery

WORKER = "bench"


@dataclass
class ListBooks(Books):
    """Hands out deliveries from a list, and writes nothing down."""

    rows: list[Claimed] = field(default_factory=list)  # still to send, the last first

    def exchange(self, wanted: Wanted) -> Exchanged:
        """Take as many as there is room for."""
        self.gate.ended(wanted.outcomes, now=self.clock())
        taking = [self.rows.pop() for _ in range(min(wanted.room, len(self.rows)))]
        begin_by = self.clock() + self.leases.begin_within
        owed = {*(row.id for row in taking), *wanted.again}
        return Exchanged(taking, owed, not self.rows, looked_at=self.ticks(), begin_by=begin_by)

    def leave(self, outcomes: Sequence[Outcome] = (), in_air: Sequence[int] = ()) -> None:
        """Forget the outcomes."""
        del in_air
        self.gate.ended(outcomes, now=self.clock())


class NoJournal(Journal):
    """Writes nothing down."""

    sync_due = False

    def __init__(self) -> None:
        """Have no file."""
        self.worker = WORKER

    def begun(self, delivery_id: int) -> None:
        """Forget that a message begins."""

    def ended(self, delivery_id: int, reply: Reply) -> None:
        """Forget how it ended."""

    def settled(self, delivery_ids: Iterable[int]) -> None:
        """Have nothing to forget."""

    def sync(self) -> None:
        """Have nothing to bring to the disk."""


def send_all(spec: Spec) -> int:
    """Read all deliveries from the database, send them and return how many were taken; nothing is written down."""
    sessions, mailer = db.connect(spec.database), mailer_for(spec)
    columns = [getattr(Delivery, name) for name in Claimed._fields if name != "wish"]  # everybody gets everything
    with sessions.read() as session:
        rows = [Claimed(*row) for row in session.execute(select(*columns).order_by(col(Delivery.id).desc()))]
        mailer.load(session, rows[:1])
    pace, way = pace_for(spec), deliveries.over(relay_for(spec), connections=spec.connections)
    gate = Gate(way.name, WORKER, pace.window, Brakes(), NO_LIMITS)
    books = ListBooks(sessions, mailer, gate, WORKER, utcnow, pace.batch, rows=rows)
    engine = Engine(books, mailer, NoJournal(), pace, stopping=lambda: False, watch=lambda _: None)
    return asyncio.run(engine.run(way.narrowed(spec.connections))).sent
