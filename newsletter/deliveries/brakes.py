"""What a process learns from the answers it gets: what to pause, and where to go slower.

Nobody is blamed here for what is about us: a relay that turns us away, a domain that refuses us and a content that is
refused stop what they concern, and a sudden wave of addresses that are said not to exist (the breaker) holds the issue.
What is learned is kept for as long as the process lives; pauses are written down for all of them.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlmodel import Session

from newsletter.deliveries import pauses
from newsletter.deliveries.ledger import Claimed
from newsletter.deliveries.pauses import Pauses, Stop, domain_key
from newsletter.deliveries.verdicts import (
    LIMITS,
    Blame,
    Brake,
    Limits,
    Scope,
    Verdict,
    Window,
    breaks,
    breaks_for_domain,
    judge,
    pauses_domain,
    pauses_relay,
    stops_issue,
)
from newsletter.errors import Reply
from newsletter.lifecycle import DeliveryEvent
from newsletter.models import PauseScope

REFUSED_FOR = timedelta(hours=1)  # a domain or a relay that refuses us is left alone so long
SOON_AGAIN = timedelta(minutes=1)  # the shortest pause of a relay
LOOK_EVERY = timedelta(seconds=2)  # how often a process looks what others have paused
SLOWEST = 1 / 32
_HEARD = 10  # answers between two slow-downs of the same: what was under way does not count again
_RECOVERY = 0.02  # of full speed that a good answer gives back
_ISSUES = 50  # of which the refusals are remembered
_ENDED = (DeliveryEvent.ACCEPT, DeliveryEvent.REFUSE)


def domain_of(address: str) -> str:
    """Return the domain of an address, in lower case."""
    return address.rpartition("@")[2].lower()


class _Due(NamedTuple):
    """A pause to open: how long (None: until somebody resumes it), and why."""

    length: timedelta | None
    cause: str


@dataclass(slots=True)
class _Domain:
    """What a recipients' domain said over a relay of late."""

    hard: Window  # whose addresses do not exist
    refusals: Window  # because of us


@dataclass(slots=True)
class _Issue:
    """What was said about an issue."""

    hard: Window
    refusals: Counter[str] = field(default_factory=Counter)  # by domain


@dataclass(slots=True)
class _Flow:
    """How much slower than it could."""

    share: float
    heard: int = 0  # answers since it was slowed


