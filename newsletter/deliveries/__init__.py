"""The outbox: every mail we owe somebody is a row here that ends in a state anybody can read.

`outbox` puts mails in, `ledger` moves them from state to state, `mailer` makes their bytes, `drain` sends them.
"""

from newsletter.deliveries.drain import DrainReport, Pace, drain
from newsletter.deliveries.ledger import Recovered, recover
from newsletter.deliveries.mailer import Mailer, MailerSettings
from newsletter.deliveries.outbox import Mail, counts, enqueue, fan_out

__all__ = [
    "DrainReport",
    "Mail",
    "Mailer",
    "MailerSettings",
    "Pace",
    "Recovered",
    "counts",
    "drain",
    "enqueue",
    "fan_out",
    "recover",
]
