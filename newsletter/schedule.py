"""Days, weeks and local hours: pure, in Python alone, so that both databases agree."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from newsletter.errors import BadInput

SOON = -1  # the "hour" of who wants an issue as soon as it is ready
WEEK = timedelta(days=7)
OUTAGE = timedelta(days=14)  # what the clock makes up for by itself when the service, or a source, was away
REACH = OUTAGE + WEEK  # how far back lists are read and late papers told: a week that ended within OUTAGE began before it


@dataclass(frozen=True)
class Period:
    """The days an issue reports on, both included."""

    first_day: date
    last_day: date

    @property
    def ends_at(self) -> datetime:
        """When the last day is over (UTC): what lists go by."""
        return start_of(self.last_day) + timedelta(days=1)


def day_of(day: date) -> Period:
    """Return the period of one day."""
    return Period(day, day)


def week_of(day: date) -> Period:
    """Return the ISO week that holds `day`: Monday to Sunday."""
    monday = day - timedelta(days=day.weekday())
    return Period(monday, monday + timedelta(days=6))


def start_of(day: date) -> datetime:
    """Return 00:00 UTC of the day."""
    return datetime.combine(day, time(), UTC)


def zone(name: str) -> ZoneInfo:
    """Return the IANA zone; raises BadInput naming one that does not exist."""
    try:
        return _zone(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadInput(f"{name!r} is no time zone.", hint='Use a name such as "Asia/Seoul" or "Europe/Berlin".') from None


@cache
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def local_day(moment: datetime, zone_name: str) -> date:
    """Return the date on the wall at `moment` in the zone."""
    return moment.astimezone(zone(zone_name)).date()


def start_of_local_day(day: date, zone_name: str) -> datetime:
    """Return the first moment (UTC) of a date in the zone; of a date that never came there, the next one's."""
    return datetime.combine(day, time(), zone(zone_name)).astimezone(UTC)


def next_local_hour(moment: datetime, zone_name: str, hour: int, *, after: date | None = None) -> datetime:
    """Return the first time (UTC) at or after `moment` when the clocks in the zone show `hour`:00, on a day later than `after`.

    An hour that a change to summer time leaves out is taken an hour later on the clock (the same instant); one that
    comes twice is taken the first time. SOON is `moment` itself, or else when the day after `after` begins.
    """
    place = zone(zone_name)
    day = moment.astimezone(place).date()
    if hour == SOON:
        return moment if after is None or day > after else start_of_local_day(after + timedelta(days=1), zone_name)
    first = day if after is None else max(day, after + timedelta(days=1))
    for ahead in range(3):
        due = datetime.combine(first + timedelta(days=ahead), time(hour), place).astimezone(UTC)
        if due >= moment:
            return due
    raise AssertionError("three days hold every hour")


def days_between(first: date, last: date) -> Iterable[date]:
    """Return the days from `first` to `last`, both included."""
    return (first + timedelta(days=step) for step in range((last - first).days + 1))


def name_of(cadence: str, first_day: date) -> str:
    """Return an issue's name in web addresses and terminals: "2024-03-14", or its ISO week "2024-W11"."""
    if cadence == "weekly":
        year, week, _ = first_day.isocalendar()
        return f"{year}-W{week:02d}"
    return first_day.isoformat()
