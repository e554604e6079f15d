"""Today: what is wrong first, with what to do; then how far each newsletter has come."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import Response

from newsletter import alarms, remarks, today
from newsletter.deliveries import control
from newsletter.errors import Conflict, NotFound
from newsletter.web.admin import guard
from newsletter.web.pages import LOOK, Pages, language_of
from newsletter.web.services import Services

log = structlog.get_logger()
LARGEST = 2**31 - 1  # number of a row


def routes(services: Services, pages: Pages) -> APIRouter:
    """Return the page that a log-in leads to, and its buttons."""
    page = _Today(services, pages)
    router = APIRouter()
    router.add_api_route(guard.HOME, page.look, methods=LOOK)
    router.add_api_route("/admin/alarms/{number}/dismiss", page.dismiss, methods=["POST"])
    router.add_api_route("/admin/pauses/{number}/resume", page.resume, methods=["POST"])
    router.add_api_route("/admin/remarks/{number}/close", page.close, methods=["POST"])
    return router


class _Today:
    """The routes."""

    def __init__(self, services: Services, pages: Pages) -> None:
        self._services = services
        self._pages = pages

    def look(self, request: Request) -> Response:
        """Show how all stands; changes nothing."""
        who, now = guard.signed_in(self._services, request), self._services.clock()
        with self._services.sessions.read() as session:
            found = today.look(session, now=now)
        context = {"who": who.name, "here": "today", "today": found, "now": now, "currency": self._services.currency}
        page = self._pages.root + guard.HOME
        return self._pages.show("admin/today.html", context, language=language_of(request), switch_to=page)

    def dismiss(self, request: Request, number: int) -> Response:
        """Close an alarm by hand."""
        return self._do(request, "alarm dismissed", number, lambda session, _, now: alarms.dismiss(session, number, now=now))

    def resume(self, request: Request, number: int) -> Response:
        """Let something that is paused go on."""
        done = self._do(request, "pause resumed", number, lambda session, _, now: control.lift(session, number, now=now))
        return self._services.then_wake(done)

    def close(self, request: Request, number: int) -> Response:
        """Be done with what a reader found wrong."""
        return self._do(
            request, "remark closed", number, lambda session, name, now: remarks.close(session, number, by=name, now=now)
        )

    def _do(self, request: Request, what: str, number: int, work: Callable[[Any, str, datetime], object]) -> Response:
        """Do it, note who did, and show the page again; what was done before, by a button pressed twice, is done."""
        who, now = guard.signed_in(self._services, request), self._services.clock()
        if number > LARGEST:
            raise NotFound(f"There is no number {number} on this page.")
        with suppress(Conflict), self._services.sessions.begin() as session:
            work(session, who.name, now)
            log.info(what, number=number, by=who.name)
        return self._pages.redirect(guard.HOME, language_of(request))
