"""Draining as tests do it: a journal for each drain, an outbox or a mail server on loopback at the other end."""

from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from factories import NOW, mailer
from fakes import Outbox
from sqlalchemy.exc import OperationalError

from newsletter.db import Sessions
from newsletter.deliveries import Journal, drain, over, through, worker_name
from newsletter.deliveries.books import Books
from newsletter.deliveries.brakes import Brakes
from newsletter.deliveries.gate import Gate
from newsletter.limits import NO_LIMITS
from newsletter.mail.smtp import Relay, Timeouts

SOON = Timeouts(connect=5, greeting=5, command=5, data=5, block=5, dot=5, quit=5)
AT_ONCE = Timeouts(connect=5, greeting=0.3, command=0.3, data=0.3, block=0.3, dot=0.3, quit=0.3)


@dataclass
class Clock:
    """A clock that a test sets."""

    now: object = NOW

    def __call__(self):
        """Return the time."""
        return self.now

    def advance(self, **time):
        """Let time pass."""
        self.now += timedelta(**time)


@dataclass
class Ticks:
    """A clock of seconds that a test sets."""

    now: float = 1000.0

    def __call__(self):
        """Return the time."""
        return self.now


@dataclass
class Slow(Outbox):
    """An outbox to which `then` happens with each message."""

    then: object = lambda: None

    def send(self, message):
        """Keep the message, then do it."""
        reply = super().send(message)
        self.then()
        return reply

    def recipients(self):
        """Return who was reached, in order."""
        return [message.recipient for message in self.sent]


@dataclass
class Stopper:
    """Says stop after so many questions."""

    left: int

    def __call__(self):
        """Return whether it is time."""
        self.left -= 1
        return self.left < 0


@dataclass
class Fragile:
    """Transactions that break off as told: "before" they did anything, or "after" all was committed."""

    sessions: Sessions
    fates: list[str] = field(default_factory=list)
    away: bool = False

    @contextmanager
    def begin(self):
        """Open a transaction that may break off."""
        fate = "before" if self.away else self.fates.pop(0) if self.fates else ""
        if fate == "before":
            raise OperationalError("BEGIN", {}, ConnectionError("gone"))
        with self.sessions.begin() as session:
            yield session
        if fate == "after":
            raise OperationalError("COMMIT", {}, ConnectionError("gone"))

    def read(self):
        """Open a transaction that only looks."""
        return self.sessions.read()


@contextmanager
def journal_in(folder=None):
    """Give a journal of this process, in a folder of its own where none is named."""
    with TemporaryDirectory() as own, Journal.open(folder or Path(own), worker_name()) as journal:
        yield journal


def books_of(sessions, worker="one", clock=lambda: NOW, *, batch=500, window=16, **more):
    """Return the books of a drain over a way without a name, which nothing pauses or limits."""
    gate = Gate("", worker, window, Brakes(), NO_LIMITS)
    return Books(sessions, mailer(), gate, worker, clock, batch, **more)


def send_through(sessions, outbox, *, clock=lambda: NOW, folder=None, **more):
    """Drain into an outbox."""
    with journal_in(folder) as journal:
        return drain(sessions, through(outbox), mailer(), journal, clock=clock, **more)


def relay_on(port, *, timeouts=SOON, **more):
    """Return the relay on a port of this machine."""
    return Relay("127.0.0.1", port, security="none", helo="me.example.net", timeouts=timeouts, **more)


def send_over(sessions, port, *, connections=1, clock=lambda: NOW, timeouts=SOON, folder=None, **more):
    """Drain over connections to a mail server on this machine."""
    with journal_in(folder) as journal:
        way = over(relay_on(port, timeouts=timeouts), connections=connections)
        return drain(sessions, way, mailer(), journal, clock=clock, **more)
