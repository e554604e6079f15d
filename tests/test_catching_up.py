"""Outages of days, through the stages as the clock runs them: nothing lost, nothing twice, no source left behind."""

from datetime import UTC, datetime, timedelta

import pytest
from factories import DAY, LINKS, listing

from newsletter import issues, papers, pipeline, schedule
from newsletter.errors import SourceUnavailable
from newsletter.lifecycle import IssueStatus
from newsletter.models import Alarm, Cadence, CatchUp, Emptiness, Issue, IssuePaper, Paper
from newsletter.sources import Listing

ONE, MINUTE = timedelta(days=1), timedelta(minutes=1)
DAYS = [DAY + number * ONE for number in range(10)]
BACK = datetime(2024, 3, 24, 9, 0, tzinfo=UTC)  # after ten days away


class Shelf:
    """A source that lists two papers on each weekday, whose numbers are those of the days; `down` answers nothing."""

    def __init__(self, name="sample", first=0):
        self.name, self.first, self.down, self.votes = name, first, False, None

    def numbers(self, day):
        """Return the numbers of the papers of a day."""
        at = (day - DAY).days * 10 + 100 + self.first
        return [] if day.weekday() > 4 else [at, at + 1]

    def listing(self, day):
        """Return the day's list."""
        if self.down:
            raise SourceUnavailable(f"{self.name}: it did not answer")
        votes = {} if self.votes is None else {"votes": self.votes}
        return listing(*self.numbers(day), day=day, **votes) if self.numbers(day) else Listing(day)


def _read(sessions, *shelves, now):
    """Do what is due to be read, a source after the other, as a worker does."""
    by_name = {shelf.name: shelf for shelf in shelves}
    for name, day in pipeline.readings_due(sessions, now=now):
        if name in by_name:
            pipeline.collect(sessions, by_name.get, name, day, now=now)


def _make(sessions, now):
    """Make, freeze and publish what is due."""
    for newsletter_id, cadence, day, until in pipeline.issues_due(sessions, now=now):
        pipeline.assemble(sessions, newsletter_id, cadence, day, until=until, now=now)
    for issue_id in pipeline.waiting(sessions, IssueStatus.DRAFT):
        issues.freeze(sessions, issue_id, LINKS, now=now)
    for issue_id in pipeline.waiting(sessions, IssueStatus.READY):
        pipeline.publish(sessions, issue_id, now=now)


def _told(make, cadence=Cadence.DAILY):
    """Return the numbers of the papers of each issue that is out, by its first day."""
    numbers = {row.id: int(row.source_id.rpartition(".")[2]) for row in make.all(Paper)}
    out = [row for row in make.all(Issue, cadence=cadence) if row.status is IssueStatus.PUBLISHED]
    return {row.first_day: sorted(numbers[each.paper_id] for each in make.all(IssuePaper, issue_id=row.id)) for row in out}


def _all_numbers(*shelves, days=DAYS):
    return sorted(number for shelf in shelves for day in days for number in shelf.numbers(day))


def _newsletter(make, **changes):
    return make.newsletter(created_at=schedule.start_of(DAY), **changes)


def test_after_ten_days_away_each_day_has_its_issue(sessions, make):
    _newsletter(make)
    shelf = Shelf()

    for late in range(3):
        _read(sessions, shelf, now=BACK + late * MINUTE)
        _make(sessions, BACK + late * MINUTE)

    told = _told(make)
    assert told == {day: shelf.numbers(day) for day in DAYS if shelf.numbers(day)}
    assert {row.first_day for row in make.all(Issue, status=IssueStatus.EMPTY)} == {day for day in DAYS if day.weekday() > 4}
    assert {row.emptiness for row in make.all(Issue, status=IssueStatus.EMPTY)} == {Emptiness.NOTHING}
    assert [row.catch_up for row in make.all(Issue, status=IssueStatus.PUBLISHED)] == [True] * len(told)
    assert make.all(Alarm) == []


