"""The privacy notice: what is kept of readers here, why, and for how long (GDPR article 13)."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from newsletter import newsletters
from newsletter.inbox.quarantine import KEPT as LETTERS_KEPT
from newsletter.subscribers.purging import IPS_KEPT, UNCONFIRMED_KEPT
from newsletter.web.pages import LOOK, Pages, language_of
from newsletter.web.services import Services


def routes(services: Services, pages: Pages) -> APIRouter:
    """Return the page."""

    def show(request: Request) -> Response:
        """Show the notice, with the facts of this installation."""
        with services.sessions.read() as session:
            found = newsletters.listing(session)
        context = {
            "senders": sorted({(row.from_name, row.reply_to or row.from_address, row.postal_address) for row in found}),
            "unconfirmed_days": UNCONFIRMED_KEPT.days,
            "ip_days": IPS_KEPT.days,
            "letter_days": LETTERS_KEPT.days,
        }
        return pages.show("privacy.html", context, language=language_of(request))

    router = APIRouter()
    router.add_api_route("/privacy", show, methods=LOOK)
    return router
