"""One polite, bounded GET for every adapter."""

import math
import socket
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import httpx2
import stamina

from newsletter import __version__
from newsletter.deadline import deadline_of, retry_after
from newsletter.errors import SourceMalformed, SourceUnavailable
from newsletter.sources.http import bodies
from newsletter.sources.http.cache import Cache, Kept
from newsletter.sources.http.limits import DEFAULT, Later, Limits
from newsletter.sources.http.reach import Guarded, Reach, Resolve
from newsletter.sources.http.turns import Held, Turns

_OK, _NOT_MODIFIED, _REQUEST_TIMEOUT, _TOO_MANY_REQUESTS, _SERVER_ERROR = 200, 304, 408, 429, 500


@dataclass(frozen=True)
class Page:
    """What a site answered; `url` is where redirects ended."""

    url: str
    body: bytes
    content_type: str = ""
    status: int = _OK


@dataclass(frozen=True)
class Web:
    """Who asks, within what limits, and what all processes of this machine share in doing so."""

    our_url: str = ""  # names us to the sites
    limits: Limits = DEFAULT
    inside: frozenset[str] = frozenset()  # hosts that may have an address of a private network
    folder: Path | None = None  # of what is kept between requests; None: nothing is, and nobody waits for others
    resolve: Resolve = socket.getaddrinfo
    until: float = math.inf  # monotonic seconds, after which nothing more is asked: many slow pages of a list end, too

    def get(self, url: str, *, params: Mapping[str, str] | None = None, own: bool = False, accept: Collection[int] = ()) -> Page:
        """Return the answer to GET `url`, asking again with growing waits while the server is busy.

        `own`: the operator's settings name this host, so it may be inside. `accept`: statuses that are an answer beside 200.
        Raises SourceUnavailable (no answer, 5xx, 429, left alone for now) or SourceMalformed (4xx, too large, no usable address).
        """
        target = _target(url, params)
        reach = Reach.towards(target, inside=self.inside, own=own, resolve=self.resolve)
        for attempt in _attempts(self.limits):
            with attempt:
                return self._attempt(target, reach, frozenset({_OK, *accept}))
        raise AssertionError("stamina tries at least once")

    def _attempt(self, target: httpx2.URL, reach: Reach, accept: frozenset[int]) -> Page:
        left = self.until - time.monotonic()
        if left <= 0:
            raise SourceUnavailable(
                f"{target.host}: its answers took too long altogether",
                hint="Nothing to do: it is asked again at the next collection.",
            )
        limits = replace(self.limits, total=min(self.limits.total, left))
        cache = Cache(self.folder / "pages" if self.folder else None)
        kept = cache.find(str(target))
        with Turns(self.folder / "turns" if self.folder else None, self.limits).hold() as held:
            held.take(target)
            page, validators = _get(_client(self, reach, held), _Wanted(target, kept, accept, held), limits)
        if kept and page.status == _NOT_MODIFIED:
            if page.url != kept.final:
                cache.forget(kept)
                raise Later(f"{page.url}: says that nothing is new, of what we have of another address", wait=0.0)
            cache.touch(kept)
            return Page(kept.final, kept.body, kept.content_type)
        if page.status == _OK and any(validators):
            cache.keep(Kept(str(target), page.url, *validators, page.content_type, page.body))
        return page


@dataclass(frozen=True)
class _Wanted:
    """One attempt: what is asked for, what we have of it, and which statuses are an answer."""

    url: httpx2.URL
    kept: Kept | None
    accept: frozenset[int]
    held: Held


def _target(url: str, params: Mapping[str, str] | None) -> httpx2.URL:
    try:
        target = httpx2.URL(url)
        target = target.copy_merge_params(params) if params else target
    except httpx2.InvalidURL as error:
        raise _no_address(url, str(error)) from error
    if target.scheme not in {"http", "https"} or not target.host:
        raise _no_address(url, "it begins with neither http:// nor https://, or names no host")
    return target


