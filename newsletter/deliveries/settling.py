"""What dead processes left behind: their journals say which of their deliveries were answered, begun, or neither."""

from datetime import datetime
from pathlib import Path

import structlog

from newsletter.db import Sessions
from newsletter.deliveries import doubts, journal, ledger
from newsletter.deliveries.journal import Abandoned
from newsletter.deliveries.ledger import Outcome
from newsletter.deliveries.outcomes import outcome_of_reply
from newsletter.lifecycle import DeliveryEvent

log = structlog.get_logger()


def settle(sessions: Sessions, folder: Path, *, now: datetime) -> int:
    """Bring into the ledger what the journals in the folder say that nobody holds, and return how many those were.

    Whoever finds one settles it. To settle one again, after a crash in between, changes nothing. One that cannot be
    settled stays for the next time and does not stop the others.
    """
    settled = 0
    for left in journal.abandoned(folder):
        try:
            _settle(sessions, left, now=now)
            left.remove()
        except Exception:
            log.exception("journal_not_settled", worker=left.worker)
        else:
            settled += 1
    return settled


def _settle(sessions: Sessions, left: Abandoned, *, now: datetime) -> None:
    outcomes = [outcome_of_reply(number, reply, attempts=1) for number, reply in left.outcomes.items()]
    outcomes += [Outcome(number, DeliveryEvent.LOSE, reason="its worker was killed while sending it") for number in left.open]
    with sessions.begin() as session:
        ledger.record(session, outcomes, worker=left.worker, now=now)
        freed = ledger.bury(session, left.worker, never_began=left.proves_absence, now=now)
        if left.proves_absence:
            freed += doubts.give_back(session, left.worker, begun={*left.open, *left.outcomes}, now=now)
    tell = log.warning if left.open or not left.proves_absence else log.info  # a process that just ended leaves nothing to fear
    tell(
        "journal_settled",
        worker=left.worker,
        ended=len(left.outcomes),
        unknown=len(left.open),
        given_back=freed,
        damaged=left.damaged,
    )
