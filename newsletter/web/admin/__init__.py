"""The pages behind the log-in."""

from fastapi import APIRouter

from newsletter.web.admin import desk, editing, entering, today
from newsletter.web.pages import Pages
from newsletter.web.services import Services


def routes(services: Services, pages: Pages) -> APIRouter:
    """Return the log-in and all that is behind it."""
    router = APIRouter()
    for feature in (entering, today, desk, editing):
        router.include_router(feature.routes(services, pages))
    return router
