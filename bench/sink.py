"""A mail server that takes everything and keeps nothing: `python -m bench.sink PORT PROCESSES DELAY_MS [IDS_FILE]`.

It reads every byte and does as little as possible beside, so that the sender is what is measured. Every reply leaves
DELAY_MS after what it answers came in, whatever comes in between: a server that is far away. It prints its port once it
listens, and on SIGTERM what it saw, one line of JSON; the Message-IDs it took go to IDS_FILE, one a line.
"""

import heapq
import json
import os
import re
import select
import signal
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

_OFFER = b"250-sink.example.net\r\n250-PIPELINING\r\n250-SIZE 50000000\r\n250-ENHANCEDSTATUSCODES\r\n250 8BITMIME\r\n"
_END = b"\r\n.\r\n"
_ROOM = 1 << 18  # bytes read at once: a whole message
_HEAD = 8192  # bytes of a message in which its Message-ID stands
_MESSAGE_ID = re.compile(rb"^Message-ID:\s*(<[^>]*>)", re.IGNORECASE | re.MULTILINE)


@dataclass
class Seen:
    """What a process of the sink saw: a *turn* is a batch of replies, which a client waits for once."""

    messages: int = 0
    octets: int = 0
    turns: int = 0
    connections: int = 0
    most_open: int = 0
    cpu_s: float = 0.0


@dataclass(eq=False)
class _Client:
    """One connection: what it has said that is not understood yet."""

    socket: socket.socket
    in_data: bool = False
    rest: bytes = b""  # a command not yet whole, or the last bytes of the content
    size: int = 0  # bytes of the content so far
    head: bytes = b""  # its beginning, where Message-IDs are kept
    replies: list[bytes] = field(default_factory=list)
    late: deque[bytes] = field(default_factory=deque)  # in the order in which they are due


class Sink:
    """One process of the sink."""

    def __init__(self, listener: socket.socket, delay: float, ids: list[bytes] | None) -> None:
        """Serve `listener`, each reply `delay` seconds late; keep the Message-IDs in `ids` if there is such a list."""
        self.seen = Seen()
        self._listener, self._delay, self._ids = listener, delay, ids
        self._poll = select.epoll()
        self._poll.register(listener, select.EPOLLIN)
        self._clients: dict[int, _Client] = {}
        self._due: list[tuple[float, int, _Client]] = []
        self._number = 0
        self._buffer = memoryview(bytearray(_ROOM))

    def serve(self) -> None:
        """Serve until an exception (of a signal) ends it."""
        while True:
            wait = max(0.0, self._due[0][0] - time.monotonic()) if self._due else -1
            for descriptor, _ in self._poll.poll(wait):
                if descriptor == self._listener.fileno():
                    self._accept()
                else:
                    self._read(self._clients[descriptor])
            self._answer_late()

    def _accept(self) -> None:
        with suppress(BlockingIOError):
            while True:
                connected, _ = self._listener.accept()
                connected.setblocking(False)
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                client = self._clients[connected.fileno()] = _Client(connected, replies=[b"220 sink.example.net ESMTP\r\n"])
                self._poll.register(connected, select.EPOLLIN)
                self.seen.connections += 1
                self.seen.most_open = max(self.seen.most_open, len(self._clients))
                self._answer(client)

    def _read(self, client: _Client) -> None:
        try:
            count = client.socket.recv_into(self._buffer)
        except BlockingIOError:
            return
        except OSError:
            count = 0
        if not count or not all(self._understand(client, bytes(self._buffer[:count]))):
            self._close(client)
        elif client.replies:
            self._answer(client)

    def _understand(self, client: _Client, data: bytes) -> Iterator[bool]:
        """Take in what came; yield False once the client says goodbye."""
        while data:
            if client.in_data:
                data = self._content(client, data)
                continue
            line, end, data = (client.rest + data).partition(b"\r\n")
            client.rest = b"" if end else line
            if end:
                yield self._command(client, line.upper())

    def _command(self, client: _Client, line: bytes) -> bool:
        verb = line[:4]
        if verb == b"DATA":
            client.in_data, client.rest, client.size = True, b"\r\n", 0
            client.replies.append(b"354 go on\r\n")
        elif verb == b"EHLO":
            client.replies.append(_OFFER)
        elif verb == b"QUIT":
            with suppress(OSError):
                client.socket.send(b"".join([*client.late, *client.replies, b"221 bye\r\n"]))
            return False
        else:
            client.replies.append(b"250 2.0.0 fine\r\n")
        return True

    def _content(self, client: _Client, data: bytes) -> bytes:
        """Take in content; return what comes after its end."""
        joined = client.rest + data[:4]  # the end may have come in two
        split = joined.find(_END)
        end = split - len(client.rest) if split >= 0 else data.find(_END)
        if self._ids is not None and len(client.head) < _HEAD:
            client.head += data[:_HEAD]
        if split < 0 and end < 0:
            client.rest = (client.rest + data)[-4:]
            client.size += len(data)
            return b""
        after = end + len(_END)
        self.seen.messages += 1
        self.seen.octets += client.size + after - 3
        client.in_data, client.rest = False, b""
        client.replies.append(b"250 2.0.0 taken\r\n")
        if self._ids is not None:
            self._note_id(client)
        return data[after:]

    def _note_id(self, client: _Client) -> None:
        assert self._ids is not None
        found = _MESSAGE_ID.search(client.head)
        self._ids.append(found[1] if found else b"")
        client.head = b""

    def _answer(self, client: _Client) -> None:
        replies, client.replies = b"".join(client.replies), []
        self.seen.turns += 1
        if self._delay:
            self._number += 1
            client.late.append(replies)
            heapq.heappush(self._due, (time.monotonic() + self._delay, self._number, client))
        else:
            self._say(client, replies)

    def _answer_late(self) -> None:
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            client = heapq.heappop(self._due)[2]
            if client.late:
                self._say(client, client.late.popleft())

    def _say(self, client: _Client, replies: bytes) -> None:
        try:
            client.socket.send(replies)  # small: a client that does not read a few hundred bytes is gone
        except OSError:
            self._close(client)

    def _close(self, client: _Client) -> None:
        client.late.clear()
        if self._clients.pop(client.socket.fileno(), None) is not None:
            self._poll.unregister(client.socket)
            client.socket.close()


