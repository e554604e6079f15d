"""Several connections to one relay, opened as there is work for them."""

import asyncio
import socket
from collections.abc import Callable
from types import TracebackType
from typing import Self

from newsletter.errors import RelayUnavailable
from newsletter.mail.smtp.connection import Connection
from newsletter.mail.smtp.opening import open_connection
from newsletter.mail.smtp.parcels import Feed, Parcel
from newsletter.mail.smtp.relay import Relay

_AT_ONCE = 128  # connections that are being opened at the same time, at most: a server's queue for them is often no longer


class Pool:
    """Keeps up to `connections` connections busy as long as the feed has parcels; belongs to one event loop.

    It begins with one connection, and opens the square of what is open at the same time: one, four, thirty-six. A server is
    not stormed before it has shown that it works, and one that is far away has hundreds after five times two round trips.
    A connection that is refused,
    or lost before the server has answered about any message on it, is told to `troubled` (RelayUnavailable), and no other
    is opened for a while: `first_pause` seconds, each time twice as long up to `longest_pause`, until one works again.
    What the feed itself raises is told there too, and stops the pool; the next `drain` or `close` raises it.
    """

    def __init__(  # noqa: PLR0913 -- how to open, and how patiently
        self,
        relay: Relay,
        feed: Feed,
        *,
        connections: int = 8,
        troubled: Callable[[Exception], None] = lambda _: None,
        first_pause: float = 1,
        longest_pause: float = 60,
    ) -> None:
        """Open nothing yet; raises SettingsError where the certificates to trust cannot be read."""
        self.feed = feed
        self.may_begin = True
        self._relay = relay
        self._tls = relay.tls_context()
        self._helo = relay.helo or _own_name()
        self._connections = connections
        self._troubled = troubled
        self._pauses = (first_pause, longest_pause)
        self._troubles = 0  # in a row
        self._retry: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._waking: asyncio.Handle | None = None
        self._opening: set[asyncio.Task[None]] = set()
        self._live: set[Connection] = set()
        self._resting: dict[Connection, None] = {}  # the latest is asked first: those that rest long may be closed by the server
        self._hungry = False  # the feed had a parcel when it was last asked
        self._stopping = False
        self._failure: Exception | None = None
        self._emptied = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Return the pool itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close it at once; see `close`."""
        await self.close()

    @property
    def open(self) -> int:
        """How many connections are open."""
        return len(self._live)

    @property
    def resting(self) -> int:
        """How many of them have nothing to do."""
        return len(self._resting)

    @property
    def away(self) -> bool:
        """Whether the relay sent us away and is left alone for a while."""
        return self._retry is not None

    def wake(self) -> None:
        """Ask the feed for parcels again: there are new ones, or some were given back. May be called from the feed."""
        if self._waking is None and not self._stopping:
            self._waking = self._loop.call_soon(self._wake)

    async def drain(self) -> None:
        """Take no more parcels, finish those that were taken, and close."""
        self._stop()
        await asyncio.gather(*self._opening, return_exceptions=True)
        while self._live:
            self._emptied.clear()
            await self._emptied.wait()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    async def close(self, grace: float = 0) -> None:
        """Begin nothing more, wait at most `grace` seconds for the answers that are due, and close.

        What was begun and not answered ends LOST, what was not begun RETURNED.
        """
        self.may_begin = False
        try:
            async with asyncio.timeout(grace):
                await self.drain()
        except TimeoutError:
            for connection in list(self._live):
                connection.abort("we stopped waiting for the answer")
            await self.drain()

    # What connections call

    def take(self) -> Parcel | None:
        """Return the feed's next parcel, unless we are stopping."""
        if self._stopping:
            return None
        parcel = self.feed.next()
        self._hungry = parcel is not None
        return parcel

    def rest(self, connection: Connection) -> None:
        """Keep an idle connection for later, or let it go."""
        if self._stopping:
            connection.quit()
        else:
            self._resting[connection] = None

    def proved(self) -> None:
        """Forget the troubles: a connection works."""
        self._troubles = 0

    def closed(self, connection: Connection) -> None:
        """Let go of a connection, and open another if there is work."""
        self._live.discard(connection)
        self._resting.pop(connection, None)
        if not self._live:
            self._emptied.set()
        if connection.machine.trouble is not None:
            hint = "The mail server refused our sender address, or ends every connection: ask its operator why."
            self._put_off(RelayUnavailable(connection.machine.trouble, hint=hint))
        self._top_up()

    def broke(self, error: Exception) -> None:
        """Stop: without its feed nothing may be sent."""
        self._failure = self._failure or error
        self.may_begin = False
        self._stop()
        self._troubled(error)

    # Steps

    def _wake(self) -> None:
        self._waking = None
        self._hungry = True
        while self._resting and self._hungry:
            self._resting.popitem()[0].start()
        self._top_up()

    def _top_up(self) -> None:
        while self._may_open():
            task = self._loop.create_task(self._open())
            self._opening.add(task)
            task.add_done_callback(self._opened)

    def _may_open(self) -> bool:
        if self._stopping or self._retry is not None or self._resting or not self._hungry:
            return False
        room = self._connections - len(self._live) - len(self._opening)
        return room > 0 and len(self._opening) < min(_AT_ONCE, max(1, len(self._live) ** 2))

    async def _open(self) -> None:
        try:
            opened = await open_connection(self._relay, self._tls, self._helo)
        except RelayUnavailable as error:
            self._put_off(error)
        else:
            connection = Connection(opened, self._relay, self)
            self._live.add(connection)
            connection.start()

    def _opened(self, task: asyncio.Task[None]) -> None:
        self._opening.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.broke(error if isinstance(error, Exception) else RuntimeError(str(error)))
        self._top_up()

    def _put_off(self, error: RelayUnavailable) -> None:
        """Open nothing for a while; those that fail at the same time count once."""
        if self._retry is None and not self._stopping:
            first, longest = self._pauses
            self._retry = self._loop.call_later(min(first * 2**self._troubles, longest), self._try_again)
            self._troubles += 1
        self._troubled(error)

    def _try_again(self) -> None:
        self._retry = None
        self._top_up()

    def _stop(self) -> None:
        self._stopping = True
        for handle in (self._retry, self._waking):
            if handle is not None:
                handle.cancel()
        self._retry = self._waking = None
        for task in self._opening:
            task.cancel()
        while self._resting:
            self._resting.popitem()[0].quit()


def _own_name() -> str:
    """Return this machine's name for EHLO: its full one, or an address literal (RFC 5321 section 4.1.4)."""
    name = socket.getfqdn()
    return name if "." in name else "[127.0.0.1]"
