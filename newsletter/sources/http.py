"""One polite, bounded GET for every adapter: a slow, huge or endless answer costs no more than its limits."""

import socket
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
import stamina

from newsletter import __version__
from newsletter.errors import SourceMalformed, SourceUnavailable

_CHUNK = 65_536  # bytes
_OK, _REQUEST_TIMEOUT, _TOO_MANY_REQUESTS, _SERVER_ERROR = 200, 408, 429, 500


@dataclass(frozen=True)
class Limits:
    """How long, how much and how often; times in seconds, sizes in bytes after decompression."""

    connect: float = 10.0
    read: float = 30.0  # between two pieces of an answer
    total: float = 90.0  # one attempt, from the first byte asked to the last one read
    size: int = 20_000_000
    redirects: int = 5
    attempts: int = 4
    first_wait: float = 1.0  # doubles with each attempt, with up to `jitter` more
    longest_wait: float = 30.0  # who asks for more (Retry-After) is asked again at the next tick, not in this call
    jitter: float = 1.0


DEFAULT = Limits()


class _Later(SourceUnavailable):
    """An attempt that may be repeated; `wait` is the server's Retry-After in seconds, if it gave one."""

    def __init__(self, what: str, *, wait: float | None = None) -> None:
        super().__init__(
            what, hint="Nothing to do: it is asked again at the next collection. If it lasts, open the address in a browser."
        )
        self.wait = wait


def fetch(
    url: str,
    *,
    base_url: str = "",
    params: Mapping[str, str] | None = None,
    limits: Limits = DEFAULT,
    transport: httpx2.BaseTransport | None = None,
) -> bytes:
    """Return the body of the answer to GET `url`, asking again with growing waits while the server is busy.

    `base_url` names us to the server. `transport` is the seam for a choice of what may be connected to.
    Raises SourceUnavailable (no answer, 5xx, 429) or SourceMalformed (4xx, too large, no usable address).
    """
    agent = f"newsletter/{__version__}" + (f" (+{base_url})" if base_url else "")
    target = _target(url, params)
    with _client(agent, limits, transport) as client:
        for attempt in _attempts(limits):
            with attempt:
                return _get(client, target, limits)
    raise AssertionError("stamina tries at least once")


def _target(url: str, params: Mapping[str, str] | None) -> httpx2.URL:
    try:
        target = httpx2.URL(url)
        return target.copy_merge_params(params) if params else target
    except httpx2.InvalidURL as error:
        raise SourceMalformed(
            f"{url!r} is no address: {error}", hint="Correct the address of the source in the settings."
        ) from error


def _client(agent: str, limits: Limits, transport: httpx2.BaseTransport | None) -> httpx2.Client:
    return httpx2.Client(
        # gzip is what we can unpack within bounds; a kept connection would escape the next attempt's deadline
        headers={"User-Agent": agent, "Accept-Encoding": "gzip", "Connection": "close"},
        timeout=httpx2.Timeout(limits.read, connect=limits.connect),
        follow_redirects=True,
        max_redirects=limits.redirects,
        transport=transport,
    )


def _attempts(limits: Limits) -> Iterator[stamina.Attempt]:
    def backoff(error: Exception) -> bool | float:
        if not isinstance(error, _Later):
            return False
        if error.wait is None:
            return True
        return error.wait if error.wait <= limits.longest_wait else False

    return iter(
        stamina.retry_context(
            on=backoff,
            attempts=limits.attempts,
            timeout=None,
            wait_initial=limits.first_wait,
            wait_max=limits.longest_wait,
            wait_jitter=limits.jitter,
        )
    )


