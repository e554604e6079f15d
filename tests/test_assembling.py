from datetime import UTC, date, datetime, timedelta
from threading import Barrier, Thread

import pytest
from factories import DAY, LONG_AGO, NOW
from hypothesis import given
from hypothesis import strategies as st

from newsletter import issues, schedule
from newsletter.errors import SourceUnavailable
from newsletter.issues import Candidate, editing, select_papers
from newsletter.issues.editing import Hand
from newsletter.lifecycle import IssueStatus
from newsletter.models import Cadence, Collection, CollectionStatus, Emptiness, Issue, IssuePaper, Newsletter, Paper
from newsletter.papers import collect

NEXT = DAY + timedelta(days=1)
TOMORROW = NOW + timedelta(days=1)


@pytest.fixture
def newsletter(make):
    """Return a newsletter."""
    return make.newsletter()


def _assemble(sessions, newsletter, day=DAY, now=NOW, cadence=Cadence.DAILY):
    with sessions.begin() as session:
        return issues.assemble(session, session.get(Newsletter, newsletter.id), cadence, day, now=now)


def _numbers(make, issue):
    """Return the numbers of an issue's papers, in its order."""
    ids = {row.id: int(row.source_id.rpartition(".")[2]) for row in make.all(Paper)}
    places = sorted(make.all(IssuePaper, issue_id=issue.id), key=lambda row: row.position)
    assert [row.position for row in places] == list(range(1, len(places) + 1))
    return [ids[row.paper_id] for row in places]


def _collected(make, *days, source="sample", at=None):
    """Leave a record that a source was read after each of the days."""
    for day in days:
        succeeded = at or schedule.day_of(day).ends_at
        row = {"source": source, "day": day, "status": CollectionStatus.DONE, "collected_at": succeeded}
        make.add(Collection(**row, succeeded_at=succeeded))


def _due(sessions, newsletter, now=NOW, cadence=Cadence.DAILY):
    with sessions.read() as session:
        return issues.due_periods(session, newsletter, cadence, now=now)


def _candidate(paper_id, votes, hours=None):
    return Candidate(paper_id, votes, LONG_AGO + timedelta(hours=hours) if hours is not None else None, DAY)


def test_papers_come_by_votes_and_the_newest_first_among_equals():
    candidates = [
        _candidate(1, None),
        _candidate(2, 5, 1),
        _candidate(3, 9),
        _candidate(4, 5, 2),
        _candidate(5, 5),
        _candidate(6, 0),
    ]

    assert select_papers(candidates, most=50) == [3, 4, 2, 5, 1, 6]
    assert select_papers(candidates, most=2) == [3, 4]


@given(
    given_candidates=st.lists(
        st.builds(_candidate, st.integers(1, 20), st.none() | st.integers(0, 3), st.none() | st.integers(0, 3)), max_size=30
    ),
    most=st.integers(1, 10),
    seed=st.randoms(),
)
def test_the_choice_holds_each_paper_once_and_not_more_than_wanted(given_candidates, most, seed):
    distinct = list({candidate.paper_id: candidate for candidate in given_candidates}.values())
    chosen = select_papers(distinct, most=most)
    seed.shuffle(distinct)

    assert len(chosen) == len(set(chosen)) == min(most, len(distinct))
    assert select_papers(distinct, most=most) == chosen  # whatever order the database gave them in


def test_an_issue_holds_the_papers_of_its_day_in_order(sessions, make, newsletter):
    make.papers(3, 1, 2)
    make.papers(4, day=DAY - timedelta(days=8))  # too long ago
    make.papers(5, day=NEXT)
    make.papers(6, source="another")

    issue = _assemble(sessions, newsletter)

    assert (issue.status, issue.first_day, issue.last_day) == (IssueStatus.DRAFT, DAY, DAY)
    assert _numbers(make, issue) == [1, 2, 3]


def test_a_daily_issue_holds_all_papers_however_many_cards_a_mail_has(sessions, make):
    newsletter = make.newsletter(max_papers=2)
    make.papers(1, 2, 3)

    issue = _assemble(sessions, newsletter)

    assert (_numbers(make, issue), issue.left_out) == ([1, 2, 3], [])


def test_a_weekly_issue_holds_the_best_of_the_week_and_keeps_which_it_left_out(sessions, make):
    newsletter = make.newsletter(weekly_papers=2, cadences=["daily", "weekly"])
    make.papers(4, 2)
    make.papers(3, 1, day=NEXT, seen_at=TOMORROW)

    issue = _assemble(sessions, newsletter, cadence=Cadence.WEEKLY, now=TOMORROW)

    assert _numbers(make, issue) == [1, 2]
    numbers = {row.id: row.source_id for row in make.all(Paper)}
    assert [numbers[paper_id] for paper_id in issue.left_out] == ["2403.00003", "2403.00004"]
    following = _assemble(sessions, newsletter, DAY + timedelta(days=7), TOMORROW + timedelta(days=7), Cadence.WEEKLY)
    assert following.status is IssueStatus.EMPTY  # they had their chance


