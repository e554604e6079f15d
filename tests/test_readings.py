from datetime import timedelta

import pytest
from factories import DAY, NOW, listing
from structlog.testing import capture_logs

from newsletter import alarms, papers, readings, schedule
from newsletter.errors import SourceUnavailable
from newsletter.models import Alarm, Collection, CollectionStatus
from newsletter.sources import Listing

ONE, HOUR = timedelta(days=1), timedelta(hours=1)
SATURDAY = DAY + 2 * ONE


class Shelf:
    """A source that lists a paper on each weekday but those it is silent on; `down` is raised instead."""

    name = "shelf"

    def __init__(self, *silent, down=None):
        self.silent, self.down = silent, down

    def listing(self, day):
        """Return the list of the day."""
        if self.down:
            raise self.down
        return Listing(day) if day.weekday() > 4 or day in self.silent else listing(day.toordinal() % 1000, day=day)


AWAY = Shelf(down=SourceUnavailable("shelf: it did not answer"))


def _read(sessions, source, *days, now=None):
    """Read the days, each five minutes after it ended unless told otherwise."""
    for day in days:
        record = papers.collect(sessions, source, day, now=now or schedule.day_of(day).ends_at + timedelta(minutes=5))
    return record


def _open(sessions):
    with sessions.read() as session:
        return [(row.cause, row.detail) for row in alarms.open_alarms(session)]


def _weeks(number=4, before=DAY):
    return schedule.days_between(before - timedelta(days=7 * number), before - ONE)


def test_nothing_on_a_saturday_is_said_in_the_log_and_is_no_alarm(sessions):
    _read(sessions, Shelf(), *_weeks())
    with capture_logs() as logs:
        record = _read(sessions, Shelf(), SATURDAY)

    assert (record.status, record.papers, record.doubtful) == (CollectionStatus.DONE, 0, False)
    assert {"event": "nothing_today", "log_level": "info", "source": "shelf", "day": "2024-03-16", "doubtful": False} in logs
    assert _open(sessions) == []


def test_a_source_that_fails_says_so_in_the_log(sessions):
    with capture_logs() as logs:
        _read(sessions, AWAY, DAY)

    (line,) = [line for line in logs if line["event"] == "source_failed"]
    assert (line["log_level"], line["source"], line["day"], line["error"]) == (
        "warning",
        "shelf",
        "2024-03-14",
        "shelf: it did not answer",
    )


def test_an_outage_of_days_is_one_alarm_until_the_last_day_is_read(sessions, make):
    days = [DAY + number * ONE for number in range(9)]
    _read(sessions, AWAY, *days)
    _read(sessions, AWAY, *days, now=NOW + 9 * ONE)

    ((key, detail),) = _open(sessions)
    assert key == "source:shelf"
    assert detail.startswith("Not read: 2024-03-14, 2024-03-15, 2024-03-16")
    assert detail.endswith("2024-03-20 and 2 more. shelf: it did not answer")
    assert len(make.all(Alarm)) == 1

    _read(sessions, Shelf(), *days[:-1], now=NOW + 9 * ONE + HOUR)
    assert [key for key, _ in _open(sessions)] == ["source:shelf"]
    _read(sessions, Shelf(), days[-1], now=NOW + 9 * ONE + HOUR)
    assert _open(sessions) == []


def test_a_source_remembers_since_when_it_fails(sessions):
    _read(sessions, AWAY, DAY, now=NOW)
    assert _read(sessions, AWAY, DAY, now=NOW + HOUR).failing_since == NOW
    assert _read(sessions, Shelf(), DAY, now=NOW + 2 * HOUR).failing_since is None


def test_a_day_read_again_loses_no_papers_and_its_failing_is_no_alarm(sessions, make):
    _read(sessions, Shelf(), DAY)

    assert _read(sessions, Shelf(DAY), DAY, now=NOW + HOUR).papers == 1
    _read(sessions, AWAY, DAY, now=NOW + 2 * HOUR)
    assert _open(sessions) == []


