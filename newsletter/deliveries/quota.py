"""The alarm of a relay whose quota of the day is used up: the operator hears of it before the readers do."""

from datetime import datetime

from sqlmodel import Session

from newsletter import alarms
from newsletter.alarms import Cause


def tell(session: Session, relay: str, *, spent: bool, now: datetime) -> None:
    """Raise the alarm, or close it once something may be sent again."""
    key = f"quota:{relay}"
    if not spent:
        alarms.close(session, key, now=now)
        return
    detail = (
        "What waits goes out from 00:00 UTC on, unless its time is over by then. daily_quota and warm_up set how much may go."
    )
    alarms.raise_alarm(session, Cause(key, f"The day's quota of {relay} is used up", detail), now=now)
