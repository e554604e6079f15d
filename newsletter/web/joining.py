"""Signing up and confirming."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from newsletter import issues, newsletters, subscribers
from newsletter.errors import Conflict, LinkExpired
from newsletter.issues.records import ArchiveEntry
from newsletter.models import Cadence, Newsletter
from newsletter.subscribers import Address, Asked
from newsletter.throttle import ALLOWED
from newsletter.web import forms, later
from newsletter.web.consent import wording
from newsletter.web.forms import KEPT, TRAP, Form, Sent, first
from newsletter.web.pages import LOOK, Pages, language_of
from newsletter.web.services import Services, ip_of

CADENCE = "cadence-"  # the field that says how often a newsletter should come begins with it and ends with its slug


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
    cadences: Mapping[str, Cadence] = field(default_factory=dict)  # by slug
    stamp: str = ""
    bad_email: bool = False
    no_mail: bool = False  # its domain takes none
    none_chosen: bool = False
    once_more: bool = False  # it came without a good stamp: from another site, or from a page left open for a day

    @property
    def is_wrong(self) -> bool:
        """Whether something has to be changed."""
        return self.bad_email or self.no_mail or self.none_chosen


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
            "cadence": CADENCE,
            "stamp": (forms.STAMP, filled.stamp or self._services.stamp(at_once=filled.once_more or filled.is_wrong)),
            "wording": wording([offer.newsletter.title for offer in offers], language),
        }
        return self._pages.show("home.html", context, language=language, status=status, switch_to=f"{self._pages.root}/")

    def _offers(self) -> list[Offer]:
        with self._services.sessions.read() as session:
            return [
                Offer(newsletter, next(iter(issues.archive(session, newsletter, limit=1)), None))
                for newsletter in newsletters.listing(session)
            ]

    async def subscribe(self, request: Request, sent: Sent) -> Response:
        """Take a request to subscribe; the answer is the same whatever is known of the address, and takes as long."""
        return await self._services.sign_up.in_step(HTTPStatus.SEE_OTHER, partial(self._subscribe, request, sent))

    def _subscribe(self, request: Request, sent: Form) -> Response:
        language = language_of(request, [first(sent, "lang")])
        address = self._services.sign_up.address(first(sent, "email")[:KEPT])
        age = forms.age(self._services.links.keyring, sent, now=self._services.clock())
        is_program = self._services.sign_up.is_program(sent, age)
        decision = ALLOWED
        if address and sent.get("newsletter") and age is not None and not is_program:
            decision = self._services.throttle.allow("sign-up", ip=ip_of(request))
        if not decision.allowed:  # before anything is looked up: a flood must cost little
            return later.show(self._pages, request, decision, chosen=language)
        with self._services.sessions.read() as session:
            offered = newsletters.listing(session)
        filled = _filled(sent, offered, bad_email=address is None)
        if address is None or filled.is_wrong:
            return self._form(filled, language, HTTPStatus.UNPROCESSABLE_ENTITY)
        thanks = self._pages.redirect("/check-your-inbox", language)
        if is_program:
            return thanks
        if age is None:
            return self._form(replace(filled, stamp="", once_more=True), language)
        if not self._services.sign_up.takes_mail(address.domain):
            return self._form(replace(filled, no_mail=True), language, HTTPStatus.UNPROCESSABLE_ENTITY)
        decision = self._services.throttle.allow_address("sign-up", address.key)
        if decision.allowed:
            self._ask(_asked(address, filled, offered, language, ip_of(request)))
        elif not decision.is_silent:
            thanks = later.show(self._pages, request, decision, chosen=language)
        return self._services.then_wake(thanks)  # whether there is a mail or not: it takes time, too

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


def _filled(sent: Form, offered: Sequence[Newsletter], *, bad_email: bool) -> Filled:
    """Return what was written into the form."""
    known = {row.slug for row in offered}
    slugs = [slug for slug in sent.get("newsletter", ()) if slug in known]
    return Filled(
        email=first(sent, "email")[:KEPT],
        slugs=slugs,
        cadences=_cadences(sent, offered),
        stamp=first(sent, forms.STAMP),
        bad_email=bad_email,
        none_chosen=not slugs,
    )


def _asked(address: Address, filled: Filled, offered: Sequence[Newsletter], language: str, ip: str) -> subscribers.Request:
    """Return what is asked for, and the evidence of the asking."""
    chosen = [row for row in offered if row.slug in filled.slugs]
    return subscribers.Request(
        address=address,
        newsletter_ids=tuple(row.id for row in chosen),
        language=language,
        source="page",
        wording=wording([row.title for row in offered], language),
        ip=ip,
        cadences={row.id: filled.cadences[row.slug] for row in chosen if row.slug in filled.cadences},
    )


def _cadences(sent: Form, offered: Sequence[Newsletter]) -> dict[str, Cadence]:
    """Return how often each newsletter should come, of those that leave a choice and where one of theirs was chosen."""
    chosen = {row.slug: first(sent, f"{CADENCE}{row.slug}") for row in offered if len(row.cadences) > 1}
    return {row.slug: Cadence(chosen[row.slug]) for row in offered if chosen.get(row.slug) in row.cadences}
