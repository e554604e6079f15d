"""What the pages work with, handed in by whoever starts them."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus

import structlog
from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from starlette.background import BackgroundTask

from newsletter.admins import Rules
from newsletter.bounces.webhooks import Hooks
from newsletter.db import Sessions
from newsletter.errors import BadAddress
from newsletter.subscribers import Address, Policy, parse_address
from newsletter.throttle import UNTHROTTLED, Throttle
from newsletter.tokens import Links
from newsletter.web import forms
from newsletter.web.forms import TRAP, Form, first

log = structlog.get_logger()


def _any_domain(domain: str) -> bool:
    del domain
    return True


@dataclass(frozen=True)
class SignUp:
    """How the form tells people from programs, and what it tells neither."""

    seconds: float = 2.0  # in which no person fills it
    answer_seconds: float = 0.3  # each answer comes after a multiple of these, whatever it took
    takes_mail: Callable[[str], bool] = _any_domain  # whether mail to a domain can arrive
    trials: bool = False  # addresses in .test are taken

    def address(self, given: str) -> Address | None:
        """Return the address that somebody typed, None for what is none."""
        try:
            return parse_address(given, trials=self.trials)
        except BadAddress:
            return None

    def is_program(self, sent: Form, age: timedelta | None) -> bool:
        """Say whether no person sent a form of this age: a field that people do not see is filled, or it came too soon."""
        return bool(first(sent, TRAP)) or (age is not None and age < timedelta(seconds=self.seconds))

    async def in_step(self, status: HTTPStatus, work: Callable[[], Response]) -> Response:
        """Do the work in a thread and return its answer; one of this status comes so late that it does not tell what it took."""
        started = time.monotonic()
        response = await run_in_threadpool(work)
        if self.answer_seconds and response.status_code == status:
            await asyncio.sleep(self.answer_seconds - (time.monotonic() - started) % self.answer_seconds)
        return response


@dataclass(frozen=True)
class Services:
    """The database, the links, the rules of signing up, the workers' bell and the clock (aware UTC)."""

    sessions: Sessions
    links: Links
    policy: Policy
    wake: Callable[[], None]  # tells the workers that a mail is waiting
    clock: Callable[[], datetime]
    throttle: Throttle = UNTHROTTLED  # of what anybody can ask for
    sign_up: SignUp = SignUp()
    admin: Rules = field(default_factory=Rules)  # how long a log-in holds
    currency: str = ""  # of what summaries cost
    hooks: Hooks | None = None  # providers that report bounces; None: there are none
    rewrite: Callable[[int, str], None] | None = None  # has a paper's summary written again in a language; None: nobody can
    operator: str = ""  # the address that what readers find wrong is mailed to; empty: it is only kept

    def stamp(self, *, at_once: bool) -> str:
        """Return the stamp of a form that is shown now; `at_once`: it may be sent at once, as by who only has to press again."""
        seconds = self.sign_up.seconds if at_once else 0
        return forms.stamp(self.links.keyring, self.clock() - timedelta(seconds=seconds))

    def then_wake(self, response: Response) -> Response:
        """Return the response; once it is out, the workers are woken. The mails are committed by then."""
        response.background = BackgroundTask(self._wake)
        return response

    def _wake(self) -> None:
        """Ring the bell; a broken one harms nobody, for the next tick finds the mail in the outbox."""
        try:
            self.wake()
        except Exception:
            log.warning("workers could not be woken", exc_info=True)


def ip_of(request: Request) -> str:
    """Return who is asking, for the evidence of consent; empty behind a Unix socket."""
    return request.client.host if request.client else ""
