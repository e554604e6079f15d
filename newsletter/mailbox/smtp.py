"""An SMTP server that accepts every recipient and puts what it gets into a `Mailbox`, byte for byte.

It runs in one thread of its own. There is no authentication and no TLS: it is for the loopback address.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from threading import Thread
from types import TracebackType
from typing import Any, Self, cast

from aiosmtpd.smtp import SMTP, Envelope, Session

from newsletter.mailbox.store import Mailbox

LOOPBACK = "127.0.0.1"
SIZE_LIMIT = 26_214_400  # bytes of one message: 25 MiB, what the large mail services take

_START_TIMEOUT = 10.0  # seconds

log = logging.getLogger(__name__)


class Keeper:
    """The handler: a message is answered 250 when it is in the mailbox, and 452 when it cannot be put there."""

    def __init__(self, mailbox: Mailbox, clock: Callable[[], datetime]) -> None:
        """Keep messages in `mailbox`, stamped with the time of `clock`."""
        self._mailbox = mailbox
        self._clock = clock

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002, N802 -- the hook's name and shape are aiosmtpd's
        """Keep the message and return the reply (RFC 5321 section 4.2)."""
        content = envelope.original_content or b""
        try:
            kept = self._mailbox.save(
                content,
                mail_from=(envelope.mail_from or "").removeprefix("<>"),  # aiosmtpd's null sender
                recipients=envelope.rcpt_tos,
                now=self._clock(),
            )
        except OSError as error:
            log.warning("A message for %d recipients was not kept: %s", len(envelope.rcpt_tos), error)
            return "452 4.3.1 The mailbox cannot be written"
        return f"250 2.0.0 Kept as {kept.id}"


class _Connection(SMTP):
    """A connection that can be found and cut off when the server stops."""

    def __init__(self, connections: set[asyncio.WriteTransport], handler: Keeper, **options: Any) -> None:  # noqa: ANN401 -- aiosmtpd's
        super().__init__(handler, **options)
        self._open_connections = connections
        self._own: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._own = cast("asyncio.WriteTransport", transport)
        self._open_connections.add(self._own)

    def connection_lost(self, error: Exception | None) -> None:
        self._open_connections.discard(self._own)
        super().connection_lost(error)


class SmtpServer:
    """A server to start and stop; also a context manager. `port` is the one it listens on once it is started."""

    def __init__(self, keeper: Keeper, host: str, port: int, size_limit: int) -> None:
        """Remember where to listen."""
        self.host = host
        self.port = port
        self._keeper = keeper
        self._size_limit = size_limit
        self._open: set[asyncio.WriteTransport] = set()
        self._thread: Thread | None = None
        self._loop: asyncio.AbstractEventLoop
        self._stopping: asyncio.Event

    def start(self) -> None:
        """Listen, and return when connections are taken.

        Raises OSError where the port is taken.
        """
        listening: Future[int] = Future()
        self._thread = Thread(target=lambda: asyncio.run(self._serve(listening)), name="mailbox-smtp", daemon=True)
        self._thread.start()
        self.port = listening.result(_START_TIMEOUT)

    def stop(self) -> None:
        """Close every connection and the port; nothing happens if it does not run."""
        if self._thread is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()
        self._thread = None

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop."""
        self.stop()

    async def _serve(self, listening: "Future[int]") -> None:
        """Serve until told to stop; what is going on then is cut off, as by a server that goes down."""
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        try:
            server = await self._loop.create_server(self._connection, self.host, self.port)
        except OSError as error:
            listening.set_exception(error)
            return
        listening.set_result(server.sockets[0].getsockname()[1])
        await self._stopping.wait()
        server.close()
        for transport in self._open:
            transport.abort()
        await asyncio.sleep(0)  # one turn of the loop, in which the connections learn of it

    def _connection(self) -> SMTP:
        """Return the protocol of one connection; the name is given because aiosmtpd would ask the network for it."""
        return _Connection(
            self._open,
            self._keeper,
            data_size_limit=self._size_limit,
            enable_SMTPUTF8=True,
            hostname="localhost",
            ident="mailbox: kept, not delivered",
            loop=asyncio.get_running_loop(),
        )


def serve_smtp(
    mailbox: Mailbox,
    host: str = LOOPBACK,
    port: int = 0,
    *,
    size_limit: int = SIZE_LIMIT,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> SmtpServer:
    """Return a server for `mailbox`, not yet started; port 0 is any free one, `size_limit` is in bytes."""
    return SmtpServer(Keeper(mailbox, clock), host, port, size_limit)
