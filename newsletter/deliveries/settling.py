"""What dead processes left behind: their journals say which of their deliveries were answered, begun, or neither."""

from datetime import datetime
from pathlib import Path

import structlog

from newsletter.db import Sessions
from newsletter.deliveries import journal, ledger
from newsletter.deliveries.ledger import Outcome
from newsletter.deliveries.outcomes import outcome_of_reply
from newsletter.lifecycle import DeliveryEvent

log = structlog.get_logger()


def settle(sessions: Sessions, folder: Path, *, now: datetime) -> int:
    """Bring into the ledger what the journals in the folder say that nobody holds, and return how many those were.

    Whoever finds one settles it. To settle one again, after a crash in between, changes nothing.
    """
    settled = 0
    for left in journal.abandoned(folder):
        outcomes = [outcome_of_reply(number, reply, attempts=1) for number, reply in left.outcomes.items()]
        outcomes += [Outcome(number, DeliveryEvent.LOSE, reason="its worker was killed while sending it") for number in left.open]
        with sessions.begin() as session:
            ledger.record(session, outcomes, worker=left.worker, now=now)
            freed = ledger.bury(session, left.worker, never_began=left.proves_absence, now=now)
        left.remove()
        settled += 1
        found = {"ended": len(left.outcomes), "unknown": len(left.open), "given_back": freed, "damaged": left.damaged}
        log.warning("journal_settled", worker=left.worker, **found)
    return settled
