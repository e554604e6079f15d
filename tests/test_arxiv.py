from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from arxiv_server import Told, arxiv
from sources_server import Answer

from newsletter.errors import SourceMalformed, SourceUnavailable
from newsletter.sources.arxiv import Announcements, Api, Query
from newsletter.sources.arxiv.calendar import submitted_for
from newsletter.sources.http import Limits, Web

DAY = date(2024, 3, 14)  # a Thursday
QUICK = Web(
    limits=Limits(connect=1, read=0.3, total=1, attempts=2, first_wait=0.001, longest_wait=0.01, jitter=0, size=3_000_000)
)
FIRST = Told(
    "2403.00001",
    DAY,
    title="Fast  Nets: An M$^2$ Study",
    abstract="Is $x<y$?\nCode: https://github.com/example/fast. Page: https://fast.github.io/nets/",
    authors=("Andr\\'e Kim", "Bora Lee"),
    categories=("cs.CL", "cs.AI"),
)


def announcements(served, categories="cs.CL"):
    return Announcements(categories, served.url, Api(served.url, QUICK), QUICK)


def numbers(listing):
    return [paper.source_id for paper in listing.papers]


def test_the_daily_list_tells_of_new_papers_with_their_facts():
    with arxiv(DAY, FIRST) as served:
        (paper,) = announcements(served).listing(DAY).papers

    assert served.feeds_asked == ["/atom/cs.CL"]
    assert (paper.source, paper.source_id, paper.url) == ("arxiv", "2403.00001", "https://arxiv.org/abs/2403.00001")
    assert paper.title == "Fast Nets: An M² Study"
    assert paper.abstract.startswith("Is x<y?")
    assert paper.authors == ("André Kim", "Bora Lee")
    assert paper.categories == ("cs.CL", "cs.AI")
    assert paper.published_at is None  # the list says when it was announced, not when it was submitted
    assert paper.links == {
        "pdf": "https://arxiv.org/pdf/2403.00001",
        "html": "https://arxiv.org/html/2403.00001",
        "code": "https://github.com/example/fast",
        "project": "https://fast.github.io/nets/",
    }


def test_replaced_and_cross_listed_papers_are_not_new():
    kinds = ("replace", "cross", "replace-cross")
    others = [replace(FIRST, number=f"2403.0000{place}", announced=kind) for place, kind in enumerate(kinds, 2)]
    with arxiv(DAY, *others, FIRST) as served:
        assert numbers(announcements(served).listing(DAY)) == ["2403.00001"]


def test_several_categories_are_one_list():
    with arxiv(DAY, FIRST, Told("2403.00002", DAY, categories=("cs.LG",))) as served:
        source = announcements(served, "cs.CL+cs.LG")

        assert source.name == "arxiv:cs.CL+cs.LG"
        assert numbers(source.listing(DAY)) == ["2403.00001", "2403.00002"]


def test_a_day_that_is_not_the_lists_is_asked_of_the_api():
    earlier = DAY - timedelta(days=1)
    crossed = Told("2403.00003", earlier, categories=("stat.ML", "cs.CL"))
    with arxiv(DAY, FIRST, Told("2403.00002", earlier), crossed) as served:
        listing = announcements(served).listing(earlier)

    assert numbers(listing) == ["2403.00002"]
    assert listing.papers[0].published_at == datetime(2024, 3, 12, 17, tzinfo=UTC)
    assert served.api_asked[0]["search_query"] == "(cat:cs.CL) AND submittedDate:[202403111800 TO 202403121800]"


def test_a_whole_archive_is_asked_with_its_parts():
    earlier = DAY - timedelta(days=1)
    with arxiv(DAY, Told("2403.00002", earlier, categories=("cs.LG",))) as served:
        assert numbers(announcements(served, "cs").listing(earlier)) == ["2403.00002"]


@pytest.mark.parametrize("day", [date(2024, 3, 16), date(2024, 3, 17)])
def test_a_weekend_has_no_papers_and_is_no_error(day):
    with arxiv(day) as served:
        assert announcements(served).listing(day).papers == ()
        assert announcements(served).listing(day - timedelta(days=7)).papers == ()
        assert Query("all:nets", Api(served.url, QUICK)).listing(day).papers == ()

    assert served.api_asked == []


@pytest.mark.parametrize(
    ("day", "first", "last"),
    [
        (date(2024, 1, 8), (4, 19), (5, 19)),  # Monday: Thursday to Friday
        (date(2024, 1, 9), (5, 19), (8, 19)),  # Tuesday: Friday to Monday
        (date(2024, 1, 12), (10, 19), (11, 19)),
    ],
)
def test_the_days_of_a_week_cover_all_of_it(day, first, last):
    assert submitted_for(day) == tuple(datetime(2024, 1, *bound, tzinfo=UTC) for bound in (first, last))


