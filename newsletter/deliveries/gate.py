"""Which of the claimed deliveries may begin now: what is paused waits, what is limited or slowed comes in its turn.

`ask` talks to Redis, outside any transaction and only where there are limits; `choose` is pure.
"""

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice

from sqlmodel import Session

from newsletter.deliveries import quota
from newsletter.deliveries.brakes import Brakes, domain_of
from newsletter.deliveries.ledger import Claimed, Outcome
from newsletter.deliveries.pauses import Pauses, Wait, wait_for
from newsletter.deliveries.verdicts import Verdict
from newsletter.errors import Reply
from newsletter.lifecycle import DeliveryEvent
from newsletter.limits import REST, Grant, Limits

STEP = timedelta(seconds=10)  # deliveries that wait for the same domain are put off by so many of these
LONGEST = timedelta(minutes=15)  # that a limit puts a delivery off
RENEW_EVERY = timedelta(seconds=30)
_LOOK_AHEAD = 4  # times the room: how far into what is claimed one looks for what may begin
_COUNTED = ("rcpt", "data", "dot")  # phases that a message has come to which counts against a quota


@dataclass
class Chosen:
    """What was chosen among the claimed."""

    taking: list[Claimed] = field(default_factory=list)  # to be moved into the window
    taken: list[Claimed] = field(default_factory=list)  # without choice: they are in the window already
    unowed: list[int] = field(default_factory=list)  # of those, to be skipped
    kept: deque[Claimed] = field(default_factory=deque)
    waits: dict[Wait, list[int]] = field(default_factory=dict)  # to be put off
    nothing_left: bool = False  # it is no use to ask again soon
    at_once: bool = False  # it is of use to ask again at once


