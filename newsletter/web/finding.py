"""The way to one's preferences for who has no mail of ours at hand: the link, mailed to the address."""

from functools import partial
from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import Response

from newsletter.subscribers import preferences
from newsletter.web import later
from newsletter.web.forms import KEPT, Form, Sent, first
from newsletter.web.pages import LOOK, Pages, language_of
from newsletter.web.services import Services, ip_of


def routes(services: Services, pages: Pages) -> APIRouter:
    """Return the page that mails the link."""
    finding = _Finding(services, pages)
    router = APIRouter()
    router.add_api_route("/preferences", finding.look, methods=LOOK)
    router.add_api_route("/preferences", finding.send, methods=["POST"])
    return router


class _Finding:
    """The routes. The answer is the same, and takes as long, whatever is known of the address."""

    def __init__(self, services: Services, pages: Pages) -> None:
        self._services = services
        self._pages = pages

    def look(self, request: Request) -> Response:
        """Show the form; changes nothing."""
        return self._show(request)

    async def send(self, request: Request, sent: Sent) -> Response:
        """Mail the link to the address, if it is a subscriber's."""
        return await self._services.sign_up.in_step(HTTPStatus.OK, partial(self._send, request, sent))

    def _send(self, request: Request, sent: Form) -> Response:
        email, language = first(sent, "email")[:KEPT], first(sent, "lang")
        address = self._services.sign_up.address(email)
        if address is None:
            return self._show(request, email=email, wrong=True, chosen=language)
        decision = self._services.throttle.allow("preferences", ip=ip_of(request), address=address.key)
        if not decision.allowed and not decision.is_silent:
            return later.show(self._pages, request, decision, chosen=language)
        if decision.allowed:
            with self._services.sessions.begin() as session:
                preferences.send_link(session, address, now=self._services.clock())
        return self._services.then_wake(self._show(request, done=True, chosen=language))

    def _show(self, request: Request, *, email: str = "", wrong: bool = False, done: bool = False, chosen: str = "") -> Response:
        context = {"email": email, "wrong": wrong, "done": done}
        status = HTTPStatus.UNPROCESSABLE_ENTITY if wrong else HTTPStatus.OK
        page = f"{self._pages.root}/preferences"
        return self._pages.show("find.html", context, language=language_of(request, [chosen]), status=status, switch_to=page)
