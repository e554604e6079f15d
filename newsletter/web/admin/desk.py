"""The editor's desk: the latest issues, one of them before it goes, and its mail as it would be."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, Response

from newsletter import i18n, newsletters, schedule
from newsletter.admins import SignedIn
from newsletter.deliveries import control as mails
from newsletter.errors import NotFound
from newsletter.issues import control, desk, previewing
from newsletter.issues.editing import BULLET_LIMIT, BULLETS, NOTE_LIMIT
from newsletter.web.admin import guard
from newsletter.web.edge import HEADERS, ISSUE_POLICY
from newsletter.web.pages import LOOK, Pages, language_of
from newsletter.web.services import Services

ISSUES = "/admin/issues"
LIMITS = {"bullets": BULLETS, "bullet": BULLET_LIMIT, "note": NOTE_LIMIT}
_FRAMING = {"Content-Security-Policy": f"{HEADERS['Content-Security-Policy']}; frame-src 'self'"}
_FRAMED = {
    "Content-Security-Policy": ISSUE_POLICY.replace("frame-ancestors 'none'", "frame-ancestors 'self'"),
    "X-Frame-Options": "SAMEORIGIN",
}


def routes(services: Services, pages: Pages) -> APIRouter:
    """Return the list, the desk, the page of a paper, and the mail as it would be."""
    shown = Shown(services, pages)
    router = APIRouter()
    router.add_api_route(ISSUES, shown.listing, methods=LOOK)
    router.add_api_route(f"{ISSUES}/{{slug}}/{{name}}", shown.look, methods=LOOK)
    router.add_api_route(f"{ISSUES}/{{slug}}/{{name}}/mail.html", shown.html, methods=LOOK)
    router.add_api_route(f"{ISSUES}/{{slug}}/{{name}}/mail.txt", shown.text, methods=LOOK)
    router.add_api_route(f"{ISSUES}/{{slug}}/{{name}}/papers/{{paper_id}}", shown.look_at_paper, methods=LOOK)
    return router


@dataclass(frozen=True)
class Said:
    """What a page says about what was just asked for, and what was typed, which it keeps."""

    what: str = ""  # a case of `said` in templates/admin/_desk.html
    typed: str | None = None
    status: HTTPStatus = HTTPStatus.OK


NOTHING = Said()


class Shown:
    """The pages; none of them changes anything."""

    def __init__(self, services: Services, pages: Pages) -> None:
        """Keep what the pages are made with."""
        self._services = services
        self._pages = pages

    def listing(self, request: Request) -> Response:
        """List the latest issues of each newsletter, and what they wait for."""
        who = guard.signed_in(self._services, request)
        with self._services.sessions.read() as session:
            found = [(newsletter, desk.listing(session, newsletter)) for newsletter in newsletters.listing(session)]
        return self._show(request, who, "admin/issues.html", {"found": found}, ISSUES)

    def look(self, request: Request, slug: str, name: str, said: str = "") -> Response:
        """Show an issue: to be edited while it is a draft, and then how far it has come."""
        return self.desk(request, guard.signed_in(self._services, request), slug, name, Said(said))

    def desk(self, request: Request, who: SignedIn, slug: str, name: str, said: Said = NOTHING) -> Response:
        """Return the page of an issue."""
        now = self._services.clock()
        with self._services.sessions.read() as session:
            issue = desk.named(session, slug, name)
            found = desk.desk(session, issue, now=now)
            view = control.show(session, issue, now=now)
            unreached = mails.unreached(session, issue.id) if issue.published_at else []
        context = {
            "desk": found,
            "view": view,
            "said": said.what,
            "note": found.note if said.typed is None else said.typed,
            "again": sum(row.number - row.gone for row in unreached if not row.doubt),
            "doubtful": sum(row.number for row in unreached if row.doubt),
            **self._words(request, found.zone),
        }
        page = f"{ISSUES}/{found.newsletter}/{found.name}"
        return self._show(request, who, "admin/desk.html", context, page, said.status)

    def look_at_paper(self, request: Request, slug: str, name: str, paper_id: int, said: str = "") -> Response:
        """Show how a paper is told, and let it be told otherwise."""
        return self.paper(request, guard.signed_in(self._services, request), slug, name, paper_id, Said(said))

    def paper(  # noqa: PLR0913, PLR0917 -- a page
        self, request: Request, who: SignedIn, slug: str, name: str, paper_id: int, said: Said = NOTHING
    ) -> Response:
        """Return the page of a paper in an issue; raises NotFound."""
        with self._services.sessions.read() as session:
            found = desk.desk(session, desk.named(session, slug, name), now=self._services.clock())
        row = next((row for row in found.rows if row.paper_id == paper_id), None)
        if row is None:
            raise NotFound(f"{slug} {name} has no paper {paper_id}.")
        written = "\n".join(row.told.bullets) if row.told else ""
        context = {
            "desk": found,
            "row": row,
            "said": said.what,
            "typed": written if said.typed is None else said.typed,
            **self._words(request, found.zone),
        }
        page = f"{ISSUES}/{found.newsletter}/{found.name}/papers/{paper_id}"
        return self._show(request, who, "admin/paper.html", context, page, said.status)

    def html(self, request: Request, slug: str, name: str) -> Response:
        """Give the mail's HTML, to be shown in a frame of the desk: it runs nothing and loads nothing."""
        found = self._preview(request, slug, name)
        return HTMLResponse(found.html, headers=_FRAMED)

    def text(self, request: Request, slug: str, name: str) -> Response:
        """Give the mail's text part."""
        return PlainTextResponse(self._preview(request, slug, name).text)

    def _preview(self, request: Request, slug: str, name: str) -> previewing.Preview:
        guard.signed_in(self._services, request)
        with self._services.sessions.read() as session:
            issue = desk.named(session, slug, name)
        return previewing.preview(self._services.sessions, issue.id, self._services.links)

    def _words(self, request: Request, zone: str) -> dict[str, object]:
        """Return how the page says times: on the newsletter's clocks, and from now on."""
        language, now, place = language_of(request), self._services.clock(), schedule.zone(zone)
        return {
            "moment": lambda at: i18n.moment(at.astimezone(place), language),
            "utc": lambda at: i18n.moment(at, "en"),
            "from_now": lambda at: i18n.from_now(at - now, language),
            "is_over": lambda at: at <= now,
            "limits": LIMITS,
            "can_rewrite": self._services.rewrite is not None,
        }

    def _show(  # noqa: PLR0913, PLR0917 -- a page
        self,
        request: Request,
        who: SignedIn,
        template: str,
        context: Mapping[str, Any],
        path: str,
        status: HTTPStatus = HTTPStatus.OK,
    ) -> Response:
        shell = {"who": who.name, "here": "issues"}
        switch_to = self._pages.root + path
        page = self._pages.show(template, {**context, **shell}, language=language_of(request), status=status, switch_to=switch_to)
        page.headers.update(_FRAMING)
        return page
