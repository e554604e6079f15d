from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.papers.merging import Record, amended, merge, said_of
from newsletter.sources import PaperData

NOW = datetime(2024, 3, 14, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
BARE = {"title": "T", "url": "https://arxiv.org/abs/2403.00001"}


def record(source, *, at=NOW, **said):
    return Record(source, BARE | said, at)


def test_what_a_source_does_not_know_is_not_on_record():
    paper = PaperData("arxiv", "2403.00001", "T", "https://arxiv.org/abs/2403.00001", votes=0, published_at=NOW)

    assert said_of(paper) == {**BARE, "votes": 0, "published_at": "2024-03-14T12:00:00+00:00"}


@pytest.mark.parametrize(
    ("field", "best"),
    [
        ("title", "arxiv"),
        ("abstract", "arxiv"),
        ("authors", "arxiv"),
        ("categories", "arxiv"),
        ("published_at", "arxiv"),
        ("votes", "huggingface"),
        ("thumbnail_url", "huggingface"),
        ("keywords", "huggingface"),
    ],
)
def test_each_field_is_told_by_who_knows_it_best_whenever_it_was_read(field, best):
    values = {
        "votes": {"arxiv": 1, "huggingface": 2, "feed:x": 3},
        "published_at": dict.fromkeys(("huggingface", "feed:x"), LATER.isoformat()) | {"arxiv": NOW.isoformat()},
    }.get(field, {"arxiv": "A", "huggingface": "H", "feed:x": "F"})
    if field in {"authors", "categories", "keywords"}:
        values = {source: [value] for source, value in values.items()}
    records = [
        Record(source, BARE | {field: value}, NOW + timedelta(hours=place))
        for place, (source, value) in enumerate(values.items())
    ]

    for order in permutations(records):
        found = merge(order)[field]
        assert (found.isoformat() if field == "published_at" else found) == values[best]


def test_links_are_chosen_one_by_one():
    arxiv = record("arxiv", links={"pdf": "https://arxiv.org/pdf/1", "code": "https://github.com/a/named-in-abstract"})
    listed = record("huggingface", at=LATER, links={"code": "https://github.com/a/listed", "project": "https://a.example"})

    assert merge([arxiv, listed])["links"] == {
        "pdf": "https://arxiv.org/pdf/1",
        "code": "https://github.com/a/listed",
        "project": "https://a.example",
    }


def test_nothing_known_gives_way_to_nothing():
    records = [record("huggingface", abstract="Known."), record("arxiv", at=LATER), Record("arxiv:cs.CL", {}, LATER)]

    assert merge(records)["abstract"] == "Known."


def test_a_whole_list_of_authors_goes_before_one_cut_short_whoever_says_it():
    cut = record("arxiv", authors=["Ari"], more_authors=True)
    whole = record("feed:x", authors=["Ari", "Bora"])

    assert (merge([cut])["authors"], merge([cut])["more_authors"]) == (["Ari"], True)
    assert (merge([cut, whole])["authors"], merge([cut, whole])["more_authors"]) == (["Ari", "Bora"], False)


def test_among_equals_the_last_reading_counts_and_what_was_before_records_comes_last():
    documents = [record("documents:/a", votes=1), record("documents:/b", at=LATER, votes=2), record("former", at=LATER, votes=3)]

    assert all(merge(order)["votes"] == 2 for order in permutations(documents))
    assert merge([documents[2]])["votes"] == 3


def test_a_source_that_is_read_again_keeps_what_it_said_before():
    before = BARE | {"abstract": "A", "votes": 3, "authors": ["Ari", "Bora"], "links": {"code": "https://example.org/code"}}
    after = BARE | {"votes": 0, "authors": ["Ari"], "more_authors": True, "links": {"project": "https://example.org"}}

    assert amended(before, after) == before | {
        "votes": 0,
        "links": {"code": "https://example.org/code", "project": "https://example.org"},
    }


TEXTS = st.sampled_from(["", "a", "b"])
PAPERS = st.builds(
    PaperData,
    source=st.just("arxiv"),
    source_id=st.just("2403.00001"),
    title=st.sampled_from(["T", "U"]),
    url=st.just("https://arxiv.org/abs/2403.00001"),
    abstract=TEXTS,
    authors=st.lists(st.sampled_from("xyz"), unique=True, max_size=2).map(tuple),
    more_authors=st.booleans(),
    votes=st.none() | st.integers(0, 2),
    published_at=st.none() | st.just(NOW),
    links=st.dictionaries(st.sampled_from(["code", "pdf"]), st.sampled_from(["https://a.example", "https://b.example"])),
)


@given(st.lists(st.tuples(st.sampled_from(["arxiv", "huggingface", "feed:x", "shelf"]), PAPERS), min_size=1, max_size=6))
def test_whatever_was_known_of_a_field_something_stays_known(told):
    records = {}
    known = set()
    for place, (source, paper) in enumerate(told):
        said = said_of(paper)
        records[source] = Record(source, amended(records[source].said if source in records else {}, said), NOW + timedelta(place))
        known |= set(said) - {"more_authors"}

    columns = merge(list(records.values()))
    assert all(columns[name] not in (None, "", [], {}) for name in known)
