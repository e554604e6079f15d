from datetime import UTC, date, datetime

import pytest
from sources_server import Answer, site

from newsletter.errors import SourceMalformed
from newsletter.sources.feeds import Feed
from newsletter.sources.http import Limits, Web
from newsletter.sources.registry import open_source

DAY = date(2024, 3, 14)
QUICK = Web(
    limits=Limits(connect=1, read=1, total=5, attempts=1, first_wait=0.001, longest_wait=0.01, jitter=0),
    inside=frozenset({"127.0.0.1"}),
)
ENTRY = (
    "<entry><id>{id}</id><title>{title}</title><link href='{link}'/><updated>{day}T10:00:00Z</updated>"
    "<summary>{summary}</summary>{more}</entry>"
)
GIVEN = {
    "id": "urn:x:1",
    "title": "Fast nets",
    "link": "https://example.org/1",
    "day": "2024-03-14",
    "summary": "A short text.",
    "more": "",
}


def entry(**changes):
    return ENTRY.format(**(GIVEN | changes))


def atom(*entries):
    return f"<feed xmlns='http://www.w3.org/2005/Atom'><title>t</title><id>urn:x</id>{''.join(entries)}</feed>"


def rss(*items):
    return f"<rss version='2.0'><channel><title>t</title>{''.join(items)}</channel></rss>"


def read(content, day=DAY, headers=()):
    body = content if isinstance(content, bytes) else content.encode()
    with site(Answer(body, headers=headers)) as served:
        return Feed(f"{served.url}/feed.xml", QUICK).listing(day)


def only(content):
    (paper,) = read(content).papers
    return paper


def test_the_entries_of_a_day_are_its_papers():
    authors = "<author><name>Ari Kim</name></author><author><name>Bora Lee</name></author><category term='nets'/>"
    listing = read(
        atom(entry(more=authors), entry(id="urn:x:2", link="https://example.org/2", day="2024-03-13")), date(2024, 3, 14)
    )

    (paper,) = listing.papers
    assert (paper.source, paper.source_id, paper.url) == ("web", "https://example.org/1", "https://example.org/1")
    assert (paper.title, paper.abstract, paper.authors) == ("Fast nets", "A short text.", ("Ari Kim", "Bora Lee"))
    assert (paper.keywords, paper.published_at) == (("nets",), datetime(2024, 3, 14, 10, tzinfo=UTC))
    assert listing.problems == ()


def test_a_day_is_utcs():
    item = "<item><title>T</title><link>https://example.org/1</link><pubDate>{}</pubDate></item>"

    assert read(rss(item.format("Wed, 13 Mar 2024 20:00:00 -0500"))).papers
    assert not read(rss(item.format("Thu, 14 Mar 2024 02:00:00 +0900"))).papers


@pytest.mark.parametrize(
    ("link", "name"),
    [
        ("https://arxiv.org/abs/2403.00001v2", "urn:x:1"),
        ("https://arxiv.org/pdf/2403.00001", "urn:x:1"),
        ("https://ar5iv.labs.arxiv.org/html/2403.00001", "urn:x:1"),
        ("https://doi.org/10.48550/arXiv.2403.00001", "urn:x:1"),
        ("https://huggingface.co/papers/2403.00001", "urn:x:1"),
        ("https://example.org/1", "oai:arXiv.org:2403.00001v1"),
        ("https://example.org/1", "https://arxiv.org/abs/2403.00001"),
    ],
)
def test_a_paper_of_arxiv_is_known_by_its_link_or_its_id(link, name):
    paper = only(atom(entry(link=link, id=name)))

    assert (paper.source, paper.source_id, paper.url) == ("arxiv", "2403.00001", "https://arxiv.org/abs/2403.00001")


def test_what_only_counts_visitors_is_no_part_of_a_link():
    link = "https://example.org/1?utm_source=rss&amp;id=7&amp;utm_medium=x#top"

    assert only(atom(entry(link=link))).url == "https://example.org/1?id=7"


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("&lt;p&gt;One&lt;br&gt;two &amp;amp; three&lt;/p&gt;&lt;script&gt;alert(1)&lt;/script&gt;", "One\n\ntwo & three"),
        ("&lt;img src=x onerror=alert(1)&gt;&lt;style&gt;@import url(x)&lt;/style&gt;Left", "Left"),
        ("&lt;ul&gt;&lt;li&gt;a&lt;li&gt;b&lt;/ul&gt;", "a\n\nb"),
        ("If $x&lt;y$ then \\alpha", "If x<y then α"),
        ("&lt;script&gt;never closed", ""),
    ],
)
def test_markup_becomes_text(markup, text):
    item = f"<item><title>T</title><link>https://example.org/1</link><pubDate>14 Mar 2024</pubDate><description>{markup}"

    assert only(rss(f"{item}</description></item>")).abstract == text


