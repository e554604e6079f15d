from dataclasses import dataclass, field
from datetime import date, timedelta

import pytest
from factories import DAY, LINKS, LONG_AGO, NOW, listing
from model_server import abstract, model_of, model_server

from newsletter import alarms, pipeline
from newsletter.errors import NotFound, SourceUnavailable
from newsletter.lifecycle import IssueStatus
from newsletter.models import Alarm, Cadence, CollectionStatus, Delivery, Issue, IssuePaper, Newsletter, Paper
from newsletter.sources import Listing
from newsletter.summaries import Terms
from newsletter.summarisers.extractive import Extractive

SUMMARISERS = [Extractive()]
ABSTRACT = (
    "We train small language models on the notes that librarians write about books, and ask them to find a book again. "
    "They find nine books of ten, which is more than larger models do. All notes and all models are public."
)


@dataclass
class Shelf:
    """A source with a list for each day; `down` is raised instead."""

    days: dict[date, Listing] = field(default_factory=dict)
    name: str = "sample"
    down: Exception | None = None

    def listing(self, day):
        """Return the list of the day."""
        if self.down:
            raise self.down
        return self.days.get(day, Listing(day, ()))


@pytest.fixture
def newsletter(make):
    return make.newsletter(created_at=NOW - timedelta(days=1))


def read_all(sessions, shelf, *, now=NOW):
    """Do all readings that are due."""
    for name, day in pipeline.readings_due(sessions, now=now):
        pipeline.collect(sessions, lambda _: shelf, name, day, now=now)


def make_all(sessions, *, now=NOW):
    """Make, freeze and publish all that is due, as the clock does."""
    for newsletter_id, cadence, day, until in pipeline.issues_due(sessions, now=now):
        pipeline.assemble(sessions, newsletter_id, cadence, day, until=until, now=now)
    for issue_id in pipeline.waiting(sessions, IssueStatus.DRAFT):
        pipeline.freeze(sessions, issue_id, SUMMARISERS, LINKS, now=now)
    for issue_id in pipeline.waiting(sessions, IssueStatus.READY):
        pipeline.publish(sessions, issue_id, now=now)


def test_a_source_is_read_once_however_many_newsletters_use_it(sessions, make, newsletter):
    make.newsletter(sources=["sample", "huggingface"])

    due = pipeline.readings_due(sessions, now=NOW)

    assert due.count(("sample", DAY)) == 1
    assert {name for name, _ in due} == {"sample", "huggingface"}


def test_the_alarm_of_a_source_that_no_newsletter_has_any_more_ends(sessions, make, newsletter):
    read_all(sessions, Shelf(down=SourceUnavailable("sample: it did not answer")))

    def still_open():
        with sessions.begin() as session:
            pipeline.forget_sources(session, now=NOW)
            return len(alarms.open_alarms(session))

    assert still_open() == 1
    with sessions.begin() as session:
        session.get_one(Newsletter, newsletter.id).sources = ["huggingface"]
    assert still_open() == 0


def test_a_day_that_was_read_after_its_end_is_not_read_again(sessions, newsletter):
    read_all(sessions, Shelf())

    assert pipeline.readings_due(sessions, now=NOW) == [("sample", NOW.date())]


def test_the_stages_make_a_day_out_of_nothing(sessions, make, newsletter):
    make.reader("ari", newsletter)
    read_all(sessions, Shelf({DAY: listing(1, 2, 3)}))

    make_all(sessions)

    (issue,) = make.all(Issue, status=IssueStatus.PUBLISHED)
    assert issue.first_day == DAY
    assert [row.address for row in make.all(Delivery)] == ["ari@example.org"]


def test_stages_that_run_again_change_nothing(sessions, make, newsletter):
    make.reader("ari", newsletter)
    shelf = Shelf({DAY: listing(1, 2, 3)})
    for _ in range(3):
        read_all(sessions, shelf)
        make_all(sessions)

    (issue,) = make.all(Issue, first_day=DAY)
    for _ in range(2):
        pipeline.assemble(sessions, newsletter.id, Cadence.DAILY, DAY, now=NOW)
        pipeline.freeze(sessions, issue.id, SUMMARISERS, LINKS, now=NOW)
        assert pipeline.publish(sessions, issue.id, now=NOW) == 0

    assert make.again(issue).frozen_at == issue.frozen_at
    assert len(make.all(Delivery)) == 1


