"""The log-in and the log-out."""

import secrets
from datetime import timedelta
from http import HTTPStatus
from math import ceil
from threading import BoundedSemaphore
from zlib import crc32

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import Response

from newsletter import admins
from newsletter.admins import guesses
from newsletter.admins.guesses import Try
from newsletter.errors import BadToken
from newsletter.tokens import Purpose
from newsletter.web.admin import guard
from newsletter.web.forms import Sent, first
from newsletter.web.pages import LOOK, Pages, language_of
from newsletter.web.services import Services, ip_of

log = structlog.get_logger()

AT_ONCE = 2  # passwords that are compared: each takes 64 MB
PATIENCE = 5.0  # seconds to wait for one of these places
KNOWN_FOR = timedelta(days=365)  # that a browser is remembered to have been logged in


def routes(services: Services, pages: Pages) -> APIRouter:
    """Return the log-in and the log-out."""
    entering = _Entering(services, pages)
    router = APIRouter()
    router.add_api_route(guard.LOG_IN, entering.ask, methods=LOOK)
    router.add_api_route(guard.LOG_IN, entering.enter, methods=["POST"])
    router.add_api_route("/admin/logout", entering.leave, methods=["POST"])
    return router


class _Entering:
    """The routes."""

    def __init__(self, services: Services, pages: Pages) -> None:
        self._services = services
        self._pages = pages
        self._base_url = services.links.base_url
        self._places = BoundedSemaphore(AT_ONCE)

    def ask(self, request: Request) -> Response:
        """Show the form; or how to make an administrator, where there is none."""
        return self._show(request, next_path=request.query_params.get("next", ""))

    def _show(  # noqa: PLR0913 -- what the form says
        self,
        request: Request,
        *,
        next_path: str,
        name: str = "",
        wrong: str = "",
        seconds: int = 0,
        status: HTTPStatus = HTTPStatus.OK,
    ) -> Response:
        with self._services.sessions.read() as session:
            anybody = bool(admins.listing(session))
        context = {
            "is_safe": guard.is_safe(self._base_url),
            "anybody": anybody,
            "next": guard.local_path(next_path),
            "name": name,
            "wrong": wrong,
            "seconds": seconds,
        }
        page = self._pages.root + guard.LOG_IN
        return self._pages.show("admin/login.html", context, language=language_of(request), status=status, switch_to=page)

    def enter(self, request: Request, sent: Sent) -> Response:
        """Log in, and go on to the page that was asked for."""
        if not guard.is_safe(self._base_url):
            return self._show(request, next_path="", status=HTTPStatus.FORBIDDEN)
        if not self._places.acquire(timeout=PATIENCE):
            return self._later(request, sent, timedelta(seconds=PATIENCE))
        try:
            return self._enter(request, sent)
        finally:
            self._places.release()

    def _enter(self, request: Request, sent: Sent) -> Response:
        name, secret, now = first(sent, "name"), self._services.policy.secret, self._services.clock()
        tried = Try(name, ip_of(request), self._known(request, name))
        wait = guesses.begin(self._services.sessions, tried, secret, now=now)
        if wait:
            return self._later(request, sent, wait)
        token = admins.log_in(self._services.sessions, name, first(sent, "password"), self._services.admin, now=now)
        if token is None:
            self._log("log-in failed", tried)
            back, status = first(sent, "next"), HTTPStatus.FORBIDDEN
            return self._show(request, next_path=back, name=name[:64], wrong="password", status=status)
        with self._services.sessions.begin() as session:
            guesses.end(session, tried, secret, now=now)
            admins.log_out(session, guard.token_of(request, self._base_url))
        self._log("logged in", tried)
        return self._entered(request, sent, token)

    def _entered(self, request: Request, sent: Sent, token: str) -> Response:
        response = self._pages.redirect(guard.local_path(first(sent, "next")), language_of(request, [first(sent, "lang")]))
        guard.keep(response, self._base_url, token, self._services.admin.lasts)
        known = self._services.links.keyring.sign(Purpose.BROWSER, _number_of(first(sent, "name")), secrets.randbits(63))
        guard.keep(response, self._base_url, known, KNOWN_FOR, guard.KNOWN)
        return response

    def _known(self, request: Request, name: str) -> str:
        """Return the secret of a browser that was logged in under this name before, "" for any other."""
        token = request.cookies.get(guard.cookie_name(self._base_url, guard.KNOWN), "")
        try:
            number, _ = self._services.links.keyring.unsign(token, Purpose.BROWSER)
        except (BadToken, ValueError):
            return ""
        return token if number == _number_of(name) else ""

    def _later(self, request: Request, sent: Sent, wait: timedelta) -> Response:
        seconds = ceil(wait.total_seconds())
        page = self._show(
            request,
            next_path=first(sent, "next"),
            name=first(sent, "name")[:64],
            wrong="often",
            seconds=seconds,
            status=HTTPStatus.TOO_MANY_REQUESTS,
        )
        page.headers["Retry-After"] = str(seconds)
        return page

    def _log(self, what: str, tried: Try) -> None:
        """Tell of a try; of a name that nobody has not even that, for it may be a password in the wrong field."""
        with self._services.sessions.read() as session:
            names = {row.name for row in admins.listing(session)}
        name = admins.normal_name(tried.name)
        log.info(what, name=name if name in names else "(nobody's)", ip=tried.ip)

    def leave(self, request: Request, sent: Sent) -> Response:
        """End the log-in, or all of the same administrator; the cookie goes, too."""
        who, token = guard.signed_in(self._services, request), guard.token_of(request, self._base_url)
        with self._services.sessions.begin() as session:
            if first(sent, "everywhere"):
                admins.log_out_everywhere(session, who.admin_id)
            admins.log_out(session, token)
        log.info("logged out", name=who.name, ip=ip_of(request))
        response = self._pages.redirect(guard.LOG_IN, language_of(request))
        guard.drop(response, self._base_url)
        return response


def _number_of(name: str) -> int:
    return crc32(admins.normal_name(name).encode())
