"""Where finished messages go one by one: a folder (`Files`); a mail server is talked to by `newsletter.mail.smtp`.

A transport answers with the reply that took the message, or raises what the caller does next: RelayUnavailable (nobody's
address is to blame: stop for a while), Deferred (later), Refused (never), AnswerLost (it may have arrived).
"""

from newsletter.mail.transports.base import OutgoingMessage, Transport
from newsletter.mail.transports.files import Files

__all__ = ["Files", "OutgoingMessage", "Transport"]
