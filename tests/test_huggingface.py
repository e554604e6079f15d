import json
from datetime import UTC, date, datetime
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sources_server import Answer, site

from newsletter.errors import SourceMalformed, SourceUnavailable
from newsletter.sources.http import Limits, Web
from newsletter.sources.huggingface import HuggingFace, parse

DAY = date(2024, 3, 14)
QUICK = Web(limits=Limits(connect=1, read=1, total=5, attempts=2, first_wait=0.001, longest_wait=0.01, jitter=0))


def item(number="2403.00001", *, outer=(), **inner):
    paper = {
        "id": number,
        "title": f"Paper {number}",
        "summary": "A short\nabstract.",
        "upvotes": 3,
        "authors": [{"name": "Ari"}],
    }
    return {"paper": paper | inner, "title": "outer", "publishedAt": "2001-01-01T00:00:00.000Z", "numComments": 0} | dict(outer)


def read(*items):
    return parse(json.dumps(items).encode(), day=DAY, where="list.json")


def only(*items):
    (paper,) = read(*items).papers
    return paper


def test_a_paper_is_read_with_all_its_facts():
    paper = only(
        item(
            title="Fast  Nets:\n  An M$^2$ Study",
            summary="First line\nsecond $x<y$.\n\nNew paragraph.",
            publishedAt="2024-03-12T17:00:00.000Z",
            authors=[{"name": "Ari Kim"}, {"name": "Bora", "hidden": True}, {"name": " Chan\nLee"}, {"name": "Ari Kim"}],
            ai_keywords=["nets", "speed", "nets", 3],
            githubRepo="https://github.com/example/fast",
            projectPage="javascript:alert(1)",
            outer={"thumbnail": "https://cdn.example/2403.00001.png", "mediaUrls": ["https://cdn.example/a.mp4"]},
        )
    )

    assert (paper.source, paper.source_id, paper.url) == ("arxiv", "2403.00001", "https://arxiv.org/abs/2403.00001")
    assert paper.title == "Fast Nets: An M² Study"
    assert paper.abstract == "First line second x<y.\n\nNew paragraph."
    assert paper.authors == ("Ari Kim", "Chan Lee")
    assert paper.published_at == datetime(2024, 3, 12, 17, tzinfo=UTC)
    assert (paper.votes, paper.keywords) == (3, ("nets", "speed"))
    assert paper.thumbnail_url == "https://cdn.example/2403.00001.png"
    assert paper.links == {"code": "https://github.com/example/fast", "video": "https://cdn.example/a.mp4"}


def test_papers_keep_the_order_of_the_list():
    assert [paper.source_id for paper in read(item("2403.00002"), item("2403.00001")).papers] == ["2403.00002", "2403.00001"]


def test_the_title_outside_stands_in_and_its_time_never_does():
    paper = only(item(title=None, outer={"title": "From outside"}))

    assert paper.title == "From outside"
    assert paper.published_at is None


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://cdn.example/a.jpeg", True),
        ("https://cdn.example/a.mp4", False),
        ("https://cdn.example/a.SVG", False),
        ("https://cdn-avatars.example/a.png", False),
        ("/avatars/0123.svg", False),
        ("data:image/png;base64,xx", False),
    ],
)
def test_an_old_media_address_is_a_thumbnail_only_if_it_is_a_picture(url, kept):
    assert only(item(outer={"mediaUrl": url})).thumbnail_url == (url if kept else "")


def test_an_id_that_is_not_arxiv_s_belongs_to_the_site():
    paper = only(item("lab/report 7"))

    assert (paper.source, paper.source_id) == ("huggingface", "lab/report 7")
    assert paper.url == "https://huggingface.co/papers/lab%2Freport%207"


def test_a_version_is_no_part_of_the_id():
    assert only(item("2403.00001v3")).source_id == "2403.00001"


@pytest.mark.parametrize("votes", [None, "12", 1.5, True, -1, 10**30])
def test_votes_that_are_no_count_are_none(votes):
    assert only(item(upvotes=votes)).votes is None


