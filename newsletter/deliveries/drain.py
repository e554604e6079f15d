"""Sending what is due: claim, last look, send, record, for at most a minute at a time.

No transaction is open while the mail server talks. Whoever waits in person (a confirmation) goes before every window of
the list, so that a digest to thousands does not keep them waiting.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import stamina
import structlog
from sqlalchemy.exc import OperationalError

from newsletter.db import Sessions
from newsletter.deliveries import ledger
from newsletter.deliveries.ledger import Claimed, Outcome
from newsletter.deliveries.mailer import Mailer
from newsletter.errors import AnswerLost, NewsletterError, Refused, RelayUnavailable, TransportError
from newsletter.lifecycle import DeliveryEvent
from newsletter.mail.transports import OutgoingMessage, Transport
from newsletter.models import Lane

log = structlog.get_logger()
_DELAYS = tuple(timedelta(minutes=minutes) for minutes in (5, 10, 20, 40, 60, 120))  # greylisting wants 5 at the least
_RELAY_AWAY = timedelta(minutes=1)


@dataclass(frozen=True)
class Pace:
    """How much a drain takes at a time, and for how long."""

    budget: timedelta = timedelta(seconds=60)
    batch: int = 200  # claimed at a time
    window: int = 8  # begun at a time: what may be unknown after a crash


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


@dataclass
class _Work:
    """A drain under way."""

    sessions: Sessions
    transport: Transport
    mailer: Mailer
    worker: str
    clock: Callable[[], datetime]
    pace: Pace
    report: DrainReport = field(default_factory=DrainReport)
    waiting: deque[Claimed] = field(default_factory=deque)


def drain(  # noqa: PLR0913 -- the parts it works with
    sessions: Sessions,
    transport: Transport,
    mailer: Mailer,
    *,
    worker: str,
    clock: Callable[[], datetime],
    pace: Pace = Pace(),
    stopping: Callable[[], bool] = lambda: False,
) -> DrainReport:
    """Send what is due until nothing is, the budget is spent, the relay sends us away, or `stopping` says so.

    What was claimed and not begun is given back. `worker` names this process among all others.
    """
    work = _Work(sessions, transport, mailer, worker, clock, pace)
    until = clock() + pace.budget
    try:
        while not work.report.relay_away:
            if stopping() or clock() >= until:
                work.report.more = True
                break
            window = _next_window(work)
            if not window:
                break
            _send_window(work, window)
    finally:
        if work.waiting:
            with sessions.begin() as session:
                ledger.give_back(session, [row.id for row in work.waiting], worker=worker, now=clock())
    return work.report


def _next_window(work: _Work) -> list[Claimed]:
    """Claim persons first, then fill up from the list; claims more of the list when none is at hand."""
    now = work.clock()
    with work.sessions.begin() as session:
        window = ledger.claim(session, Lane.PERSON, worker=work.worker, limit=work.pace.window, now=now)
        if not work.waiting and len(window) < work.pace.window:
            work.waiting.extend(ledger.claim(session, Lane.LIST, worker=work.worker, limit=work.pace.batch, now=now))
        while work.waiting and len(window) < work.pace.window:
            window.append(work.waiting.popleft())
        work.mailer.load(session, window)
    return window


def _send_window(work: _Work, window: Sequence[Claimed]) -> None:
    now = work.clock()
    with work.sessions.begin() as session:
        begun = ledger.begin(session, [row.id for row in window], worker=work.worker, now=now)
    work.report.skipped += len(window) - len(begun)
    outcomes = [_deliver_in_time(work, row, until=now + ledger.BEGIN_WITHIN) for row in window if row.id in begun]
    _record(work, outcomes)
    _count(work.report, outcomes)


def _deliver_in_time(work: _Work, row: Claimed, *, until: datetime) -> Outcome:
    """Send one mail of the window, unless the relay is away or an answer might come after the lease has run out."""
    if work.report.relay_away:
        return _put_off(row, f"the relay was away: {work.report.relay_away}")
    if work.clock() > until:
        return _put_off(row, "the mails before it took too long")
    return _deliver(work, row)


@stamina.retry(on=OperationalError, attempts=6, timeout=60)
def _record(work: _Work, outcomes: Sequence[Outcome]) -> None:
    """Write the outcomes down; a database that is away for a moment must not make sent mails unknown."""
    with work.sessions.begin() as session:
        ledger.record(session, outcomes, worker=work.worker, now=work.clock())


def _deliver(work: _Work, row: Claimed) -> Outcome:
    """Make and send one mail and return what became of it, whatever was raised."""
    try:
        message = work.mailer.message(row, now=work.clock())
    except NewsletterError as error:
        return Outcome(row.id, DeliveryEvent.REFUSE, reason=f"it could not be made: {error}")
    except Exception as error:  # one bad row must not stop the rest
        log.exception("mail_not_made", delivery=row.id, kind=row.kind.value)
        return Outcome(row.id, DeliveryEvent.PUT_OFF, reason=f"it could not be made: {error!r}", again_in=delay(row.attempts))
    return _send(work, row, message)


def _send(work: _Work, row: Claimed, message: OutgoingMessage) -> Outcome:
    try:
        return Outcome(row.id, DeliveryEvent.ACCEPT, reply=work.transport.send(message))
    except RelayUnavailable as error:
        work.report.relay_away = str(error)
        log.warning("relay_unavailable", relay=error.reply.server, reply=str(error.reply))
        return _put_off(row, f"the relay was away: {error}")
    except TransportError as error:
        return _answer(row, error)
    except NewsletterError as error:
        return Outcome(row.id, DeliveryEvent.REFUSE, reason=f"it could not be sent: {error}")
    except Exception as error:  # nobody knows how far it had come
        log.exception("sending_broke", delivery=row.id, kind=row.kind.value)
        return Outcome(row.id, DeliveryEvent.LOSE, reason=f"sending it broke: {error!r}")


def _answer(row: Claimed, error: TransportError) -> Outcome:
    """Return what the server's answer means for this delivery."""
    if isinstance(error, Refused):
        return Outcome(row.id, DeliveryEvent.REFUSE, reason="the server refused it", reply=error.reply)
    if isinstance(error, AnswerLost):
        return Outcome(row.id, DeliveryEvent.LOSE, reason="no answer came", reply=error.reply)
    return Outcome(row.id, DeliveryEvent.PUT_OFF, reason="the server said later", reply=error.reply, again_in=delay(row.attempts))


def delay(attempts: int) -> timedelta:
    """Return how long to wait after this many earlier attempts."""
    return _DELAYS[min(attempts, len(_DELAYS) - 1)]


def _put_off(row: Claimed, why: str) -> Outcome:
    return Outcome(row.id, DeliveryEvent.PUT_OFF, reason=why, again_in=_RELAY_AWAY)


_COUNTED = {
    DeliveryEvent.ACCEPT: "sent",
    DeliveryEvent.REFUSE: "failed",
    DeliveryEvent.PUT_OFF: "deferred",
    DeliveryEvent.LOSE: "unknown",
}


def _count(report: DrainReport, outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes:
        name = _COUNTED[outcome.event]
        setattr(report, name, getattr(report, name) + 1)