def listen(port: int) -> socket.socket:
    """Return a listener that shares its port with others of our processes; the kernel deals the connections out."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
    listener.bind(("127.0.0.1", port))
    listener.listen(1024)
    listener.setblocking(False)
    return listener


def serve(listener: socket.socket, delay: float, ids_file: str) -> Seen:
    """Serve until SIGTERM, which is blocked until it can be heard, and return what was seen."""
    ids: list[bytes] | None = [] if ids_file else None
    sink = Sink(listener, delay, ids)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with suppress(SystemExit):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        sink.serve()
    sink.seen.cpu_s = time.process_time()
    if ids is not None:
        with Path(ids_file).open("ab") as file:
            file.write(b"".join(each + b"\n" for each in ids))
    return sink.seen


def main(port: str, processes: str, delay_ms: str, ids_file: str = "") -> None:
    """Listen, print the port, serve in so many processes, print what all of them saw."""
    first = listen(int(port))
    listeners = [first, *(listen(first.getsockname()[1]) for _ in range(int(processes) - 1))]
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    print(first.getsockname()[1], flush=True)
    pipes = [_fork(listeners, position, float(delay_ms) / 1000, ids_file) for position in range(len(listeners))]
    for listener in listeners:
        listener.close()
    signal.sigwait({signal.SIGTERM})
    print(json.dumps([json.loads(_ended(*pipe)) for pipe in pipes]), flush=True)


def _fork(listeners: list[socket.socket], position: int, delay: float, ids_file: str) -> tuple[int, int]:
    """Start one process; return its id and the end of a pipe where what it saw can be read."""
    reader, writer = os.pipe()
    child = os.fork()
    if child:
        os.close(writer)
        return child, reader
    for other in listeners:
        if other is not listeners[position]:
            other.close()
    seen = serve(listeners[position], delay, ids_file)
    os.write(writer, json.dumps(asdict(seen)).encode())
    os._exit(0)


def _ended(child: int, reader: int) -> bytes:
    os.kill(child, signal.SIGTERM)
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


if __name__ == "__main__":
    main(*sys.argv[1:])
