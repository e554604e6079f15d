"""Ways out for the engine: the connections to a relay, or a blocking transport (files, tests) behind the same face."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from newsletter.errors import AnswerLost, Deferred, NewsletterError, Refused, RelayUnavailable, Reply, TransportError
from newsletter.mail.smtp import Answer, Feed, Kind, Parcel, Pool, Relay
from newsletter.mail.transports import OutgoingMessage, Transport

log = structlog.get_logger()
_KINDS: tuple[tuple[type[TransportError], Kind], ...] = (
    (Refused, Kind.REFUSED),
    (Deferred, Kind.DEFERRED),
    (RelayUnavailable, Kind.RELAY),
    (AnswerLost, Kind.LOST),
)


class Way(Protocol):
    """A way out: connections to a relay that pull from a feed (`Pool`), or a blocking transport behind the same face."""

    def wake(self) -> None:
        """Ask the feed again: there is something new."""

    async def close(self, grace: float = 0) -> None:
        """Begin nothing more, wait at most `grace` seconds for the answers that are due, and close.

        Every parcel has ended then. Raises what the feed, or the way itself, broke with.
        """


class OpenWay(Protocol):
    """Opens a way out."""

    @property
    def name(self) -> str:
        """The relay's, as pauses and limits know it; empty where it is no relay."""

    @property
    def connections(self) -> int:
        """How many it opens at most."""

    def narrowed(self, connections: int) -> "OpenWay":
        """Return the same way with no more connections than these."""

    def __call__(self, feed: Feed, troubled: Callable[[Exception], None]) -> Way:
        """Open it, within an event loop."""


def over(relay: Relay, *, connections: int) -> "Over":
    """Return the way over up to so many connections to a relay."""
    return Over(relay, connections)


def through(transport: Transport) -> "Through":
    """Return the way through a blocking transport, one message at a time."""
    return Through(transport)


@dataclass(frozen=True)
class Over:
    """Opens the way over connections to a relay.

    A relay that refuses a connection while others carry mail is not away: it may take no more of them at once.
    """

    relay: Relay
    connections: int

    @property
    def name(self) -> str:
        """The relay's, as pauses and limits know it."""
        return self.relay.name

    def narrowed(self, connections: int) -> "Over":
        """Return the same way with fewer connections."""
        return replace(self, connections=min(connections, self.connections))

    def __call__(self, feed: Feed, troubled: Callable[[Exception], None]) -> Way:
        """Open it."""

        def hear(error: Exception) -> None:
            if isinstance(error, RelayUnavailable) and pool.open:
                log.warning("connection_refused", error=str(error), open=pool.open)
            else:
                troubled(error)

        pool = Pool(self.relay, feed, connections=self.connections, troubled=hear)
        return pool


@dataclass(frozen=True)
class Through:
    """Opens the way through a blocking transport, which is no relay: it has no name, and nothing pauses or limits it."""

    transport: Transport
    name: str = ""
    connections: int = 1

    def narrowed(self, connections: int) -> "Through":
        """Return the same: it is one message at a time anyway."""
        del connections
        return self

    def __call__(self, feed: Feed, troubled: Callable[[Exception], None]) -> Way:
        """Open it."""
        return _Through(self.transport, feed, troubled)


class _Through:
    """Pulls from the feed and sends in a thread."""

    def __init__(self, transport: Transport, feed: Feed, troubled: Callable[[Exception], None]) -> None:
        self._transport = transport
        self._feed = feed
        self._troubled = troubled
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    def wake(self) -> None:
        """Go on pulling, unless it is being done."""
        if not self._closing and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._pull())

    async def close(self, grace: float = 0) -> None:
        """Wait for the message at hand; a transport has its own time-outs."""
        del grace
        self._closing = True
        if self._task is not None:
            await self._task

    async def _pull(self) -> None:
        try:
            while not self._closing and (parcel := self._feed.next()) is not None:
                await self._carry(parcel)
        except BaseException as error:  # the feed's own, or nothing that anybody may catch
            self._closing = True
            self._troubled(error if isinstance(error, Exception) else RuntimeError(repr(error)))
            raise

    async def _carry(self, parcel: Parcel) -> None:
        content = self._feed.begin(parcel)
        if content is None:
            self._feed.ended(parcel, Answer(Kind.RETURNED, Reply(0, "", "it was not to be sent after all", "", "data")))
            return
        answer = await asyncio.to_thread(self._send, parcel, content)
        self._feed.ended(parcel, answer)
        if answer.kind is Kind.RELAY:
            self._closing = True
            self._troubled(RelayUnavailable(answer.reply))

    def _send(self, parcel: Parcel, content: bytes) -> Answer:
        try:
            return Answer(Kind.ACCEPTED, self._transport.send(OutgoingMessage(parcel.sender, parcel.recipient, content)))
        except TransportError as error:
            return Answer(next((kind for known, kind in _KINDS if isinstance(error, known)), Kind.LOST), error.reply)
        except NewsletterError as error:  # our own finding that this message cannot be sent
            return Answer(Kind.REFUSED, Reply(0, "5.6.0", str(error), "", "data"))
        except Exception as error:
            log.exception("sending_broke", delivery=parcel.id)
            return Answer(Kind.LOST, Reply(0, "", f"sending it broke: {error!r}", "", "dot"))
