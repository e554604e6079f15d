"""The engine: one process, one event loop, many connections; every delivery it takes ends in the ledger.

The pool's connections pull: `next` hands out a delivery of the window, `begin` journals it and returns its bytes, `ended`
takes the answer. Beside them runs one exchange with the database at a time (`Books`), in a thread: it brings the outcomes
in and the next deliveries out. What is handed out is never older than the last look allows, and never begins so late that
its answer could outlive its lease.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol, TypeVar

import structlog

from newsletter.deliveries.books import Books, Exchanged
from newsletter.deliveries.journal import Journal, JournalFull
from newsletter.deliveries.ledger import Claimed, Outcome
from newsletter.deliveries.mailer import Mailer
from newsletter.deliveries.outcomes import outcome_of
from newsletter.errors import NewsletterError
from newsletter.lifecycle import DeliveryEvent
from newsletter.mail.headers import needs_smtputf8
from newsletter.mail.smtp import Answer, Feed, Parcel

log = structlog.get_logger()
LOOK_HOLDS = 10.0  # seconds: nothing is sent on knowledge older than this
MARK_WITHIN = 1.0  # seconds until an outcome is brought to the ledger
NOT_MADE = timedelta(minutes=5)  # until a message that could not be made is tried again
Result = TypeVar("Result")


class Way(Protocol):
    """A way out: connections to a relay that pull from a feed (`Pool`), or a blocking transport behind the same face."""

    def wake(self) -> None:
        """Ask the feed again: there is something new."""

    async def close(self, grace: float = 0) -> None:
        """Begin nothing more, wait at most `grace` seconds for the answers that are due, and close."""


OpenWay = Callable[[Feed, Callable[[Exception], None]], Way]


@dataclass(frozen=True)
class Pace:
    """How much an engine takes at a time, and for how long."""

    budget: timedelta = timedelta(seconds=60)
    batch: int = 500  # claimed at a time
    window: int = 16  # in `sending` at most: twice the connections
    grace: timedelta = timedelta(minutes=11)  # for the last answers: 10 minutes (RFC 5321 section 4.5.3.2.6) and a margin


@dataclass
class DrainReport:
    """What one drain did."""

    sent: int = 0
    failed: int = 0
    deferred: int = 0
    unknown: int = 0
    skipped: int = 0
    more: bool = False  # there was work left when it stopped
    relay_away: str = ""  # the relay's words, if it sent us away

    def count(self, event: DeliveryEvent) -> None:
        """Count an ending."""
        name = _COUNTED.get(event)
        if name:
            setattr(self, name, getattr(self, name) + 1)


_COUNTED = {
    DeliveryEvent.ACCEPT: "sent",
    DeliveryEvent.REFUSE: "failed",
    DeliveryEvent.PUT_OFF: "deferred",
    DeliveryEvent.LOSE: "unknown",
}


@dataclass(slots=True)
class _Taken:
    """A delivery of the window: when it was looked at, and how far it has come."""

    row: Claimed
    looked_at: float  # of `_now`
    begun: bool = False
    owed: bool = True  # False: the ledger has skipped it meanwhile
    outcome: Outcome | None = None  # decided before the connection says how it ended


def _now() -> float:
    """Return seconds of a clock that goes on while the machine is suspended: leases run out in the meantime."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@dataclass