def test_missing_and_unknown_fields_do_not_matter():
    paper = only({"paper": {"id": "2403.00001", "title": "Bare", "new_field": {}}, "newer": []})

    assert (paper.title, paper.abstract, paper.authors, paper.votes) == ("Bare", "", (), None)


def test_one_bad_item_costs_no_other():
    listing = read(
        item(), "a string", {"paper": {"id": "2403.00002"}}, {"numComments": 1}, {"paper": {"title": "x"}}, item("2403.00003")
    )

    assert [paper.source_id for paper in listing.papers] == ["2403.00001", "2403.00003"]
    assert [str(problem) for problem in listing.problems] == [
        "item 2: is a string, not an object",
        "item 3 (2403.00002): has no title",
        "item 4: has no 'paper'",
        "item 5: has no id",
    ]


def test_a_paper_listed_twice_counts_once():
    listing = read(item(title="First"), item(title="Second"))

    assert [paper.title for paper in listing.papers] == ["First"]
    assert str(listing.problems[0]) == "item 2 (2403.00001): is listed twice; the first one counts"


@pytest.mark.parametrize(
    ("payload", "sentence"),
    [
        ({"status": "ok", "data": ["x"]}, "list.json: is an object with keys 'status', 'data', not a list"),
        ({}, "is an empty object, not a list"),
        (None, "is null, not a list"),
        (["{'paper': 1}"], "item 1: is a string, not an object"),
        ([{"paper": []}], "item 1: its 'paper' is a list, not an object"),
    ],
)
def test_an_answer_that_is_no_list_of_papers_is_refused_with_what_it_is(payload, sentence):
    with pytest.raises(SourceMalformed) as caught:
        parse(json.dumps(payload).encode(), day=DAY, where="list.json")

    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    "payload", [b"", b"<!doctype html><title>Sorry", b'[{"paper": {"id"', b"\xff\xfe", b"[" * 100_000, b"9" * 9999]
)
def test_an_answer_that_is_no_json_is_refused(payload):
    with pytest.raises(SourceMalformed, match=r"list\.json: is "):
        parse(payload, day=DAY, where="list.json")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["id", "title", "summary", "authors", "upvotes", "publishedAt", "ai_keywords", "mediaUrls"]), JSON
    ),
    JSON,
)
def test_no_type_of_any_field_is_an_accident(inner, media):
    listing = read(item(), {"paper": inner, "thumbnail": media, "mediaUrls": media, "mediaUrl": media})

    assert len(listing.papers) + len(listing.problems) == 2


def test_an_empty_day_is_a_good_answer():
    with site(Answer(b"[]")) as served:
        assert HuggingFace(served.url, QUICK).listing(DAY).papers == ()

    assert served.asked == ["/api/daily_papers?date=2024-03-14&limit=100&p=0"]


def paged(total):
    """Answer as the site does: a hundred at a time."""

    def answer(path):
        page = int(parse_qs(urlsplit(path).query)["p"][0])
        numbers = range(page * 100, min(total, page * 100 + 100))
        return Answer(json.dumps([item(f"2403.{number:05}") for number in numbers]).encode())

    return answer


@pytest.mark.parametrize(("total", "requests"), [(99, 1), (100, 2), (230, 3)])
def test_pages_are_asked_for_until_one_is_not_full(total, requests):
    with site(paged(total)) as served:
        listing = HuggingFace(served.url, QUICK).listing(DAY)

    assert (len(listing.papers), len(served.asked)) == (total, requests)
    assert listing.problems == ()


def test_a_server_that_ignores_the_page_ends_it():
    full = Answer(json.dumps([item(f"2403.{number:05}") for number in range(100)]).encode())
    with site(full) as served:
        listing = HuggingFace(served.url, QUICK).listing(DAY)

    assert (len(listing.papers), len(served.asked)) == (100, 2)


def test_pages_without_end_are_given_up_and_said():
    with site(paged(100_000)) as served:
        listing = HuggingFace(served.url, QUICK).listing(DAY)

    assert len(listing.papers) == 2000
    assert "was not read" in listing.problems[-1].what


def test_a_site_that_is_down_says_so():
    with site(Answer(status=502)) as served, pytest.raises(SourceUnavailable, match="HTTP 502"):
        HuggingFace(served.url, QUICK).listing(DAY)
