"""The server that takes our mail in, by SMTP (RFC 5321) or LMTP (RFC 2033), and the thread that handles what came.

A mail is answered 250 when it is a row of the database, never before; a thread of its own handles it right after, and every
minute looks for what was left, by a crash or by a database that was away.
"""

import asyncio
import logging
import signal
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from threading import Event, Lock, Thread
from typing import Any, AnyStr

import structlog
from aiosmtpd.smtp import SMTP, Envelope, TLSSetupException
from aiosmtpd.smtp import Session as Dialogue

from newsletter import alarms
from newsletter.db import Sessions
from newsletter.inbox import handling, receiving, recipients
from newsletter.inbox.office import Office
from newsletter.inbox.receiving import Incoming
from newsletter.inbox.recipients import Directory

log = structlog.get_logger()
CONNECTIONS = 30  # at once; each may hold a mail of the largest size in memory
RECIPIENTS = 100  # of one mail, RFC 5321 section 4.5.3.1.8
UNKNOWN = 20  # addresses that are not ours before a connection is sent away
IDLE = 300.0  # seconds without a command, or for all of a mail's content: RFC 5321 section 4.5.3.2.7
LINE = 100_000  # bytes: what others write in a line is not for us to bounce
SWEEP_EVERY = 60.0  # seconds
_FRESH = timedelta(seconds=5)  # that the names of the newsletters are believed
_COUNTED = timedelta(minutes=1)  # that what is kept is not counted again


@dataclass(frozen=True)
class Door:
    """Where the server listens and what it takes."""

    host: str
    port: int
    max_bytes: int
    name: str  # what it calls itself
    lmtp: bool = False
    tls: ssl.SSLContext | None = None
    connections: int = CONNECTIONS
    idle: float = IDLE
    max_kept_bytes: int = 2_000_000_000


