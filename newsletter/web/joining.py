"""Signing up and confirming."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from newsletter import issues, newsletters, subscribers
from newsletter.errors import BadAddress, Conflict, LinkExpired
from newsletter.issues.records import ArchiveEntry
from newsletter.models import Newsletter
from newsletter.subscribers import Address, Asked
from newsletter.web.consent import wording
from newsletter.web.forms import Sent, first
from newsletter.web.pages import LOOK, Pages, language_of
from newsletter.web.services import Services, ip_of

KEPT = 300  # characters of a mistyped address that are shown again
TRAP = "homepage"  # a field that people do not see: who fills it is no person


@dataclass(frozen=True)
class Offer:
    """A newsletter on the sign-up page, with its latest issue as a sample."""

    newsletter: Newsletter
    latest: ArchiveEntry | None


@dataclass(frozen=True)
class Filled:
    """What somebody wrote into the form, and what of it cannot be used."""

    email: str = ""
    slugs: Sequence[str] = ()
    bad_email: bool = False
    none_chosen: bool = False


def routes(services: Services, pages: Pages) -> APIRouter:
    """Return the sign-up page, what it is sent to, and the pages behind a confirm link."""
    joining = _Joining(services, pages)
    router = APIRouter()
    router.add_api_route("/", joining.home, methods=LOOK)
    router.add_api_route("/subscribe", joining.home_again, methods=LOOK)
    router.add_api_route("/subscribe", joining.subscribe, methods=["POST"])
    router.add_api_route("/check-your-inbox", joining.check_your_inbox, methods=LOOK)
    router.add_api_route("/c/{token}", joining.look, methods=LOOK)
    router.add_api_route("/c/{token}", joining.confirm, methods=["POST"])
    return router


class _Joining:
    """The routes. Plain functions, so that the database does not hold up the event loop."""

    def __init__(self, services: Services, pages: Pages) -> None:
        self._services = services
        self._pages = pages

    def home(self, request: Request, newsletter: Annotated[Sequence[str], Query()] = ()) -> Response:
        """Show what there is to subscribe to; `newsletter` is a slug to choose beforehand, and may be given again."""
        return self._form(Filled(slugs=newsletter), language_of(request))

    def home_again(self, request: Request) -> Response:
        """Lead whoever opens the form's address to the form."""
        return self._pages.redirect("/", language_of(request))

    def _form(self, filled: Filled, language: str, status: HTTPStatus = HTTPStatus.OK) -> Response:
        offers = self._offers()
        context = {
            "offers": offers,
            "filled": filled,
            "trap": TRAP,
            "wording": wording([offer.newsletter.title for offer in offers], language),
        }
        return self._pages.show("home.html", context, language=language, status=status, switch_to=f"{self._pages.root}/")

    def _offers(self) -> list[Offer]:
        with self._services.sessions.read() as session:
            return [
                Offer(newsletter, next(iter(issues.archive(session, newsletter, limit=1)), None))
                for newsletter in newsletters.listing(session)
            ]

    def subscribe(self, request: Request, sent: Sent) -> Response:
        """Take a request to subscribe; the answer is the same whatever is known of the address."""
        language = language_of(request, [first(sent, "lang")])
        filled = Filled(first(sent, "email")[:KEPT], sent.get("newsletter", ()))
        with self._services.sessions.read() as session:
            offered = newsletters.listing(session)
        chosen = tuple(row.id for row in offered if row.slug in filled.slugs)
        address = _address(filled.email)
        if address is None or not chosen:
            filled = replace(filled, bad_email=address is None, none_chosen=not chosen)
            return self._form(filled, language, HTTPStatus.UNPROCESSABLE_ENTITY)
        words = wording([row.title for row in offered], language)
        if not first(sent, TRAP):
            self._ask(subscribers.Request(address, chosen, language, "page", words, ip_of(request)))
        return self._services.then_wake(self._pages.redirect("/check-your-inbox", language))

    def _ask(self, asked: subscribers.Request) -> None:
        with self._services.sessions.begin() as session:
            subscribers.request(session, asked, self._services.policy, now=self._services.clock())

    def check_your_inbox(self, request: Request) -> Response:
        """Say that a mail is on its way: to everybody, in the same words."""
        return self._pages.show("check-your-inbox.html", {"hours": self._hours()}, language=language_of(request))

    def look(self, request: Request, token: str) -> Response:
        """Show what a confirm link is about, with the button that confirms; changes nothing."""
        try:
            consent_id = self._services.links.read_confirm(token, now=self._services.clock())
        except LinkExpired as error:
            return self._too_old(request, error)
        with self._services.sessions.read() as session:
            asked = subscribers.look_at_request(session, consent_id)
        return self._asked(request, "confirmed.html" if asked.confirmed else "confirm.html", asked, already=True)

    def confirm(self, request: Request, token: str, sent: Sent) -> Response:
        """Confirm: the button was pressed. Raises Conflict for a request that its person has left since."""
        now = self._services.clock()
        try:
            consent_id = self._services.links.read_confirm(token, now=now)
        except LinkExpired as error:
            return self._too_old(request, error)
        with self._services.sessions.begin() as session:
            already = subscribers.look_at_request(session, consent_id).confirmed
            asked = subscribers.confirm(session, consent_id, self._services.links, ip=ip_of(request), now=now)
        if not asked.confirmed:
            raise Conflict("This request was taken back by leaving.", hint="Sign up again.")
        page = self._asked(request, "confirmed.html", asked, already=already, chosen=first(sent, "lang"))
        return self._services.then_wake(page)

    def _too_old(self, request: Request, error: LinkExpired) -> Response:
        """Say that a confirm link has expired, and lead to the form with what it was for; raises LinkExpired if that is gone."""
        with self._services.sessions.read() as session:
            asked = subscribers.look_at_request(session, error.numbers[0])
        language = language_of(request, [asked.language])
        again = urlencode({"lang": language, "newsletter": asked.slugs}, doseq=True)
        return self._pages.show(
            "expired.html", {"hours": self._hours(), "again": again}, language=language, status=HTTPStatus.GONE
        )

    def _hours(self) -> int:
        return round(self._services.policy.confirm_within.total_seconds() / 3600)

    def _asked(self, request: Request, name: str, asked: Asked, *, already: bool, chosen: str = "") -> Response:
        language = language_of(request, [chosen, asked.language])
        return self._pages.show(name, {"asked": asked, "already": already}, language=language)


def _address(given: str) -> Address | None:
    try:
        return subscribers.parse_address(given)
    except BadAddress:
        return None
