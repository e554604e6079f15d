"""The public pages: signing up, confirming, leaving, the archive. Plain HTML forms; a GET changes nothing."""

from newsletter.web.app import create_app
from newsletter.web.services import Services, SignUp

__all__ = ["Services", "SignUp", "create_app"]