def test_after_ten_days_away_one_issue_tells_all_where_they_are_merged(sessions, make):
    _newsletter(make, catch_up=CatchUp.MERGED)
    shelf = Shelf()
    _read(sessions, shelf, now=BACK)

    _make(sessions, BACK)
    _make(sessions, BACK + MINUTE)

    assert _told(make) == {DAY: _all_numbers(shelf)}
    (issue,) = make.all(Issue, status=IssueStatus.PUBLISHED)
    assert (issue.first_day, issue.last_day, issue.catch_up) == (DAY, DAYS[-1], False)
    assert "Mar 14, 2024 to Mar 23, 2024" in issue.subject
    others = make.all(Issue, status=IssueStatus.EMPTY)
    assert [row.first_day for row in others] == DAYS[1:]
    assert {(row.emptiness, row.reason) for row in others} == {(Emptiness.MERGED, "Told in the issue of 2024-03-14.")}

    for now in (BACK + ONE, BACK + 2 * ONE):
        _read(sessions, shelf, now=now)
        _make(sessions, now)
    assert _told(make)[DAY + 11 * ONE] == shelf.numbers(DAY + 11 * ONE)  # back to an issue a day


def test_an_issue_of_several_days_that_is_cancelled_loses_no_paper(sessions, make):
    _newsletter(make, catch_up=CatchUp.MERGED)
    shelf = Shelf()
    _read(sessions, shelf, now=BACK)
    _make(sessions, BACK)
    with sessions.begin() as session:
        issues.cancel(session, make.all(Issue, status=IssueStatus.PUBLISHED)[0].id, reason="too much", now=BACK)

    for now in (BACK + ONE, BACK + 2 * ONE):
        _read(sessions, shelf, now=now)
        _make(sessions, now)

    assert sorted(number for told in _told(make).values() for number in told)[: len(_all_numbers(shelf))] == _all_numbers(shelf)


def test_days_are_merged_once_all_of_them_are_read_and_not_in_two_goes(sessions, make):
    _newsletter(make, catch_up=CatchUp.MERGED)
    shelf = Shelf()
    shelf.down = True
    for day in DAYS[1:]:
        _read(sessions, shelf, now=schedule.start_of(day) + 5 * MINUTE)  # a source that was away, not we
    shelf.down = False
    for number, (name, day) in enumerate(pipeline.readings_due(sessions, now=BACK)):
        pipeline.collect(sessions, lambda _: shelf, name, day, now=BACK + number * MINUTE)
        _make(sessions, BACK + number * MINUTE)

    assert _told(make) == {DAY: _all_numbers(shelf)}


def test_merged_days_without_any_paper_are_each_empty(sessions, make):
    newsletter = _newsletter(make, catch_up=CatchUp.MERGED)
    saturday = DAY + 2 * ONE
    with sessions.begin() as session:
        session.get(type(newsletter), newsletter.id).created_at = schedule.start_of(saturday)
    _read(sessions, Shelf(), now=schedule.start_of(saturday + 2 * ONE) + MINUTE)

    _make(sessions, schedule.start_of(saturday + 2 * ONE) + MINUTE)

    rows = make.all(Issue)
    assert [(row.first_day, row.last_day, row.emptiness) for row in rows] == [
        (day, day, Emptiness.NOTHING) for day in (saturday, saturday + ONE)
    ]


def test_what_a_day_has_told_stays_told_where_the_others_are_merged(sessions, make):
    newsletter = _newsletter(make, catch_up=CatchUp.MERGED)
    shelf = Shelf()
    _read(sessions, shelf, now=BACK)
    pipeline.assemble(sessions, newsletter.id, Cadence.DAILY, DAYS[5], now=BACK)

    _make(sessions, BACK)

    told = _told(make)
    assert told[DAYS[5]] == shelf.numbers(DAYS[5])
    assert sorted(number for numbers in told.values() for number in numbers) == _all_numbers(shelf)


def test_the_source_that_is_read_first_leaves_the_other_not_behind(sessions, make):
    _newsletter(make, sources=["one", "two"])
    one, two = Shelf("one"), Shelf("two", first=4)
    one.down = two.down = True
    _read(sessions, one, two, now=BACK - ONE)
    one.down = two.down = False

    _read(sessions, one, now=BACK)
    _make(sessions, BACK)
    assert _told(make) == {}
    _read(sessions, two, now=BACK + MINUTE)
    _make(sessions, BACK + MINUTE)

    assert _told(make)[DAY] == _all_numbers(one, two, days=[DAY])