@dataclass
class Brakes:
    """One a process, kept across drains: `note` every answer, `write` what follows in the next exchange."""

    limits: Limits = LIMITS
    pauses: Pauses = field(default_factory=Pauses)  # as last seen
    _looked_at: datetime | None = None
    _domains: dict[str, _Domain] = field(default_factory=dict)
    _issues: dict[int, _Issue] = field(default_factory=dict)
    _flows: dict[str, _Flow] = field(default_factory=dict)  # what is slowed: a relay, or a domain over it
    _troubles: Counter[str] = field(default_factory=Counter)  # of a relay, in a row
    _due: dict[tuple[PauseScope, str], _Due] = field(default_factory=dict)
    _writing: dict[tuple[PauseScope, str], _Due] = field(default_factory=dict)  # not committed yet

    def note(self, row: Claimed, verdict: Verdict, reply: Reply | None, relay: str) -> None:
        """Learn from what became of a delivery."""
        domain = domain_of(row.address)
        event = verdict.event
        if event in _ENDED:
            self._count(row, verdict, relay, domain, reply)
        if event is DeliveryEvent.ACCEPT:
            if self._flows:
                self._recover(relay, domain)
            if self._troubles:
                del self._troubles[relay]
        elif verdict.brake is Brake.SLOW:
            self._slow(relay if verdict.scope is Scope.RELAY else domain_key(relay, domain))
        elif verdict.brake is Brake.PAUSE:
            self._stop(PauseScope.RELAY, relay, verdict.again_in, _said(reply))

    def troubled(self, relay: str, reply: Reply) -> None:
        """Learn that a relay could not be talked to, or turned us away: it is paused, each time longer; busy, only the second."""
        verdict, before = judge(reply, attempts=self._troubles[relay]), self._troubles[relay]
        self._troubles[relay] += 1
        if verdict.brake is Brake.SLOW:
            self._slow(relay)
        if before or verdict.brake is not Brake.SLOW:
            self._stop(PauseScope.RELAY, relay, max(verdict.again_in, SOON_AGAIN), _said(reply))

    def _count(self, row: Claimed, verdict: Verdict, relay: str, domain: str, reply: Reply | None) -> None:
        """Count an ending against what it may tell of; only of an issue is there enough to count addresses."""
        key = domain_key(relay, domain)
        at = self._domains.get(key)
        if at is None:
            at = self._domains[key] = _Domain(Window(self.limits.recipients), Window(self.limits.domain_outcomes))
        refused = verdict.scope is Scope.DOMAIN
        at.refusals.add(wrong=refused)
        if refused and pauses_domain(at.refusals, self.limits):
            self._stop(PauseScope.DOMAIN, key, REFUSED_FOR, f"{domain} refuses mail from us: {_said(reply)}")
            at.refusals = Window(self.limits.domain_outcomes)
        if row.issue_id is not None:
            self._count_of_issue(row.issue_id, verdict, key, at, reply)

    def _count_of_issue(self, issue_id: int, verdict: Verdict, key: str, at: _Domain, reply: Reply | None) -> None:
        issue = self._issues.get(issue_id)
        if issue is None:
            issue = self._open_issue(issue_id)
        hard = verdict.blame is Blame.ADDRESS
        issue.hard.add(wrong=hard)
        at.hard.add(wrong=hard)
        if hard:
            self._break(issue_id, issue, key, at, reply)
        if verdict.scope is Scope.ISSUE:
            issue.refusals[key.rpartition(" ")[2]] += 1
            if stops_issue(issue.refusals, self.limits):
                self._stop(PauseScope.ISSUE, str(issue_id), None, f"Several domains refuse its content: {_said(reply)}")
                issue.refusals.clear()

    def _open_issue(self, issue_id: int) -> _Issue:
        if len(self._issues) >= _ISSUES:
            del self._issues[next(iter(self._issues))]
        issue = self._issues[issue_id] = _Issue(Window(self.limits.recipients))
        return issue

    def _break(self, issue_id: int, issue: _Issue, key: str, at: _Domain, reply: Reply | None) -> None:
        """Hold the issue, or what goes to one domain, where too many addresses are suddenly said not to exist."""
        if breaks(issue.hard, self.limits):
            cause = f"{issue.hard.wrong} of its last {issue.hard.seen} recipients are said not to exist: {_said(reply)}"
            self._stop(PauseScope.ISSUE, str(issue_id), None, cause)
            issue.hard = Window(self.limits.recipients)
        if breaks_for_domain(at.hard, self.limits):
            cause = f"{at.hard.wrong} of its last {at.hard.seen} recipients are said not to exist: {_said(reply)}"
            self._stop(PauseScope.DOMAIN, key, None, cause)
            at.hard = Window(self.limits.recipients)

    def _stop(self, scope: PauseScope, key: str, length: timedelta | None, cause: str) -> None:
        if not key:
            return  # files are no relay
        before = self._due.get((scope, key))
        if before is not None and (before.length is None or (length is not None and length <= before.length)):
            return
        self._due[scope, key] = _Due(length, cause)

    # Going slower

    def _slow(self, key: str) -> None:
        flow = self._flows.get(key)
        if flow is None:
            self._flows[key] = _Flow(0.5)
            return
        flow.heard += 1
        if flow.heard >= _HEARD:
            flow.share, flow.heard = max(flow.share / 2, SLOWEST), 0

    def _recover(self, relay: str, domain: str) -> None:
        for key in (relay, domain_key(relay, domain)):
            flow = self._flows.get(key)
            if flow is None:
                continue
            flow.share, flow.heard = flow.share + _RECOVERY, flow.heard + 1
            if flow.share >= 1:
                del self._flows[key]

    def window(self, relay: str, full: int) -> int:
        """Return how much of a window may be in hand at once over a relay, one delivery at least."""
        flow = self._flows.get(relay)
        return full if flow is None else max(1, int(full * flow.share))

    def slowed(self, relay: str, full: int) -> dict[str, int]:
        """Return for each slowed domain how much of a window may be in hand at once."""
        if not self._flows:
            return {}
        before = relay + " "
        flows = list(self._flows.items())  # answers go on coming while the ledger's thread asks
        return {key.removeprefix(before): max(1, int(full * flow.share)) for key, flow in flows if key.startswith(before)}

    # What all processes share

    def look(self, session: Session, *, now: datetime) -> Pauses:
        """Write down what is to be paused, and return what is: not older than `LOOK_EVERY`. Call `written` after the commit."""
        self._writing = self._due.copy()  # answers go on coming while the ledger's thread writes
        if self._writing:
            self._write(session, now)
        elif self._looked_at is not None and timedelta() <= now - self._looked_at < LOOK_EVERY:
            return self.pauses
        self.pauses, self._looked_at = pauses.active(session, now=now), now
        return self.pauses

    def _write(self, session: Session, now: datetime) -> None:
        """Open the pauses that are due; where several domains refuse us, the relay's as well."""
        for (scope, key), due in self._writing.items():
            pauses.pause(session, Stop(scope, key, due.cause, now + due.length if due.length else None), now=now)
        for relay in {key.partition(" ")[0] for scope, key in self._writing if scope is PauseScope.DOMAIN}:
            refusing = pauses.paused_domains(session, relay, now=now)
            if pauses_relay(refusing, self.limits):
                cause = f"{refusing} domains refuse what comes over it."
                pauses.pause(session, Stop(PauseScope.RELAY, relay, cause, now + REFUSED_FOR), now=now)

    def written(self) -> None:
        """Forget what was written down: its transaction is committed."""
        for which, due in self._writing.items():
            if self._due.get(which) is due:
                del self._due[which]
        self._writing = {}


def _said(reply: Reply | None) -> str:
    return str(reply) if reply else "no words"
