"""The engine: one process, one event loop, many connections; every delivery it takes ends in the ledger.

The pool's connections pull: `next` hands out a delivery of the window, `begin` journals it and returns its bytes, `ended`
takes the answer. Beside them runs one exchange with the database at a time (`Books`), in a thread: it brings the outcomes
in and the next deliveries out. What is handed out is never older than the last look allows, and never begins so late that
its answer could outlive its lease; while an answer is waited for, the lease is renewed.

An outcome that the database cannot be told is in the journal until it can. What has not begun needs no journal: whoever
looks next, this process or the one that settles its journal, gives back what stands under its name.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

import structlog

from newsletter.deliveries.books import PERSONS_EVERY, Books, Exchanged, Wanted
from newsletter.deliveries.journal import Journal, JournalFull
from newsletter.deliveries.ledger import LEASES, Claimed, Leases, Outcome
from newsletter.deliveries.mailer import Mailer
from newsletter.deliveries.outcomes import blames_our_guess, outcome_of, verdict_of
from newsletter.deliveries.ways import OpenWay, Way
from newsletter.errors import NewsletterError, RelayUnavailable, Reply
from newsletter.lifecycle import DeliveryEvent
from newsletter.mail.headers import needs_smtputf8
from newsletter.mail.smtp import Answer, Kind, Parcel

log = structlog.get_logger()
_MARGIN = 1.1  # what messages of a group may differ by, when one's size is announced by another's
MARK_WITHIN = 1.0  # seconds until an outcome is brought to the ledger
_NOT_MADE = timedelta(minutes=5)  # until a message that could not be made is tried again; each time twice as long
_NOT_MADE_MOST = timedelta(hours=2)
Result = TypeVar("Result")


@dataclass(frozen=True)
class Pace:
    """How much an engine takes at a time, and for how long."""

    budget: timedelta = timedelta(seconds=60)
    batch: int = 500  # claimed at a time
    window: int = 48  # in `sending` at most: six times the connections
    persons_every: timedelta = timedelta(seconds=PERSONS_EVERY)  # how often those who wait in person are looked for
    grace: timedelta = timedelta(minutes=11)  # for the last answers: 10 minutes (RFC 5321 section 4.5.3.2.6) and a margin
    leases: Leases = LEASES


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


@dataclass(slots=True, eq=False)
class _Taken:
    """A delivery of the window: when it was looked at, and how far it has come."""

    row: Claimed
    looked_at: float  # ticks
    leased_at: float  # ticks
    begin_by: datetime  # by the clock of the lease: that of the wall, which may be set
    content: bytes = b""  # where it was made before it was asked for
    begun: bool = False
    owed: bool = True  # False: the ledger has skipped it meanwhile, or somebody else has it
    outcome: Outcome | None = None  # decided before the connection says how it ended


@dataclass
class Engine:
    """A drain under way: the feed of its connections, and the loop that keeps the ledger."""

    books: Books
    mailer: Mailer
    journal: Journal
    pace: Pace
    stopping: Callable[[], bool]
    watch: Callable[[DrainReport], None]
    report: DrainReport = field(default_factory=DrainReport)
    _ready: deque[_Taken] = field(default_factory=deque)  # in the window, not handed to a connection
    _taken: dict[int, _Taken] = field(default_factory=dict)  # the whole window
    _outcomes: list[Outcome] = field(default_factory=list)  # not brought to the ledger yet
    _distrusted: set[tuple[object, ...]] = field(default_factory=set)  # of which a message could not be made, or was too big
    _sizes: dict[tuple[object, ...], int] = field(default_factory=dict)  # bytes of the largest message of a group
    _relay: RelayUnavailable | None = None  # why the relay is left alone
    _failure: Exception | None = None  # why the drain breaks off; raised when all is accounted for
    _closing: bool = False  # nothing is handed out or begun any more
    _dry: bool = False  # there was nothing to fill the window with: room in it is no reason to ask before the next second
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    # What the connections call

    def next(self) -> Parcel | None:
        """Hand out the next delivery of the window."""
        while self._ready and not self._closing:
            if not self._is_fresh(self._ready[0], self.books.clock()):
                self._news.set()  # a second look is due first
                return None
            parcel = self._parcel(self._ready.popleft())
            if parcel is not None:
                return parcel
        return None

    def begin(self, parcel: Parcel) -> bytes | None:
        """Make the message, write down that it begins, and return it; None where it must not begin."""
        taken, now = self._taken[parcel.id], self.books.clock()
        if self._closing or not taken.owed or not self._is_fresh(taken, now):
            return None
        content = taken.content or self._made(taken, now)
        if content:
            try:
                self.journal.begun(parcel.id)
            except JournalFull as error:
                self._fail(error)
                return None
            taken.begun, taken.content = True, b""
        return content or None

    def ended(self, parcel: Parcel, answer: Answer) -> None:
        """Take the answer for a delivery: into the journal if it had begun, and onto the list for the ledger."""
        taken = self._taken[parcel.id]
        if blames_our_guess(parcel, answer):  # the next time it is asked with what it is
            self._distrusted.add(_group(taken.row))
            answer = Answer(Kind.RETURNED, answer.reply)
        if taken.begun:
            self.journal.ended(parcel.id, answer.reply)
            if answer.kind is Kind.REFUSED and not answer.reply.code:  # our own finding, and it cost the connection
                self._distrusted.add(_group(taken.row))
        if taken.outcome is None:
            verdict = verdict_of(answer, attempts=taken.row.attempts)
            self.books.gate.note(taken.row, verdict, answer.reply)
            taken.outcome = outcome_of(parcel.id, verdict, answer.reply)
        self._end(taken, taken.outcome)

    def troubled(self, error: Exception) -> None:
        """Hear that the relay sent us away: this drain ends, the next one tries again. Any other error breaks it off."""
        if isinstance(error, RelayUnavailable):
            log.warning("relay_unavailable", error=str(error))
            self.books.gate.troubled(error.reply)
            self._relay = self._relay or error
            self.report.relay_away = str(self._relay)
            self._closing = True
            self._news.set()
        else:
            self._fail(error)

    # Steps

    def _is_fresh(self, taken: _Taken, now: datetime) -> bool:
        return self.books.ticks() - taken.looked_at <= self.pace.leases.look_holds and now <= taken.begin_by

    def _parcel(self, taken: _Taken) -> Parcel | None:
        """Return the envelope; None, and the delivery ended, where it cannot be made. One bad row must not stop the rest."""
        row = taken.row
        try:
            if _group(row) in self._distrusted:
                taken.content = self.mailer.message(row, now=self.books.clock()).content
            sender, unicode = self.mailer.return_path(row), needs_smtputf8(row.address)
        except Exception as error:  # noqa: BLE001 -- told by `_not_made`
            self._end(taken, _not_made(row, error))
            return None
        about, domain = int(self._sizes.get(_group(row), 0) * _MARGIN), row.address.rpartition("@")[2]
        return Parcel(row.id, sender, row.address, len(taken.content), about, unicode, domain, clean=True)

    def _made(self, taken: _Taken, now: datetime) -> bytes:
        """Return the message; nothing, and the outcome decided, where it cannot be made.

        The server waits for it already, so this costs the connection. The next of its kind are made before they are named.
        """
        row = taken.row
        try:
            content = self.mailer.message(row, now=now).content
        except Exception as error:  # noqa: BLE001 -- told by `_not_made`
            taken.outcome = _not_made(row, error)
            self._distrusted.add(_group(row))
            return b""
        if len(content) > self._sizes.get(_group(row), 0):
            self._sizes[_group(row)] = len(content)
        return content

    def _end(self, taken: _Taken, outcome: Outcome) -> None:
        del self._taken[taken.row.id]
        if taken.owed or taken.begun:
            self.report.count(outcome.event)
            is_returned = outcome.event is DeliveryEvent.GIVE_BACK
            self._outcomes.append(outcome._replace(attempt=taken.row.attempts + 1) if is_returned else outcome)
        if not self._taken or (self._room() * 3 >= self.pace.window and not self._dry):
            self._news.set()

    def _room(self) -> int:
        return self.pace.window - len(self._taken)

    def _fail(self, error: Exception) -> None:
        self._failure = self._failure or error
        self._closing = True
        self._news.set()

    # The loop

    async def run(self, open_way: OpenWay) -> DrainReport:
        """Send what is due until nothing is, the budget is spent, the relay sends us away, or `stopping` says so.

        Raises what broke it off: the database that stays away, the journal that is full, a bug. All is accounted for then,
        or will be: by the journal.
        """
        until, grace = self.books.ticks() + self.pace.budget.total_seconds(), self.pace.grace.total_seconds()
        with ThreadPoolExecutor(1, "ledger") as thread:
            way = open_way(self, self.troubled)
            try:
                while not self._finished(until) and await self._round(thread, way):
                    pass
            except asyncio.CancelledError:
                grace = 0
                raise
            except Exception as error:  # noqa: BLE001 -- raised below, when all is accounted for
                self._fail(error)
            finally:
                await self._wind_up(thread, way, grace)
        self.report.skipped = self.books.skipped
        if self._failure is not None:
            raise self._failure
        return self.report

    def _finished(self, until: float) -> bool:
        self.report.skipped = self.books.skipped
        self.watch(self.report)
        if self._closing:
            return True
        if self.stopping() or self.books.ticks() >= until:
            self.report.more = True
            return True
        return False

    async def _round(self, thread: ThreadPoolExecutor, way: Way) -> bool:
        """Exchange outcomes for deliveries, then wait until there is reason for another round; False when all is done."""
        self._news.clear()
        wanted = self._wanted()
        found = await self._in(thread, lambda: self._exchange(wanted), wanted.outcomes)
        self._look_again(wanted, found)
        self._take(found)
        self._dry = found.nothing_left
        if self._ready and not self._closing:
            way.wake()
        if found.nothing_left and not self._taken and not self._outcomes:
            return False
        if not found.at_once:
            await self._pause()
        return True

    def _wanted(self) -> Wanted:
        outcomes, self._outcomes = self._outcomes, []
        tick, now = self.books.ticks(), self.books.clock()
        old, leased = tick - self.pace.leases.look_holds / 2, tick - self.pace.leases.renew_after
        again, renew = [], []
        for number, taken in self._taken.items():
            if taken.begun and taken.leased_at < leased:
                renew.append(number)
            elif not taken.begun and (taken.looked_at < old or now > taken.begin_by):
                again.append(number)
        return Wanted(outcomes, self._room(), [taken.row for taken in self._taken.values()], again, renew)

    def _exchange(self, wanted: Wanted) -> Exchanged:
        """Run in the ledger's thread: the exchange, and the disk's share of the journal."""
        found = self.books.exchange(wanted)
        if self.journal.sync_due:
            self.journal.sync()
        return found

    def _look_again(self, wanted: Wanted, found: Exchanged) -> None:
        """Note what the second look saw, and which leases are longer now."""
        for number in wanted.renew:
            if number in self._taken:
                self._taken[number].leased_at = self.books.ticks()
        for number in wanted.again:
            taken = self._taken.get(number)
            if taken is None:
                continue
            if number in found.owed:
                taken.looked_at = taken.leased_at = found.looked_at
                taken.begin_by = found.begin_by
            else:
                taken.owed = False
                if not taken.begun:  # nor will it be: whoever thinks that it was may hear it
                    self._outcomes.append(_unbegun(taken.row))
                if taken in self._ready:
                    self._ready.remove(taken)
                    del self._taken[number]

    def _take(self, found: Exchanged) -> None:
        """Put into the window what may begin now, but nothing of ours that had ended up in the queue meanwhile.

        What is in the window is in the air; what ended while the ledger was asked has an outcome that it will be told next.
        """
        told = {outcome.delivery_id for outcome in self._outcomes}
        for row in found.begun:
            if row.id not in self._taken and row.id not in told:
                taken = self._taken[row.id] = _Taken(row, found.looked_at, found.looked_at, found.begin_by)
                self._ready.append(taken)

    async def _pause(self) -> None:
        """Wait for news, not longer than an outcome may wait to be recorded."""
        with suppress(TimeoutError):
            async with asyncio.timeout(MARK_WITHIN):
                await self._news.wait()

    async def _wind_up(self, thread: ThreadPoolExecutor, way: Way, grace: float) -> None:
        """Let what is in the air end, and record it as it does; give back the rest."""
        self._closing = True
        for taken in self._ready:
            self._end(taken, self._left_over(taken))
        self._ready.clear()
        closing = asyncio.ensure_future(way.close(grace))
        while not (await asyncio.wait({closing}, timeout=MARK_WITHIN))[0]:
            await self._leave(thread)
        if not closing.cancelled() and (error := closing.exception()) is not None:
            self._fail(error if isinstance(error, Exception) else RuntimeError(repr(error)))
        for taken in list(self._taken.values()):
            self._lose(taken)
        await self._leave(thread)
        await asyncio.get_running_loop().run_in_executor(thread, self.journal.sync)

    def _left_over(self, taken: _Taken) -> Outcome:
        """Return what becomes of a delivery that no connection was handed: the relay's words stand by it, if it had any."""
        if self._relay is not None:
            why = f"the relay was away: {self._relay}"
            return Outcome(taken.row.id, DeliveryEvent.GIVE_BACK, reason=why, reply=self._relay.reply)
        return Outcome(taken.row.id, DeliveryEvent.GIVE_BACK)

    def _lose(self, taken: _Taken) -> None:
        """End what a way that broke never told the end of."""
        number = taken.row.id
        if taken.begun:
            self.journal.ended(number, Reply(0, "", "its end was never told", "", "dot"))
        event = DeliveryEvent.LOSE if taken.begun else DeliveryEvent.GIVE_BACK
        self._end(taken, Outcome(number, event, reason="sending broke off"))

    async def _leave(self, thread: ThreadPoolExecutor) -> None:
        """Bring the outcomes in and let go of what is not in the air; what cannot be told now stays in the journal."""
        outcomes, self._outcomes = self._outcomes, []
        in_air = [number for number, taken in self._taken.items() if taken.begun]
        try:
            await self._in(thread, lambda: self.books.leave(outcomes, in_air), outcomes)
        except Exception as error:  # noqa: BLE001 -- the drain raises it
            self._fail(error)

    async def _in(self, thread: ThreadPoolExecutor, work: Callable[[], Result], outcomes: Sequence[Outcome]) -> Result:
        """Do the work of the ledger's thread; what it could not record is kept for another try."""
        try:
            done = await asyncio.get_running_loop().run_in_executor(thread, work)
        except BaseException:
            self._outcomes[:0] = outcomes
            raise
        self.journal.settled(outcome.delivery_id for outcome in outcomes)
        return done


def _group(row: Claimed) -> tuple[object, ...]:
    """Return what messages are made of alike: what breaks one of them breaks all."""
    return row.newsletter_id, row.issue_id, row.kind


def _unbegun(row: Claimed) -> Outcome:
    return Outcome(row.id, DeliveryEvent.GIVE_BACK, attempt=row.attempts + 1)


def _not_made(row: Claimed, error: Exception) -> Outcome:
    """Return what becomes of a delivery whose message cannot be made: never, where we know why; later, where it is a bug."""
    if isinstance(error, NewsletterError):
        return Outcome(row.id, DeliveryEvent.REFUSE, reason=f"it could not be made: {error}")
    log.error("mail_not_made", delivery=row.id, kind=row.kind.value, exc_info=error)
    again = min(_NOT_MADE * 2 ** min(row.attempts, 10), _NOT_MADE_MOST)
    return Outcome(row.id, DeliveryEvent.PUT_OFF, reason=f"it could not be made: {error!r}", again_in=again)
