"""Who may pass: every page behind the log-in asks here first."""

import ipaddress
from datetime import timedelta
from http import HTTPStatus
from urllib.parse import urlencode, urlsplit

from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from newsletter import admins
from newsletter.admins import SignedIn
from newsletter.web.pages import LOOK, Pages, language_of
from newsletter.web.services import Services

HOME, LOG_IN = "/admin", "/admin/login"
SESSION, KNOWN = "newsletter-admin", "newsletter-known"  # the cookies: of a log-in; of a browser that had one before


class LogInFirst(Exception):
    """Nobody is logged in: the browser is sent to the log-in, and from there to `path`."""

    def __init__(self, path: str) -> None:
        """Keep the page to come back to, "" for none."""
        super().__init__(path)
        self.path = path


def signed_in(services: Services, request: Request) -> SignedIn:
    """Return who asks; raises LogInFirst, which `create_app` answers, where nobody is logged in."""
    token = token_of(request, services.links.base_url)
    found = admins.signed_in(services.sessions, token, services.admin, now=services.clock())
    if found is None:
        raise LogInFirst(request.url.path if request.method in LOOK else "")
    return found


def to_log_in(pages: Pages, request: Request, error: LogInFirst) -> Response:
    """Send the browser to the log-in."""
    asked = {"lang": language_of(request)} | ({"next": error.path} if error.path else {})
    return RedirectResponse(f"{pages.root}{LOG_IN}?{urlencode(asked)}", status_code=HTTPStatus.SEE_OTHER)


def cookie_name(base_url: str, cookie: str = SESSION) -> str:
    """Return a cookie's name; browsers take one with the prefix from its own host alone, over HTTPS, for all paths."""
    return f"__Host-{cookie}" if base_url.startswith("https:") else cookie


def token_of(request: Request, base_url: str) -> str:
    """Return the token that a request carries, "" for none."""
    return request.cookies.get(cookie_name(base_url), "")


def keep(response: Response, base_url: str, value: str, lasts: timedelta, cookie: str = SESSION) -> None:
    """Have the browser keep a cookie, for us alone: no script reads it, no other site has it sent."""
    is_https = base_url.startswith("https:")
    response.set_cookie(
        cookie_name(base_url, cookie),
        value,
        max_age=int(lasts.total_seconds()),
        path="/",
        secure=is_https,
        httponly=True,
        samesite="strict",
    )


def drop(response: Response, base_url: str) -> None:
    """Have the browser forget the log-in."""
    keep(response, base_url, "", timedelta())


def is_safe(base_url: str) -> bool:
    """Say whether a password may be typed: over HTTPS, or without leaving the machine."""
    parts = urlsplit(base_url)
    return parts.scheme == "https" or _is_loopback(parts.hostname or "")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def local_path(given: str) -> str:
    """Return a page behind the log-in to go to, `HOME` for anything else: no other host can be named."""
    plain = given.isascii() and given.isprintable() and not set(given) & set("\\?#% ")
    return given if plain and given.startswith(f"{HOME}/") and "//" not in given and ".." not in given else HOME
