"""The engine's side of the ledger: one exchange a round, in a thread of its own, so that no connection waits for the database."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

import stamina
from sqlalchemy.exc import OperationalError

from newsletter.db import Sessions
from newsletter.deliveries import ledger
from newsletter.deliveries.ledger import Claimed, Outcome
from newsletter.deliveries.mailer import Mailer
from newsletter.models import Lane

PERSONS_EVERY = timedelta(seconds=1)  # how often those who wait in person are looked for while a list is being sent


class Exchanged(NamedTuple):
    """What an exchange brought: deliveries that may begin now, and which of all that were looked at are still owed."""

    begun: list[Claimed]
    owed: set[int]
    nothing_left: bool  # there was room, and nothing due to fill it


@dataclass
class Books:
    """What this process has claimed, and the way to exchange outcomes for deliveries to begin.

    An exchange that fails is repeated whole: recording twice changes nothing, and what was being taken is taken again.
    """

    sessions: Sessions
    mailer: Mailer
    worker: str
    clock: Callable[[], datetime]
    batch: int  # claimed at a time
    claimed: deque[Claimed] = field(default_factory=deque)
    skipped: int = 0
    _taking: list[Claimed] = field(default_factory=list)
    _persons_at: datetime | None = None

    @stamina.retry(on=OperationalError, attempts=8, timeout=120)
    def exchange(self, outcomes: Sequence[Outcome], room: int, again: Sequence[int] = ()) -> Exchanged:
        """Record the outcomes; take up to `room` deliveries, persons first; look once more at those of `again`."""
        now = self.clock()
        with self.sessions.begin() as session:
            ledger.record(session, outcomes, worker=self.worker, now=now)
            if room > 0 and not self._taking:
                if self._persons_at is None or now - self._persons_at >= PERSONS_EVERY or not self.claimed:
                    self._taking += ledger.claim(session, Lane.PERSON, worker=self.worker, limit=room, now=now)
                    self._persons_at = now
                if len(self.claimed) < room - len(self._taking):
                    self.claimed.extend(ledger.claim(session, Lane.LIST, worker=self.worker, limit=self.batch, now=now))
                while self.claimed and len(self._taking) < room:
                    self._taking.append(self.claimed.popleft())
            if self._taking:
                self.mailer.load(session, self._taking)
            looked_at = [*(row.id for row in self._taking), *again]
            owed = ledger.begin(session, looked_at, worker=self.worker, now=now)
        taking, self._taking = self._taking, []
        self.skipped += len(looked_at) - len(owed)
        return Exchanged([row for row in taking if row.id in owed], owed, nothing_left=room > 0 and not taking)

    def close(self, outcomes: Sequence[Outcome]) -> None:
        """Record the last outcomes and give back what was claimed and never taken."""
        self.exchange(outcomes, 0)
        now = self.clock()
        with self.sessions.begin() as session:
            ledger.give_back(session, [row.id for row in self.claimed], worker=self.worker, now=now)
        self.claimed.clear()
