"""A mail server on loopback that takes everything from any number of connections, slowly if told to, and keeps the order."""

import re
import socketserver
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy

from loopback import serving

_MESSAGE_ID = re.compile(rb"^message-id:\s*(<[^>]*>)", re.IGNORECASE | re.MULTILINE)
_SUBJECT = re.compile(rb"^subject:\s*(.*)$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class Taken:
    """One message that the server took: its recipient, its Message-ID, its subject as it stands."""

    recipient: str
    message_id: str
    subject: str
    at: float  # seconds, monotonic
    content: bytes = field(repr=False)


@dataclass
class Sink:
    """What the server took, in order; `delay` seconds pass between a message's dot and the answer to it."""

    port: int = 0
    delay: float = 0.0
    most: int = 10_000  # connections at once; one more is sent away
    dead: frozenset[str] = frozenset()  # addresses that are not there
    open: int = 0
    taken: list[Taken] = field(default_factory=list)
    on_message: Callable[["Sink"], None] = lambda _: None  # called before the answer goes out

    def recipients(self) -> list[str]:
        """Return who was reached, in order, as often as they were."""
        return [message.recipient for message in self.taken]

    def text(self, number: int) -> str:
        """Return the plain text of a message."""
        part = message_from_bytes(self.taken[number].content, policy=policy.default).get_body(("plain",))
        return part.get_content()

    def take(self, recipient: str, content: bytes) -> None:
        """Keep a message."""
        message_id, subject = (
            found[1].decode().strip() if (found := each.search(content)) else "" for each in (_MESSAGE_ID, _SUBJECT)
        )
        self.taken.append(Taken(recipient, message_id, subject, time.monotonic(), content))
        self.on_message(self)


class _Conversation(socketserver.StreamRequestHandler):
    """One connection; `server.sink` is where its messages go."""

    def handle(self) -> None:
        """Answer until the client goes, however it goes."""
        sink = self.server.sink
        sink.open += 1
        try:
            if sink.open > sink.most:
                self._say("421 4.3.2 too many connections")
            else:
                self._converse(sink)
        except OSError:
            return
        finally:
            sink.open -= 1

    def _converse(self, sink: Sink) -> None:
        self._say("220 sink.example.net")
        recipient = ""
        while line := self.rfile.readline():
            verb, _, rest = line.decode().strip().partition(" ")
            if verb == "RCPT":
                recipient = rest.partition("<")[2].partition(">")[0]
                if recipient in sink.dead:
                    self._say("550 5.1.1 no such user")
                    continue
            if verb == "DATA":
                self._say("354 go on")
                sink.take(recipient, self._content())
                time.sleep(sink.delay)
            self._say("221 bye" if verb == "QUIT" else "250 2.0.0 fine")
            if verb == "QUIT":
                return

    def _content(self) -> bytes:
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                raise OSError("the client is gone before the dot")
            lines.append(line)
        return b"".join(lines)

    def _say(self, line: str) -> None:
        self.wfile.write(line.encode() + b"\r\n")


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 50
    sink: Sink


@contextmanager
def running(**options: object) -> Iterator[Sink]:
    """Serve until the block ends."""
    server = _Server(("127.0.0.1", 0), _Conversation)
    server.sink = Sink(port=server.server_address[1], **options)
    with serving(server):
        yield server.sink