def _get(client: httpx2.Client, url: httpx2.URL, limits: Limits) -> bytes:
    """Make one attempt; every error of the library becomes one of ours, naming the address."""
    with _deadline(limits.total) as deadline:
        try:
            with client.stream("GET", url, extensions={"trace": deadline.watch}) as response:
                _check_status(response)
                body = _read(response, limits.size)
        except httpx2.TooManyRedirects as error:
            raise SourceMalformed(f"{url}: more than {limits.redirects} redirects", hint="Use the address it ends at.") from error
        except (httpx2.UnsupportedProtocol, httpx2.InvalidURL, httpx2.LocalProtocolError) as error:
            raise SourceMalformed(
                f"{url}: cannot be asked for: {error}", hint="Only http and https addresses are read."
            ) from error
        except httpx2.HTTPError as error:
            raise _Later(f"{url}: {_said(error, deadline, limits)}") from error
        if deadline.passed:  # cut in a body of no stated length: that looks like its end
            raise _Later(f"{url}: {_not_done(limits)}")
        return body


def _said(error: httpx2.HTTPError, deadline: "_Deadline", limits: Limits) -> str:
    if deadline.passed:
        return _not_done(limits)
    if isinstance(error, httpx2.ConnectTimeout):
        return f"no connection after {limits.connect:g} s"
    if isinstance(error, httpx2.TimeoutException):
        return f"nothing more came for {limits.read:g} s"
    return f"no answer: {error or type(error).__name__}"


def _not_done(limits: Limits) -> str:
    return f"not done after {limits.total:g} s"


def _check_status(response: httpx2.Response) -> None:
    """Raise unless the answer is 200 OK."""
    status = response.status_code
    if status == _OK:
        return
    sentence = f"{response.url}: answered HTTP {status} {response.reason_phrase}".rstrip()
    if status >= _SERVER_ERROR or status in {_REQUEST_TIMEOUT, _TOO_MANY_REQUESTS}:
        wait = _retry_after(response)
        raise _Later(sentence + (f" and asks to wait {wait:.0f} s" if wait else ""), wait=wait)
    raise SourceMalformed(sentence, hint="Check the address of the source; the site may have moved or refuse us.")


def _retry_after(response: httpx2.Response) -> float | None:
    """Return the seconds of Retry-After, which may be a number or a date (RFC 9110 section 10.2.3)."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _read(response: httpx2.Response, size: int) -> bytes:
    """Return the body unpacked, never holding more than `size` and one chunk of it."""
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in {"identity", "gzip", "x-gzip", ""}:
        raise SourceMalformed(
            f"{response.url}: is packed with {encoding!r}, asked was gzip", hint="Tell the operator of the site."
        )
    body = bytearray()
    chunks = response.iter_raw(_CHUNK)
    for piece in _unpacked(chunks, response.url) if "gzip" in encoding else chunks:
        body += piece
        if len(body) > size:
            raise SourceMalformed(
                f"{response.url}: is larger than {size:,} bytes", hint="This is no list of papers; check the address."
            )
    return bytes(body)


def _unpacked(chunks: Iterator[bytes], url: httpx2.URL) -> Iterator[bytes]:
    """Yield what gzip packed, at most a chunk at a time: a few bytes may stand for gigabytes."""
    unpacker = zlib.decompressobj(wbits=31)
    try:
        for chunk in chunks:
            waiting = chunk
            while waiting and not unpacker.eof:
                yield unpacker.decompress(waiting, _CHUNK)
                waiting = unpacker.unconsumed_tail
    except zlib.error as error:
        raise SourceMalformed(f"{url}: says gzip and is none: {error}", hint="Tell the operator of the site.") from error
    if not unpacker.eof:
        raise _Later(f"{url}: broke off in the middle")


class _Deadline:
    """Ends an attempt that lasts too long by cutting its connections: a server may drip bytes for ever."""

    def __init__(self) -> None:
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
def _deadline(seconds: float) -> Iterator[_Deadline]:
    deadline = _Deadline()
    timer = threading.Timer(seconds, deadline.cut)
    timer.daemon = True
    timer.start()
    try:
        yield deadline
    finally:
        timer.cancel()
        timer.join()
        deadline.close()
