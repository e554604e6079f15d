"""The sender without its memory: the same connections and the same messages, but no ledger and no journal."""

import asyncio
from collections.abc import Iterator
from dataclasses import fields

from sqlalchemy import select
from sqlmodel import col

from bench.sender import Spec, mailer_for, relay_for, utcnow
from newsletter import db
from newsletter.deliveries.ledger import Claimed
from newsletter.deliveries.mailer import Mailer
from newsletter.mail.smtp import Answer, Kind, Parcel, Pool
from newsletter.models import Delivery


class ListFeed:
    """Hands out deliveries from a list, and counts those that were taken."""

    def __init__(self, rows: list[Claimed], mailer: Mailer) -> None:
        """Take the deliveries."""
        self._rows: Iterator[Claimed] = iter(rows)
        self._left = len(rows)
        self._mailer = mailer
        self._out: dict[int, Claimed] = {}
        self.sent = 0
        self.done = asyncio.Event()

    def next(self) -> Parcel | None:
        """Hand out the next one."""
        row = next(self._rows, None)
        if row is None:
            return None
        self._out[row.id] = row
        sender = self._mailer.return_path(row)
        return Parcel(row.id, sender, row.address, needs_utf8=False, domain=row.address.rpartition("@")[2], clean=True)

    def begin(self, parcel: Parcel) -> bytes:
        """Make its message."""
        return self._mailer.message(self._out[parcel.id], now=utcnow()).content

    def ended(self, parcel: Parcel, answer: Answer) -> None:
        """Count it."""
        del self._out[parcel.id]
        self.sent += answer.kind is Kind.ACCEPTED
        self._left -= 1
        if not self._left:
            self.done.set()


def send_all(spec: Spec) -> int:
    """Read all deliveries from the database, send them and return how many were taken; nothing is written down."""
    mailer = mailer_for(spec)
    columns = [getattr(Delivery, each.name) for each in fields(Claimed)]
    with db.connect(spec.database).read() as session:
        rows = [Claimed(*row) for row in session.execute(select(*columns).order_by(col(Delivery.id)))]
        mailer.load(session, rows[:1])
    feed = ListFeed(rows, mailer)
    asyncio.run(_send(spec, feed))
    return feed.sent


async def _send(spec: Spec, feed: ListFeed) -> None:
    async with Pool(relay_for(spec), feed, connections=spec.connections) as pool:
        pool.wake()
        await feed.done.wait()
        await pool.drain()