@dataclass
class Gate:
    """Stands before one relay during one drain, and knows what this worker has in hand there."""

    relay: str
    worker: str
    window: int
    brakes: Brakes
    limits: Limits
    connections: int = 0  # leased
    blocked: int = 0  # of the claimed: they wait for their domain, and are in nobody's way
    _held: dict[int, str] = field(default_factory=dict)  # the domain of each delivery in hand
    _promised: dict[str, datetime] = field(default_factory=dict)  # when the last that waits for a domain is due
    _renewed_at: datetime | None = None
    _spent: bool | None = None  # whether the day's quota was used up when last asked
    _told: bool | None = None  # what of that was written down

    @property
    def limited(self) -> bool:
        """Whether messages want a grant."""
        return self.limits.counts(self.relay)

    @contextmanager
    def leased(self, connections: int) -> Iterator[int]:
        """Hold as many of so many connections as all workers' limit leaves, and give them up with all else at the end."""
        self.connections = self.limits.lease_connections(self.relay, connections, holder=self.worker)
        try:
            yield self.connections
        finally:
            self.limits.release(self.relay, holder=self.worker)

    def note(self, row: Claimed, verdict: Verdict, reply: Reply) -> None:
        """Learn from an answer about a delivery."""
        self.brakes.note(row, verdict, reply, self.relay)

    def troubled(self, reply: Reply) -> None:
        """Learn that the relay sent us away."""
        self.brakes.troubled(self.relay, reply)

    def ended(self, outcomes: Sequence[Outcome], *, now: datetime) -> None:
        """Let go of deliveries; what was granted and did not come to its recipient's turn is given back."""
        unused: Counter[str] = Counter()
        for outcome in outcomes:
            domain = self._held.pop(outcome.delivery_id, None)
            if domain is not None and not _counts(outcome):
                unused[self.limits.own(self.relay, domain)] += 1
        if unused:
            self.limits.give_back(self.relay, unused, now=now)

    def ask(self, claimed: Sequence[Claimed], room: int, *, now: datetime) -> Grant | None:
        """Return how many of the claimed may begin by the limits; None where nothing is limited."""
        if self.connections and (self._renewed_at is None or now - self._renewed_at >= RENEW_EVERY):
            self.limits.lease_connections(self.relay, self.connections, holder=self.worker)
            self._renewed_at = now
        if room <= 0 or not self.limited:
            return None
        ahead = islice(claimed, _LOOK_AHEAD * room + self.blocked)
        domains = (domain_of(row.address) for row in ahead if self._paused(row, self.brakes.pauses) is None)
        wanted = Counter(self.limits.own(self.relay, domain) for domain in domains)
        if not wanted:
            return Grant({})
        in_hand = Counter(self.limits.own(self.relay, domain) for domain in self._held.values())
        grant = self.limits.grant(self.relay, wanted, most=room, in_hand=in_hand, holder=self.worker, now=now)
        if grant.spent or any(grant.counts.values()):
            self._spent = grant.spent
        return grant

    def look(self, session: Session, *, now: datetime) -> Pauses:
        """Write down what the answers ask to be paused, and whether the quota is used up; return what is paused."""
        if self._spent is not None and self._spent is not self._told:
            quota.tell(session, self.relay, spent=self._spent, now=now)
        return self.brakes.look(session, now=now)

    def _paused(self, row: Claimed, pauses: Pauses) -> datetime | None:
        return pauses.issue_paused(row.issue_id) or (
            pauses.domain_paused(self.relay, domain_of(row.address)) if pauses.domains else None
        )

    def free(self, room: int, grant: Grant | None, pauses: Pauses) -> int | None:
        """Return how many of so many may begin, whoever they are for; None where it matters whom."""
        slowed = self.brakes.slowed(self.relay, self.window)
        if grant is not None or slowed or pauses.relay_paused(self.relay) or pauses.domains or pauses.issues:
            return None
        return max(0, self._room(room))

    def _room(self, room: int) -> int:
        return min(room, self.brakes.window(self.relay, self.window) - len(self._held))

    def choose(self, claimed: deque[Claimed], room: int, grant: Grant | None, pauses: Pauses, *, now: datetime) -> Chosen:
        """Choose what may begin of the claimed, in their order."""
        if pauses.relay_paused(self.relay):
            return Chosen(kept=claimed, nothing_left=True)
        room = self._room(room)
        slowed = self.brakes.slowed(self.relay, self.window)
        chosen, blocked = self._sorted(claimed, room, self._caps(grant, slowed), pauses, now)
        self.blocked = 0
        if grant is None or not grant.used_up:
            self._put_off_many(chosen, blocked, now)
            self.blocked = sum(min(len(rows), self.window) for rows in blocked.values())
        spent = grant is not None and grant.spent
        chosen.nothing_left = room > 0 and not chosen.taking and (spent or not (chosen.kept or chosen.waits))
        unasked = grant is not None and not grant.counts and bool(chosen.kept)  # claimed since
        chosen.at_once = not chosen.taking and (unasked or bool(chosen.waits))
        return chosen

    def _sorted(
        self, claimed: deque[Claimed], room: int, caps: "_Caps", pauses: Pauses, now: datetime
    ) -> tuple[Chosen, dict[str, list[Claimed]]]:
        """Sort the claimed into those to take, those to keep, those that a pause puts off; and tell who waits for a domain."""
        chosen, blocked = Chosen(), dict[str, list[Claimed]]()
        for row in claimed:
            until = self._paused(row, pauses)
            domain = domain_of(row.address)
            if until is not None:
                chosen.waits.setdefault(wait_for(until, now=now), []).append(row.id)
            elif len(chosen.taking) >= room:
                chosen.kept.append(row)
            elif caps.take(domain):
                chosen.taking.append(row)
            else:
                chosen.kept.append(row)
                if caps.is_own(domain):
                    blocked.setdefault(domain, []).append(row)
        return chosen, blocked

    def _caps(self, grant: Grant | None, slowed: Mapping[str, int]) -> "_Caps":
        in_hand = Counter(self._held.values()) if slowed else Counter[str]()
        slow = {domain: most - in_hand[domain] for domain, most in slowed.items()}
        return _Caps(self.relay, self.limits, dict(grant.counts) if grant else None, slow)

    def _put_off_many(self, chosen: Chosen, blocked: Mapping[str, list[Claimed]], now: datetime) -> None:
        """Put off those that would only stand in the way of other domains' deliveries: all but a window of each domain."""
        gone = set[int]()
        for domain, rows in blocked.items():
            rate = self.limits.rate(self.relay, domain)
            due = max(self._promised.get(domain, now), now + STEP)
            for row in rows[self.window :]:
                due = min(due + (timedelta(seconds=1 / rate) if rate else STEP / 10), now + LONGEST)
                steps = -((now - due) // STEP)
                chosen.waits.setdefault(Wait(now + steps * STEP, f"{domain} takes no more now"), []).append(row.id)
                gone.add(row.id)
            if rows[self.window :]:
                self._promised[domain] = due
        if gone:
            chosen.kept = deque(row for row in chosen.kept if row.id not in gone)

    def written(self) -> None:
        """Forget what was to be written down: it is committed."""
        self.brakes.written()
        self._told = self._spent

    def begun(self, rows: Sequence[Claimed], grant: Grant | None, *, now: datetime) -> None:
        """Note what begins after all, and give back what was granted beyond it. Call it after the commit."""
        self.written()
        taken = [(row.id, domain_of(row.address)) for row in rows]
        self._held.update(taken)
        if grant is None:
            return
        unused = Counter(grant.counts)
        unused.subtract(Counter(self.limits.own(self.relay, domain) for _, domain in taken))
        self.limits.give_back(self.relay, +unused, now=now)


@dataclass
class _Caps:
    """How many more may be taken of a domain: by the grant, and where it is slowed."""

    relay: str
    limits: Limits
    granted: dict[str, int] | None
    slow: dict[str, int]

    def take(self, domain: str) -> bool:
        """Take one of a domain, if it may be."""
        own = self.limits.own(self.relay, domain)
        if (self.granted is not None and self.granted.get(own, 0) <= 0) or self.slow.get(domain, 1) <= 0:
            return False
        if self.granted is not None:
            self.granted[own] -= 1
        if domain in self.slow:
            self.slow[domain] -= 1
        return True

    def is_own(self, domain: str) -> bool:
        """Return whether a domain waits for itself alone, not for all."""
        return domain in self.slow or self.limits.own(self.relay, domain) != REST


def _counts(outcome: Outcome) -> bool:
    """Return whether a delivery counts as sent against rates and quotas."""
    if outcome.event is DeliveryEvent.GIVE_BACK:
        return False
    return outcome.reply is None or outcome.reply.phase in _COUNTED
