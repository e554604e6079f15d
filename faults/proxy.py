"""A wire that can be cut, in a process of its own: `python faults/proxy.py UPSTREAM_PORT`.

It prints its port, and reads how the wire is, a word a line, each confirmed by printing it: `whole`, `hole` (it takes
connections and bytes and carries none; made whole again, it carries what waited) or
`cut` (all connections are reset, new ones too).
"""

import asyncio
import socket
import struct
import sys
from contextlib import suppress
from typing import Self, cast

_RESET = struct.pack("ii", 1, 0)  # linger for no time: RST instead of FIN


class End(asyncio.Protocol):
    """One end of a connection through the wire."""

    def __init__(self, wire: "Wire", other: Self | None = None) -> None:
        self.wire = wire
        self.other = other
        self.waiting = bytearray()  # for an end that is not there yet
        self.transport: asyncio.Transport | None = None  # once there is a connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Join the wire; the near end asks for the far one."""
        self.transport = cast("asyncio.Transport", transport)
        self.wire.ends.add(self)
        if self.wire.state == "cut":
            self.reset()
            return
        if self.other is None:
            self.wire.reach(self)
        elif self.other.waiting:
            self.transport.write(bytes(self.other.waiting))
            self.other.waiting.clear()
        if self.wire.state == "hole":
            self.transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        """Carry it over."""
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)
        else:
            self.waiting += data

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave, and have the other end leave."""
        del exc
        self.wire.ends.discard(self)
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()

    def reset(self) -> None:
        """Break this end off with RST."""
        assert self.transport is not None
        with suppress(OSError):
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()


class Wire:
    """All connections to one upstream port."""

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.state = "whole"
        self.ends: set[End] = set()
        self.unreached: list[End] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def reach(self, near: End) -> None:
        """Connect a near end to upstream, once the wire is whole."""
        if self.state == "hole":
            self.unreached.append(near)
            return
        task = asyncio.ensure_future(self._connect(near))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, near: End) -> None:
        far = End(self, near)
        near.other = far
        try:
            await asyncio.get_running_loop().create_connection(lambda: far, "127.0.0.1", self.upstream)
        except OSError:
            near.reset()

    def become(self, state: str) -> None:
        """Change how the wire is."""
        self.state = state
        for end in list(self.ends):
            assert end.transport is not None
            if state == "cut":
                end.reset()
            elif state == "hole":
                end.transport.pause_reading()
            else:
                end.transport.resume_reading()
        if state != "hole":
            waiting, self.unreached = self.unreached, []
            for near in waiting:
                if near in self.ends:
                    self.reach(near)


async def serve(upstream: int) -> None:
    """Serve until standard input ends."""
    wire, loop = Wire(upstream), asyncio.get_running_loop()
    server = await loop.create_server(lambda: End(wire), "127.0.0.1", 0, backlog=200)
    print(server.sockets[0].getsockname()[1], flush=True)
    words = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(words), sys.stdin)
    while line := (await words.readline()).decode().strip():
        wire.become(line)
        print(line, flush=True)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(int(sys.argv[1])))
