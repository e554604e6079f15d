"""An open connection on the event loop: it asks for parcels, hands their content over and tells how they ended."""

import asyncio
from typing import Protocol

from newsletter.mail.smtp.deadline import Deadline
from newsletter.mail.smtp.machine import Machine
from newsletter.mail.smtp.opening import Opened
from newsletter.mail.smtp.parcels import Feed, Parcel
from newsletter.mail.smtp.relay import Relay, Timeouts

_CLOSED = "the server closed the connection"


class Owner(Protocol):
    """Who a connection belongs to."""

    feed: Feed
    may_begin: bool  # whether content may still leave

    def take(self) -> Parcel | None:
        """Return the feed's next parcel, or None when no more are to be taken."""

    def rest(self, connection: "Connection") -> None:
        """Hear that the connection has nothing to do."""

    def proved(self) -> None:
        """Hear that the server has answered about a message on a connection, for the first time there."""

    def closed(self, connection: "Connection") -> None:
        """Hear that the connection is gone, all its parcels ended."""

    def broke(self, error: Exception) -> None:
        """Hear what the feed itself raised."""


class Connection(asyncio.Protocol):
    """Up to two parcels at a time over one connection; every parcel it takes ends exactly once, whatever happens.

    Once nothing more is to be said it is closed with `abort`: what has not left then must not arrive, and a polite end of
    TLS gains nothing after QUIT.
    """

    __slots__ = (
        "_deadline", "_limit", "_machine", "_owner", "_patience", "_paused", "_proven", "_stuck", "_times", "_transport",
    )  # fmt: skip

    def __init__(self, opened: Opened, relay: Relay, owner: Owner) -> None:
        """Take the transport over from whoever opened it."""
        self._owner = owner
        self._transport = opened.transport
        self._machine = Machine(relay.name, opened.offer)
        self._limit = relay.messages_per_connection
        self._times = relay.timeouts
        self._patience = _patience(relay.timeouts)
        self._deadline = Deadline(self._expired)
        self._paused = False  # bytes that we wrote have not left
        self._stuck = 0  # how many, when the time-out for a block was set
        self._proven = False
        self._transport.set_protocol(self)
        self._transport.set_write_buffer_limits(high=1, low=0)  # paused means unsent; 0 would pause for nothing under TLS

    @property
    def machine(self) -> Machine:
        """What the connection is doing; to look at."""
        return self._machine

    def start(self) -> None:
        """Ask for a parcel, at first or after a rest."""
        self._go_on()

    def quit(self) -> None:
        """Say goodbye after a rest, and close."""
        if self._machine.idle:
            self._say_goodbye()
            self._arm()

    def abort(self, reason: str) -> None:
        """Close at once: what was begun is lost, the rest given back."""
        self._machine.lost(reason, ours=True, unsent=self._unsent())
        self._transport.abort()
        self._report_all()

    # What the event loop calls

    def data_received(self, data: bytes) -> None:
        """Go on, if that was a whole reply."""
        if self._machine.receive(data, unsent=self._unsent()):
            self._go_on()

    def pause_writing(self) -> None:
        """Note that what was written has not left as a whole."""
        self._paused = True

    def resume_writing(self) -> None:
        """Go on with what had to wait for it; only now the time for the answer begins."""
        self._paused = False
        if self._machine.going:
            self._go_on()
        else:
            self._arm()

    def eof_received(self) -> None:
        """Close, as there will be no more replies."""
        self._hang_up(_CLOSED)

    def connection_lost(self, exc: Exception | None) -> None:
        """End what was under way. How much had left when it broke is not known; the dot is at the end, if nothing follows it."""
        self._deadline.cancel()
        self._machine.lost(str(exc) if exc else _CLOSED, unsent=1 if self._paused else 0)
        self._report_all()
        self._owner.closed(self)

    # Steps

    def _go_on(self) -> None:
        """Do what the last reply calls for: tell, write, hand over content, take the next parcel."""
        machine = self._machine
        try:
            self._report()
            if machine.output:
                self._transport.write(machine.take_output())
            if machine.over:
                self._transport.abort()
            elif machine.going:
                if not self._paused:
                    self._hand_over()
            elif machine.idle:
                self._pull()
        except Exception as error:  # noqa: BLE001 -- the feed's own; the pool stops and tells it
            self._owner.broke(error)
            self.abort("the feed failed")
        self._arm()

    def _pull(self) -> None:
        """Take another parcel, or leave where this connection has carried enough."""
        if wire := self._envelope():
            self._transport.write(wire)
        elif self._machine.started >= self._limit:
            self._say_goodbye()
        else:
            self._owner.rest(self)

    def _hand_over(self) -> None:
        """Write the content with its dot and, where the server pipelines, the next envelope (RFC 2920): one flush."""
        machine, owner = self._machine, self._owner
        parcel = machine.hand_over()
        content, following = None, b""
        try:
            if owner.may_begin:
                following = self._envelope() if machine.pipelines else b""
                content = owner.feed.begin(parcel)
        except Exception:
            machine.withdraw("the feed failed")
            raise
        if content is None:
            machine.withdraw("it was not to be sent after all")
        elif wire := machine.pack(content, following):
            self._transport.write(wire)
        if machine.over:
            self._report()
            self._transport.abort()

    def _envelope(self) -> bytes:
        """Return the next envelope to write; nothing where there is no parcel or no room on this connection."""
        machine = self._machine
        while machine.started < self._limit:
            parcel = self._owner.take()
            if parcel is None:
                break
            if wire := machine.name(parcel):
                return wire
            self._report()
        return b""

    def _say_goodbye(self) -> None:
        self._machine.quit()
        self._transport.write(self._machine.take_output())

    def _report(self) -> None:
        endings = self._machine.endings
        while endings:
            self._owner.feed.ended(*endings.popleft())
        if not self._proven and self._machine.proven:
            self._proven = True
            self._owner.proved()

    def _report_all(self) -> None:
        """Tell every ending, also where the feed chokes on one."""
        while self._machine.endings:
            try:
                self._report()
            except Exception as error:  # noqa: BLE001 -- as in `_go_on`
                self._owner.broke(error)

    def _arm(self) -> None:
        """Set the time-out for what is waited for: room in the socket, or the next reply (RFC 5321 section 4.5.3.2)."""
        if self._paused:
            self._stuck = self._transport.get_write_buffer_size()
            self._deadline.set(self._times.block)
        elif due := self._machine.due:
            self._deadline.set(self._patience[due])
        else:
            self._deadline.clear()

    def _expired(self) -> None:
        if self._paused and self._transport.get_write_buffer_size() < self._stuck:
            self._arm()  # slow, but it takes what we write
        else:
            self._hang_up(f"timed out after {self._deadline.seconds:g} s")

    def _hang_up(self, reason: str) -> None:
        self._machine.lost(reason, unsent=self._unsent())
        self._transport.abort()
        self._report_all()

    def _unsent(self) -> int:
        return self._transport.get_write_buffer_size() if self._paused else 0


def _patience(times: Timeouts) -> dict[str, float]:
    """Return the seconds to wait in each phase."""
    return {
        "rset": times.command, "mail": times.command, "rcpt": times.command, "data": times.data,
        "dot": times.dot, "nothing": times.dot, "quit": times.quit,
    }  # fmt: skip
