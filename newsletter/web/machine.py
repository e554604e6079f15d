"""What programs ask for: the style sheets, the script, the icon, robots.txt, health."""

from http import HTTPStatus

import structlog
from fastapi import APIRouter
from fastapi.responses import PlainTextResponse, Response

from newsletter import db
from newsletter.errors import NewsletterError
from newsletter.web.pages import LOOK, Pages
from newsletter.web.services import Services

log = structlog.get_logger()

FOREVER = "public, max-age=31536000, immutable"
A_DAY = "public, max-age=86400"


def routes(services: Services, pages: Pages) -> APIRouter:
    """Return the routes that show no page."""
    machine = _Machine(services, pages)
    router = APIRouter()
    router.add_api_route("/static/style.css", machine.style, methods=LOOK)
    router.add_api_route("/static/admin.css", machine.admin_style, methods=LOOK)
    router.add_api_route("/static/count.js", machine.script, methods=LOOK)
    router.add_api_route("/static/icon.svg", machine.icon, methods=LOOK)
    router.add_api_route("/favicon.ico", machine.icon, methods=LOOK)
    router.add_api_route("/robots.txt", machine.robots, methods=LOOK)
    router.add_api_route("/healthz", machine.healthz, methods=LOOK)
    router.add_api_route("/readyz", machine.readyz, methods=LOOK)
    return router


class _Machine:
    """The routes."""

    def __init__(self, services: Services, pages: Pages) -> None:
        self._services = services
        self._pages = pages

    def style(self, v: str = "") -> Response:
        """Give the style sheet: for ever under the version our pages name, for a day under any other."""
        return Response(self._pages.style, media_type="text/css", headers={"Cache-Control": self._lasting(v)})

    def admin_style(self, v: str = "") -> Response:
        """Give what the pages behind the log-in have beside it."""
        return Response(self._pages.admin_style, media_type="text/css", headers={"Cache-Control": self._lasting(v)})

    def script(self, v: str = "") -> Response:
        """Give the script that counts on the page of preferences."""
        return Response(self._pages.script, media_type="text/javascript", headers={"Cache-Control": self._lasting(v)})

    def icon(self, v: str = "") -> Response:
        """Give the icon."""
        return Response(self._pages.icon, media_type="image/svg+xml", headers={"Cache-Control": self._lasting(v)})

    def _lasting(self, version: str) -> str:
        return FOREVER if version == self._pages.version else A_DAY

    def robots(self) -> Response:
        """Keep crawlers off the links that belong to one person, and off the many forms for remarks (RFC 9309)."""
        rules = "".join(f"Disallow: {self._pages.root}/{path}/\n" for path in ("c", "u", "p", "a", "me", "w"))
        return PlainTextResponse(f"User-agent: *\n{rules}", headers={"Cache-Control": A_DAY})

    def healthz(self) -> Response:
        """Say that the process answers; asks nobody else, for a restart mends no database."""
        return PlainTextResponse("ok\n", headers={"Cache-Control": "no-store"})

    def readyz(self) -> Response:
        """Say whether the database answers and its tables are of this version: 503 with the reason if not."""
        headers = {"Cache-Control": "no-store"}
        try:
            db.check(self._services.sessions)
        except NewsletterError as error:
            log.warning("not ready", reason=str(error), hint=error.hint)
            return PlainTextResponse(f"{error}\n{error.hint}\n", HTTPStatus.SERVICE_UNAVAILABLE, headers)
        return PlainTextResponse("ready\n", headers=headers)
