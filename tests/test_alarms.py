from datetime import timedelta
from threading import Thread

import pytest
from factories import NOW

from newsletter import alarms
from newsletter.alarms import Cause
from newsletter.errors import Conflict, NotFound
from newsletter.models import Alarm

CAUSE = Cause("source:sample:2024-03-14", "sample could not be read", "it did not answer")


def _raise(sessions, cause=CAUSE, now=NOW):
    with sessions.begin() as session:
        return alarms.raise_alarm(session, cause, now=now)


def test_trouble_that_goes_on_is_one_alarm(sessions, make):
    later = NOW + timedelta(hours=1)

    assert _raise(sessions)
    assert not _raise(sessions, Cause(CAUSE.key, CAUSE.subject, "still nothing"), later)

    (row,) = make.all(Alarm)
    assert (row.times, row.opened_at, row.raised_at, row.detail) == (2, NOW, later, "still nothing")


def test_trouble_that_comes_back_is_a_new_alarm(sessions, make):
    _raise(sessions)
    with sessions.begin() as session:
        alarms.close(session, CAUSE.key, now=NOW + timedelta(hours=1))

    assert _raise(sessions, now=NOW + timedelta(hours=2))
    assert [row.times for row in make.all(Alarm)] == [1, 1]


def test_closing_what_is_not_open_does_nothing(sessions, make):
    with sessions.begin() as session:
        alarms.close(session, CAUSE.key, now=NOW)

    assert make.all(Alarm) == []


def test_open_alarms_come_oldest_first(sessions):
    for minutes, key in ((2, "newer"), (1, "older"), (0, "over")):
        _raise(sessions, Cause(key, key), NOW + timedelta(minutes=minutes))
    with sessions.begin() as session:
        alarms.close(session, "over", now=NOW)

    with sessions.read() as session:
        assert [row.cause for row in alarms.open_alarms(session)] == ["older", "newer"]


def test_an_alarm_raised_by_several_at_once_is_new_to_one(sessions, make):
    new = []
    threads = [Thread(target=lambda: new.append(_raise(sessions))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(new) == [False, False, False, True]
    assert [row.times for row in make.all(Alarm)] == [4]


def test_an_alarm_closed_by_hand_stays_closed_until_the_trouble_comes_again(sessions, make):
    _raise(sessions)
    with sessions.begin() as session:
        assert alarms.dismiss(session, 1, now=NOW).subject == CAUSE.subject
    with sessions.read() as session:
        assert alarms.open_alarms(session) == []

    assert _raise(sessions, now=NOW + timedelta(hours=1))

    with sessions.read() as session:
        assert [row.id for row in alarms.listing(session)] == [2, 1]
        assert [row.id for row in alarms.listing(session, before_id=2)] == [1]


def test_an_alarm_that_is_none_or_closed_cannot_be_closed(sessions, make):
    _raise(sessions)
    with sessions.begin() as session, pytest.raises(NotFound, match="no alarm 7"):
        alarms.dismiss(session, 7, now=NOW)
    with sessions.begin() as session:
        alarms.dismiss(session, 1, now=NOW)

    with sessions.begin() as session, pytest.raises(Conflict, match="was closed at 2024-03-15 00:05 UTC"):
        alarms.dismiss(session, 1, now=NOW + timedelta(hours=1))

    assert make.all(Alarm)[0].closed_at == NOW
