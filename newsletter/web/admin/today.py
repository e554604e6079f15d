"""Today: what is wrong first, with what to do; then what each newsletter has come to."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from newsletter.web.admin import guard
from newsletter.web.pages import LOOK, Pages, language_of
from newsletter.web.services import Services


def routes(services: Services, pages: Pages) -> APIRouter:
    """Return the page that a log-in leads to."""
    today = _Today(services, pages)
    router = APIRouter()
    router.add_api_route(guard.HOME, today.look, methods=LOOK)
    return router


class _Today:
    """The routes."""

    def __init__(self, services: Services, pages: Pages) -> None:
        self._services = services
        self._pages = pages

    def look(self, request: Request) -> Response:
        """Show how all stands; changes nothing."""
        who = guard.signed_in(self._services, request)
        context = {"who": who.name, "here": "today"}
        page = self._pages.root + guard.HOME
        return self._pages.show("admin/today.html", context, language=language_of(request), switch_to=page)
