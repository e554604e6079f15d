"""Who administers this installation: their names and passwords, their log-ins, and who guesses at them."""

from newsletter.admins.accounts import create, listing, normal_name, remove, set_password
from newsletter.admins.entering import SEEN_EVERY, Rules, SignedIn, log_in, log_out, log_out_everywhere, purge, signed_in

__all__ = [
    "SEEN_EVERY",
    "Rules",
    "SignedIn",
    "create",
    "listing",
    "log_in",
    "log_out",
    "log_out_everywhere",
    "normal_name",
    "purge",
    "remove",
    "set_password",
    "signed_in",
]
