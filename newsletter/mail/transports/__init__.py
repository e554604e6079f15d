"""Where finished messages go: a mail server (`Smtp`) or a folder (`Files`).

A transport answers with the server's reply, or raises what the caller does next: RelayUnavailable (nobody's address is
to blame: stop for a while), Deferred (later), Refused (never), AnswerLost (it may have arrived).
"""

from newsletter.mail.smtp.relay import Relay, Timeouts
from newsletter.mail.transports.base import OutgoingMessage, Transport
from newsletter.mail.transports.files import Files
from newsletter.mail.transports.smtp import Smtp

__all__ = ["Files", "OutgoingMessage", "Relay", "Smtp", "Timeouts", "Transport"]