class Engine:
    """A drain under way: the feed of its connections, and the loop that keeps the ledger."""

    books: Books
    mailer: Mailer
    journal: Journal
    clock: Callable[[], datetime]
    pace: Pace
    stopping: Callable[[], bool]
    watch: Callable[[DrainReport], None]
    report: DrainReport = field(default_factory=DrainReport)
    _ready: deque[int] = field(default_factory=deque)  # in the window, not handed to a connection
    _taken: dict[int, _Taken] = field(default_factory=dict)  # the whole window
    _outcomes: list[Outcome] = field(default_factory=list)  # not brought to the ledger yet
    _closing: bool = False
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    # What the connections call

    def next(self) -> Parcel | None:
        """Hand out the next delivery of the window."""
        while self._ready and not self._closing:
            taken = self._taken[self._ready.popleft()]
            row = taken.row
            try:
                sender = self.mailer.return_path(row)
                unicode = needs_smtputf8(row.address)
            except NewsletterError as error:
                self._end(row, Outcome(row.id, DeliveryEvent.REFUSE, reason=f"it could not be made: {error}"))
                continue
            return Parcel(row.id, sender, row.address, needs_utf8=unicode, domain=row.address.rpartition("@")[2], clean=True)
        return None

    def begin(self, parcel: Parcel) -> bytes | None:
        """Make the message, write down that it begins, and return it; None where it must not begin."""
        taken = self._taken[parcel.id]
        if not taken.owed or self._closing or _now() - taken.looked_at > LOOK_HOLDS:
            return None
        content = self._made(taken)
        if content is None:
            return None
        try:
            self.journal.begun(parcel.id)
        except JournalFull as error:
            self._stop(f"the journal is full: {error}")
            return None
        taken.begun = True
        return content

    def _made(self, taken: _Taken) -> bytes | None:
        """Return the message; None, and the outcome decided, where it cannot be made: one bad row must not stop the rest."""
        row = taken.row
        try:
            return self.mailer.message(row, now=self.clock()).content
        except NewsletterError as error:
            taken.outcome = Outcome(row.id, DeliveryEvent.REFUSE, reason=f"it could not be made: {error}")
        except Exception as error:
            log.exception("mail_not_made", delivery=row.id, kind=row.kind.value)
            why = f"it could not be made: {error!r}"
            taken.outcome = Outcome(row.id, DeliveryEvent.PUT_OFF, reason=why, again_in=NOT_MADE)
        return None

    def ended(self, parcel: Parcel, answer: Answer) -> None:
        """Take the answer for a delivery: into the journal if it had begun, and onto the list for the ledger."""
        taken = self._taken[parcel.id]
        if taken.begun:
            self.journal.ended(parcel.id, answer.reply)
        self._end(taken.row, taken.outcome or outcome_of(taken.row.id, answer, attempts=taken.row.attempts))

    def troubled(self, error: Exception) -> None:
        """Hear that the relay sent us away: this drain ends, the next one tries again."""
        log.warning("relay_unavailable", error=str(error))
        self._stop(str(error))

    def _end(self, row: Claimed, outcome: Outcome) -> None:
        if self._taken.pop(row.id).owed:
            self.report.count(outcome.event)
            self._outcomes.append(outcome)
        if (self.pace.window - len(self._taken)) * 3 >= self.pace.window:
            self._news.set()

    def _stop(self, why: str) -> None:
        self.report.relay_away = self.report.relay_away or why
        self._news.set()

    # The loop

    async def run(self, open_way: OpenWay) -> DrainReport:
        """Send what is due until nothing is, the budget is spent, the relay sends us away, or `stopping` says so."""
        until = _now() + self.pace.budget.total_seconds()
        with ThreadPoolExecutor(1, "ledger") as thread:
            way = open_way(self, self.troubled)
            try:
                while not self._finished(until) and await self._round(thread, way):
                    pass
            finally:
                self._closing = True
                await way.close(self.pace.grace.total_seconds())
                await self._in(thread, self._last_exchange)
        self.report.skipped = self.books.skipped
        return self.report

    def _finished(self, until: float) -> bool:
        self.report.skipped = self.books.skipped
        self.watch(self.report)
        if self.report.relay_away:
            return True
        if self.stopping() or _now() >= until:
            self.report.more = True
            return True
        return False

    async def _round(self, thread: ThreadPoolExecutor, way: Way) -> bool:
        """Exchange outcomes for deliveries, then wait until there is reason for another round; False when all is done."""
        self._news.clear()
        outcomes, self._outcomes = self._outcomes, []
        old = _now() - LOOK_HOLDS / 2
        again = [number for number, taken in self._taken.items() if taken.looked_at < old and not taken.begun]
        found = await self._in(thread, partial(self._exchange, outcomes, self.pace.window - len(self._taken), again))
        self.journal.settled(outcome.delivery_id for outcome in outcomes)
        self._look_again(again, found.owed)
        now = _now()
        for row in found.begun:
            self._taken[row.id] = _Taken(row, now)
            self._ready.append(row.id)
        if self._ready:
            way.wake()
        if found.nothing_left and not self._taken and not self._outcomes:
            return False
        await self._pause()
        return True

    def _exchange(self, outcomes: list[Outcome], room: int, again: list[int]) -> Exchanged:
        """Run in the ledger's thread: the exchange, and the disk's share of the journal."""
        found = self.books.exchange(outcomes, room, again)
        if self.journal.sync_due:
            self.journal.sync()
        return found

    def _look_again(self, again: list[int], owed: set[int]) -> None:
        """Note what the second look saw of those that have not begun."""
        now = _now()
        for number in again:
            taken = self._taken.get(number)
            if taken is not None and number in owed:
                taken.looked_at = now
            elif taken is not None:
                taken.owed = False
                if number in self._ready:
                    self._ready.remove(number)
                    del self._taken[number]

    async def _pause(self) -> None:
        """Wait for news, not longer than an outcome may wait to be recorded."""
        with suppress(TimeoutError):
            async with asyncio.timeout(MARK_WITHIN):
                await self._news.wait()

    def _last_exchange(self) -> None:
        """Bring the last outcomes in, and give back what was never handed to a connection."""
        self._outcomes += [Outcome(number, DeliveryEvent.GIVE_BACK) for number in self._ready]
        self._ready.clear()
        self.books.close(self._outcomes)
        self.journal.settled(outcome.delivery_id for outcome in self._outcomes)
        self.journal.sync()

    @staticmethod
    async def _in(thread: ThreadPoolExecutor, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(thread, work)
