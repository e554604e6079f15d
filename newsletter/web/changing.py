"""Changing the address: asked for behind the preferences link, agreed to behind a link at each end."""

from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import Response

from newsletter.subscribers import changing, preferences
from newsletter.subscribers.changing import Answer, Change
from newsletter.web import later
from newsletter.web.forms import KEPT, Sent, first
from newsletter.web.pages import LOOK, Pages, language_of
from newsletter.web.services import Services, ip_of


def routes(services: Services, pages: Pages) -> APIRouter:
    """Return the page that asks for the new address, and the page of each end."""
    change = _Changing(services, pages)
    router = APIRouter()
    router.add_api_route("/p/{token}/address", change.form, methods=LOOK)
    router.add_api_route("/p/{token}/address", change.ask, methods=["POST"])
    router.add_api_route("/a/{token}", change.look, methods=LOOK)
    router.add_api_route("/a/{token}", change.agree, methods=["POST"])
    router.add_api_route("/a/{token}/stop", change.stop, methods=["POST"])
    return router


class _Changing:
    """The routes."""

    def __init__(self, services: Services, pages: Pages) -> None:
        self._services = services
        self._pages = pages

    def form(self, request: Request, token: str) -> Response:
        """Ask where mail is to go from now on."""
        return self._form(request, token)

    def ask(self, request: Request, token: str, sent: Sent) -> Response:
        """Mail both ends; the answer is the same whatever is known of the new address."""
        subscriber_id = self._services.links.read_preferences(token)
        email, language = first(sent, "email")[:KEPT], first(sent, "lang")
        address = self._services.sign_up.address(email)
        if address is None:
            return self._form(request, token, email=email, wrong="address", language=language)
        decision = self._services.throttle.allow("change-of-address", ip=ip_of(request), address=address.key)
        if not decision.allowed and not decision.is_silent:
            return later.show(self._pages, request, decision, chosen=language)
        answer = Answer.ASKED
        if decision.allowed:
            with self._services.sessions.begin() as session:
                policy, now = self._services.policy, self._services.clock()
                answer = changing.ask(session, subscriber_id, address, policy, ip=ip_of(request), now=now)
        if answer is not Answer.ASKED:
            return self._form(request, token, email=email, wrong=answer.value, language=language)
        return self._services.then_wake(self._form(request, token, asked=True, language=language))

    def _form(  # noqa: PLR0913 -- the page, and what was just done
        self, request: Request, token: str, *, email: str = "", wrong: str = "", asked: bool = False, language: str = ""
    ) -> Response:
        subscriber_id = self._services.links.read_preferences(token)
        with self._services.sessions.read() as session:
            found = preferences.look(session, subscriber_id)
        context = {
            "found": found,
            "token": token,
            "email": email,
            "wrong": wrong or ("suppressed" if found.suppressed else ""),
            "asked": asked,
            "hours": round(changing.AGREE_WITHIN.total_seconds() / 3600),
        }
        status = HTTPStatus.UNPROCESSABLE_ENTITY if wrong else HTTPStatus.OK
        page = f"{self._pages.root}/p/{token}/address"
        chosen = language_of(request, [language, found.language])
        return self._pages.show("address.html", context, language=chosen, status=status, switch_to=page)

    def look(self, request: Request, token: str) -> Response:
        """Show a change to one of its ends, with the buttons; changes nothing."""
        now = self._services.clock()
        change_id, new = self._services.links.read_change_of_address(token, now=now)
        with self._services.sessions.read() as session:
            return self._show(request, token, changing.look(session, change_id, new=new, now=now), new=new)

    def agree(self, request: Request, token: str, sent: Sent) -> Response:
        """Agree: the button was pressed."""
        now = self._services.clock()
        change_id, new = self._services.links.read_change_of_address(token, now=now)
        with self._services.sessions.begin() as session:
            change = changing.agree(session, change_id, self._services.policy, new=new, now=now)
        return self._show(request, token, change, new=new, language=first(sent, "lang"))

    def stop(self, request: Request, token: str, sent: Sent) -> Response:
        """End the change without effect."""
        now = self._services.clock()
        change_id, new = self._services.links.read_change_of_address(token, now=now)
        with self._services.sessions.begin() as session:
            change = changing.stop(session, change_id, new=new, now=now)
        return self._show(request, token, change, new=new, language=first(sent, "lang"))

    def _show(self, request: Request, token: str, change: Change, *, new: bool, language: str = "") -> Response:
        context = {"change": change, "token": token, "new": new}
        chosen = language_of(request, [language, change.language])
        page = f"{self._pages.root}/a/{token}"
        return self._pages.show("change.html", context, language=chosen, switch_to=page)
