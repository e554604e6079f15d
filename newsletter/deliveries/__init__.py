"""The outbox: every mail we owe somebody is a row here that ends in a state anybody can read.

`outbox` puts mails in, `ledger` moves them from state to state, `mailer` makes their bytes; `drain` sends them: an `engine`
over `ways` out, whose `journal` knows after a crash what the ledger does not. Its `gate` lets begin what neither `pauses` nor
limits hold back, and its `brakes` learn from the answers.
"""

from newsletter.deliveries.brakes import Brakes
from newsletter.deliveries.drain import drain
from newsletter.deliveries.engine import DrainReport, Pace
from newsletter.deliveries.journal import Journal, worker_name
from newsletter.deliveries.ledger import Leases, Recovered, recover
from newsletter.deliveries.mailer import Mailer, MailerSettings
from newsletter.deliveries.outbox import Mail, counts, enqueue, fan_out
from newsletter.deliveries.settling import settle
from newsletter.deliveries.ways import OpenWay, over, through

__all__ = [
    "Brakes",
    "DrainReport",
    "Journal",
    "Leases",
    "Mail",
    "Mailer",
    "MailerSettings",
    "OpenWay",
    "Pace",
    "Recovered",
    "counts",
    "drain",
    "enqueue",
    "fan_out",
    "over",
    "recover",
    "settle",
    "through",
    "worker_name",
]
