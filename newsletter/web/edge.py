"""Around every request: security headers on what goes out, a log that holds no tokens, a page when something breaks."""

import re
import secrets
import time
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import urlsplit

import structlog
from fastapi import Request
from fastapi.responses import PlainTextResponse, Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger()

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
ISSUE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
TOKEN_HEADERS = {"Cache-Control": "no-store", "X-Robots-Tag": "noindex, nofollow"}
TOKEN_PATHS = ("/c/", "/u/", "/p/", "/a/", "/me/", "/w/")
ADMIN_HEADERS = {**TOKEN_HEADERS, "Referrer-Policy": "same-origin"}  # or browsers would name no origin in its forms
ADMIN_PATHS = re.compile(r"/admin(/.*)?", re.DOTALL)
OPEN_PATHS = re.compile(r"/subscribe|/u/[^/]+|/hooks/.*")  # what forms of other sites, mail programs and providers send to
QUIET_ROUTES = ("/healthz", "/readyz")  # asked every few seconds
CLIENT_LEFT = 499  # as nginx logs it

Fault = Callable[[Request, str], Response]  # the page for a request that broke, under a number


class Edge:
    """The outermost layer of our own (ASGI): nothing raised behind it reaches a reader."""

    def __init__(self, app: ASGIApp, fault: Fault, base_url: str) -> None:
        """Wrap `app`; `fault` makes the page that is shown when it breaks, `base_url` is where readers find us."""
        self._app = app
        self._fault = fault
        self._origin = "{0.scheme}://{0.netloc}".format(urlsplit(base_url.lower()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, and log how it went."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, outgoing = time.perf_counter(), _Outgoing(scope["path"], send)
        with structlog.contextvars.bound_contextvars(request_id=secrets.token_hex(6)):
            await self._answer(scope, receive, outgoing)
            _log(scope, outgoing.status, outgoing.last_sent - started)

    async def _answer(self, scope: Scope, receive: Receive, outgoing: "_Outgoing") -> None:
        if _is_foreign(scope, self._origin):
            refused = PlainTextResponse("This form can only be sent from its own page.\n", HTTPStatus.FORBIDDEN)
            await refused(scope, receive, outgoing)
            return
        try:
            await self._app(scope, receive, outgoing)
        except ClientDisconnect:
            outgoing.status = CLIENT_LEFT
        except Exception:
            log.exception("a page broke", method=scope["method"], route=_route(scope))
            if outgoing.status:  # half of it is out already: the server must break the connection
                raise
            number = structlog.contextvars.get_contextvars()["request_id"]
            await self._fault(Request(scope), number)(scope, receive, outgoing)


class _Outgoing:
    """What is sent: its status and time are remembered, and its headers are made complete."""

    def __init__(self, path: str, send: Send) -> None:
        self.status = 0
        self.last_sent = time.perf_counter()  # the reader waits until then; the workers are woken after it
        self._forced = _forced(path)
        self._send = send

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.update(self._forced)
        await self._send(message)
        self.last_sent = time.perf_counter()


def _forced(path: str) -> dict[str, str]:
    """Return the headers that a page cannot do without, whatever it says."""
    if ADMIN_PATHS.fullmatch(path):
        return ADMIN_HEADERS
    return TOKEN_HEADERS if path.startswith(TOKEN_PATHS) else {}


def _is_foreign(scope: Scope, own: str) -> bool:
    """Say whether another site makes a visitor's browser send something to us, where that is for none to do.

    Readers are not known by a cookie, so nothing is done in a visitor's name; but their IP address would be counted for it,
    and a link that got about must not be pressed by a page. Administrators are: what they send must say that it is from here.
    Browsers tell by Fetch Metadata; those from before 2023, and all where we are not behind HTTPS, by Origin, which readers'
    pages leave "null" because they send no referrer.
    """
    if scope["method"] in {"GET", "HEAD"} or OPEN_PATHS.fullmatch(scope["path"]):
        return False
    headers = Headers(scope=scope)
    sent_by, origin = headers.get("sec-fetch-site", ""), headers.get("origin", "null").lower()
    if ADMIN_PATHS.fullmatch(scope["path"]):
        return sent_by != "same-origin" if sent_by else origin != own
    return sent_by == "cross-site" or (not sent_by and origin not in {"null", own})


def _route(scope: Scope) -> str:
    """Return the route's template: the path itself may hold a token."""
    return str(getattr(scope.get("route"), "path", "-"))


def _log(scope: Scope, status: int, seconds: float) -> None:
    route, took = _route(scope), round(seconds * 1000, 1)
    say = log.debug if route in QUIET_ROUTES and status == HTTPStatus.OK else log.info
    say("request", method=scope["method"], route=route, status=status, ms=took)
