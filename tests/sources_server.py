"""A real HTTP server on the loopback that answers as it is told, and keeps what it was asked."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from loopback import serving


@dataclass(frozen=True)
class Answer:
    """What to say to one request; `drip` writes the body byte by byte, that many seconds apart, until nobody listens."""

    body: bytes = b"[]"
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    drip: float = 0.0
    length: int | None = None  # what Content-Length claims


@dataclass
class Site:
    """The server's address, its answers by request (the last one stays), and the requests it got."""

    url: str
    answers: list[Answer | Callable[[str], Answer]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    def next(self, path: str) -> Answer:
        """Return the answer to the request at hand."""
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer(path) if callable(answer) else answer


@contextmanager
def site(*answers: Answer | Callable[[str], Answer]) -> Iterator[Site]:
    """Serve until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(self.path)
            served.headers.append(dict(self.headers))
            _write(self, served.next(self.path), served.closing)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = Site(f"http://127.0.0.1:{server.server_address[1]}", list(answers))
    with serving(server):
        try:
            yield served
        finally:
            served.closing.set()


def _write(handler: BaseHTTPRequestHandler, answer: Answer, closing: threading.Event) -> None:
    handler.send_response(answer.status)
    for name, value in answer.headers:
        handler.send_header(name, value)
    if not answer.drip:
        handler.send_header("Content-Length", str(len(answer.body) if answer.length is None else answer.length))
    handler.end_headers()
    try:
        handler.wfile.write(answer.body)
        while answer.drip and not closing.wait(answer.drip):
            handler.wfile.write(b"x")
    except OSError:
        return  # whoever asked has gone
