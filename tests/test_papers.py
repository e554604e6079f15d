from dataclasses import dataclass, field
from datetime import timedelta
from threading import Barrier, Thread

import pytest
from factories import DAY, NOW, listing, paper

from newsletter import papers, schedule
from newsletter.errors import SourceMalformed, SourceUnavailable
from newsletter.models import Alarm, Collection, CollectionStatus, Paper, PaperListing, Summary
from newsletter.sources import Listing, Problem, SummaryData

LATER = NOW + timedelta(hours=1)


@dataclass
class Shelf:
    """A source that lists what it is told to; `errors` are raised first, one a reading."""

    listings: dict = field(default_factory=dict)
    errors: list = field(default_factory=list)
    name: str = "shelf"

    def listing(self, day):
        """Raise the next error, or return what is listed."""
        if self.errors:
            raise self.errors.pop(0)
        return self.listings.get(day, Listing(day))


def _collect(sessions, source, day=DAY, now=NOW):
    return papers.collect(sessions, source, day, now=now)


def test_a_day_collected_twice_is_the_same(sessions, make):
    shelf = Shelf({DAY: listing(1, 2, 3)})

    first = _collect(sessions, shelf)
    before = (make.all(Paper), make.all(PaperListing))
    second = _collect(sessions, shelf, now=LATER)

    assert (first.papers, second.papers) == (3, 3)
    assert (make.all(Paper), make.all(PaperListing)) == before
    assert [row.status for row in make.all(Collection)] == [CollectionStatus.DONE]


def test_votes_are_brought_up_to_date_and_late_papers_added(sessions, make):
    _collect(sessions, Shelf({DAY: listing(1)}))

    _collect(sessions, Shelf({DAY: listing(1, 2, votes=0)}), now=LATER)

    assert [row.votes for row in make.all(Paper)] == [0, 0]
    assert [row.seen_at for row in make.all(PaperListing)] == [NOW, LATER]


def test_what_is_known_is_not_replaced_by_nothing(sessions, make):
    _collect(sessions, Shelf({DAY: listing(1, links={"code": "https://example.org/code"}, published_at=NOW)}))
    (before,) = make.all(Paper)

    _collect(sessions, Shelf({DAY: listing(1, abstract="", authors=(), votes=None)}), now=LATER)

    assert make.all(Paper) == [before]


@pytest.mark.parametrize(
    ("readings", "authors", "more"),
    [
        ([(("Ari", "Bora"), False), (("Ari",), True)], ["Ari", "Bora"], False),
        ([(("Ari",), True), (("Ari", "Bora"), False)], ["Ari", "Bora"], False),
        ([(("Ari", "Bora"), True), (("Ari", "Bora"), False)], ["Ari", "Bora"], False),
        ([((), False), (("Ari",), True)], ["Ari"], True),
        ([(("Ari",), True), ((), False)], ["Ari"], True),
        ([(("Ari", "Bora"), False), (("Ari", "Chan"), False)], ["Ari", "Chan"], False),
    ],
)
def test_a_short_list_of_authors_never_replaces_a_full_one(sessions, make, readings, authors, more):
    for names, cut in readings:
        _collect(sessions, Shelf({DAY: listing(1, authors=names, more_authors=cut)}))

    (row,) = make.all(Paper)
    assert (row.authors, row.more_authors) == (authors, more)


def test_a_paper_that_two_sources_list_is_one_paper(sessions, make):
    _collect(sessions, Shelf({DAY: listing(1)}, name="one"))
    _collect(sessions, Shelf({DAY: listing(1)}, name="two"))

    assert len(make.all(Paper)) == 1
    assert [row.source for row in make.all(PaperListing)] == ["one", "two"]


def test_a_paper_that_a_list_holds_twice_is_there_once(sessions, make):
    _collect(sessions, Shelf({DAY: Listing(DAY, (paper(1), paper(2), paper(1, votes=7)))}))

    assert [(row.source_id, row.votes) for row in make.all(Paper)] == [("2403.00001", 7), ("2403.00002", 98)]
    assert [row.position for row in make.all(PaperListing)] == [1, 2]