def test_silence_on_a_weekday_after_four_full_weeks_is_doubted_and_is_no_alarm(sessions, make):
    """It may be a holiday."""
    _read(sessions, Shelf(), *_weeks())

    record = _read(sessions, Shelf(DAY), DAY)
    _read(sessions, Shelf(DAY), DAY, now=NOW + HOUR)

    assert (record.papers, record.doubtful) == (0, True)
    assert not _read(sessions, Shelf(DAY, DAY + ONE), DAY + ONE).doubtful  # by now it is no wonder
    assert make.all(Alarm) == []


def test_silence_of_three_weekdays_is_one_alarm_until_there_is_something_again(sessions, make):
    quiet = [DAY, DAY + ONE, DAY + 4 * ONE, DAY + 5 * ONE]  # Thursday to Tuesday
    _read(sessions, Shelf(), *_weeks())
    _read(sessions, Shelf(*quiet), DAY, DAY + ONE, SATURDAY, SATURDAY + ONE)
    assert _open(sessions) == []

    _read(sessions, Shelf(*quiet), *quiet[2:], *quiet[2:])

    ((cause, detail),) = _open(sessions)
    assert cause == "silent:shelf"
    assert detail.startswith("It listed nothing from Thursday, 2024-03-14, on, and something on every weekday")

    _read(sessions, Shelf(*quiet), DAY + 6 * ONE, *quiet)  # and of the silence that is over nothing is heard again
    assert len(make.all(Alarm)) == 1
    assert _open(sessions) == []


@pytest.mark.parametrize("known", [0, 3])
def test_silence_of_a_source_that_is_not_known_so_long_is_believed(sessions, known):
    _read(sessions, Shelf(), DAY - 30 * ONE, *_weeks(known))

    assert not _read(sessions, Shelf(DAY), DAY).doubtful
    assert _open(sessions) == []


def test_silence_that_ends_was_none(sessions):
    _read(sessions, Shelf(), *_weeks())
    _read(sessions, Shelf(DAY), DAY)

    record = _read(sessions, Shelf(), DAY, now=NOW + HOUR)

    assert (record.papers, record.doubtful) == (1, False)
    assert _open(sessions) == []


def test_a_doubted_day_is_read_again_for_a_day(sessions):
    _read(sessions, Shelf(), *_weeks())
    _read(sessions, Shelf(DAY), DAY)

    assert _is_due(sessions, NOW + 23 * HOUR)
    _read(sessions, Shelf(DAY), DAY, now=NOW + 24 * HOUR)
    assert not _is_due(sessions, NOW + 25 * HOUR)


def test_a_day_is_read_once_more_a_day_after_it_ended(sessions):
    _read(sessions, Shelf(), DAY)

    assert not _is_due(sessions, NOW + 23 * HOUR)
    assert _is_due(sessions, NOW + 24 * HOUR)
    _read(sessions, Shelf(), DAY, now=NOW + 24 * HOUR)
    assert not _is_due(sessions, NOW + 48 * HOUR)


def _is_due(sessions, now):
    with sessions.read() as session:
        return DAY in papers.days_to_collect(session, "shelf", since=DAY, now=now)


def test_days_are_read_no_further_back_than_anybody_wants_nor_than_three_weeks(sessions):
    def due(since):
        with sessions.read() as session:
            return papers.days_to_collect(session, "shelf", since=since, now=NOW)

    assert due(DAY) == [DAY, DAY + ONE]
    assert due(DAY + ONE) == due(DAY + 5 * ONE) == [DAY + ONE]
    assert due(DAY - 99 * ONE)[0] == NOW.date() - schedule.REACH
    assert readings.failing_key("shelf") == "source:shelf"


def test_a_reading_of_a_day_that_is_not_over_says_nothing_yet(sessions, make):
    _read(sessions, Shelf(), *_weeks())
    with capture_logs() as logs:
        _read(sessions, Shelf(DAY), DAY, now=NOW - 12 * HOUR)

    assert not [line for line in logs if line["event"] == "nothing_today"]
    assert not make.all(Collection, day=DAY)[0].doubtful
