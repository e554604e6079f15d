"""A mail server that keeps count, in a process of its own: `python faults/sink.py BOOK`.

It prints its port, and reads the longest wait in seconds between a message's dot and the answer to it, a line each time it is
to change. Each line of the BOOK is a kind, the Message-ID and the recipient: `accepted` is written before the 250 goes out,
`withheld` where the whole content was there and its sender gone before the answer, `partial` where a part of it was.
"""

import asyncio
import os
import random
import re
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast

_MESSAGE_ID = re.compile(rb"^message-id:\s*(<[^>]*>)", re.IGNORECASE | re.MULTILINE)
_END = b"\r\n.\r\n"


@dataclass
class Sink:
    """What all connections share: the book, and how slow the server is."""

    book: int  # a descriptor that appends
    slowest: float = 0.0  # seconds
    dice: random.Random = field(default_factory=lambda: random.Random(1))

    def note(self, kind: str, content: bytes, recipient: str) -> None:
        """Write a line into the book: with write(2), so that who reads it after an answer finds it."""
        found = _MESSAGE_ID.search(content)
        os.write(self.book, f"{kind}\t{found[1].decode() if found else ''}\t{recipient}\n".encode())


class Conversation(asyncio.Protocol):
    """One connection; while an answer is being thought over nothing else is read."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.heard = bytearray()
        self.recipient = ""
        self.in_data = False
        self.content: bytes | None = None  # whole, its answer not given yet

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self.transport = cast("asyncio.Transport", transport)
        self._say("220 sink.example.net")

    def data_received(self, data: bytes) -> None:
        """Take what came and go as far as it allows."""
        self.heard += data
        self._go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note what was broken off."""
        del exc
        if self.content is not None:
            self.sink.note("withheld", self.content, self.recipient)
            self.content = None
        elif self.in_data and self.heard:
            self.sink.note("partial", bytes(self.heard), self.recipient)

    def _go_on(self) -> None:
        while self.content is None:
            found = self._rest_of_content() if self.in_data else self._next_line()
            if not found:
                return

    def _next_line(self) -> bool:
        line, end, rest = bytes(self.heard).partition(b"\r\n")
        if not end:
            return False
        self.heard = bytearray(rest)
        self._answer(line.decode("utf-8", "replace"))
        return True

    def _answer(self, line: str) -> None:
        verb = line[:4].upper()
        if verb == "RCPT":
            self.recipient = line.partition("<")[2].partition(">")[0]
        self.in_data = verb == "DATA"
        self._say(
            {"EHLO": "250-sink\r\n250-PIPELINING\r\n250 8BITMIME", "DATA": "354 go on", "QUIT": "221 bye"}.get(verb, "250 fine")
        )
        if verb == "QUIT":
            self.transport.close()

    def _rest_of_content(self) -> bool:
        at = self.heard.find(_END)
        if at < 0:
            return False
        self.content, self.in_data = bytes(self.heard[: at + 2]), False
        del self.heard[: at + len(_END)]
        asyncio.get_running_loop().call_later(self.sink.slowest * self.sink.dice.uniform(0.2, 1.0), self._accept)
        return False

    def _accept(self) -> None:
        if self.content is None or self.transport.is_closing():
            return
        self.sink.note("accepted", self.content, self.recipient)
        self.content = None
        self._say("250 2.0.0 taken")
        self._go_on()

    def _say(self, words: str) -> None:
        self.transport.write(words.encode() + b"\r\n")


async def serve(book: str) -> None:
    """Serve until standard input ends."""
    sink, loop = Sink(os.open(book, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)), asyncio.get_running_loop()
    server = await loop.create_server(lambda: Conversation(sink), "127.0.0.1", 0, backlog=200)
    print(server.sockets[0].getsockname()[1], flush=True)
    words = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(words), sys.stdin)
    while line := await words.readline():
        sink.slowest = float(line)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(sys.argv[1]))
