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
from newsletter.deliveries.ledger import LEASES, START, Claimed, Leases, Look, Outcome, Place
from newsletter.deliveries.mailer import Mailer
from newsletter.deliveries.pauses import Pauses
from newsletter.limits import Grant
from newsletter.models import Lane

PERSONS_EVERY = 1.0  # seconds: how often those who wait in person are looked for while a list is being sent
LIST_EVERY = 1.0  # seconds: how often a list is looked through from its beginning; in between, from where it was left
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


class _Looked(NamedTuple):
    """When and how far the queue was looked through."""

    persons_at: float | None = None  # ticks
    list_at: float = 0.0  # ticks, from its beginning
    since: Place = START  # where the last of the list stood that was taken

    def is_persons_turn(self, tick: float, every: float) -> bool:
        """Return whether those who wait in person are looked for before the list."""
        return self.persons_at is None or tick - self.persons_at >= every


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
    _looked: _Looked = field(default_factory=_Looked)
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
            now, looked_at = self.clock(), self.ticks()
            ledger.record(session, wanted.outcomes, worker=self.worker, now=now)
            if in_doubt:
                self._reconcile(session, [row.id for row in (*wanted.window, *self.claimed)], now)
            chosen, looked = self._choose(session, wanted.room, grant, self.gate.look(session, now=now), now)
            self.mailer.load(session, [*wanted.window, *chosen.taken, *chosen.taking])
            look = self._look(session, chosen, wanted.again, now)
            if lost := [row.id for row in chosen.taking if row.id not in look.owed]:
                ledger.give_back(session, lost, worker=self.worker, now=now)  # if its lease has run out, and nobody took it
            if wanted.renew:
                self._renew(session, wanted.renew, now)
        self._in_doubt, self.claimed, self._looked = False, chosen.kept, looked
        self.skipped += len(look.skipped)
        begun = [row for row in (*chosen.taken, *chosen.taking) if row.id in look.owed]
        self.gate.begun(begun, grant, now=now)
        all_fell_out = bool(chosen.taken or chosen.taking) and not begun
        at_once, begin_by = chosen.at_once or all_fell_out, now + self.leases.begin_within
        return Exchanged(begun, look.owed, chosen.nothing_left, at_once, looked_at, begin_by)

    def _choose(self, session: Session, room: int, grant: Grant | None, paused: Pauses, now: datetime) -> tuple[Chosen, _Looked]:
        """Return what is taken, what stays claimed, and how far was looked; put off what must wait."""
        claimed, looked, tick = self.claimed.copy(), self._looked, self.ticks()
        if room <= 0:
            return Chosen(kept=claimed), looked
        chosen, free = Chosen(), self.gate.free(room, grant, paused)
        if free is None or claimed:
            if looked.is_persons_turn(tick, self.persons_every) or not claimed:
                claimed.extendleft(reversed(self._claim(session, Lane.PERSON, room, now)))
                looked = looked._replace(persons_at=tick)
            if free is None and len(claimed) - self.gate.blocked < room:
                claimed.extend(self._claim(session, Lane.LIST, self.batch, now))
            chosen = self.gate.choose(claimed, room, grant, paused, now=now)
            pauses.put_off(session, chosen.waits, worker=self.worker, now=now)
        if free is not None and not chosen.kept:
            looked = self._take(session, chosen, free, looked, now)
        return chosen, looked

    def _take(self, session: Session, chosen: Chosen, room: int, looked: _Looked, now: datetime) -> _Looked:
        """Move what is due straight into the window: persons first where it is their turn, else after all of the list."""
        tick = self.ticks()
        since = looked.since if tick - looked.list_at < LIST_EVERY else START
        places = [(Lane.LIST, since), *([(Lane.LIST, START)] if since != START else [])]
        places.insert(0 if looked.is_persons_turn(tick, self.persons_every) else len(places), (Lane.PERSON, START))
        room -= len(chosen.taking)
        for lane, start in places:
            if len(chosen.taken) >= room:
                break
            limit, lease = room - len(chosen.taken), self.leases.sending
            found = ledger.take(session, lane, worker=self.worker, limit=limit, now=now, lease=lease, since=start)
            chosen.taken += found.rows
            chosen.unowed += found.unowed
            if lane is Lane.PERSON:
                looked = looked._replace(persons_at=tick)
            else:
                looked = looked._replace(since=found.last, list_at=tick if start == START else looked.list_at)
        chosen.nothing_left = len(chosen.taken) < room
        return looked

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

    def _look(self, session: Session, chosen: Chosen, again: Sequence[int], now: datetime) -> Look:
        """Take the last look at what was chosen, and another at what is to be looked at again."""
        unmatched = [row.id for row in (*chosen.taken, *chosen.taking) if self.mailer.finds_nothing(row)]
        taken = {row.id for row in chosen.taken}
        gone = {*chosen.unowed, *taken.intersection(unmatched)}
        look = ledger.begin(
            session,
            [*gone, *(row.id for row in chosen.taking), *again],
            worker=self.worker,
            now=now,
            lease=self.leases.sending,
            unmatched=unmatched,
            taken=gone,
        )
        return Look(look.owed | (taken - gone), look.skipped)

    def _renew(self, session: Session, ids: Sequence[int], now: datetime) -> None:
        ledger.renew(session, ids, worker=self.worker, now=now, lease=self.leases.sending)

    def _reconcile(self, session: Session, ours: Collection[int], now: datetime) -> None:
        ledger.bury(session, self.worker, never_began=True, keep=ours, now=now)
        doubts.give_back(session, self.worker, begun=ours, now=now)
