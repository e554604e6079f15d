"""What providers tell us: bounces and complaints, each message proved to be theirs before it is read."""

from http import HTTPStatus
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import PlainTextResponse, Response

from newsletter import bounces
from newsletter.errors import BadSignature, NotFound, SourceError
from newsletter.web.pages import Pages
from newsletter.web.services import Services

log = structlog.get_logger()

BODY_LIMIT = 300_000  # bytes; SNS sends 262,144 at the most


async def _body(request: Request) -> bytes:
    """Return the body; raises HTTPException 413 for one above BODY_LIMIT."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    return bytes(body)


Body = Annotated[bytes, Depends(_body)]


def routes(services: Services, pages: Pages) -> APIRouter:
    """Return the addresses that providers report to."""
    del pages  # no person reads the answers
    hooks = _Hooks(services)
    router = APIRouter()
    router.add_api_route("/hooks/{provider}", hooks.hear, methods=["POST"])
    return router


class _Hooks:
    """The route."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._hooks = services.hooks

    def hear(self, request: Request, provider: str, body: Body) -> Response:
        """Take a provider's message: 200 also for one heard before, 403 for one that is not proved, 503 to have it again.

        Raises NotFound for a provider that is not set.
        """
        hook = self._hooks.by_name.get(provider) if self._hooks else None
        if hook is None or self._hooks is None:
            raise NotFound("There is no such webhook.")
        now = self._services.clock()
        try:
            told = hook.read(body, request.headers, now=now)
        except BadSignature as error:
            log.warning("hook_refused", provider=provider, why=str(error))
            return PlainTextResponse("refused\n", HTTPStatus.FORBIDDEN)
        except SourceError as error:
            log.warning("hook_not_proved", provider=provider, why=str(error))
            return PlainTextResponse("later\n", HTTPStatus.SERVICE_UNAVAILABLE)
        origin = bounces.Origin(provider, told.key)
        with self._services.sessions.begin() as session:
            done = bounces.take_reports(session, told.reports, self._hooks.terms, origin, now=now)
        log.info("hook_heard", provider=provider, done=done)
        return PlainTextResponse("ok\n")
