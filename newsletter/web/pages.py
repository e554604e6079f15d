"""Pages: a template, a language, a status."""

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from hashlib import sha256
from http import HTTPStatus
from urllib.parse import urlsplit

import jinja2
from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from newsletter import i18n, paths, schedule, templating
from newsletter.tokens import Links

LOOK = ["GET", "HEAD"]  # the methods that change nothing


class Pages:
    """Renders the pages; their own links are relative to the configured base URL's path, never to a Host header."""

    def __init__(self, links: Links) -> None:
        """Read the style sheets, the icon and the one script, which are served as they are."""
        self.root = urlsplit(links.base_url).path.rstrip("/")
        self.style = (paths.templates() / "web" / "style.css").read_bytes()
        self.icon = (paths.templates() / "web" / "icon.svg").read_bytes()
        self.script = (paths.templates() / "web" / "count.js").read_bytes()
        self.admin_style = (paths.templates() / "admin" / "style.css").read_bytes()
        self.version = sha256(self.style + self.icon + self.admin_style + self.script).hexdigest()[:12]

    def show(
        self,
        name: str,
        context: Mapping[str, object],
        *,
        language: str,
        status: HTTPStatus = HTTPStatus.OK,
        switch_to: str = "",
    ) -> Response:
        """Return a page in `language`, of web/ where no folder is named; language links lead to `switch_to`, or to itself."""
        shell = {
            "language": language,
            "root": self.root,
            "version": self.version,
            "switch_to": switch_to,
        }
        html = _environment(language).get_template(name if "/" in name else f"web/{name}").render(context, **shell)
        headers = {"Content-Language": language, "Vary": "Accept-Language"}
        return HTMLResponse(html, status_code=status, headers=headers)

    def redirect(self, path: str, language: str) -> Response:
        """Send the browser on to another page of ours, by GET and in the same language."""
        return RedirectResponse(f"{self.root}{path}?lang={language}", status_code=HTTPStatus.SEE_OTHER)


def language_of(request: Request, preferred: Iterable[str] = ()) -> str:
    """Return the language to answer in: `?lang=`, else the first of `preferred` we speak, else what the browser asks for."""
    wanted = i18n.accepted(request.headers.get("accept-language", ""))
    return i18n.negotiate([request.query_params.get("lang", ""), *preferred, *wanted])


@cache
def _environment(language: str) -> jinja2.Environment:
    """Return the templates of the pages: everything escaped, nothing undefined."""
    environment = templating.environment(language)
    filters: dict[str, Callable[..., object]] = environment.filters
    filters["language_name"] = lambda tag: i18n.locale_of(tag).get_language_name(language)
    filters["own_name"] = lambda tag: i18n.locale_of(tag).get_language_name(tag)
    filters["near"] = lambda at, zone, now: i18n.near(at.astimezone(schedule.zone(zone or "UTC")), language, now=now)
    environment.globals["languages"] = i18n.languages()
    return environment
