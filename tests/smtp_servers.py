"""A mail server on loopback that does at each step what a test tells it to, and remembers what it was told."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

DROP = "(drop)"  # close without a word
HANG = "(hang)"  # say nothing until the client gives up
IDLE = "after"  # the step between two messages

_FRIENDLY = {
    "GREETING": "220 mail.example.net ready",
    "EHLO": "250-mail.example.net\n250-SIZE 100000000\n250 8BITMIME",
    "STARTTLS": "220 2.0.0 go ahead",
    "DATA": "354 go on",
    "DOT": "250 2.0.0 taken",
    "QUIT": "221 2.0.0 bye",
    "AUTH": "235 2.7.0 welcome",
}


class _Hung(Exception):
    """The conversation is over."""


@dataclass
class FaultyServer:
    """Says `faults[step]` instead of the friendly answer.

    A step is GREETING, a command's name, DOT, BLOCK (after the first bytes of the content) or `IDLE`. A fault is a
    reply, DROP or HANG; a list of them is used up one a time, and the friendly answer follows.
    """

    faults: Mapping[str, str | list[str]] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    tls_at_once: bool = False
    port: int = 0
    connections: int = 0
    commands: list[str] = field(default_factory=list)
    contents: list[bytes] = field(default_factory=list)  # as on the wire, without the dot that ends them
    problems: list[BaseException] = field(default_factory=list)

    @contextlib.contextmanager
    def running(self) -> Iterator["FaultyServer"]:
        """Serve one client after the other until the block ends."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
            thread = threading.Thread(target=self._serve, args=(listener,), daemon=True)
            thread.start()
            try:
                yield self
            finally:
                with contextlib.suppress(OSError):
                    listener.shutdown(socket.SHUT_RDWR)
                thread.join(timeout=10)
        assert not self.problems, self.problems

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            try:
                _Conversation(self, client).hold()
            except (_Hung, OSError):
                pass
            except Exception as problem:  # noqa: BLE001 -- told when the test ends
                self.problems.append(problem)

    def answer(self, step: str) -> str | None:
        """Return what is said at `step`: the fault, else the friendly answer, which may be none."""
        fault = self.faults.get(step)
        if isinstance(fault, list):
            fault = fault.pop(0) if fault else None
        return fault or _FRIENDLY.get(step, "250 2.1.0 fine" if step not in {IDLE, "BLOCK"} else None)


class _Conversation:
    def __init__(self, server: FaultyServer, client: socket.socket) -> None:
        self.server = server
        self.client = client
        self.lines: BinaryIO

    def hold(self) -> None:
        if self.server.tls_at_once:
            self._secure()
        try:
            self.lines = self.client.makefile("rb")
            self._say("GREETING")
            while line := self.lines.readline():
                self._obey(line.decode().rstrip("\r\n"))
        finally:
            with contextlib.suppress(AttributeError):
                self.lines.close()
            self.client.close()

    def _obey(self, command: str) -> None:
        self.server.commands.append(command)
        verb = command.split(maxsplit=1)[0].upper()
        reply = self._say(verb)
        if verb == "STARTTLS" and reply.startswith("220"):
            self._secure()
            self.lines = self.client.makefile("rb")
        elif verb == "DATA" and reply.startswith("354"):
            self._take()
        elif verb == "QUIT":
            raise _Hung

    def _take(self) -> None:
        if self.server.faults.get("BLOCK"):
            self.client.recv(1000)
            self._say("BLOCK")
        content = []
        while (line := self.lines.readline()) != b".\r\n":
            if not line:
                raise _Hung
            content.append(line)
        self.server.contents.append(b"".join(content))
        self._say("DOT")
        self._say(IDLE)

    def _say(self, step: str) -> str:
        reply = self.server.answer(step)
        if reply == HANG:
            while self.client.recv(1 << 16):
                pass
        if reply in {DROP, HANG}:
            raise _Hung
        if reply:
            self.client.sendall(reply.replace("\n", "\r\n").encode() + b"\r\n")
        if reply and reply.startswith("421"):
            raise _Hung
        return reply or ""

    def _secure(self) -> None:
        assert self.server.tls is not None
        self.client = self.server.tls.wrap_socket(self.client, server_side=True)