class Hands:
    """The handler of all connections: which addresses are ours, and keeping what comes for them."""

    def __init__(self, sessions: Sessions, office: Office, room: "Room", clock: Callable[[], datetime], arrived: Event) -> None:
        """Keep mail in the database, and set `arrived` when there is some."""
        self._sessions = sessions
        self._office = office
        self._room = room
        self._clock = clock
        self._arrived = arrived
        self._directory: tuple[datetime, Directory] | None = None

    async def handle_EHLO(  # noqa: N802 -- the hook's name and shape are aiosmtpd's
        self, server: SMTP, session: Dialogue, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """Offer what we do: nobody logs in here."""
        del server, envelope
        session.host_name = hostname
        kept = [line for line in responses if not line[4:].startswith(("AUTH", "HELP"))]
        return [*kept[:-1], f"250 {kept[-1][4:]}"]

    async def handle_RCPT(  # noqa: N802 -- as above
        self, server: SMTP, _: Dialogue, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take the addresses that are ours and no others: there is no catch-all."""
        if len(envelope.rcpt_tos) >= RECIPIENTS:
            return "452 4.5.3 Too many recipients"
        try:
            known = await asyncio.to_thread(self._known)
        except Exception as error:  # noqa: BLE001 -- whatever it is, they come again
            log.warning("inbox_deferred", error=type(error).__name__)
            return "451 4.3.0 Not just now, try again later"
        if known.find(address) is not None:
            envelope.rcpt_tos.append(address)
            envelope.rcpt_options.extend(options)
            return "250 2.1.5 Ok"
        assert isinstance(server, _Smtp)
        server.strangers += 1
        if server.strangers > UNKNOWN:
            asyncio.get_running_loop().call_later(0.1, server.hang_up)
            return "421 4.7.0 Too many unknown addresses"
        return "550 5.1.1 There is no such address here"

    def _known(self) -> Directory:
        now = self._clock()
        if self._directory is None or not timedelta() <= now - self._directory[0] < _FRESH:
            with self._sessions.read() as session:
                found = recipients.directory(session, self._office.domain, self._office.bounce_domain)
            self._directory = now, found
        return self._directory[1]

    async def handle_DATA(self, server: SMTP, session: Dialogue, envelope: Envelope) -> str:  # noqa: N802 -- as above
        """Keep the mail and answer; LMTP wants an answer for each recipient (RFC 2033 section 4.2)."""
        answer = await asyncio.to_thread(self._keep, session, envelope)
        return "\r\n".join([answer] * len(envelope.rcpt_tos)) if isinstance(server, _Lmtp) else answer

    def _keep(self, session: Dialogue, envelope: Envelope) -> str:
        mail = Incoming(
            peer=session.peer[0] if isinstance(session.peer, tuple) else "",
            sender=(envelope.mail_from or "").removeprefix("<>"),  # aiosmtpd's null sender
            recipients=tuple(envelope.rcpt_tos),
            content=envelope.original_content or b"",
        )
        try:
            if not self._room.takes(self._sessions, len(mail.content) * len(mail.recipients), now=self._clock()):
                return "452 4.3.1 No room for more mail, try again later"
            new = receiving.receive(self._sessions, mail, now=self._clock())
        except Exception as error:  # noqa: BLE001 -- it is not ours before it is kept: they come again
            log.warning("inbox_deferred", error=type(error).__name__)
            return "451 4.3.0 Not just now, try again later"
        self._arrived.set()
        log.info("mail_received", new=new, size=len(mail.content))
        return "250 2.6.0 Kept"

    async def handle_exception(self, error: Exception) -> str:
        """Answer to a fault of ours: they come again. Who cannot speak TLS with us is told nothing more."""
        if isinstance(error, TLSSetupException):
            log.info("tls_failed", error=str(error.__cause__))
        else:
            log.error("inbox_broke", exc_info=error)
        return "451 4.3.0 Not just now, try again later"


class Room:
    """How much mail is kept whole, counted now and then: whoever writes much must not fill the disk."""

    def __init__(self, most: int) -> None:
        self._most = most  # bytes
        self._kept = 0
        self._counted_at: datetime | None = None
        self._lock = Lock()

    def takes(self, sessions: Sessions, size: int, *, now: datetime) -> bool:
        """Whether so many bytes more may be kept; counts them as kept, or raises the alarm."""
        with self._lock:
            if self._counted_at is None or not timedelta() <= now - self._counted_at < _COUNTED:
                self._count(sessions, size, now=now)
            if self._kept + size > self._most:
                return False
            self._kept += size
            return True

    def _count(self, sessions: Sessions, size: int, *, now: datetime) -> None:
        with sessions.begin() as session:
            self._kept, self._counted_at = receiving.kept_bytes(session), now
            if self._kept + size > self._most:
                log.warning("inbox_full", kept=self._kept)
                receiving.raise_full(session, self._kept, now=now)
            else:
                alarms.close(session, receiving.FULL, now=now)


class _Smtp(SMTP):
    """A connection, counted among those that are open."""

    line_length_limit = LINE

    def __init__(self, open_: set[asyncio.BaseTransport], *arguments: Any, **options: Any) -> None:  # noqa: ANN401 -- aiosmtpd's
        super().__init__(*arguments, **options)
        self._open = open_
        self._own: asyncio.BaseTransport | None = None
        self.strangers = 0  # addresses asked for that are not ours

    def hang_up(self) -> None:
        """Close the connection, if it is still there."""
        if self._own is not None:
            self._own.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self._own is None:  # STARTTLS makes a second one on top of it
            self._own = transport
            self._open.add(transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self._own is not None:
            self._open.discard(self._own)
        super().connection_lost(error)


class _Lmtp(_Smtp):
    """The same in LMTP: LHLO instead of HELO and EHLO, and an answer for each recipient."""

    async def smtp_LHLO(self, hostname: str) -> None:  # noqa: N802 -- found by its name
        """Greet (RFC 2033 section 4.1)."""
        await super().smtp_EHLO(hostname)

    async def smtp_HELO(self, hostname: str) -> None:  # noqa: N802 -- as above
        """Refuse SMTP's greeting."""
        del hostname
        await self.push("500 5.5.1 This is LMTP: say LHLO")

    smtp_EHLO = smtp_HELO  # noqa: N815 -- as above

    async def push(self, status: AnyStr) -> None:
        """Answer; what aiosmtpd itself says of a mail it did not take is said for each recipient."""
        number = len(self.envelope.rcpt_tos) if self.envelope is not None else 0
        if number > 1 and str(status).startswith(("552 Error: Too much", "500 Line too long")):
            await super().push("\r\n".join([str(status)] * number))
        else:
            await super().push(status)


class _Full(asyncio.Protocol):
    """A connection too many: it is told to come again."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(b"421 4.3.2 Too many connections, try again later\r\n")
        transport.close()


async def run(  # noqa: PLR0913 -- as `serve`
    sessions: Sessions,
    office: Office,
    door: Door,
    *,
    clock: Callable[[], datetime],
    listening: Callable[[int], None],
    wake: Callable[[], None],
) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    await serve(sessions, office, door, clock=clock, listening=listening, stopping=stopping, wake=wake)


async def serve(  # noqa: PLR0913 -- what it needs, and how it is watched
    sessions: Sessions,
    office: Office,
    door: Door,
    *,
    clock: Callable[[], datetime],
    listening: Callable[[int], None],
    stopping: asyncio.Event,
    wake: Callable[[], None] = lambda: None,
) -> None:
    """Take mail in and handle it until `stopping` is set; tell `listening` the port. Raises OSError where that is taken.

    `wake` is called when what was handled may have put mail into the outbox.

    What is being said when it stops is cut off: a mail that was not answered comes again.
    """
    logging.getLogger("mail.log").setLevel(logging.ERROR)  # aiosmtpd's own log names addresses
    loop = asyncio.get_running_loop()
    arrived, end = Event(), Event()
    hands, open_ = Hands(sessions, office, Room(door.max_kept_bytes), clock, arrived), set[asyncio.BaseTransport]()
    server = await loop.create_server(lambda: _connection(hands, door, open_), door.host, door.port)
    handler = Thread(
        target=_handle, args=(partial(handling.sweep, sessions, office), clock, wake, arrived, end), name="inbox-handler"
    )
    handler.start()
    try:
        listening(server.sockets[0].getsockname()[1])
        await stopping.wait()
    finally:
        server.close()
        for transport in list(open_):
            transport.close()
        end.set()
        arrived.set()
        await asyncio.to_thread(handler.join)


def _connection(hands: Hands, door: Door, open_: set[asyncio.BaseTransport]) -> asyncio.BaseProtocol:
    if len(open_) >= door.connections:
        return _Full()
    kind = _Lmtp if door.lmtp else _Smtp
    protocol: asyncio.BaseProtocol = kind(
        open_,
        hands,
        data_size_limit=door.max_bytes,
        enable_SMTPUTF8=True,
        hostname=door.name,
        ident="LMTP newsletter" if door.lmtp else "ESMTP newsletter",
        tls_context=door.tls,
        timeout=door.idle,
        auth_exclude_mechanism=["LOGIN", "PLAIN"],
        loop=asyncio.get_running_loop(),
    )
    return protocol


def _handle(
    sweep: Callable[..., int], clock: Callable[[], datetime], wake: Callable[[], None], arrived: Event, end: Event
) -> None:
    """Handle what comes, and every minute what was left, until `end` is set."""
    while not end.is_set():
        arrived.clear()
        try:
            if sweep(now=clock()):
                wake()
        except Exception as error:  # noqa: BLE001 -- the database is away, or worse: the mail waits for the next sweep
            log.warning("inbox_waits", error=type(error).__name__)
        arrived.wait(SWEEP_EVERY)
