"""The mailbox in a browser: a list, and each message as HTML, text and source. It has no login: serve it on loopback only.

A message is somebody else's HTML. It is shown in a frame that runs no script, sends no form and loads nothing but
pictures and its own styles; its links open in a new tab, which is free again, so that the page behind a
confirmation link works as it would from a mail program. The pages around it need no JavaScript.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from math import ceil

import jinja2
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from newsletter import i18n, paths, templating
from newsletter.errors import NotFound
from newsletter.mailbox import letters
from newsletter.mailbox.store import Mailbox, Received

PAGE_SIZE = 50  # messages on one page of the list
SOURCE_LIMIT = 1_000_000  # bytes of the source that are shown; the download has all
VIEWS = ("html", "text", "source")
WIDTHS = ("desktop", "phone")

# Without escape, the tab that a link opens would inherit the sandbox, and no form in it could be sent.
_SANDBOX = "allow-popups allow-popups-to-escape-sandbox allow-top-navigation-by-user-activation"
_COMMON = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_PAGE = _COMMON | {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; frame-src 'self'; img-src 'self' data:; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
}
_MAIL = _COMMON | {
    "Content-Security-Policy": (
        f"sandbox {_SANDBOX}; default-src 'none'; img-src https: data:; style-src 'unsafe-inline'; frame-ancestors 'self'"
    ),
}
_FILE = _COMMON | {"Content-Security-Policy": "sandbox; default-src 'none'"}


@dataclass(frozen=True)
class Line:
    """One message in the list."""

    message: Received
    headers: letters.Headers


def create_mailbox_app(mailbox: Mailbox) -> FastAPI:
    """Return an application of the mailbox alone, its list at `/mailbox`."""
    app = FastAPI(title="Mailbox", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(router(mailbox))
    app.add_api_route("/", lambda: RedirectResponse("/mailbox"), include_in_schema=False)
    return app


def router(mailbox: Mailbox) -> APIRouter:
    """Return the routes under `/mailbox`, to be part of a larger application."""
    pages = _Pages(mailbox)
    routes = APIRouter(prefix="/mailbox", include_in_schema=False)
    routes.add_api_route("", pages.listing)
    routes.add_api_route("/style.css", pages.style)
    routes.add_api_route("/{identity}", pages.message)
    routes.add_api_route("/{identity}/html", pages.html)
    routes.add_api_route("/{identity}/raw", pages.raw)
    return routes


class _Pages:
    """The routes, over one mailbox. Plain functions, so that reading files does not hold up the event loop."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    def listing(self, request: Request, to: str = "", page: int = 1) -> Response:
        """List what was received, newest first; `to` is a part of a recipient's address."""
        received = self._mailbox.messages()
        wanted = to.strip().casefold()
        found = [message for message in received if any(wanted in address.casefold() for address in message.recipients or ("",))]
        pages = max(1, ceil(len(found) / PAGE_SIZE))
        page = min(max(1, page), pages)
        lines = [_line(message) for message in found[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]]
        recipients = sorted({address for message in received[:1000] for address in message.recipients})
        context = {"lines": lines, "to": to, "page": page, "pages": pages, "found": len(found), "recipients": recipients}
        return _page(request, "list.html", context)

    def message(self, request: Request, identity: str, view: str = "html", width: str = WIDTHS[0]) -> Response:
        """Show one message: as HTML, as text, or its source."""
        try:
            message = self._mailbox.get(identity)
            content = message.content()
        except NotFound:
            return _absent(request)
        letter = letters.read(content)
        if view not in VIEWS:
            view = VIEWS[0]
        context = {
            "message": message,
            "letter": letter,
            "view": "text" if view == "html" and letter.html is None else view,
            "width": width if width in WIDTHS else WIDTHS[0],
            "text": letters.with_links(letter.text or ""),
            "source": content[:SOURCE_LIMIT].decode("utf-8", "replace"),
            "cut": len(content) > SOURCE_LIMIT,
            "sandbox": _SANDBOX,
        }
        return _page(request, "message.html", context)

    def html(self, request: Request, identity: str) -> Response:
        """Give the HTML part itself, for the frame; it stays in its sandbox when it is opened alone."""
        try:
            html = letters.read(self._mailbox.get(identity).content()).html
        except NotFound:
            return _absent(request)
        return HTMLResponse(letters.for_new_tabs(html or ""), headers=_MAIL)

    def raw(self, request: Request, identity: str) -> Response:
        """Give the message as a file, the bytes as they were received."""
        try:
            content = self._mailbox.get(identity).content()
        except NotFound:
            return _absent(request)
        disposition = {"Content-Disposition": f'attachment; filename="{identity}.eml"'}
        return Response(content, media_type="message/rfc822", headers=_FILE | disposition)

    def style(self) -> Response:
        """Give the style sheet of the pages."""
        sheet = (paths.templates() / "mailbox" / "style.css").read_text(encoding="utf-8")
        return PlainTextResponse(sheet, media_type="text/css", headers=_FILE)


def _line(message: Received) -> Line:
    """Return the line of a message; one deleted a moment ago has no headers any more."""
    try:
        return Line(message, letters.read_headers(message.content()))
    except NotFound:
        return Line(message, letters.Headers("", "", ""))


def _absent(request: Request) -> Response:
    return _page(request, "absent.html", {}, status=HTTPStatus.NOT_FOUND)


def _page(request: Request, name: str, context: Mapping[str, object], status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Render a page in the language that the browser asks for."""
    language = i18n.negotiate(i18n.accepted(request.headers.get("accept-language", "")))
    html = _environment(language).get_template(f"mailbox/{name}").render(context, language=language)
    return HTMLResponse(html, status_code=status, headers=_PAGE | {"Content-Language": language, "Vary": "Accept-Language"})


@cache
def _environment(language: str) -> jinja2.Environment:
    """Return the templates of the pages, everything escaped, nothing undefined."""
    environment = templating.environment(language)
    environment.filters["moment"] = lambda at: i18n.moment(at, language)
    return environment