def test_no_markup_survives_in_what_calls_itself_plain():
    paper = only(atom(entry(title="&lt;script&gt;alert(1)&lt;/script&gt;Nets &lt;b onclick='x'&gt;x&lt;/b&gt; if a&lt;b")))

    assert paper.title == "alert(1) Nets x if a<b"


@pytest.mark.parametrize("link", ["javascript:alert(1)", "", "file:///etc/passwd", "http://user:secret@example.org/"])
def test_an_entry_without_a_link_to_follow_is_passed_over(link):
    listing = read(atom(entry(link=link), entry(link="https://example.org/2")))

    assert [paper.url for paper in listing.papers] == ["https://example.org/2"]
    assert str(listing.problems[0]) == "entry 1: has no link that can be followed: 'Fast nets'"


def test_an_entry_without_a_date_is_told_apart():
    listing = read(rss("<item><title>T</title><link>https://example.org/1</link></item>"))

    assert listing.papers == ()
    assert [paper.title for paper in listing.undated] == ["T"]


def test_an_entry_that_was_changed_counts_once():
    assert [paper.title for paper in read(atom(entry(title="New"), entry(title="Old"))).papers] == ["New"]


def test_a_feed_that_no_longer_goes_back_to_the_day_says_so():
    listing = read(atom(entry()), date(2024, 3, 10))

    assert listing.papers == ()
    assert "goes back to 2024-03-14 only" in str(listing.problems[0])


def test_a_broken_feed_is_read_as_far_as_it_goes():
    item = "<item><title>A & B</title><link>https://example.org/1</link><pubDate>14 Mar 2024</pubDate></item>"
    listing = read(rss(item))

    assert [paper.title for paper in listing.papers] == ["A & B"]
    assert "is not well-formed" in str(listing.problems[0])


def test_an_empty_feed_is_a_good_answer():
    assert read(atom()).papers == ()
    assert read(rss()).problems == ()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "<!doctype html><html><title>Log in</title></html>",
        "{}",
        "<feed><entry><title>unclosed",
        "/etc/hostname",
        "http://127.0.0.1:1/SECRET",
        "\x00" * 100,
        atom(entry()).encode()[:100],
    ],
)
def test_what_is_no_feed_is_refused_in_a_sentence(content):
    with pytest.raises(SourceMalformed, match=r"feed\.xml: (is neither RSS nor Atom|.*no entry could be read)"):
        read(content)


@pytest.mark.parametrize(
    "content",
    [
        '<!DOCTYPE x [<!ENTITY a "haha"><!ENTITY b "&a;&a;">]>' + atom(entry(title="&b;")),
        '<!doctype x SYSTEM "x" [<!ENTITY a SYSTEM "file:///etc/hostname">]>' + atom(entry(title="&a;")),
        ('<!DOCTYPE x [<!ENTITY a "haha">]>' + atom(entry())).encode("utf-16"),
    ],
)
def test_a_feed_with_entities_of_its_own_is_refused(content):
    with pytest.raises(SourceMalformed, match="entities of its own"):
        read(content)


@pytest.mark.parametrize(
    ("content", "said"), [("<feed>" + "<a>" * 200_000, "more than 200,000 tags"), (bytes(8_000_001), "larger than 8,000,000")]
)
def test_a_feed_that_costs_too_much_is_refused(content, said):
    with pytest.raises(SourceMalformed, match=said):
        read(content)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (atom(entry(title="Café")).encode("latin-1"), (("Content-Type", "application/atom+xml; charset=utf-8"),)),
        (('<?xml version="1.0" encoding="utf-16"?>' + atom(entry(title="Café"))).encode("utf-16"), ()),
        (atom(entry(title="Café")).encode(), (("Content-Type", "text/plain; charset=us-ascii"),)),
    ],
)
def test_a_wrong_word_on_the_encoding_costs_no_paper(body, headers):
    assert [paper.title for paper in read(body, headers=headers).papers] == ["Café"]


def test_control_characters_and_line_breaks_stay_out_of_titles():
    title = "Title&#13;&#10;Bcc: x&#x202E;gpj&#x200B;&#x2028;end"

    assert only(atom(entry(title=title))).title == "Title Bcc: xgpj end"


def test_a_huge_title_is_cut_and_a_far_future_is_no_accident():
    assert len(only(atom(entry(title="A" * 3_000_000))).title) == 500
    assert read(atom(entry(day="9999-12-31"), entry(day="0000-00-00"))).papers == ()


def test_a_feed_is_opened_by_its_address():
    assert open_source("feed:https://example.org/feed.xml").name == "feed:https://example.org/feed.xml"
