"""Mail that is sent to us: received so that nothing is lost, then handled: commands, bounces, letters.

`server` takes it in by SMTP or LMTP and `receiving` keeps it; `handling` finds out what each mail is, with `acting` for what
it asks for and `forwarding` for what a person must read. What nobody understands waits in `quarantine` for the operator.
"""

from newsletter.inbox.authentication import Border
from newsletter.inbox.handling import QUARANTINE, handle, sweep
from newsletter.inbox.office import Office, Outcome
from newsletter.inbox.quarantine import drop, find, listing, purge, retry
from newsletter.inbox.receiving import Incoming, receive
from newsletter.inbox.recipients import Directory, directory

__all__ = [
    "QUARANTINE",
    "Border",
    "Directory",
    "Incoming",
    "Office",
    "Outcome",
    "directory",
    "drop",
    "find",
    "handle",
    "listing",
    "purge",
    "receive",
    "retry",
    "sweep",
]
