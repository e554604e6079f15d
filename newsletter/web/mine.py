"""What is kept of a person: the link to it by mail, the page behind it, the file, and the end of it."""

import json
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from newsletter import subscribers
from newsletter.subscribers import mine, preferences
from newsletter.web import later
from newsletter.web.forms import Sent, first
from newsletter.web.pages import LOOK, Pages, language_of
from newsletter.web.services import Services, ip_of

LISTED = 50  # mails on the page; the file has them all


def routes(services: Services, pages: Pages) -> APIRouter:
    """Return the button that asks for the link to one's data, and the pages behind it."""
    own = _Mine(services, pages)
    router = APIRouter()
    router.add_api_route("/p/{token}/data", own.send, methods=["POST"])
    router.add_api_route("/me/{token}", own.look, methods=LOOK)
    router.add_api_route("/me/{token}/data.json", own.file, methods=LOOK)
    router.add_api_route("/me/{token}/erase", own.erase, methods=["POST"])
    return router


class _Mine:
    """The routes. A preferences link may have been forwarded: it shows none of this, and only has the link mailed."""

    def __init__(self, services: Services, pages: Pages) -> None:
        self._services = services
        self._pages = pages

    def send(self, request: Request, token: str, sent: Sent) -> Response:
        """Mail the link to the address itself."""
        subscriber_id, now = self._services.links.read_preferences(token), self._services.clock()
        decision = self._services.throttle.allow("my-data", ip=ip_of(request))
        if not decision.allowed:
            return later.show(self._pages, request, decision, chosen=first(sent, "lang"))
        with self._services.sessions.begin() as session:
            on_its_way = mine.send_link(session, subscriber_id, now=now)
            found = preferences.look(session, subscriber_id)
        context = {"found": found, "token": token, "on_its_way": on_its_way}
        language = language_of(request, [first(sent, "lang"), found.language])
        back = f"{self._pages.root}/p/{token}"
        return self._services.then_wake(self._pages.show("data-sent.html", context, language=language, switch_to=back))

    def look(self, request: Request, token: str) -> Response:
        """Show in words what is kept; changes nothing."""
        return self._show(request, token)

    def _show(self, request: Request, token: str, *, language: str = "", unsure: bool = False) -> Response:
        data = self._data(token)
        context = {"data": data, "token": token, "unsure": unsure, "listed": data["mails_to_you"][: -LISTED - 1 : -1]}
        chosen = language_of(request, [language, data["person"]["language"]])
        page = f"{self._pages.root}/me/{token}"
        return self._pages.show("mine.html", context, language=chosen, switch_to=page)

    def _data(self, token: str) -> dict[str, Any]:
        subscriber_id = self._services.links.read_my_data(token, now=self._services.clock())
        with self._services.sessions.read() as session:
            return mine.collect(session, subscriber_id)

    def file(self, token: str) -> Response:
        """Give all of it for programs (GDPR article 20)."""
        content = json.dumps(self._data(token), ensure_ascii=False, indent=2)
        headers = {"Content-Disposition": 'attachment; filename="my-data.json"'}
        return Response(content + "\n", media_type="application/json", headers=headers)

    def erase(self, request: Request, token: str, sent: Sent) -> Response:
        """Erase everything, if the box says so too. No mail follows: there is nobody left to send it to."""
        now, language = self._services.clock(), first(sent, "lang")
        subscriber_id = self._services.links.read_my_data(token, now=now)
        if first(sent, "sure") != "yes":
            return self._show(request, token, language=language, unsure=True)
        with self._services.sessions.begin() as session:
            address = preferences.address_of(session, subscriber_id)
            subscribers.erase(session, address, self._services.policy, now=now)
        return self._pages.show("erased.html", {}, language=language_of(request, [language]), switch_to=f"{self._pages.root}/")