def test_no_paper_comes_twice(sessions, make, newsletter):
    make.papers(1, 2)
    _assemble(sessions, newsletter)
    make.papers(1, 2, 3, day=NEXT, seen_at=TOMORROW)

    assert _numbers(make, _assemble(sessions, newsletter, NEXT, TOMORROW)) == [3]


def test_newsletters_and_cadences_do_not_take_papers_from_each_other(sessions, make, newsletter):
    make.papers(1, 2)
    other = make.newsletter(cadences=["daily", "weekly"])

    made = [_assemble(sessions, newsletter), _assemble(sessions, other), _assemble(sessions, other, cadence=Cadence.WEEKLY)]

    assert [_numbers(make, issue) for issue in made] == [[1, 2]] * 3
    assert (made[2].first_day, made[2].last_day) == (date(2024, 3, 11), date(2024, 3, 17))


def test_assembling_again_changes_nothing(sessions, make, newsletter):
    make.papers(1, 2)
    first = _assemble(sessions, newsletter)
    make.papers(3)

    assert _assemble(sessions, newsletter, now=TOMORROW) == first
    assert _numbers(make, first) == [1, 2]


def test_assembling_at_once_makes_one_issue(sessions, make, newsletter):
    make.papers(*range(1, 20))
    made, start = [], Barrier(3)

    def assemble():
        start.wait()
        made.append(_assemble(sessions, newsletter).id)

    threads = [Thread(target=assemble) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert made == [1, 1, 1]
    assert len(_numbers(make, make.all(Issue)[0])) == 19


def test_two_issues_made_at_once_do_not_choose_the_same_paper(sessions, make, newsletter):
    make.papers(*range(1, 20), seen_at=TOMORROW)  # late for the first, so that both may have them
    made, start = [], Barrier(2)

    def assemble(day):
        start.wait()
        made.append(_assemble(sessions, newsletter, day, TOMORROW))

    threads = [Thread(target=assemble, args=(day,)) for day in (DAY, NEXT)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(made) == 2
    assert sorted(number for issue in made for number in _numbers(make, issue)) == list(range(1, 20))


def test_a_late_paper_comes_in_the_next_issue(sessions, make, newsletter):
    make.papers(2)
    _assemble(sessions, newsletter)
    make.papers(1, seen_at=NOW + timedelta(hours=2))
    make.papers(3, day=NEXT, seen_at=TOMORROW)

    assert _numbers(make, _assemble(sessions, newsletter, NEXT, TOMORROW)) == [1, 3]


def test_a_paper_whose_reading_ended_after_the_issue_was_made_is_late(sessions, make, newsletter):
    make.papers(2)
    _assemble(sessions, newsletter, now=NOW + timedelta(minutes=1))
    make.papers(1)  # its reading began before

    assert _numbers(make, _assemble(sessions, newsletter, NEXT, TOMORROW)) == [1]


def test_what_a_new_source_listed_before_it_was_chosen_is_not_late(sessions, make, newsletter):
    make.papers(1)
    _assemble(sessions, newsletter)
    with sessions.begin() as session:
        session.get_one(Newsletter, newsletter.id).sources = ["sample", "another"]
    make.papers(2, source="another", seen_at=TOMORROW)
    make.papers(3, day=NEXT, source="another", seen_at=TOMORROW)

    assert _numbers(make, _assemble(sessions, newsletter, NEXT, TOMORROW)) == [3]


def test_papers_from_before_the_newsletter_are_not_late(sessions, make):
    newsletter = make.newsletter(created_at=datetime(2024, 3, 14, 12, 0, tzinfo=UTC))
    make.papers(1, day=DAY - timedelta(days=1))
    make.papers(2)

    assert _numbers(make, _assemble(sessions, newsletter)) == [2]


def test_a_cancelled_issue_releases_its_papers_to_the_next(sessions, make, newsletter):
    make.papers(1, 2)
    cancelled = _assemble(sessions, newsletter)
    with sessions.begin() as session:
        issues.cancel(session, cancelled.id, reason="wrong papers", now=NOW)
    make.papers(3, day=NEXT, seen_at=TOMORROW)

    assert _assemble(sessions, newsletter).status is IssueStatus.CANCELLED
    assert _numbers(make, _assemble(sessions, newsletter, NEXT, TOMORROW)) == [1, 2, 3]


def test_what_an_editor_left_out_of_a_cancelled_issue_is_in_no_later_one(sessions, make, newsletter):
    make.papers(1, 2)
    cancelled = _assemble(sessions, newsletter)
    with sessions.begin() as session:
        editing.drop(session, Hand(cancelled.id, "ari", NOW), 1)
        issues.cancel(session, cancelled.id, reason="wrong day", now=NOW)

    assert _numbers(make, _assemble(sessions, newsletter, NEXT, TOMORROW)) == [2]


class _Away:  # a source
    name = "sample"

    def listing(self, _day):
        """Answer nothing."""
        raise SourceUnavailable("sample: it did not answer")


def test_an_empty_issue_says_why(sessions, make, newsletter):
    unread = _assemble(sessions, newsletter)
    assert (unread.reason, unread.emptiness) == ("No new papers: no source was read for 2024-03-14.", Emptiness.UNREAD)

    collect(sessions, _Away(), DAY, now=NOW)
    broken = _assemble(sessions, newsletter)
    assert "sample failed for 2024-03-14: sample: it did not answer" in broken.reason
    assert broken.emptiness is Emptiness.FAILED

    make.papers()
    issue = _assemble(sessions, newsletter)
    assert (issue.status, issue.reason) == (IssueStatus.EMPTY, "No new papers: sample listed 0 on 2024-03-14.")
    assert issue.emptiness is Emptiness.NOTHING


def test_an_issue_is_empty_also_when_all_has_been_told(sessions, make, newsletter):
    make.papers(1)
    _assemble(sessions, newsletter)
    make.papers(1, day=NEXT, seen_at=TOMORROW)

    assert _assemble(sessions, newsletter, NEXT, TOMORROW).emptiness is Emptiness.TOLD


def test_an_empty_issue_is_made_when_papers_come_after_all(sessions, make, newsletter):
    empty = _assemble(sessions, newsletter)
    make.papers(1)

    issue = _assemble(sessions, newsletter, now=TOMORROW)

    assert (issue.id, issue.status, issue.reason) == (empty.id, IssueStatus.DRAFT, "")
    assert issue.emptiness is Emptiness.NOT


def test_an_issue_is_due_when_its_cut_off_has_passed_and_its_sources_were_read_since(sessions, make, newsletter):
    assert _due(sessions, newsletter) == []

    _collected(make, DAY)

    assert _due(sessions, newsletter, schedule.day_of(DAY).ends_at) == [schedule.day_of(DAY)]
    assert _due(sessions, newsletter, schedule.day_of(DAY).ends_at - timedelta(microseconds=1)) == []


def test_a_reading_from_before_the_cut_off_is_not_enough(sessions, make):
    newsletter = make.newsletter(cutoff_hours=12)
    noon = datetime(2024, 3, 14, 12, 0, tzinfo=UTC)
    _collected(make, DAY, at=noon - timedelta(minutes=1))
    assert _due(sessions, newsletter, noon) == []

    _collected(make, DAY, source="other", at=noon)
    with sessions.begin() as session:
        session.get(Newsletter, newsletter.id).sources = ["other"]
    assert _due(sessions, make.again(newsletter), noon) == [schedule.day_of(DAY)]


def test_a_cut_off_long_after_the_day_does_not_wait_for_a_reading_that_nobody_makes(sessions, make):
    newsletter = make.newsletter(cutoff_hours=30)
    _collected(make, DAY)

    assert _due(sessions, newsletter, datetime(2024, 3, 15, 5, 59, tzinfo=UTC)) == []
    assert _due(sessions, newsletter, datetime(2024, 3, 15, 6, 0, tzinfo=UTC)) == [schedule.day_of(DAY)]


def test_an_issue_waits_for_all_its_sources(sessions, make):
    newsletter = make.newsletter(sources=["sample", "documents:/srv/daily"])
    _collected(make, DAY)
    assert _due(sessions, newsletter) == []

    _collected(make, DAY, source="documents:/srv/daily")
    assert _due(sessions, newsletter) == [schedule.day_of(DAY)]


@pytest.mark.parametrize("numbers", [(), (1,)])
def test_what_was_tried_is_not_due_again(sessions, make, newsletter, numbers):
    make.papers(*numbers)
    _collected(make, DAY - timedelta(days=1))
    _assemble(sessions, newsletter)

    assert _due(sessions, newsletter) == [schedule.day_of(DAY - timedelta(days=1))]


def test_missed_days_are_made_up_for_but_not_those_long_past_nor_from_before_the_newsletter(sessions, make, newsletter):
    _collected(make, *schedule.days_between(DAY - timedelta(days=20), DAY))
    young = make.newsletter(created_at=datetime(2024, 3, 13, 23, 0, tzinfo=UTC))

    assert [period.first_day.day for period in _due(sessions, newsletter)] == list(range(1, 15))
    assert [period.first_day.day for period in _due(sessions, young)] == [13, 14]


def test_a_week_is_due_when_it_is_over_and_not_if_it_was_over_before_the_newsletter(sessions, make):
    monday = datetime(2024, 3, 18, 0, 5, tzinfo=UTC)
    newsletter = make.newsletter(cadences=["weekly"])
    young = make.newsletter(cadences=["weekly"], created_at=monday)
    _collected(make, *schedule.days_between(date(2024, 3, 4), date(2024, 3, 15)), date(2024, 3, 17), at=monday)
    assert _due(sessions, newsletter, monday, Cadence.WEEKLY) == [schedule.week_of(DAY - timedelta(days=7))]
    _collected(make, date(2024, 3, 16), at=monday)
    with sessions.begin() as session:
        issues.assemble(session, session.get(Newsletter, newsletter.id), Cadence.WEEKLY, date(2024, 3, 4), now=monday)

    assert _due(sessions, newsletter, NOW, Cadence.WEEKLY) == []
    assert _due(sessions, newsletter, monday, Cadence.WEEKLY) == [schedule.week_of(DAY)]
    assert _due(sessions, young, monday, Cadence.WEEKLY) == []
