"""Ways out for the engine: the connections to a relay, or a blocking transport (files, tests) behind the same face."""

import asyncio
from collections.abc import Callable

from newsletter.deliveries.engine import OpenWay, Way
from newsletter.errors import AnswerLost, BadInput, Deferred, Refused, RelayUnavailable, Reply, TransportError
from newsletter.mail.smtp import Answer, Feed, Kind, Parcel, Pool, Relay
from newsletter.mail.transports import OutgoingMessage, Transport

_KINDS: dict[type[TransportError], Kind] = {
    Refused: Kind.REFUSED,
    Deferred: Kind.DEFERRED,
    AnswerLost: Kind.LOST,
    RelayUnavailable: Kind.RELAY,
}


def over(relay: Relay, *, connections: int) -> OpenWay:
    """Return the way over up to so many connections to a relay."""

    def open_way(feed: Feed, troubled: Callable[[Exception], None]) -> Way:
        return Pool(relay, feed, connections=connections, troubled=troubled)

    return open_way


def through(transport: Transport) -> OpenWay:
    """Return the way through a blocking transport, one message at a time."""

    def open_way(feed: Feed, troubled: Callable[[Exception], None]) -> Way:
        return _Through(transport, feed, troubled)

    return open_way


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
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._pull())

    async def close(self, grace: float = 0) -> None:
        """Wait for the message at hand; a transport has its own time-outs."""
        del grace
        self._closing = True
        if self._task is not None:
            await self._task

    async def _pull(self) -> None:
        while not self._closing and (parcel := self._feed.next()) is not None:
            content = self._feed.begin(parcel)
            if content is None:
                self._feed.ended(parcel, Answer(Kind.RETURNED, Reply(0, "", "it was not begun", "", "begin")))
                continue
            answer = await asyncio.to_thread(self._send, parcel, content)
            self._feed.ended(parcel, answer)
            if answer.kind is Kind.RELAY:
                self._troubled(RelayUnavailable(answer.reply))
                return

    def _send(self, parcel: Parcel, content: bytes) -> Answer:
        try:
            return Answer(Kind.ACCEPTED, self._transport.send(OutgoingMessage(parcel.sender, parcel.recipient, content)))
        except TransportError as error:
            return Answer(_KINDS[type(error)], error.reply)
        except BadInput as error:
            return Answer(Kind.REFUSED, Reply(0, "", str(error), "", "mail"))
        except Exception as error:  # noqa: BLE001 -- nobody knows how far it had come
            return Answer(Kind.LOST, Reply(0, "", f"sending it broke: {error!r}", "", "dot"))
