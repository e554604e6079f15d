"""A reader's preferences: shown and saved."""

from collections.abc import Mapping, Sequence
from datetime import date
from http import HTTPStatus
from types import MappingProxyType
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from newsletter import i18n, subscribers
from newsletter.errors import BadInput
from newsletter.schedule import local_day
from newsletter.subscribers import preferences
from newsletter.subscribers.counting import LastIssues
from newsletter.subscribers.preferences import Choice, Preferences, Wanted
from newsletter.topics import offered
from newsletter.web import later, preference_form, zones
from newsletter.web.consent import wording
from newsletter.web.edge import HEADERS
from newsletter.web.forms import Sent, first
from newsletter.web.pages import LOOK, Pages, language_of
from newsletter.web.preference_form import Filled
from newsletter.web.services import Services, ip_of

_COUNTING = f"{HEADERS['Content-Security-Policy']}; script-src 'self'; connect-src 'self'"  # the one page with a script


def routes(services: Services, pages: Pages) -> APIRouter:
    """Return the page behind a preferences link."""
    chosen = _Preferences(services, pages)
    router = APIRouter()
    router.add_api_route("/p/{token}", chosen.look, methods=LOOK)
    router.add_api_route("/p/{token}", chosen.save, methods=["POST"])
    router.add_api_route("/p/{token}/count", chosen.count, methods=["POST"])
    router.add_api_route("/p/{token}/leave", chosen.leave_all, methods=["POST"])
    return router