def test_no_moment_is_announced_twice_or_never():
    days = [DAY + timedelta(days=number) for number in range(800)]
    bounds = [found for day in days if (found := submitted_for(day))]

    assert all(before[1] == after[0] for before, after in pairwise(bounds))


def test_a_query_finds_what_was_announced_on_the_day():
    papers = [Told(f"2403.{number:05}", DAY) for number in range(250)]
    with arxiv(DAY, *papers, Told("2403.99999", DAY - timedelta(days=1))) as served:
        listing = Query("cat:cs.CL", Api(served.url, QUICK)).listing(DAY)

    assert len(listing.papers) == 250
    assert [asked["start"] for asked in served.api_asked] == ["0", "200"]


def test_more_than_can_be_read_is_said():
    with arxiv(DAY, *(Told(f"2403.{number:05}", DAY) for number in range(401))) as served:
        listing = Query("cat:cs.CL", Api(served.url, QUICK, most=200)).listing(DAY)

    assert len(listing.papers) == 200
    assert "finds 401 papers; the newest 200 were read" in str(listing.problems[0])


@pytest.mark.parametrize("status", [400, 200])
def test_both_ways_of_refusing_a_question_are_known(status):
    with arxiv(DAY) as served:
        served.fault, served.refused_status = "refuse", status
        with pytest.raises(SourceMalformed, match="refuses the question: incorrect id format"):
            Query("ti:(", Api(served.url, QUICK)).listing(DAY)


@pytest.mark.parametrize("status", [400, 200])
def test_one_id_that_is_called_wrong_costs_no_other(status):
    with arxiv(DAY, FIRST) as served:
        served.refused_status = status
        found = Api(served.url, QUICK).by_ids(["2403.00001", "cs/0101001", "2403.77777", "no id"])

    assert [paper.source_id for paper in found.papers] == ["2403.00001"]
    assert str(found.problems[0]) == "cs/0101001: incorrect id format for cs/0101001"
    assert served.api_asked[-1]["id_list"] == "2403.00001,2403.77777"


def test_an_id_that_nobody_has_is_no_error():
    with arxiv(DAY) as served:
        assert Api(served.url, QUICK).by_ids(["2403.77777"]).papers == ()


def test_an_api_that_says_how_many_and_gives_none_is_asked_later():
    body = (
        b'<feed xmlns="http://www.w3.org/2005/Atom" xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/"><id>x</id>%s</feed>'
    )
    with arxiv(DAY) as served:
        served.fault = Answer(body % b"<opensearch:totalResults>5</opensearch:totalResults>")
        with pytest.raises(SourceUnavailable, match="gives none"):
            Query("all:nets", Api(served.url, QUICK)).listing(DAY)


@pytest.mark.parametrize(
    ("fault", "error", "said"),
    [
        ("busy", SourceUnavailable, "asks to wait 3600 s"),
        ("error", SourceUnavailable, "HTTP 500"),
        ("empty", SourceMalformed, "neither RSS nor Atom"),
        ("html", SourceMalformed, "begins with '<!doctype html>"),
        ("hang", SourceUnavailable, "nothing more came|not done"),
    ],
)
def test_a_fault_of_the_site_is_one_sentence(fault, error, said):
    with arxiv(DAY) as served:
        served.fault = fault
        for source in (announcements(served), Query("all:nets", Api(served.url, QUICK))):
            with pytest.raises(error, match=said):
                source.listing(DAY)


def test_papers_that_the_index_does_not_have_yet_are_there_a_day_later():
    with arxiv(DAY, FIRST) as served:
        source = Query("cat:cs.CL", Api(served.url, QUICK))
        served.lag = timedelta(days=2)
        before = numbers(source.listing(DAY))
        served.lag = timedelta(0)

        assert (before, numbers(source.listing(DAY))) == ([], ["2403.00001"])


def test_an_entry_without_an_id_or_a_title_costs_no_other():
    entry = b"<entry><id>%s</id><title>%s</title></entry>"
    entries = (
        entry % (b"urn:x", b"T") + entry % (b"oai:arXiv.org:2403.00002v1", b"") + entry % (b"oai:arXiv.org:2403.00001v1", b"T")
    )
    feed = b'<feed xmlns="http://www.w3.org/2005/Atom"><id>x</id><updated>2024-03-14T04:00:00Z</updated>%s</feed>'
    with arxiv(DAY) as served:
        served.fault = Answer(feed % entries)
        listing = announcements(served).listing(DAY)

    assert numbers(listing) == ["2403.00001"]
    assert [str(problem) for problem in listing.problems] == [
        "entry 1: has no arXiv id: 'urn:x'",
        "entry 2: 2403.00002 has no title",
    ]
