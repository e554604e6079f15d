from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter import schedule
from newsletter.errors import BadInput

ZONES = ["UTC", "Asia/Seoul", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia"]


def _utc(*parts):
    return datetime(*parts, tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "zone", "hour", "due"),
    [
        (_utc(2024, 3, 14, 21, 0), "Asia/Seoul", 6, _utc(2024, 3, 14, 21, 0)),  # on the hour: now
        (_utc(2024, 3, 14, 21, 0, 0, 1), "Asia/Seoul", 6, _utc(2024, 3, 15, 21, 0)),  # just after it: tomorrow
        (_utc(2024, 3, 14, 23, 30), "Asia/Kathmandu", 7, _utc(2024, 3, 15, 1, 15)),
        (_utc(2024, 3, 31, 0, 30), "Europe/Berlin", 2, _utc(2024, 3, 31, 1, 0)),  # 02:00 is left out: 03:00 on the clock
        (_utc(2024, 3, 10, 6, 0), "America/New_York", 2, _utc(2024, 3, 10, 7, 0)),
        (_utc(2024, 10, 5, 15, 0), "Australia/Lord_Howe", 2, _utc(2024, 10, 5, 15, 30)),  # half an hour is left out
        (_utc(2024, 10, 26, 22, 0), "Europe/Berlin", 2, _utc(2024, 10, 27, 0, 0)),  # 02:00 comes twice: the first
        (_utc(2024, 10, 27, 0, 30), "Europe/Berlin", 2, _utc(2024, 10, 28, 1, 0)),  # between the two: tomorrow
        (_utc(2024, 11, 3, 4, 0), "America/New_York", 1, _utc(2024, 11, 3, 5, 0)),
        (_utc(2024, 4, 6, 14, 0), "Australia/Lord_Howe", 1, _utc(2024, 4, 6, 14, 0)),  # 01:00 once; 01:30 twice
        (_utc(2011, 12, 30, 8, 0), "Pacific/Apia", 23, _utc(2011, 12, 30, 9, 0)),
        (_utc(2011, 12, 30, 10, 0), "Pacific/Apia", 9, _utc(2011, 12, 30, 19, 0)),  # the 30th never came there
    ],
)
def test_an_issue_is_due_when_the_clock_next_shows_the_hour(moment, zone, hour, due):
    assert schedule.next_local_hour(moment, zone, hour) == due


@pytest.mark.parametrize(
    ("zone", "hour", "after", "due"),  # ready on 10 March 2024, 12:00 UTC
    [
        ("UTC", 18, date(2024, 3, 9), _utc(2024, 3, 10, 18, 0)),
        ("UTC", 18, date(2024, 3, 10), _utc(2024, 3, 11, 18, 0)),
        ("UTC", 9, date(2024, 3, 10), _utc(2024, 3, 11, 9, 0)),
        ("America/New_York", 7, date(2024, 3, 8), _utc(2024, 3, 11, 11, 0)),  # 08:00 there since that morning
        ("Europe/Berlin", 2, date(2024, 3, 30), _utc(2024, 3, 31, 1, 0)),  # left out
        ("Europe/Berlin", 2, date(2024, 10, 26), _utc(2024, 10, 27, 0, 0)),  # comes twice: the first
        ("Pacific/Kiritimati", 1, date(2024, 3, 11), _utc(2024, 3, 11, 11, 0)),
        ("Pacific/Honolulu", 3, date(2024, 3, 10), _utc(2024, 3, 11, 13, 0)),
        ("UTC", schedule.SOON, date(2024, 3, 9), _utc(2024, 3, 10, 12, 0)),
        ("Asia/Kathmandu", schedule.SOON, date(2024, 3, 10), _utc(2024, 3, 10, 18, 15)),  # when the day after begins
        ("Africa/Cairo", schedule.SOON, date(2024, 4, 25), _utc(2024, 4, 25, 22, 0)),  # a day that begins at 01:00
    ],
)
def test_an_issue_is_due_on_a_day_that_is_later_than_one_that_is_taken(zone, hour, after, due):
    assert schedule.next_local_hour(_utc(2024, 3, 10, 12, 0), zone, hour, after=after) == due


@given(
    moment=st.datetimes(datetime(2000, 1, 1), datetime(2037, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001 -- bounds are naive
    zone=st.sampled_from(ZONES),
    hour=st.integers(0, 23),
)
def test_the_next_hour_is_never_before_and_never_more_than_a_day_and_an_hour_away(moment, zone, hour):
    due = schedule.next_local_hour(moment, zone, hour)

    assert moment <= due <= moment + timedelta(hours=25)
    local = due.astimezone(ZoneInfo(zone))
    assert local.hour in (hour, hour + 1)
    assert due.tzinfo is UTC


def test_who_wants_it_soon_gets_it_at_once():
    moment = _utc(2024, 3, 14, 21, 17, 3)

    assert schedule.next_local_hour(moment, "Asia/Seoul", schedule.SOON) == moment


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../../etc/passwd", "/etc/localtime", "Europe", "a\0b", "x" * 5000, "제주"])
def test_what_is_no_zone_is_named(name):
    with pytest.raises(BadInput, match="no time zone"):
        schedule.zone(name)


def test_a_week_is_monday_to_sunday_whatever_day_it_is_named_by():
    week = schedule.Period(date(2024, 12, 30), date(2025, 1, 5))

    assert {schedule.week_of(day) for day in schedule.days_between(week.first_day, week.last_day)} == {week}
    assert week.ends_at == _utc(2025, 1, 6)


def test_an_issue_is_named_by_its_day_or_its_iso_week():
    assert schedule.name_of("daily", date(2024, 3, 14)) == "2024-03-14"
    assert schedule.name_of("weekly", date(2024, 12, 30)) == "2025-W01"


def test_the_local_day_is_the_one_on_the_wall():
    moment = _utc(2024, 3, 14, 23, 0)

    assert schedule.local_day(moment, "Asia/Seoul") == date(2024, 3, 15)
    assert schedule.local_day(moment, "America/New_York") == date(2024, 3, 14)


def test_days_between_are_none_where_the_last_is_before_the_first():
    assert list(schedule.days_between(date(2024, 3, 2), date(2024, 3, 1))) == []
    assert list(schedule.days_between(date(2024, 2, 29), date(2024, 3, 1))) == [date(2024, 2, 29), date(2024, 3, 1)]