class _Preferences:
    """The routes. The link is the right to them; what could harm its person goes by a mail to their address."""

    def __init__(self, services: Services, pages: Pages) -> None:
        self._services = services
        self._pages = pages
        self._issues = LastIssues()

    def look(
        self,
        request: Request,
        token: str,
        saved: str = "",
        left: Annotated[Sequence[str], Query()] = (),
        asked: Annotated[Sequence[str], Query()] = (),
    ) -> Response:
        """Show what a reader has chosen; `saved`, `left` and `asked` are what was just done."""
        found = self._find(token)
        done = {
            "saved": bool(saved),
            "left": [choice for choice in found.choices if choice.slug in left],
            "asked": [choice for choice in found.choices if choice.slug in asked],
        }
        filled = preference_form.filled(found, self._today(found))
        wanted = {choice.subscription_id: choice.wanted for choice in found.choices if choice.subscription_id is not None}
        return self._show(request, token, found, filled, done, wanted=wanted)

    def save(self, request: Request, token: str, sent: Sent) -> Response:
        """Save the form. Who leaves a newsletter by it has left, whatever else in the form cannot be used."""
        if "lang" not in sent:
            raise BadInput("This is not the form of the preferences.")
        found = self._find(token)
        language = language_of(request, [first(sent, "lang"), found.language])
        filled, asked = preference_form.read(sent, found, self._today(found), language)
        self._leave(asked.leave)
        if asked.changes is None:
            done = {"saved": False, "left": asked.leave, "asked": ()}
            status = HTTPStatus.UNPROCESSABLE_ENTITY
            page = self._show(request, token, self._find(token), filled, done, chosen=language, status=status)
            return self._services.then_wake(page)
        with self._services.sessions.begin() as session:
            preferences.save(session, found.subscriber_id, asked.changes)
        refused = self._join(request, found, asked.join, language)
        if refused is not None:
            return self._services.then_wake(refused)
        language = asked.changes.language if asked.changes.language != found.language else language
        return self._services.then_wake(self._saved(token, language, asked.leave, asked.join))

    def count(self, request: Request, token: str, sent: Sent) -> Response:
        """Show the form as it was sent, with how many papers match; to our script say that alone. Saves nothing."""
        found = self._find(token)
        language = language_of(request, [first(sent, "lang"), found.language])
        filled, asked = preference_form.read(sent, found, self._today(found), language)
        if "application/json" in request.headers.get("accept", ""):
            silent = {part.choice.slug: "" for part in filled.parts if part.choice.receives}
            return JSONResponse(silent | self._counts(found, asked.wanted, language))
        return self._show(
            request, token, found, filled, {"saved": False, "left": (), "asked": ()}, chosen=language, wanted=asked.wanted
        )

    def _counts(self, found: Preferences, wanted: Mapping[int, Wanted], language: str) -> dict[str, str]:
        """Return for each newsletter that is chosen from how many papers of its last issue match, in words."""
        counts: dict[str, str] = {}
        with self._services.sessions.read() as session:
            for choice in found.choices:
                asked = wanted.get(choice.subscription_id) if choice.receives and choice.subscription_id is not None else None
                if asked is not None:
                    counted = self._issues.count(session, choice.newsletter_id, asked)
                    counts |= {choice.slug: preference_form.said_of(counted, choice, language)} if counted else {}
        return counts

    def leave_all(self, request: Request, token: str, sent: Sent) -> Response:
        """End all that a reader receives, by one press."""
        found = self._find(token)
        received = [choice for choice in found.choices if choice.receives]
        self._leave(received)
        language = language_of(request, [first(sent, "lang"), found.language])
        return self._services.then_wake(self._saved(token, language, received, ()))

    def _find(self, token: str) -> Preferences:
        subscriber_id = self._services.links.read_preferences(token)
        with self._services.sessions.read() as session:
            return preferences.look(session, subscriber_id)

    def _today(self, found: Preferences) -> date:
        return local_day(self._services.clock(), found.zone or "UTC")

    def _leave(self, choices: Sequence[Choice]) -> None:
        now = self._services.clock()
        with self._services.sessions.begin() as session:
            for choice in choices:
                if choice.subscription_id is not None:
                    subscribers.unsubscribe(session, choice.subscription_id, by="preferences", now=now)

    def _join(self, request: Request, found: Preferences, choices: Sequence[Choice], language: str) -> Response | None:
        """Ask for further newsletters: the mail with this link may have been forwarded, so its person confirms by mail.

        Returns the page that says so where it is asked too often.
        """
        if not choices:
            return None
        with self._services.sessions.read() as session:
            address = preferences.address_of(session, found.subscriber_id)
        decision = self._services.throttle.allow("sign-up", ip=ip_of(request), address=address.key)
        if not decision.allowed:
            return None if decision.is_silent else later.show(self._pages, request, decision, chosen=language)
        ids = tuple(choice.newsletter_id for choice in choices)
        words = wording([choice.title for choice in choices], language)
        with self._services.sessions.begin() as session:
            asked = subscribers.Request(address, ids, language, "preferences", words, ip_of(request))
            subscribers.request(session, asked, self._services.policy, now=self._services.clock())
        return None

    def _saved(self, token: str, language: str, left: Sequence[Choice], asked: Sequence[Choice]) -> Response:
        """Send the browser on to the page that says what was done, so that a reload does nothing again."""
        told = {"saved": 1, "left": [choice.slug for choice in left], "asked": [choice.slug for choice in asked]}
        query = urlencode({"lang": language, **told}, doseq=True)
        return RedirectResponse(f"{self._pages.root}/p/{token}?{query}", status_code=HTTPStatus.SEE_OTHER)

    def _show(  # noqa: PLR0913 -- the page, and what was just done
        self,
        request: Request,
        token: str,
        found: Preferences,
        filled: Filled,
        done: dict[str, object],
        *,
        chosen: str = "",
        status: HTTPStatus = HTTPStatus.OK,
        wanted: Mapping[int, Wanted] = MappingProxyType({}),
    ) -> Response:
        language = language_of(request, [chosen, found.language])
        now = self._services.clock()
        context = {
            **done,
            "found": found,
            "filled": filled,
            "token": token,
            "boxes": offered(language),
            "counts": self._counts(found, wanted, language),
            "regions": zones.listing(now, language, found.zone),
            "clocks": {choice.zone: zones.clock(now, choice.zone) for choice in found.choices},
            "wordings": {choice.slug: wording([choice.title], language) for choice in found.choices},
            "today": self._today(found).isoformat(),
            "mail_languages": sorted({*i18n.languages(), found.language}),
        }
        page = f"{self._pages.root}/p/{token}"
        response = self._pages.show("preferences.html", context, language=language, status=status, switch_to=page)
        response.headers["Content-Security-Policy"] = _COUNTING
        return response
