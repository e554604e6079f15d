"""Opening a connection: TCP, TLS, and the conversation up to the first message."""

import asyncio
import ssl
from collections import deque
from typing import NamedTuple, cast

from newsletter.errors import RelayUnavailable
from newsletter.mail.smtp.deadline import Deadline
from newsletter.mail.smtp.handshake import SECURE, Ask, Offer, Said, introduce
from newsletter.mail.smtp.relay import Relay
from newsletter.mail.smtp.replies import Replies, make_reply

_TRUST = "The host must be the name in the server's certificate, and its issuer be trusted (the CA file)."


class Opened(NamedTuple):
    """A connection on which the first MAIL may be said, and what the server offers."""

    transport: asyncio.Transport
    offer: Offer


async def open_connection(relay: Relay, tls: ssl.SSLContext | None, helo: str) -> Opened:
    """Connect, secure the connection as the relay is configured, greet and log in; raises RelayUnavailable.

    There is no way back to clear text: a server that cannot be secured, or whose certificate does not hold, is refused.
    """
    conversation = _Conversation(relay, tls, helo)
    try:
        return await conversation.hold()
    finally:
        conversation.end()


class _Conversation(asyncio.Protocol):
    """The protocol of a connection until it is open; then another takes its place."""

    def __init__(self, relay: Relay, tls: ssl.SSLContext | None, helo: str) -> None:
        self._relay = relay
        self._tls = tls
        self._helo = helo
        self._transport: asyncio.Transport | None = None
        self._deadline = Deadline(self._expired)
        self._replies = Replies()
        self._heard: deque[Said] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._gone = ""  # why the connection cannot be used any more
        self._kept = False

    async def hold(self) -> Opened:
        """Go through all the steps."""
        await self._connect()
        steps = introduce(self._relay, self._helo)
        ask = next(steps)
        while True:
            said = await (self._secure() if ask is SECURE else self._ask(ask))
            try:
                ask = steps.send(said)
            except StopIteration as done:
                return self._opened(cast("Offer", done.value))

    def end(self) -> None:
        """Let go of the timer, and of a connection that did not become one to keep."""
        self._deadline.cancel()
        if self._transport is not None and not self._kept:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Keep replies until they are asked for; one that comes too early is the next one's."""
        self._heard.extend(self._replies.feed(data))
        if self._replies.nonsense:
            self._gone = self._gone or self._replies.nonsense
        if self._heard or self._gone:
            self._wake()

    def eof_received(self) -> None:
        """End the conversation, as there will be no more replies."""
        self._lose("the server closed the connection")

    def connection_lost(self, exc: Exception | None) -> None:
        """End the conversation."""
        self._lose(str(exc) if exc else "the server closed the connection")

    async def _connect(self) -> None:
        relay, loop = self._relay, asyncio.get_running_loop()
        tls = self._tls if relay.security == "tls" else None
        try:
            async with asyncio.timeout(relay.timeouts.connect):
                await loop.create_connection(
                    lambda: self,
                    relay.host,
                    relay.port,
                    ssl=tls,
                    server_hostname=relay.host if tls else None,
                    ssl_shutdown_timeout=relay.timeouts.quit if tls else None,
                )
        except (OSError, UnicodeError) as error:
            raise self._refused("connect", error) from None

    async def _secure(self) -> Said:
        """Put TLS on the connection; whatever was said in clear behind the 220 was not said by the server (CVE-2011-0411)."""
        assert self._transport is not None
        assert self._tls is not None
        if self._heard or self._replies.partial or self._gone:
            raise self._unavailable("tls", self._gone or "the server spoke in clear text when TLS was due")
        times = self._relay.timeouts
        try:
            secured = await asyncio.get_running_loop().start_tls(
                self._transport,
                self,
                self._tls,
                server_hostname=self._relay.host,
                ssl_handshake_timeout=times.connect,
                ssl_shutdown_timeout=times.quit,
            )
        except OSError as error:
            raise self._refused("tls", error) from None
        if secured is None:
            raise self._unavailable("tls", self._gone)
        self._transport = secured
        return 0, b""

    async def _ask(self, ask: Ask) -> Said:
        assert self._transport is not None
        if ask.line:
            self._transport.write(ask.line)
        if not self._heard and not self._gone:
            self._waiter = asyncio.get_running_loop().create_future()
            times = self._relay.timeouts
            self._deadline.set(times.greeting if ask.phase == "greeting" else times.command)
            await self._waiter
            self._deadline.clear()
        if not self._heard:
            raise self._unavailable(ask.phase, self._gone)
        return self._heard.popleft()

    def _opened(self, offer: Offer) -> Opened:
        assert self._transport is not None
        if self._heard or self._replies.partial or self._gone:
            raise self._unavailable("helo", self._gone or "the server said more than it was asked")
        self._kept = True
        return Opened(self._transport, offer)

    def _expired(self) -> None:
        self._lose(f"timed out after {self._deadline.seconds:g} s")

    def _lose(self, reason: str) -> None:
        self._gone = self._gone or reason
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _refused(self, phase: str, error: Exception) -> RelayUnavailable:
        """Return what a failure to connect or to secure means."""
        if isinstance(error, ssl.SSLError):
            return self._unavailable("tls", str(error), hint=_TRUST)
        timed_out = isinstance(error, TimeoutError) and not str(error)
        return self._unavailable(phase, f"timed out after {self._relay.timeouts.connect:g} s" if timed_out else str(error))

    def _unavailable(self, phase: str, text: str, *, hint: str = "") -> RelayUnavailable:
        return RelayUnavailable(make_reply(0, text, server=self._relay.name, phase=phase), hint=hint)
