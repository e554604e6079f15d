"""The archive: a newsletter's issues, and each as its mail showed it."""

from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from newsletter import issues, newsletters
from newsletter.errors import BadInput, NotFound
from newsletter.web.edge import ISSUE_POLICY
from newsletter.web.pages import LOOK, Pages, language_of
from newsletter.web.services import Services

PAGE_SIZE = 30  # issues


def routes(services: Services, pages: Pages) -> APIRouter:
    """Return the archive's pages."""
    archive = _Archive(services, pages)
    router = APIRouter()
    router.add_api_route("/archive/{slug}", archive.listing, methods=LOOK)
    router.add_api_route("/archive/{slug}/{name}", archive.issue, methods=LOOK)
    return router


class _Archive:
    """The routes; what is not published is not there."""

    def __init__(self, services: Services, pages: Pages) -> None:
        self._services = services
        self._pages = pages

    def listing(self, request: Request, slug: str, before: str = "") -> Response:
        """List the issues, newest first; `before` is the name of the last one of the page before: "2024-03-14", "2024-W11"."""
        with self._services.sessions.read() as session, _not_found():
            newsletter = newsletters.find(session, slug)
            found = issues.archive(session, newsletter, before=before, limit=PAGE_SIZE + 1)
            quiet = [] if before else issues.quiet_days(session, newsletter, now=self._services.clock())
        shown = found[:PAGE_SIZE]
        context = {
            "newsletter": newsletter,
            "entries": shown,
            "quiet": quiet,
            "older_than": shown[-1].name if len(found) > PAGE_SIZE else "",
            "newest": not before,
        }
        return self._pages.show("archive.html", context, language=language_of(request))

    def issue(self, slug: str, name: str) -> Response:
        """Show an issue as it was mailed, without anybody's own links."""
        with self._services.sessions.read() as session, _not_found():
            newsletter = newsletters.find(session, slug)
            html = issues.page(session, newsletter, name)
        headers = {"Content-Security-Policy": ISSUE_POLICY, "Content-Language": newsletter.language}
        return HTMLResponse(html, headers=headers)


@contextmanager
def _not_found() -> Iterator[None]:
    """Say of what is no name of an issue that there is none."""
    try:
        yield
    except BadInput as error:
        raise NotFound(str(error)) from None