def test_an_issue_goes_without_a_source_that_fails_for_too_long_and_its_papers_come_late(sessions, make):
    _newsletter(make, sources=["one", "two"], patience_hours=6)
    one, two = Shelf("one"), Shelf("two", first=4)
    two.down = True
    cutoff = schedule.start_of(DAYS[1])

    for minutes in (5, 35, 5 * 60 + 55, 6 * 60 + 35):
        _read(sessions, one, two, now=cutoff + minutes * MINUTE)
        _make(sessions, cutoff + minutes * MINUTE)
        assert (DAY in _told(make)) is (minutes > 6 * 60)
    assert _told(make) == {DAY: one.numbers(DAY)}

    two.down = False
    for day in DAYS[2:5]:
        _read(sessions, one, two, now=schedule.start_of(day) + 5 * MINUTE)
        _make(sessions, schedule.start_of(day) + 5 * MINUTE)
    assert _told(make)[DAYS[1]] == sorted(_all_numbers(one, two, days=DAYS[1:2]) + two.numbers(DAY))


@pytest.mark.parametrize("away", [3, 12])
def test_a_source_that_was_away_for_days_loses_nothing_to_the_issues_that_went_without_it(sessions, make, away):
    _newsletter(make, sources=["one", "two"], patience_hours=0)
    one, two = Shelf("one"), Shelf("two", first=4)
    days = [DAY + number * ONE for number in range(away + 3)]

    for day in days[1:]:
        two.down = (day - DAY).days <= away
        for minutes in (5, 35):
            _read(sessions, one, two, now=schedule.start_of(day) + minutes * MINUTE)
            _make(sessions, schedule.start_of(day) + minutes * MINUTE)

    numbers = [number for told in _told(make).values() for number in told]
    assert len(numbers) == len(set(numbers))
    assert sorted(numbers) == _all_numbers(one, two, days=days[:-1])
    assert [row.closed_at is None for row in make.all(Alarm)] == [False]  # one alarm, closed


def test_a_newsletter_of_today_owes_nothing_from_before(sessions, make):
    make.newsletter(created_at=BACK)

    assert pipeline.readings_due(sessions, now=BACK) == [("sample", BACK.date())]
    assert pipeline.issues_due(sessions, now=BACK) == []


def test_the_week_has_an_issue_of_its_own_by_the_votes_of_its_end(sessions, make):
    make.newsletter(created_at=schedule.start_of(DAYS[4]), cadences=["daily", "weekly"], weekly_papers=3)
    shelf = Shelf()
    monday, days = DAYS[4], [DAYS[4] + number * ONE for number in range(8)]
    for day in days[1:-1]:
        _read(sessions, shelf, now=schedule.start_of(day) + 5 * MINUTE)
        _make(sessions, schedule.start_of(day) + 5 * MINUTE)
    evening = schedule.start_of(days[-1]) - 90 * MINUTE
    assert [day for _, day in pipeline.readings_due(sessions, now=evening)] == days[:-1]

    with sessions.begin() as session:
        papers.store(session, "sample", listing(*shelf.numbers(days[3]), day=days[3], votes=900), now=evening)
    shelf.votes = 5
    for name, day in pipeline.readings_due(sessions, now=evening):
        if day != days[3]:
            pipeline.collect(sessions, lambda _: shelf, name, day, now=evening)
    assert [day for _, day in pipeline.readings_due(sessions, now=evening + 30 * MINUTE)] == days[6:7]  # once is enough

    night = schedule.start_of(days[-1]) + 5 * MINUTE
    _read(sessions, shelf, now=night)
    _make(sessions, night)

    weekly = _told(make, Cadence.WEEKLY)[monday]
    assert len(weekly) == 3
    assert set(shelf.numbers(days[3])) <= set(weekly)
    assert set(weekly) <= {number for told in _told(make).values() for number in told}  # daily, too