def _no_address(url: str, why: str) -> SourceMalformed:
    return SourceMalformed(
        f"{url!r} is no address that can be asked: {why}", hint="Correct the address of the source in the settings."
    )


def _client(web: Web, reach: Reach, held: Held) -> httpx2.Client:
    agent = f"newsletter/{__version__}" + (f" (+{web.our_url})" if web.our_url else "")
    return httpx2.Client(
        # gzip is what we can unpack within bounds; a kept connection would escape the next attempt's deadline
        headers={"User-Agent": agent, "Accept-Encoding": "gzip", "Connection": "close"},
        timeout=httpx2.Timeout(web.limits.read, connect=web.limits.connect),
        follow_redirects=True,
        max_redirects=web.limits.redirects,
        transport=Guarded(reach, held.take),
    )


def _attempts(limits: Limits) -> Iterator[stamina.Attempt]:
    def backoff(error: Exception) -> bool | float:
        if not isinstance(error, Later):
            return False
        if error.wait is None:
            return True
        return error.wait if error.wait <= limits.longest_wait else False

    return iter(
        stamina.retry_context(
            on=backoff,
            attempts=limits.attempts,
            timeout=limits.altogether,
            wait_initial=limits.first_wait,
            wait_max=limits.longest_wait,
            wait_jitter=limits.jitter,
        )
    )


def _get(client: httpx2.Client, wanted: _Wanted, limits: Limits) -> tuple[Page, tuple[str, str]]:
    """Make one attempt; every error of the library becomes one of ours, naming the address."""
    url = wanted.url
    with client, deadline_of(limits.total) as deadline:
        try:
            headers, extensions = wanted.kept.conditions() if wanted.kept else {}, {"trace": deadline.watch}
            with client.stream("GET", url, headers=headers, extensions=extensions) as response:
                _check_status(response, wanted, limits)
                body = bodies.read(response, limits.size)
        except httpx2.TooManyRedirects as error:
            raise SourceMalformed(f"{url}: more than {limits.redirects} redirects", hint="Use the address it ends at.") from error
        except (httpx2.UnsupportedProtocol, httpx2.InvalidURL, httpx2.LocalProtocolError) as error:
            raise SourceMalformed(
                f"{url}: cannot be asked for: {error}", hint="Only http and https addresses are read."
            ) from error
        except httpx2.HTTPError as error:
            raise Later(f"{url}: {_said(error, limits, passed=deadline.passed)}") from error
        if deadline.passed:  # cut in a body of no stated length: that looks like its end
            raise Later(f"{url}: {_not_done(limits)}")
    page = Page(str(response.url), body, response.headers.get("Content-Type", "")[:200], response.status_code)
    return page, (response.headers.get("ETag", ""), response.headers.get("Last-Modified", ""))


def _said(error: httpx2.HTTPError, limits: Limits, *, passed: bool) -> str:
    if passed:
        return _not_done(limits)
    if isinstance(error, httpx2.ConnectTimeout):
        return f"no connection after {limits.connect:g} s"
    if isinstance(error, httpx2.TimeoutException):
        return f"nothing more came for {limits.read:g} s"
    return f"no answer: {error or type(error).__name__}"


def _not_done(limits: Limits) -> str:
    return f"not done after {limits.total:g} s"


def _check_status(response: httpx2.Response, wanted: _Wanted, limits: Limits) -> None:
    """Raise unless the answer is one of those that are wanted."""
    status = response.status_code
    if status in wanted.accept or (status == _NOT_MODIFIED and wanted.kept):
        return
    sentence = f"{response.url}: answered HTTP {status} {response.reason_phrase}".rstrip()
    if status >= _SERVER_ERROR or status in {_REQUEST_TIMEOUT, _TOO_MANY_REQUESTS}:
        wait = retry_after(response.headers.get("Retry-After", ""))
        if wait:
            wanted.held.leave_alone(response.url, min(wait, limits.leave_alone))
        raise Later(sentence + (f" and asks to wait {wait:.0f} s" if wait else ""), wait=wait)
    raise SourceMalformed(sentence, hint="Check the address of the source; the site may have moved or refuse us.")
