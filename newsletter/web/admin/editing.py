"""What is done at the editor's desk: each form changes one thing, and leads back to where it was sent from."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from newsletter import text
from newsletter.admins import SignedIn
from newsletter.deliveries import control as mails
from newsletter.deliveries.control import Decision
from newsletter.errors import BadInput, Conflict, Stale
from newsletter.issues import control, desk, editing
from newsletter.issues.editing import Hand
from newsletter.models import Issue
from newsletter.web.admin import guard
from newsletter.web.admin.desk import ISSUES, Said, Shown
from newsletter.web.forms import KEPT, Form, Sent, first
from newsletter.web.pages import Pages, language_of
from newsletter.web.services import Services

log = structlog.get_logger()
Work = Callable[..., object]
DIGITS = 9


def routes(services: Services, pages: Pages) -> APIRouter:
    """Return what the forms of the desk are sent to."""
    edited = _Edited(services, pages)
    router = APIRouter()
    router.add_api_route(f"{ISSUES}/{{slug}}/{{name}}", edited.change, methods=["POST"])
    router.add_api_route(f"{ISSUES}/{{slug}}/{{name}}/papers/{{paper_id}}", edited.change_paper, methods=["POST"])
    return router


class _Edited:
    """The routes: a change is done, or the page says why not and keeps what was typed."""

    def __init__(self, services: Services, pages: Pages) -> None:
        self._services = services
        self._pages = pages
        self._shown = Shown(services, pages)

    def change_paper(self, request: Request, slug: str, name: str, paper_id: int, sent: Sent) -> Response:
        """Change a paper's place in an issue, or how it is told."""
        who, what = guard.signed_in(self._services, request), first(sent, "do")
        own_page = what in {"edit", "choose"}
        typed = first(sent, "bullets") if what == "edit" else None
        try:
            work = _PAPER.get(what, _unknown)
            self._change(slug, name, sent, who, lambda session, hand: work(session, hand, paper_id, sent))
            if what == "again":
                self._rewrite(slug, name, paper_id)
        except (BadInput, Conflict) as error:
            said = _said(error, typed)
            if own_page:
                return self._shown.paper(request, who, slug, name, paper_id, said)
            return self._shown.desk(request, who, slug, name, said)
        return self._back(request, slug, name, anchor=f"paper-{paper_id}")

    def _change(self, slug: str, name: str, sent: Form, who: SignedIn, work: Work) -> None:
        seen = _number(sent, "seen") if first(sent, "seen") else None
        with self._services.sessions.begin() as session:
            issue = desk.named(session, slug, name)
            work(session, Hand(issue.id, who.name, self._services.clock(), seen))
        log.info("issue edited", newsletter=slug, issue=name, what=first(sent, "do"), by=who.name)

    def _rewrite(self, slug: str, name: str, paper_id: int) -> None:
        """Ask a worker, now that it is kept that somebody wants it."""
        with self._services.sessions.read() as session:
            language = desk.desk(session, desk.named(session, slug, name), now=self._services.clock()).language
        if self._services.rewrite is not None:
            self._services.rewrite(paper_id, language)

    def change(self, request: Request, slug: str, name: str, sent: Sent) -> Response:
        """Change an issue as a whole: its note, whether it goes, how it goes on."""
        who, what = guard.signed_in(self._services, request), first(sent, "do")
        typed = first(sent, "note") if what == "note" else None
        try:
            if what == "test":
                return self._test(request, slug, name, sent)
            if what in _ISSUE:
                self._change(slug, name, sent, who, lambda session, hand: _ISSUE[what](session, hand, sent))
                return self._back(request, slug, name)
            said = self._decide(slug, name, sent, who)
        except (BadInput, Conflict) as error:
            return self._shown.desk(request, who, slug, name, _said(error, typed))
        return self._services.then_wake(self._back(request, slug, name, said))

    def _decide(self, slug: str, name: str, sent: Form, who: SignedIn) -> str:
        """Stop an issue, or let it go on; return what to say."""
        now, what = self._services.clock(), first(sent, "do")
        if what == "cancel" and not first(sent, "sure"):
            return "unsure"
        work = _ONWARD.get(what, _unknown)
        with self._services.sessions.begin() as session:
            work(session, desk.named(session, slug, name), sent, Decision(who.name), now)
        log.info("issue decided", newsletter=slug, issue=name, what=what, by=who.name)
        return what

    def _test(self, request: Request, slug: str, name: str, sent: Form) -> Response:
        """Queue the issue for one address, if it is one that is mailed at all."""
        address = self._services.sign_up.address(first(sent, "email")[:KEPT])
        if address is None:
            return self._back(request, slug, name, "address")
        with self._services.sessions.begin() as session:
            issue, policy = desk.named(session, slug, name), self._services.policy
            try:
                control.send_test(session, issue, address, policy, now=self._services.clock())
            except Conflict:
                return self._back(request, slug, name, "address")
        return self._services.then_wake(self._back(request, slug, name, "tested"))

    def _back(self, request: Request, slug: str, name: str, said: str = "", *, anchor: str = "") -> Response:
        asked = urlencode({"lang": language_of(request)} | ({"said": said} if said else {}))
        path = f"{self._pages.root}{ISSUES}/{slug}/{name}?{asked}" + (f"#{anchor}" if anchor else "")
        return RedirectResponse(path, status_code=HTTPStatus.SEE_OTHER)


