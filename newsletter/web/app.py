"""The application: its routes, and a page for everything that can go wrong."""

from http import HTTPStatus

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from newsletter.errors import BadInput, BadToken, Conflict, LinkExpired, NewsletterError, NotFound
from newsletter.web import (
    admin,
    archive,
    changing,
    finding,
    hooks,
    joining,
    leaving,
    machine,
    mine,
    preferences,
    privacy,
    remarks,
)
from newsletter.web.admin import guard
from newsletter.web.edge import Edge
from newsletter.web.pages import Pages, language_of
from newsletter.web.services import Services

log = structlog.get_logger()

# Which page of error.html an error is shown by; NewsletterErrors that are not here are faults of ours.
_SHOWN: dict[type[NewsletterError], tuple[str, HTTPStatus]] = {
    LinkExpired: ("expired", HTTPStatus.GONE),
    BadToken: ("link", HTTPStatus.BAD_REQUEST),
    NotFound: ("absent", HTTPStatus.NOT_FOUND),
    Conflict: ("conflict", HTTPStatus.CONFLICT),
    BadInput: ("input", HTTPStatus.UNPROCESSABLE_ENTITY),
}


def create_app(services: Services) -> FastAPI:
    """Return the public web application. It opens no connection and starts nothing before it is asked."""
    pages = Pages(services.links)
    faults = _Faults(pages)
    # Without a redirect to the path with or without its slash: it would be built from the Host header.
    app = FastAPI(title="Newsletter", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    for feature in (joining, leaving, finding, preferences, changing, mine, privacy, archive, remarks, hooks, machine, admin):
        app.include_router(feature.routes(services, pages), include_in_schema=False)
    for error in _SHOWN:
        app.add_exception_handler(error, faults.ours)
    app.add_exception_handler(guard.LogInFirst, faults.unknown)
    app.add_exception_handler(HTTPException, faults.http)
    app.add_exception_handler(RequestValidationError, faults.unreadable)
    app.add_middleware(Edge, fault=faults.unforeseen, base_url=services.links.base_url)
    return app


class _Faults:
    """The pages for what went wrong, in the look of the others."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def ours(self, request: Request, error: Exception) -> Response:
        """Show an error of ours by the page that says what to do about it."""
        log.info("refused", error=type(error).__name__)  # its words may quote an address
        kind, status = next(shown for ours, shown in _SHOWN.items() if isinstance(error, ours))
        return self._show(request, kind, status)

    def unknown(self, request: Request, error: Exception) -> Response:
        """Send who is not logged in to the log-in."""
        assert isinstance(error, guard.LogInFirst)
        return guard.to_log_in(self._pages, request, error)

    def http(self, request: Request, error: Exception) -> Response:
        """Show what has no route, or the wrong method, or too large a body."""
        assert isinstance(error, HTTPException)
        status = HTTPStatus(error.status_code)
        response = self._show(request, "absent" if status is HTTPStatus.NOT_FOUND else "input", status)
        response.headers.update(error.headers or {})  # Allow, of a 405
        return response

    def unreadable(self, request: Request, error: Exception) -> Response:
        """Show that an address holds something that cannot be read."""
        del error  # it quotes what was sent
        return self._show(request, "input", HTTPStatus.UNPROCESSABLE_ENTITY)

    def unforeseen(self, request: Request, number: str) -> Response:
        """Show that we failed, and the number under which the log says how."""
        return self._show(request, "fault", HTTPStatus.INTERNAL_SERVER_ERROR, number)

    def _show(self, request: Request, kind: str, status: HTTPStatus, number: str = "") -> Response:
        context = {"kind": kind, "number": number}
        home = f"{self._pages.root}/"
        return self._pages.show("error.html", context, language=language_of(request), status=status, switch_to=home)
