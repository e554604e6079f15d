"""Mail servers that run in the test's own event loop, for tests with many connections or of the finest grain."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

OFFER = "250-mail.example.net\r\n250-PIPELINING\r\n250 SIZE 100000000\r\n"


async def until(condition: Callable[[], object]) -> None:
    """Wait for what no event tells."""
    while not condition():  # noqa: ASYNC110 -- what is waited for is a part's own state
        await asyncio.sleep(0.001)


class Cut(Exception):
    """The server has said as much as it was to say."""


@dataclass
class LoopServer:
    """Takes everything; the first connection may be cut after so many bytes of replies, answers to the dot may be slow."""

    offer: str = OFFER
    said_on_first: int | None = None  # bytes, then the connection is closed
    delay: float = 0  # seconds between a dot and its answer
    before_greeting: Callable[[], Awaitable[object]] | None = None
    while_reading: Callable[[], Awaitable[object]] | None = None  # before each bit of a content is read
    connections: int = 0
    at_once: int = 0  # connections open at the same time, at most
    answered: int = 0  # dots whose 250 went out as a whole
    port: int = 0
    open: set[asyncio.StreamWriter] = field(default_factory=set)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["LoopServer"]:
        """Serve until the block ends."""
        listener = socket.socket(
            socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP
        )  # said to be TCP, or replies wait for ACKs
        listener.bind(("127.0.0.1", 0))
        if self.while_reading is not None:  # a client notices a slow reader only where little fits between the two
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 18)
        server = await asyncio.start_server(self._serve, sock=listener, backlog=500)
        self.port = listener.getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            await until(lambda: not self.open)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open.add(writer)
        self.at_once = max(self.at_once, len(self.open))
        left = self.said_on_first if self.connections == 1 else None
        try:
            await _Conversation(self, reader, writer, left).hold()
        except (Cut, OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open.discard(writer)
            writer.close()


@dataclass
class _Conversation:
    server: LoopServer
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    left: int | None  # bytes that may still be said

    async def hold(self) -> None:
        if self.server.before_greeting is not None:
            await self.server.before_greeting()
        self._say("220 mail.example.net\r\n")
        while line := await self.reader.readline():
            if line.startswith(b"EHLO"):
                self._say(self.server.offer)
            elif line == b"DATA\r\n":
                self._say("354 go on\r\n")
                await self._take()
                await asyncio.sleep(self.server.delay)
                self._say("250 2.0.0 taken\r\n")
                self.server.answered += 1
            else:
                self._say("250 2.1.0 fine\r\n")

    async def _take(self) -> None:
        if self.server.while_reading is None:
            await self.reader.readuntil(b"\r\n.\r\n")
            return
        end = b""
        while not end.endswith(b"\r\n.\r\n"):
            await self.server.while_reading()
            bit = await self.reader.read(1 << 20)
            if not bit:
                raise Cut
            end = (end + bit)[-5:]

    def _say(self, text: str) -> None:
        words = text.encode()
        if self.left is not None and len(words) > self.left:
            self.writer.write(words[: self.left])
            raise Cut
        self.writer.write(words)
        self.left = None if self.left is None else self.left - len(words)