def _said(error: BadInput | Conflict, typed: str | None) -> Said:
    """Return what the page says of a change that was not made."""
    if isinstance(error, Stale):
        return Said("stale", typed, HTTPStatus.CONFLICT)
    if isinstance(error, Conflict):
        return Said("conflict", typed, HTTPStatus.CONFLICT)
    return Said("input", typed, HTTPStatus.UNPROCESSABLE_ENTITY)


def _unknown(*_: object) -> None:
    raise BadInput("No such thing can be done with an issue or a paper of it.")


def _number(sent: Form, name: str) -> int:
    given = first(sent, name).strip()
    if not given.removeprefix("-").isdecimal() or len(given) > DIGITS:
        raise BadInput(f"{name}: {given[:40]!r} is no number.")
    return int(given)


def _cancel(session: Any, issue: Issue, sent: Form, decision: Decision, now: Any) -> None:  # noqa: ANN401 -- pages name no sessions
    reason = text.one_line(first(sent, "reason"))[:KEPT]
    control.call_off(session, issue.id, reason=reason or decision.about("cancelled"), now=now)


def _resend(session: Any, issue: Issue, sent: Form, decision: Decision, now: Any) -> None:  # noqa: ANN401 -- as above
    del sent
    sure = [row for row in mails.unreached(session, issue.id) if not row.doubt]
    mails.resend(session, issue.id, sure, decision, now=now)


_PAPER: Mapping[str, Work] = {
    "move": lambda session, hand, paper_id, sent: editing.move(session, hand, paper_id, _number(sent, "to")),
    "up": lambda session, hand, paper_id, sent: editing.move(session, hand, paper_id, _number(sent, "rank") - 1),
    "down": lambda session, hand, paper_id, sent: editing.move(session, hand, paper_id, _number(sent, "rank") + 1),
    "drop": lambda session, hand, paper_id, _: editing.drop(session, hand, paper_id),
    "restore": lambda session, hand, paper_id, _: editing.restore(session, hand, paper_id),
    "pin": lambda session, hand, paper_id, _: editing.pin(session, hand, paper_id),
    "unpin": lambda session, hand, paper_id, _: editing.pin(session, hand, paper_id, pinned=False),
    "again": lambda session, hand, paper_id, _: editing.ask_again(session, hand, paper_id),
    "choose": lambda session, hand, paper_id, sent: editing.choose(session, hand, paper_id, _number(sent, "summary")),
    "edit": lambda session, hand, paper_id, sent: editing.edit_bullets(session, hand, paper_id, first(sent, "bullets")),
}
_ISSUE: Mapping[str, Work] = {
    "note": lambda session, hand, sent: editing.note(session, hand, first(sent, "note")),
    "approve": lambda session, hand, _: editing.approve(session, hand),
    "hold": lambda session, hand, _: editing.hold(session, hand),
}
_ONWARD: Mapping[str, Work] = {
    "cancel": _cancel,
    "resend": _resend,
    "pause": lambda session, issue, _, decision, now: mails.pause(session, issue.id, decision, until=None, now=now),
    "resume": lambda session, issue, _, __, now: mails.go_on(session, issue.id, now=now),
}
