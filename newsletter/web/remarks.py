"""The form behind "something wrong?": anybody says what is wrong with how an issue tells of a paper."""

from dataclasses import dataclass, replace
from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import Response

from newsletter import remarks
from newsletter.errors import NotFound
from newsletter.models import Matter
from newsletter.remarks import LONGEST, Office, Told, Words
from newsletter.web import forms, later
from newsletter.web.forms import KEPT, TRAP, Form, Sent, first
from newsletter.web.pages import LOOK, Pages, language_of
from newsletter.web.services import Services, ip_of

_NUMBER = 9  # digits at most: what is longer is no paper of ours


@dataclass(frozen=True)
class Filled:
    """What somebody wrote into the form, and what of it cannot be used."""

    matter: str = ""  # a Matter value, "" while none is chosen
    content: str = ""
    email: str = ""
    stamp: str = ""
    bad_email: bool = False
    empty: bool = False
    once_more: bool = False  # it came without a good stamp

    @property
    def is_wrong(self) -> bool:
        """Whether something has to be changed."""
        return self.bad_email or self.empty


def routes(services: Services, pages: Pages) -> APIRouter:
    """Return the form, what it is sent to, and the thanks."""
    remarking = _Remarking(services, pages)
    router = APIRouter()
    router.add_api_route("/w/{slug}/{name}/{paper}", remarking.look, methods=LOOK)
    router.add_api_route("/w/{slug}/{name}/{paper}", remarking.send, methods=["POST"])
    router.add_api_route("/w/{slug}/{name}/{paper}/thanks", remarking.thank, methods=LOOK)
    return router


class _Remarking:
    """The routes. Plain functions, so that the database does not hold up the event loop."""

    def __init__(self, services: Services, pages: Pages) -> None:
        self._services = services
        self._pages = pages

    def look(self, request: Request, slug: str, name: str, paper: str) -> Response:
        """Show the form; changes nothing, whoever follows the link."""
        told = self._told(slug, name, paper)
        return self._form(told, Filled(), language_of(request, [told.newsletter.language]))

    def thank(self, request: Request, slug: str, name: str, paper: str) -> Response:
        """Say that the remark is with those who can mend it."""
        told = self._told(slug, name, paper)
        return self._pages.show("remark-thanks.html", {"told": told}, language=language_of(request, [told.newsletter.language]))

    def send(self, request: Request, slug: str, name: str, paper: str, sent: Sent) -> Response:
        """Take a remark, with the limits of the sign-up form."""
        services, language = self._services, language_of(request, [first(sent, "lang")])
        age = forms.age(services.links.keyring, sent, now=services.clock())
        is_program = services.sign_up.is_program(sent, age)
        address = services.sign_up.address(first(sent, "email")[:KEPT].strip())
        filled = _filled(sent, is_address=address is not None)
        is_good = age is not None and not is_program and not filled.is_wrong
        if is_good:
            decision = services.throttle.allow("remark", ip=ip_of(request))
            if not decision.allowed:  # before anything is looked up: a flood must cost little
                return later.show(self._pages, request, decision, chosen=language)
        told = self._told(slug, name, paper)
        if filled.is_wrong:
            return self._form(told, filled, language, HTTPStatus.UNPROCESSABLE_ENTITY)
        if age is None and not is_program:
            return self._form(told, replace(filled, stamp="", once_more=True), language)
        if is_good:
            self._keep(told, filled, address.text if address else "", ip_of(request))
        thanks = self._pages.redirect(f"/w/{told.newsletter.slug}/{told.name}/{told.paper.id}/thanks", language)
        return services.then_wake(thanks)

    def _keep(self, told: Told, filled: Filled, reply_to: str, ip: str) -> None:
        services = self._services
        words = Words(Matter(filled.matter or Matter.OTHER), filled.content, reply_to, ip)
        with services.sessions.begin() as session:
            remarks.make(session, told, words, Office(services.operator, services.links), now=services.clock())

    def _told(self, slug: str, name: str, paper: str) -> Told:
        """Return the paper as the issue told it; raises NotFound."""
        if not (paper.isascii() and paper.isdigit() and len(paper) <= _NUMBER):
            raise NotFound("That is no paper of ours.")
        with self._services.sessions.read() as session:
            return remarks.told(session, slug, name, int(paper))

    def _form(self, told: Told, filled: Filled, language: str, status: HTTPStatus = HTTPStatus.OK) -> Response:
        context = {
            "told": told,
            "filled": filled,
            "kinds": [matter.value for matter in Matter],
            "longest": LONGEST,
            "trap": TRAP,
            "stamp": (forms.STAMP, filled.stamp or self._services.stamp(at_once=filled.once_more or filled.is_wrong)),
        }
        return self._pages.show("remark.html", context, language=language, status=status)


def _filled(sent: Form, *, is_address: bool) -> Filled:
    """Return what was written into the form."""
    matter, content, email = first(sent, "matter"), first(sent, "content")[: 2 * LONGEST], first(sent, "email")[:KEPT].strip()
    return Filled(
        matter=matter if matter in set(Matter) else "",
        content=content,
        email=email,
        stamp=first(sent, forms.STAMP),
        bad_email=bool(email) and not is_address,
        empty=matter not in {Matter.FACT, Matter.PAPER, Matter.LANGUAGE} and not content.strip(),
    )
