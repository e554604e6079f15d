"""The page for what was asked for too often, or cannot be counted now."""

from http import HTTPStatus
from math import ceil

from fastapi import Request
from fastapi.responses import Response

from newsletter.throttle import Decision, Limit
from newsletter.web.pages import Pages, language_of


def show(pages: Pages, request: Request, decision: Decision, *, chosen: str = "") -> Response:
    """Say when to come back: 429, or 503 where nothing is allowed because nobody counts (RFC 9110 section 10.2.3).

    Only for a decision that is not silent; `chosen` is the language of the form, if it says.
    """
    is_closed = decision.limit is Limit.UNREACHABLE
    status = HTTPStatus.SERVICE_UNAVAILABLE if is_closed else HTTPStatus.TOO_MANY_REQUESTS
    context = {"is_closed": is_closed, "is_overall": decision.limit is Limit.OVERALL, "minutes": ceil(decision.retry_after / 60)}
    home = f"{pages.root}/"
    page = pages.show("later.html", context, language=language_of(request, [chosen]), status=status, switch_to=home)
    page.headers["Retry-After"] = str(decision.retry_after)
    return page
