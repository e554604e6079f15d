"""One issue a local day: which day each reader's issue comes on, through hours, zones, lateness and outages."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from threading import Thread
from zoneinfo import ZoneInfo

import pytest
from factories import DAY, NOW
from hypothesis import given
from hypothesis import strategies as st

from newsletter import issues, schedule
from newsletter.deliveries import due
from newsletter.deliveries.due import NOTHING_BEFORE
from newsletter.issues import control
from newsletter.lifecycle import DeliveryStatus, IssueStatus
from newsletter.models import Cadence, Delivery, DueTime, Issue, Newsletter, Subscription

ONE = timedelta(days=1)
ZONES = ["UTC", "Asia/Seoul", "America/New_York", "Asia/Kathmandu", "Pacific/Auckland", "Pacific/Honolulu", "Pacific/Kiritimati"]


@dataclass(frozen=True)
class Days:
    """Publishes the issues of one newsletter, and tells when each came to the reader."""

    make: object
    newsletter: Newsletter

    def publish(self, day, at=None):
        """Publish the issue of the day after next midnight plus some hours, or again; return how many are queued by it."""
        number = (day - DAY).days + 1
        found = self.make.all(Issue, first_day=day) or [self.make.issue(self.newsletter, numbers=(number,), day=day)]
        return self.again(found[0], at or schedule.start_of(day) + ONE + timedelta(minutes=5))

    def again(self, issue, at):
        """Publish an issue at a moment."""
        with self.make.sessions.begin() as session:
            return issues.publish(session, issue.id, now=at)

    def change(self, subscription, **changes):
        """Change what a reader chose."""
        with self.make.sessions.begin() as session:
            row = session.get(Subscription, subscription.id)
            for name, value in changes.items():
                setattr(row, name, value)

    def due(self, zone="UTC"):
        """Return when the issues are due, as day and time on the clocks of a zone, in the order of their days."""
        rows = sorted(self.make.all(Delivery), key=lambda row: (row.issue_id, row.id))
        return [f"{row.due_at.astimezone(ZoneInfo(zone)):%d %H:%M}" for row in rows]


@pytest.fixture
def days(make):
    return Days(make, make.newsletter())


def _late(day, hours):
    return schedule.start_of(day) + ONE + timedelta(hours=hours)


# The days of one reader


def test_issues_on_time_come_a_day_apart_at_the_same_hour(days, make):
    make.reader("ari", days.newsletter, send_hour=7, zone="Asia/Seoul")

    for number in range(3):
        days.publish(DAY + number * ONE)

    assert days.due("Asia/Seoul") == ["16 07:00", "17 07:00", "18 07:00"]


def test_after_a_late_issue_the_next_comes_on_the_day_after_at_the_same_hour(days, make):
    make.reader("ari", days.newsletter, send_hour=7, zone="Asia/Seoul")
    make.reader("bora", days.newsletter, send_hour=9, zone="Asia/Seoul")

    days.publish(DAY, _late(DAY, 23.5))  # 08:30 in Seoul: bora's hour is to come, ari's has passed
    days.publish(DAY + ONE)

    rows = make.all(Delivery)
    come = {(row.address[:3], row.issue_id, f"{row.due_at.astimezone(ZoneInfo('Asia/Seoul')):%d %H:%M}") for row in rows}
    assert come == {("ari", 1, "17 07:00"), ("ari", 2, "18 07:00"), ("bor", 1, "16 09:00"), ("bor", 2, "17 09:00")}
    assert {row.give_up_at - row.due_at for row in rows} == {timedelta(hours=12)}


def test_who_is_a_day_behind_stays_no_more_than_that_and_is_up_to_date_after_a_day_without_an_issue(days, make):
    make.reader("ari", days.newsletter, send_hour=7)
    days.publish(DAY, _late(DAY, 8))  # on the 16th, where it should have been on the 15th
    for number in (1, 2, 4):  # none of the third day
        days.publish(DAY + number * ONE)

    assert [moment[:2] for moment in days.due()] == ["16", "17", "18", "19"]


def test_two_issues_in_a_day_come_on_two_days(days, make):
    make.reader("ari", days.newsletter, send_hour=20)
    make.reader("bora", days.newsletter, zone="America/New_York")  # as soon as it is ready: there 20:05, then 21:05

    days.publish(DAY)
    days.publish(DAY + ONE, NOW + timedelta(hours=1))

    assert {(row.address[:3], row.issue_id, row.due_at) for row in make.all(Delivery)} == {
        ("ari", 1, datetime(2024, 3, 15, 20, tzinfo=UTC)),
        ("ari", 2, datetime(2024, 3, 16, 20, tzinfo=UTC)),
        ("bor", 1, NOW),
        ("bor", 2, datetime(2024, 3, 15, 4, tzinfo=UTC)),  # when the next day begins there
    }


def test_what_a_reader_did_not_get_takes_no_day(days, make):
    make.reader("ari", days.newsletter, send_hour=20)
    days.publish(DAY)
    with make.sessions.begin() as session:
        session.get(Delivery, 1).status = DeliveryStatus.SKIPPED

    days.publish(DAY + ONE, NOW + timedelta(hours=1))

    assert [moment[:2] for moment in days.due()] == ["15", "15"]


def test_a_mail_put_off_past_midnight_took_the_day_it_was_due_on(days, make):
    make.reader("ari", days.newsletter, send_hour=23)
    days.publish(DAY)
    with make.sessions.begin() as session:
        session.get(Delivery, 1).due_at += timedelta(hours=2)  # the relay was away

    days.publish(DAY + ONE)

    assert days.due()[1] == "16 23:00"


def test_a_cancelled_issue_and_one_of_another_cadence_take_no_day(days, make):
    make.reader("ari", days.newsletter, send_hour=20)
    days.publish(DAY)
    days.publish(DAY + ONE, NOW + timedelta(hours=1))
    with make.sessions.begin() as session:
        session.get(Issue, 1).status = IssueStatus.CANCELLED
        session.get(Issue, 2).cadence = Cadence.WEEKLY

    days.publish(DAY + 2 * ONE, NOW + timedelta(hours=2))

    assert [moment[:2] for moment in days.due()] == ["15", "16", "15"]


def test_issues_published_at_once_see_each_others_day(days, make):
    make.reader("ari", days.newsletter, send_hour=20)
    ready = [make.issue(days.newsletter, numbers=(number,), day=DAY + number * ONE) for number in range(3)]
    threads = [Thread(target=days.again, args=(issue, NOW)) for issue in ready]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    rows = [make.again(issue) for issue in ready]
    taken = [row.due_at for row in make.all(Delivery) if not rows[row.issue_id - 1].catch_up]
    assert len(make.all(Delivery)) == 3
    assert len(set(taken)) == len(taken)


# Catching up


@pytest.mark.parametrize(
    ("first_day", "published_at", "newest", "catches_up"),
    [
        (DAY, NOW, None, False),
        (DAY, NOW, DAY - ONE, False),
        (DAY, datetime(2024, 3, 15, 23, 59, tzinfo=UTC), DAY - ONE, False),  # late, but it is still its turn
        (DAY, datetime(2024, 3, 16, tzinfo=UTC), None, True),  # the turn of the next
        (DAY, NOW, DAY + ONE, True),  # the next is out
    ],
)
def test_an_issue_catches_up_when_the_turn_of_the_next_has_come(first_day, published_at, newest, catches_up):
    cutoff = datetime(2024, 3, 16, tzinfo=UTC)

    found = issues.is_catch_up(first_day, next_cutoff=cutoff, newest=newest, published_at=published_at)

    assert found is catches_up


def test_after_an_outage_what_was_missed_comes_beside_todays_and_tomorrow_is_as_ever(days, make):
    make.reader("ari", days.newsletter, send_hour=20)
    back = _late(DAY + 2 * ONE, 9)
    for number in range(3):
        days.publish(DAY + number * ONE, back)
    days.publish(DAY + 3 * ONE)

    assert [moment[:2] for moment in days.due()] == ["17", "17", "17", "18"]
    assert [row.catch_up for row in make.all(Issue)] == [True, True, False, False]
    with make.sessions.read() as session:
        shown = [control.show(session, issue, now=back).catch_up for issue in make.all(Issue)]
    assert shown == [True, True, False, False]


def test_a_missed_week_and_a_missed_day_are_told_by_their_own_turn(days, make):
    make.papers(1, day=DAY)
    with make.sessions.begin() as session:
        week = issues.assemble(session, session.get(Newsletter, days.newsletter.id), Cadence.WEEKLY, DAY, now=NOW)
        week.status = IssueStatus.READY
    days.again(week, datetime(2024, 3, 24, tzinfo=UTC))  # its week ended on the 17th

    assert not make.again(week).catch_up


# Readers who move


@pytest.mark.parametrize(
    ("before", "after", "come"),  # zone and hour; on whose clocks the second comes when
    [
        (("Pacific/Auckland", 7), ("Pacific/Honolulu", 15), "16 15:00"),  # the first came on the 15th there
        (("Pacific/Honolulu", 7), ("Pacific/Auckland", 22), "17 22:00"),  # 16 March, 06:00 in Auckland: taken
        (("Pacific/Honolulu", 23), ("Pacific/Kiritimati", 23), "16 23:00"),  # 23:00 a day before is 23:00 here
        (("Asia/Seoul", 7), ("Asia/Seoul", 20), "17 20:00"),  # at 7 and at 20 of one day: no
        (("Asia/Seoul", 20), ("Asia/Seoul", 7), "17 07:00"),
        (("Asia/Kathmandu", 9), ("Asia/Kathmandu", 3), "17 03:00"),
        (("Asia/Seoul", 7), ("Asia/Seoul", None), "17 00:00"),  # came at 7; ready at 9: the day after
    ],
)
def test_who_moves_between_two_issues_gets_them_on_two_days_of_their_new_clocks(days, make, before, after, come):
    reader = make.reader("ari", days.newsletter, send_hour=before[1])
    days.change(reader, zone=before[0])
    days.publish(DAY)
    days.change(reader, zone=after[0], send_hour=after[1])

    days.publish(DAY + ONE)

    first, second = days.due(after[0])
    assert second == come
    assert first[:2] < second[:2]


@pytest.mark.parametrize(("there", "back"), [("Pacific/Auckland", "Pacific/Honolulu"), ("Pacific/Honolulu", "Pacific/Auckland")])
def test_who_moves_gets_each_issue_once_and_what_is_queued_stays(days, make, there, back):
    reader = make.reader("ari", days.newsletter, send_hour=7)
    days.change(reader, zone=there)
    assert days.publish(DAY) == 1
    (queued,) = make.all(Delivery)

    days.change(reader, zone=back, send_hour=9)

    assert days.publish(DAY) == 0
    assert make.all(Delivery) == [queued]


def test_a_zone_that_is_none_is_the_newsletters_for_its_days_as_well(days, make):
    make.reader("ari", days.newsletter, send_hour=7, zone="Mars/Olympus")

    days.publish(DAY, _late(DAY, 8))
    days.publish(DAY + ONE)

    assert [moment[:2] for moment in days.due()] == ["16", "17"]


def test_nobodys_last_issue_is_looked_at_where_no_day_can_be_taken(days, make):
    make.reader("ari", days.newsletter, send_hour=7, zone="Asia/Seoul")
    for number in range(2):
        days.publish(DAY + number * ONE)

    assert [row.last_since for row in make.all(DueTime)] == [NOTHING_BEFORE, NOTHING_BEFORE]


# All zones, all hours, without a database


@given(
    zones=st.tuples(st.sampled_from(ZONES), st.sampled_from(ZONES)),
    hours=st.tuples(st.integers(-1, 23), st.integers(-1, 23)),
    late=st.integers(0, 23 * 60),
    day=st.dates(date(2005, 1, 1), date(2035, 12, 31)),
)
def test_there_is_one_due_time_for_each_reader_and_it_is_a_later_day_than_the_last(zones, hours, late, day):
    published = schedule.start_of(day) + timedelta(minutes=late)
    last = schedule.next_local_hour(published, zones[0], hours[0])

    times = due.due_times(schedule.start_of(day) + ONE, zones[1], hours[1], last=last)

    (own,) = (time for time in times if time.since <= last < time.before)
    assert schedule.local_day(own.at, zones[1]) > schedule.local_day(last, zones[1])
    assert [time.before for time in times[:-1]] == [time.since for time in times[1:]]
    assert own.at < last + 2 * ONE + timedelta(hours=2) or own.at < schedule.start_of(day) + 2 * ONE + timedelta(hours=2)
