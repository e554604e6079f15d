"""Readers: subscribing, confirming, leaving. Consent is never invented: only the person's own confirmation makes it active."""

from newsletter.subscribers.addresses import Address, parse_address
from newsletter.subscribers.erasing import Erased, erase
from newsletter.subscribers.joining import Asked, Policy, Request, add_recorded, confirm, look_at_request, request
from newsletter.subscribers.leaving import Membership, come_back, look_at, unsubscribe, unsubscribe_address
from newsletter.subscribers.purging import IPS_KEPT, UNCONFIRMED_KEPT, Purged, purge
from newsletter.subscribers.records import counts, find, listing, show, show_suppression
from newsletter.subscribers.suppressing import suppress, suppression_of

__all__ = [
    "IPS_KEPT",
    "UNCONFIRMED_KEPT",
    "Address",
    "Asked",
    "Erased",
    "Membership",
    "Policy",
    "Purged",
    "Request",
    "add_recorded",
    "come_back",
    "confirm",
    "counts",
    "erase",
    "find",
    "listing",
    "look_at",
    "look_at_request",
    "parse_address",
    "purge",
    "request",
    "show",
    "show_suppression",
    "suppress",
    "suppression_of",
    "unsubscribe",
    "unsubscribe_address",
]