@pytest.mark.parametrize("error", [SourceUnavailable("no answer"), SourceMalformed("no list"), KeyError("papers")])
def test_a_source_that_fails_is_a_record_and_one_alarm_until_it_recovers(sessions, make, error):
    shelf = Shelf({DAY: listing(1)}, errors=[error, error])

    failed = [_collect(sessions, shelf), _collect(sessions, shelf, now=LATER)]

    assert [record.status for record in failed] == [CollectionStatus.FAILED] * 2
    assert str(error) in failed[0].error
    (alarm,) = make.all(Alarm)
    assert (alarm.times, alarm.closed_at) == (2, None)

    assert _collect(sessions, shelf, now=LATER).error == ""
    assert make.again(alarm).closed_at == LATER


def test_nothing_today_is_not_broken(sessions, make):
    nothing = _collect(sessions, Shelf())
    broken = _collect(sessions, Shelf(errors=[SourceUnavailable("no answer")], name="other"))

    assert (nothing.status, nothing.papers, nothing.succeeded_at) == (CollectionStatus.DONE, 0, NOW)
    assert (broken.status, broken.succeeded_at) == (CollectionStatus.FAILED, None)
    assert len(make.all(Alarm)) == 1


def test_a_failure_keeps_what_an_earlier_reading_found(sessions):
    _collect(sessions, Shelf({DAY: listing(1, 2)}))

    record = _collect(sessions, Shelf(errors=[SourceUnavailable("no answer")]), now=LATER)

    assert (record.papers, record.succeeded_at, record.collected_at) == (2, NOW, LATER)


def test_entries_that_were_passed_over_are_on_record(sessions):
    problems = tuple(Problem(f"item {number}", "has no title") for number in range(150))

    record = _collect(sessions, Shelf({DAY: Listing(DAY, (paper(1),), problems)}))

    assert record.problems[0] == "item 0: has no title"
    assert len(record.problems) == 100


def test_summaries_that_come_along_are_kept_and_follow_the_document(sessions, make):
    def told(*bullets):
        return Shelf({DAY: listing(1, summaries=(SummaryData("en", bullets), SummaryData("ko", ())))})

    _collect(sessions, told("It is smal."))
    _collect(sessions, told("It is small."), now=LATER)

    assert [(row.language, row.origin, row.bullets) for row in make.all(Summary)] == [("en", "document", ["It is small."])]


def test_days_are_read_until_they_were_read_after_they_ended(sessions):
    def due(now):
        with sessions.read() as session:
            return papers.days_to_collect(session, "shelf", since=DAY - timedelta(days=2), now=now)

    days = [DAY - timedelta(days=2), DAY - timedelta(days=1), DAY, DAY + timedelta(days=1)]
    assert due(NOW) == days

    _collect(sessions, Shelf(), now=schedule.day_of(DAY).ends_at - timedelta(microseconds=1))
    assert due(NOW) == days

    _collect(sessions, Shelf(), now=schedule.day_of(DAY).ends_at)
    assert due(NOW) == [day for day in days if day != DAY]

    _collect(sessions, Shelf(errors=[SourceUnavailable("no answer")]), now=NOW)
    assert DAY not in due(NOW)  # a failure after a good reading takes nothing back


def test_two_sources_with_the_same_papers_in_another_order_do_not_block_each_other(sessions, make):
    _collect(sessions, Shelf({DAY: listing(*range(1, 31))}))
    start, ended = Barrier(2), []

    def collect(name, numbers):
        start.wait()
        ended.append(_collect(sessions, Shelf({DAY: listing(*numbers, votes=len(name))}, name=name)).status)

    numbers = range(1, 61)
    threads = [Thread(target=collect, args=("one", numbers)), Thread(target=collect, args=("three", reversed(numbers)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert ended == [CollectionStatus.DONE] * 2
    assert len(make.all(Paper)) == 60
