"""Waiting for somebody else's server: how long it asks for, and an end to it however it spends the time."""

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from typing import Any


class Deadline:
    """Ends an attempt that lasts too long by cutting its connections: a server may drip bytes for ever."""

    def __init__(self) -> None:
        """Begin with no connection."""
        self.passed = False
        self._connections: list[socket.socket] = []

    def watch(self, event: str, info: Mapping[str, Any]) -> None:
        """Note each connection as it is made; the signature is that of the HTTP library's trace extension."""
        if event == "connection.connect_tcp.complete":
            found = info["return_value"].get_extra_info("socket")
            if isinstance(found, socket.socket):
                self._connections.append(found.dup())  # TLS takes the original over; a copy shuts the same connection
                if self.passed:
                    self.cut()

    def cut(self) -> None:
        """Shut every connection; whoever reads from one gets its end."""
        self.passed = True
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the copies back."""
        for connection in self._connections:
            connection.close()


@contextmanager
def deadline_of(seconds: float) -> Iterator[Deadline]:
    """Give a deadline for what is asked within the block: `passed` tells whether it cut anything short."""
    deadline = Deadline()
    timer = threading.Timer(seconds, deadline.cut)
    timer.daemon = True
    timer.start()
    try:
        yield deadline
    finally:
        timer.cancel()
        timer.join()
        deadline.close()


def retry_after(value: str) -> float | None:
    """Return the seconds of a Retry-After, which may be a number or a date (RFC 9110 section 10.2.3); None for neither."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
