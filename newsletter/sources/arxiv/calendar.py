"""When arXiv announces what: https://info.arxiv.org/help/availability.html.

What is submitted until 14:00 in New York is announced at 20:00, Sunday to Thursday; in UTC, and in its feeds, that is the day
after. What comes in from Friday to Monday noon is in the list of Tuesday, that of Thursday to Friday noon in Monday's.
"""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_ZONE = ZoneInfo("America/New_York")
_DEADLINE = time(14)
_DAYS_BEFORE = {0: (4, 3), 1: (4, 1), 2: (2, 1), 3: (2, 1), 4: (2, 1)}  # by weekday, Monday first; none at weekends


def submitted_for(day: date) -> tuple[datetime, datetime] | None:
    """Return from when and before when the papers of a day's list were submitted, in UTC; None for a weekend, which has none."""
    bounds = _DAYS_BEFORE.get(day.weekday())
    if bounds is None:
        return None
    first, last = (datetime.combine(day - timedelta(days=days), _DEADLINE, tzinfo=_ZONE).astimezone(UTC) for days in bounds)
    return first, last