def test_a_source_that_is_down_leaves_a_record_and_an_alarm_and_holds_the_issue(sessions, make, newsletter):
    shelf = Shelf(down=SourceUnavailable("it did not answer"))

    record = pipeline.collect(sessions, lambda _: shelf, "sample", DAY, now=NOW)

    assert (record.status, record.error) == (CollectionStatus.FAILED, "it did not answer")
    assert [alarm.closed_at for alarm in make.all(Alarm)] == [None]
    assert pipeline.issues_due(sessions, now=NOW) == []


def test_a_source_that_is_up_again_makes_up_for_it(sessions, make, newsletter):
    shelf = Shelf({DAY: listing(1)}, down=SourceUnavailable("it did not answer"))
    read_all(sessions, shelf)
    shelf.down = None
    later = NOW + timedelta(hours=1)

    read_all(sessions, shelf, now=later)
    make_all(sessions, now=later)

    assert [issue.status for issue in make.all(Issue, first_day=DAY)] == [IssueStatus.PUBLISHED]
    assert all(alarm.closed_at for alarm in make.all(Alarm))


def test_only_papers_without_a_summary_are_due_for_one(sessions, make, newsletter):
    read_all(sessions, Shelf({DAY: listing(1, 2)}))
    ((language, ids),) = pipeline.summaries_due(sessions, now=NOW)
    make.summary(ids[0], "It is told already.")

    assert language == "en"
    assert pipeline.summaries_due(sessions, now=NOW) == [("en", ids[1:])]


def test_freezing_fills_the_gaps_among_the_summaries(sessions, make, newsletter):
    issue = make.issue(newsletter, IssueStatus.DRAFT)
    make.papers(1, 2, abstract=ABSTRACT)

    first = pipeline.summarise(sessions, issue.id, SUMMARISERS, now=NOW)
    second = pipeline.summarise(sessions, issue.id, SUMMARISERS, now=NOW)

    assert (first.made, second.made, second.ready) == (2, 0, 2)


def test_a_newsletter_that_is_gone_is_said_to_be(sessions):
    with pytest.raises(NotFound, match="no newsletter 7"):
        pipeline.assemble(sessions, 7, Cadence.DAILY, DAY, now=NOW)


def test_a_tick_is_remembered(sessions):
    with sessions.begin() as session:
        before = pipeline.last_tick(session, "sweep")
        pipeline.mark(session, "sweep", now=LONG_AGO)
        pipeline.mark(session, "sweep", now=NOW)
        after = pipeline.last_tick(session, "sweep")

    assert before is None
    assert after == NOW


def test_summaries_that_the_model_may_write_are_due_for_drafts_first(sessions, make, newsletter):
    terms = Terms(model="parrot-1")
    draft = make.issue(newsletter, IssueStatus.DRAFT, numbers=(8, 9))
    make.papers(1, 8, 9, abstract=ABSTRACT)
    first = [row.paper_id for row in make.all(IssuePaper, issue_id=draft.id)]
    (other,) = {row.id for row in make.all(Paper)} - set(first)
    pipeline.summarise(sessions, draft.id, SUMMARISERS, now=NOW)

    assert pipeline.summaries_due(sessions, terms, now=NOW) == [("en", [*first, other])]
    assert pipeline.summaries_due(sessions, now=NOW) == [("en", [other])]


def test_what_is_out_is_not_written_anew(sessions, make, newsletter):
    issue = make.issue(newsletter, IssueStatus.DRAFT)
    make.papers(1, 2, abstract=ABSTRACT)
    pipeline.freeze(sessions, issue.id, SUMMARISERS, LINKS, now=NOW)

    assert pipeline.summaries_due(sessions, Terms(model="parrot-1"), now=NOW) == []


def test_a_draft_waits_for_the_model_but_not_for_ever(sessions, make, newsletter):
    draft = make.issue(newsletter, IssueStatus.DRAFT)
    for number in (1, 2):
        make.papers(number, abstract=abstract(number))
    terms, patience = Terms(model="parrot-1"), timedelta(minutes=30)

    assert pipeline.drafts_due(sessions, Terms(), patience=patience, now=NOW) == [draft.id]
    assert pipeline.drafts_due(sessions, terms, patience=patience, now=NOW) == []
    assert pipeline.drafts_due(sessions, terms, patience=patience, now=NOW + patience) == [draft.id]
    with model_server() as server:
        written = pipeline.write(sessions, draft.id, model_of(server), terms, clock=lambda: NOW, budget=patience)
    assert written.made == 2
    assert pipeline.drafts_due(sessions, terms, patience=patience, now=NOW) == [draft.id]
