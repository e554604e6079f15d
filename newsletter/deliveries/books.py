"""The engine's side of the ledger: one exchange a round, in a thread of its own, so that no connection waits for the database."""

import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import stamina
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlmodel import Session

from newsletter.db import Sessions
from newsletter.deliveries import doubts, ledger, pauses
from newsletter.deliveries.gate import Chosen, Gate
from newsletter.deliveries.ledger import LEASES, Claimed, Leases, Outcome
from newsletter.deliveries.mailer import Mailer
from newsletter.deliveries.pauses import Pauses
from newsletter.limits import Grant
from newsletter.models import Lane

PERSONS_EVERY = 1.0  # seconds: how often those who wait in person are looked for while a list is being sent
PATIENCE = 120.0  # seconds that a database may be away without the drain ending
_AWAY = (OperationalError, InterfaceError)


def ticks() -> float:
    """Return seconds of a clock that goes on while the machine is suspended: leases run out in the meantime."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Wanted(NamedTuple):
    """What the engine brings to an exchange, and what it would like."""

    outcomes: Sequence[Outcome] = ()
    room: int = 0  # for so many more
    window: Sequence[Claimed] = ()  # all it has: what their mails are made of is kept at hand
    again: Sequence[int] = ()  # of them, which are to be looked at once more
    renew: Sequence[int] = ()  # of them, which have begun and need a longer lease


class Exchanged(NamedTuple):
    """What an exchange brought: deliveries that may begin now, and which of all that were looked at are still owed."""

    begun: Sequence[Claimed] = ()
    owed: Collection[int] = ()
    nothing_left: bool = False  # there was room, and nothing to fill it now
    at_once: bool = False  # another exchange may bring more
    looked_at: float = 0.0  # ticks
    begin_by: datetime = datetime.max  # noqa: DTZ901 -- of an exchange without a look: nothing is begun by it


@dataclass
class Books:
    """What this process has claimed, and the way to exchange outcomes for deliveries to begin.

    An exchange that fails is repeated whole: recording twice changes nothing. Whether the database had done what it was
    asked when it went away is not known, so the next exchange first gives back what stands there under our name and is not
    in our hands.
    """

    sessions: Sessions
    mailer: Mailer
    gate: Gate
    worker: str
    clock: Callable[[], datetime]
    batch: int  # claimed at a time
    persons_every: float = PERSONS_EVERY  # seconds
    leases: Leases = LEASES
    ticks: Callable[[], float] = ticks
    claimed: deque[Claimed] = field(default_factory=deque)
    skipped: int = 0
    _persons_at: float | None = None
    _in_doubt: bool = False

    @stamina.retry(on=_AWAY, attempts=None, timeout=PATIENCE)
    def exchange(self, wanted: Wanted) -> Exchanged:
        """Record the outcomes; take as many deliveries as there is room for, persons first; take the last look at them.

        Raises OperationalError or InterfaceError when the database stays away.
        """
        if not (wanted.outcomes or wanted.room > 0 or wanted.again or wanted.renew):
            return Exchanged()
        in_doubt, self._in_doubt = self._in_doubt, True
        self.gate.ended(wanted.outcomes, now=self.clock())
        grant = self.gate.ask(self.claimed, wanted.room, now=self.clock())
        with self.sessions.begin() as session:
            session.connection()  # SQLite has one writer at a time: from here on it is us
            now = self.clock()
            ledger.record(session, wanted.outcomes, worker=self.worker, now=now)
            if in_doubt:
                self._reconcile(session, [row.id for row in (*wanted.window, *self.claimed)], now)
            chosen, persons_at = self._choose(session, wanted.room, grant, self.gate.look(session, now=now), now)
            taking = chosen.taking
            self.mailer.load(session, [*wanted.window, *taking])
            looked_at, ids = self.ticks(), [row.id for row in taking]
            look = self._look(session, ids, wanted.again, [row.id for row in taking if self.mailer.finds_nothing(row)], now)
            if lost := [number for number in ids if number not in look.owed]:
                ledger.give_back(session, lost, worker=self.worker, now=now)  # if its lease has run out, and nobody took it
            if wanted.renew:
                self._renew(session, wanted.renew, now)
        self._in_doubt, self.claimed, self._persons_at = False, chosen.kept, persons_at
        self.skipped += len(look.skipped)
        begun = [row for row in taking if row.id in look.owed]
        self.gate.begun(begun, grant, now=now)
        return Exchanged(
            begun, look.owed, chosen.nothing_left, chosen.at_once, looked_at, begin_by=now + self.leases.begin_within
        )

    def _choose(
        self, session: Session, room: int, grant: Grant | None, paused: Pauses, now: datetime
    ) -> tuple[Chosen, float | None]:
        """Return what is taken of the claimed and what stays, and when persons were last looked for; put off what must wait."""
        claimed, persons_at = self.claimed.copy(), self._persons_at
        if room <= 0:
            return Chosen(kept=claimed), persons_at
        tick = self.ticks()
        if persons_at is None or tick - persons_at >= self.persons_every or not claimed:
            claimed.extendleft(reversed(self._claim(session, Lane.PERSON, room, now)))
            persons_at = tick
        if len(claimed) - self.gate.blocked < room:
            claimed.extend(self._claim(session, Lane.LIST, self.batch, now))
        chosen = self.gate.choose(claimed, room, grant, paused, now=now)
        pauses.put_off(session, chosen.waits, worker=self.worker, now=now)
        return chosen, persons_at

    @stamina.retry(on=_AWAY, attempts=None, timeout=PATIENCE)
    def leave(self, outcomes: Sequence[Outcome] = (), in_air: Sequence[int] = ()) -> None:
        """Record the outcomes and give back all that stands under our name but what is in the air; its lease is renewed."""
        self.gate.ended(outcomes, now=self.clock())
        with self.sessions.begin() as session:
            session.connection()
            now = self.clock()
            ledger.record(session, outcomes, worker=self.worker, now=now)
            self.gate.look(session, now=now)
            self._reconcile(session, in_air, now)
            if in_air:
                self._renew(session, in_air, now)
        self.gate.written()
        self.claimed.clear()

    def _claim(self, session: Session, lane: Lane, limit: int, now: datetime) -> list[Claimed]:
        return ledger.claim(session, lane, worker=self.worker, limit=limit, now=now, lease=self.leases.claimed)

    def _look(
        self, session: Session, ids: Sequence[int], again: Sequence[int], unmatched: Sequence[int], now: datetime
    ) -> ledger.Look:
        lease = self.leases.sending
        return ledger.begin(session, [*ids, *again], worker=self.worker, now=now, lease=lease, unmatched=unmatched)

    def _renew(self, session: Session, ids: Sequence[int], now: datetime) -> None:
        ledger.renew(session, ids, worker=self.worker, now=now, lease=self.leases.sending)

    def _reconcile(self, session: Session, ours: Collection[int], now: datetime) -> None:
        ledger.bury(session, self.worker, never_began=True, keep=ours, now=now)
        doubts.give_back(session, self.worker, begun=ours, now=now)
