"""What every scenario needs at hand: a furnished place, the mail server, machines; and its end."""

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helpers import Machine, Postgres, Sink, Wire, scratch, through, until
from place import Place, furnish, sqlite_url
from promises import Result, Seen, judge
from tree import Spec, pace_with

CONNECTIONS = 8
SLOW, FAST = 0.06, 0.002  # seconds at most between a dot and its answer
WINDOW = pace_with(CONNECTIONS).window  # deliveries in `sending` at most


@dataclass(frozen=True)
class Order:
    """What to play: on which database, under which policy, how many deliveries and kills."""

    scenario: str
    database: str  # sqlite or postgres
    policy: str  # resend-once or hold
    number: int
    kills: int


@dataclass
class Stage:
    """A scenario under way."""

    order: Order
    folder: Path
    place: Place
    sink: Sink
    server: Postgres | None
    result: Result
    closing: ExitStack
    dice: random.Random = field(default_factory=lambda: random.Random(7))

    @property
    def postgres(self) -> Postgres:
        """The server of the database; for scenarios on PostgreSQL alone."""
        assert self.server is not None
        return self.server

    def wire(self, port: int) -> Wire:
        """Put a wire before a port."""
        wire = Wire(port, self.folder)
        self.closing.callback(wire.close)
        return wire

    def machine(self, host: str = "one", **spec: Any) -> Machine:  # noqa: ANN401 -- fields of Spec
        """Start a machine of its own name and journals."""
        given: dict[str, Any] = {"database": self.place.url, "smtp": self.sink.port, "connections": CONNECTIONS, **spec}
        hold = self.order.policy == "hold"
        machine = Machine(Spec(host=host, folder=str(self.folder / host), hold=hold, **given))
        self.closing.callback(machine.kill)
        machine.start()
        return machine

    def database_through(self, wire: Wire) -> str:
        """Return the database's URL for whoever goes through the wire."""
        return through(self.place.url, wire.port)

    def progress(self, share: float) -> None:
        """Wait until that share of the deliveries was accepted."""
        wanted = int(share * self.order.number)
        until(lambda: self.sink.taken() >= wanted, f"{wanted} to be accepted ({self.place.statuses()})")

    def moments(self, number: int, *, last: float = 0.85) -> Iterator[int]:
        """Wait for that many random moments, one after the other, and give their numbers."""
        shares = sorted(self.dice.uniform(0.01, last) for _ in range(number))
        for at, share in enumerate(shares):
            self.progress(share)
            time.sleep(self.dice.uniform(0, 0.05))
            yield at

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count a kill, and whether it broke a connection inside DATA."""
        before = self.sink.lines("withheld") + self.sink.lines("partial")
        yield
        self.result.kills += 1
        time.sleep(0.05)  # the mail server reads the end of its connections
        self.result.inside_data += self.sink.lines("withheld") + self.sink.lines("partial") > before

    def finish(self, *, late: float = 0.0) -> Result:
        """Wait until every delivery has ended, and for answers that come to light `late` seconds later, then judge."""
        if not late:
            self.sink.slow(FAST)
        try:
            until(lambda: not self.place.moving(), "every delivery to end")
        except TimeoutError as error:
            self.result.broken.append(str(error))
        with suppress(TimeoutError):
            until(lambda: not self.place.statuses()["held"], "late answers", seconds=late)
        with suppress(TimeoutError):  # what is given back late is sent late; `judge` tells what is stuck
            until(lambda: not self.place.moving(), "what was given back to be sent", seconds=late)
        seen = Seen(self.place.expected(), self.sink.count(), self.place.traces(), self.place.left())
        return judge(self.result, seen)


@contextmanager
def staged(order: Order, postgres: Postgres | None) -> Iterator[Stage]:
    """Give a stage for an order, and leave nothing behind."""
    with scratch() as folder, ExitStack() as closing:
        url = postgres.make() if order.database == "postgres" and postgres else sqlite_url(folder)
        place = furnish(url, order.number)
        closing.callback(place.sessions.engine.dispose)
        sink = Sink(folder)
        closing.callback(sink.close)
        sink.slow(SLOW)
        result = Result(order.scenario, order.database, order.policy, kills=0, expected=order.number)
        yield Stage(order, folder, place, sink, postgres, result, closing)
