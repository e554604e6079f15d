from datetime import timedelta

import pytest
from arxiv_server import Told, arxiv
from factories import DAY, NOW, listing, paper
from sqlalchemy import delete

from newsletter import papers
from newsletter.errors import SourceUnavailable
from newsletter.models import Alarm, Paper, PaperListing, PaperRecord
from newsletter.sources import Listing
from newsletter.sources.arxiv import Api
from newsletter.sources.http import Limits, Web

QUICK = Web(limits=Limits(connect=1, read=1, total=2, attempts=1, first_wait=0.001, longest_wait=0.01, jitter=0))
LATER = NOW + timedelta(hours=1)


def listed(sessions, *numbers, source="huggingface", now=NOW, **changes):
    with sessions.begin() as session:
        papers.store(session, source, listing(*numbers, **({"abstract": ""} | changes)), now=now)


def look_up(served):
    return lambda numbers: Api(served.url, QUICK).by_ids(numbers).papers


def enrich(sessions, served, now=NOW):
    return papers.enrich(sessions, look_up(served), now=now)


def test_what_a_list_leaves_out_is_asked_of_arxiv_once(sessions, make):
    listed(sessions, 1, 2, votes=7, keywords=("nets",), links={"code": "https://github.com/a/b"})
    with arxiv(DAY, Told("2403.00001", DAY, title="Its own title"), Told("2403.00002", DAY)) as served:
        first, second = enrich(sessions, served), enrich(sessions, served, LATER)

    assert (first.asked, first.found, first.more, second.asked) == (2, 2, False, 0)
    assert len(served.api_asked) == 1
    row = make.all(Paper)[0]
    assert (row.title, row.categories, row.votes, row.keywords) == ("Its own title", ["cs.CL"], 7, ["nets"])
    assert row.abstract.startswith("We show")
    assert set(row.links) == {"code", "pdf", "html"}
    assert [record.source for record in make.all(PaperRecord, paper_id=row.id)] == ["huggingface", "arxiv"]


def test_a_later_reading_of_the_list_takes_nothing_back(sessions, make):
    listed(sessions, 1)
    with arxiv(DAY, Told("2403.00001", DAY)) as served:
        enrich(sessions, served)
    before = make.all(Paper)[0]

    listed(sessions, 1, abstract="Damaged 1.45times.", votes=12, now=LATER)

    row = make.again(before)
    assert (row.abstract, row.categories, row.votes) == (before.abstract, ["cs.CL"], 12)


def test_papers_of_arxivs_own_lists_and_of_the_sample_are_not_asked_for(sessions):
    listed(sessions, 1, source="arxiv:cs.CL")
    listed(sessions, 2, source="arxiv-query:all:nets")
    listed(sessions, 3, source="sample")
    with sessions.begin() as session:
        papers.store(session, "feed:x", Listing(DAY, (paper(4, source="web", source_id="https://example.org/4"),)), now=NOW)
    with sessions.read() as session:
        assert papers.to_enrich(session, now=NOW, limit=9) == []


def test_a_paper_that_arxiv_does_not_know_is_asked_for_again_for_some_days(sessions, make):
    listed(sessions, 1)
    with arxiv(DAY) as served:
        asked = [enrich(sessions, served, NOW + timedelta(hours=hours)).asked for hours in range(0, 200, 6)]

    assert sum(asked) == 4
    (record,) = make.all(PaperRecord, source="arxiv")
    assert record.said == {}


def test_old_papers_are_not_asked_for(sessions):
    listed(sessions, 1, now=NOW - timedelta(days=15))
    with sessions.read() as session:
        assert papers.to_enrich(session, now=NOW, limit=9) == []


def test_a_hundred_are_asked_for_at_once(sessions):
    listed(sessions, *range(1, 131))
    with arxiv(DAY, *(Told(f"2403.{number:05}", DAY) for number in range(1, 131))) as served:
        batches = [enrich(sessions, served) for _ in range(3)]

    assert [(batch.asked, batch.more) for batch in batches] == [(100, True), (30, False), (0, False)]
    assert len(served.api_asked[0]["id_list"].split(",")) == 100


@pytest.mark.parametrize("error", [SourceUnavailable("no answer"), KeyError("entry")])
def test_a_failure_is_tried_again_and_an_alarm_only_if_it_lasts(sessions, make, error):
    listed(sessions, 1)

    def fail(_):
        raise error

    soon = papers.enrich(sessions, fail, now=LATER)
    assert str(error) in soon.error
    assert make.all(Alarm) == []

    papers.enrich(sessions, fail, now=NOW + timedelta(hours=13))
    (alarm,) = make.all(Alarm)
    assert "Papers wait since" in alarm.detail

    with arxiv(DAY, Told("2403.00001", DAY)) as served:
        assert enrich(sessions, served, NOW + timedelta(hours=14)).found == 1
    assert make.again(alarm).closed_at is not None


def test_a_paper_from_before_records_keeps_what_it_had(sessions, make):
    listed(sessions, 1, votes=7)
    with sessions.begin() as session:
        session.execute(delete(PaperRecord))
    with arxiv(DAY, Told("2403.00001", DAY)) as served:
        enrich(sessions, served)

    (row,) = make.all(Paper)
    assert (row.votes, row.categories) == (7, ["cs.CL"])
    assert [record.source for record in make.all(PaperRecord)] == ["former", "arxiv"]


def test_an_entry_without_a_date_is_listed_on_the_day_it_is_first_seen(sessions, make):
    undated = paper(1)
    days = [NOW + timedelta(days=number) for number in range(3)]
    for now in days:
        for day in (now.date() - timedelta(days=1), now.date()):
            with sessions.begin() as session:
                papers.store(session, "feed:x", Listing(day, undated=(undated,)), now=now)

    assert [row.day for row in make.all(PaperListing)] == [NOW.date()]


def test_what_each_source_said_is_found_by_the_papers_id(sessions):
    listed(sessions, 1)
    with sessions.read() as session:
        row, records = papers.records_of(session, "2403.00001v2")

    assert (row.source_id, [record.source for record in records]) == ("2403.00001", ["huggingface"])
