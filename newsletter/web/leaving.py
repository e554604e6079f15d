"""Leaving, by the page and by the mail program's own button, and the way back."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from newsletter import subscribers
from newsletter.lifecycle import SubscriptionStatus
from newsletter.subscribers import Membership
from newsletter.web.consent import wording
from newsletter.web.forms import Form, Sent, first
from newsletter.web.pages import LOOK, Pages, language_of
from newsletter.web.services import Services, ip_of


def routes(services: Services, pages: Pages) -> APIRouter:
    """Return the pages behind an unsubscribe link."""
    leaving = _Leaving(services, pages)
    router = APIRouter()
    router.add_api_route("/u/{token}", leaving.look, methods=LOOK)
    router.add_api_route("/u/{token}", leaving.leave, methods=["POST"])
    router.add_api_route("/u/{token}/back", leaving.come_back, methods=["POST"])
    return router


class _Leaving:
    """The routes. The token alone is the right to leave: no cookie, no origin, no second question (RFC 8058 section 3.2)."""

    def __init__(self, services: Services, pages: Pages) -> None:
        self._services = services
        self._pages = pages

    def look(self, request: Request, token: str) -> Response:
        """Show what an unsubscribe link would end, with the button that does; changes nothing."""
        subscription_id = self._services.links.read_unsubscribe(token)
        with self._services.sessions.read() as session:
            membership = subscribers.look_at(session, subscription_id)
        left = membership.status is SubscriptionStatus.UNSUBSCRIBED
        return self._show(request, "goodbye.html" if left else "unsubscribe.html", token, membership)

    def leave(self, request: Request, token: str, sent: Sent) -> Response:
        """Unsubscribe, and answer 200 with the page itself: a mail program follows no redirect (RFC 8058 section 3.1)."""
        subscription_id = self._services.links.read_unsubscribe(token)
        by = "one-click" if _is_one_click(sent) else "page"
        with self._services.sessions.begin() as session:
            membership = subscribers.unsubscribe(session, subscription_id, by=by, now=self._services.clock())
        page = self._show(request, "goodbye.html", token, membership, chosen=first(sent, "lang"))
        return self._services.then_wake(page)

    def come_back(self, request: Request, token: str, sent: Sent) -> Response:
        """Ask again for what was left: a mail to the address, whose link begins it anew."""
        subscription_id = self._services.links.read_unsubscribe(token)
        with self._services.sessions.begin() as session:
            membership = subscribers.look_at(session, subscription_id)
            language = language_of(request, [first(sent, "lang"), membership.language])
            subscribers.come_back(
                session,
                subscription_id,
                self._services.policy,
                wording=wording([membership.title], language),
                ip=ip_of(request),
                now=self._services.clock(),
            )
        return self._services.then_wake(self._pages.redirect("/check-your-inbox", language))

    def _show(self, request: Request, name: str, token: str, membership: Membership, *, chosen: str = "") -> Response:
        language = language_of(request, [chosen, membership.language])
        context = {"membership": membership, "token": token, "wording": wording([membership.title], language)}
        return self._pages.show(name, context, language=language)


def _is_one_click(sent: Form) -> bool:
    fields = {name.lower(): values for name, values in sent.items()}
    return first(fields, "list-unsubscribe").strip().lower() == "one-click"
