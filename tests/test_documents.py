from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from newsletter.errors import BadDocument, SettingsError, SourceMalformed, SourceUnavailable
from newsletter.sources import Listing, PaperData, SummaryData, facts
from newsletter.sources.documents import Directory, read, read_all, write
from newsletter.sources.huggingface import HuggingFace
from newsletter.sources.registry import open_source
from newsletter.sources.sample import Sample
from newsletter.text import one_line

DAY = date(2024, 3, 14)
HEAD = "## Daily Papers (2024-03-14)\n\n"
PAPER = "### [Notepad: A Memory](https://arxiv.org/abs/2403.00001)\n\n"

DOCUMENT = """\
## Daily Papers (2024-03-14)

### [Notepad: A Memory for Small Models](https://arxiv.org/abs/2403.00001)

![](https://cdn.example/2403.00001.png)

Vote: 25

Authors: Ari Kim, Bora Lee, +

- 작은 모델을 위한 기억 장치를 제안합니다.
- 아홉 과제에서 더 큰 모델을 앞섭니다.

### [\\[Re\\] Measuring Silence](https://arxiv.org/abs/2403.00002)

[Watch Video](https://cdn.example/silence.mp4)
<div><video controls src="https://cdn.example/silence.mp4" muted="false"></video></div>

Vote: -

Authors: Chan O'Hara

- 조용함을 측정합니다.

"""

LISTING = Listing(
    DAY,
    (
        PaperData(
            "arxiv",
            "2403.00001",
            "Notepad: A Memory for Small Models",
            "https://arxiv.org/abs/2403.00001",
            authors=("Ari Kim", "Bora Lee"),
            more_authors=True,
            votes=25,
            thumbnail_url="https://cdn.example/2403.00001.png",
            summaries=(SummaryData("ko", ("작은 모델을 위한 기억 장치를 제안합니다.", "아홉 과제에서 더 큰 모델을 앞섭니다.")),),
        ),
        PaperData(
            "arxiv",
            "2403.00002",
            "[Re] Measuring Silence",
            "https://arxiv.org/abs/2403.00002",
            authors=("Chan O'Hara",),
            links={"video": "https://cdn.example/silence.mp4"},
            summaries=(SummaryData("ko", ("조용함을 측정합니다.",)),),
        ),
    ),
)


def only(body, language="en"):
    """Read a document of one paper."""
    (paper,) = read(HEAD + PAPER + body, where="day.md", language=language).papers
    return paper


def bullets(*lines):
    return only("\n".join(lines)).summaries[0].bullets


def problems(text):
    return [str(problem) for problem in read(text, where="day.md").problems]


def test_a_document_is_read():
    assert read(DOCUMENT, where="day.md") == LISTING


def test_a_listing_is_written_in_the_same_layout():
    assert write(LISTING, language="ko") == DOCUMENT


CLEAN = st.text(max_size=40).map(one_line).filter(bool) | st.text(alphabet="ab*[](){}$\\<>&~`,+'_#-:; .1", max_size=25).map(
    one_line
).filter(bool)
URLS = st.builds(
    "https://{}/{}".format,
    st.sampled_from(["example.org", "arxiv.org", "cdn.example:8080"]),
    st.text(alphabet="ab()[]?&=;,*~$_'.%#1/", max_size=20).map(lambda path: "p/" + path),
)
PAPERS = st.builds(
    lambda url, **facts_: PaperData(*facts.identify(url), url=url, **facts_),
    URLS,
    title=CLEAN,
    authors=st.lists(CLEAN, unique=True, max_size=4).map(tuple),
    more_authors=st.booleans(),
    votes=st.none() | st.integers(0, 999_999_999),
    thumbnail_url=st.just("") | URLS.filter(facts.picture),
    links=st.just({}) | URLS.map(lambda url: {"video": url}),
    summaries=st.just(()) | st.lists(CLEAN, min_size=1, max_size=4).map(lambda lines: (SummaryData("en", tuple(lines)),)),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PAPERS, min_size=1, max_size=3, unique_by=lambda paper: (paper.source, paper.source_id)))
def test_what_is_written_is_read_back(papers):
    listing = Listing(DAY, tuple(papers))

    assert read(write(listing, language="en"), where="day.md", language="en") == listing


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.sampled_from([*DOCUMENT.splitlines(), "### ", "## Daily Papers (x)", "![", "- {'", "[Watch Video]", "Vote:"])
        | st.text()
    )
)
def test_no_document_is_too_broken_to_say_what_is_wrong(lines):
    try:
        read_all("\n".join(lines), where="day.md")
    except BadDocument as error:
        assert (str(error)[:7], bool(error.hint)) == ("day.md:", True)  # noqa: PT017 -- many documents are readable


def test_the_first_layout_has_neither_pictures_nor_blank_lines():
    listing = read(HEAD + PAPER + "- One.\n  - (1) Inner.\n### [B](https://arxiv.org/abs/2403.00002)\n\n- Two.\n", where="day.md")

    assert [paper.summaries[0].bullets for paper in listing.papers] == [("One.", "(1) Inner."), ("Two.",)]
    assert listing.papers[0].votes is None


@pytest.mark.parametrize(
    "line", ["- **Key**: [text](https://example.org).", "- ***Key***: text.", "- **Key:** text.", "- ***Key**: <b>text</b>."]
)
def test_keys_and_markup_become_plain_text(line):
    assert bullets(line) == ("Key: text.",)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("- {'one': 'first', 'two': ['a', 'b']}", "one: first; two: a; b"),
        ("- ***Key***: {'one': 'first'}", "Key: one: first"),
        ("- ['a', 2]", "a; 2"),
        ("- {'broken': ", "{'broken':"),
        ("- [0x" + "f" * 6000 + "]", "[0x" + "f" * 6000 + "]"),
        (r"- {'\d': 'a stray backslash'}", r"\d: a stray backslash".replace("\\d", "d")),
        ("- uses <think> and a_b, 2*3 &amp; $\\alpha$\x08", "uses <think> and a_b, 2*3 & α"),
        ("- spills\nover\n  lines", "spills over lines"),
    ],
)
def test_what_slipped_into_a_bullet_is_cleaned(line, text):
    assert bullets(line) == (text,)


@pytest.mark.parametrize(
    ("line", "names", "more"),
    [
        ("Authors: ['Ari Kim', \"Bora O'Lee\"]", ("Ari Kim", "Bora O'Lee"), False),
        ("Authors: Ari Kim, +, Bora Lee, Ari Kim", ("Ari Kim", "Bora Lee"), True),
        ("Authors: ['Ari Kim", ("['Ari Kim",), False),
        ("Authors:", (), False),
        ("Authors: [" + "'x'," * 10_000 + "]", ("['x'", "'x'", "]"), False),
    ],
)
def test_authors_are_read_in_every_spelling(line, names, more):
    paper = only(line)

    assert (paper.authors, paper.more_authors) == (names, more)


@pytest.mark.parametrize(
    ("line", "thumbnail", "video"),
    [
        ("![](https://cdn.example/a.png)", "https://cdn.example/a.png", None),
        ("![](/avatars/a.svg)", "", None),
        ("![](https://cdn-avatars.example/a.png)", "", None),
        ("![](https://cdn.example/a.gif)", "", None),
        ("![](https://cdn.example/a.qt)", "", "https://cdn.example/a.qt"),
        ("[Watch Video](https://cdn.example/a.mp4)", "", "https://cdn.example/a.mp4"),
        ("[Watch Video]https://cdn.example/a.mp4", "", "https://cdn.example/a.mp4"),
        ('<video controls src="https://cdn.example/a.mp4?b=1&amp;c=2"></video>', "", "https://cdn.example/a.mp4?b=1&c=2"),
        ("[Watch Video](javascript:alert(1))", "", None),
    ],
)
def test_only_pictures_are_thumbnails_and_videos_are_links(line, thumbnail, video):
    paper = only(line)

    assert (paper.thumbnail_url, paper.links.get("video")) == (thumbnail, video)


@pytest.mark.parametrize(
    ("title", "text"),
    [("[Re] [Short] x", "[Re] [Short] x"), ("SALTO-$π$ & A* <s_1>", "SALTO-π & A* <s_1>"), (r"\textit{Dia} $x<y$", "Dia x<y")],
)
def test_titles_as_others_wrote_them_are_understood(title, text):
    assert read(HEAD + f"### [{title}](https://arxiv.org/abs/2403.00001)\n", where="day.md").papers[0].title == text


@pytest.mark.parametrize(
    ("url", "source", "source_id"),
    [
        ("https://arxiv.org/abs/2403.00001v2", "arxiv", "2403.00001"),
        ("https://arxiv.org/pdf/2403.00001.pdf", "arxiv", "2403.00001"),
        ("https://arxiv.org/abs/cs/0112017", "arxiv", "cs/0112017"),
        ("https://huggingface.co/papers/2403.00001", "arxiv", "2403.00001"),
        ("https://huggingface.co/papers/report-7", "huggingface", "report-7"),
        ("https://example.org/abs/2403.00001", "web", "https://example.org/abs/2403.00001"),
    ],
)
def test_a_paper_is_known_by_its_arxiv_id_where_it_has_one(url, source, source_id):
    paper = read(HEAD + f"### [A]({url})\n", where="day.md").papers[0]

    assert (paper.source, paper.source_id, paper.url) == (source, source_id, url)


def test_problems_name_the_file_and_the_line():
    text = (
        HEAD
        + PAPER
        + "Vote: many\n\nstray words\n\n- fine\n\n### no link\n\n- lost\n\n### [x](javascript:y)\n\n## Contents\n"
        + PAPER
    )

    assert problems(text) == [
        "day.md:5: the votes are no number: 'many'",
        "day.md:7: is no part of the layout: 'stray words'",
        "day.md:11: the heading holds no [title](link): 'no link'",
        "day.md:15: the link is not to be followed: 'javascript:y'",
        "day.md:17: is no heading of a day: '## Contents'",
        "day.md:18: stands under no day: 'Notepad: A Memory'",
    ]


def test_a_paper_told_of_twice_counts_once():
    listing = read(HEAD + PAPER + "Vote: 1\n\n" + HEAD + PAPER + "Vote: 2\n", where="day.md")

    assert [paper.votes for paper in listing.papers] == [1]
    assert str(listing.problems[0]) == "day.md:9: 2403.00001 is told of again; line 3 counts"


def test_a_document_of_several_days_has_a_listing_for_each():
    text = HEAD + PAPER + "Vote: 1\n\n" + HEAD.replace("14", "15") + PAPER + "Vote: 2\n"

    assert [(listing.day.day, listing.papers[0].votes) for listing in read_all(text, where="day.md")] == [(14, 1), (15, 2)]
    with pytest.raises(BadDocument, match=r"^day\.md:7: begins a second day, 2024-03-15"):
        read(text, where="day.md")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "day.md:1: there is no heading"),
        ("# Shopping\n- milk", "day.md:1: there is no heading"),
        ("\n\n## Daily Papers (yesterday)\n" + PAPER, "day.md:3: 'yesterday' is no day"),
        ("\n" + HEAD + "nothing new", "day.md:2: there are no papers"),
        (HEAD + "### Untitled", "day.md:3: the heading holds no"),
    ],
)
def test_a_document_with_nothing_to_read_says_where_and_why(text, sentence):
    with pytest.raises(BadDocument) as caught:
        read_all(text, where="day.md")

    assert str(caught.value).startswith(sentence)


def test_windows_files_are_read_too():
    assert read("\ufeff" + DOCUMENT.replace("\n", "\r\n"), where="day.md") == LISTING


def test_the_language_is_told_by_the_bullets_where_nobody_says():
    assert read(DOCUMENT, where="day.md").papers[0].summaries[0].language == "ko"
    assert only("- A summary in English.", language="").summaries[0].language == "en"


@pytest.mark.parametrize("unit", ["[", "](", "**a", "<a ", "&amp", "`", "{", "$", "<video "])
def test_a_line_of_any_length_is_read(unit):
    assert read(HEAD + PAPER + "- " + unit * (50_000 // len(unit)), where="day.md").papers


def test_a_folder_gives_the_papers_of_a_day_in_all_languages(tmp_path):
    (tmp_path / "2024-03-14.md").write_text(HEAD + PAPER + "Authors: Ari Kim\n\n- 새로운 기억 장치입니다.\n")
    (tmp_path / "2024-03-14.de.md").write_text(HEAD + PAPER + "Vote: 3\n\nAuthors: Somebody Else\n\n- Ein Speicher.\n")
    (tmp_path / "2024-03-14.ko.md").write_text(HEAD + PAPER + "- 두 번째입니다.\n\n" + PAPER.replace("00001", "00002"))
    (tmp_path / "2024-03-14-draft.md").write_text("ignored")

    listing = Directory(tmp_path).listing(DAY)

    first, second = listing.papers
    assert (first.authors, first.votes, second.source_id) == (("Ari Kim",), 3, "2403.00002")
    assert first.summaries == (SummaryData("ko", ("새로운 기억 장치입니다.",)), SummaryData("de", ("Ein Speicher.",)))
    assert listing.problems == ()


def test_a_day_without_a_file_is_an_empty_day(tmp_path):
    assert Directory(tmp_path).listing(DAY) == Listing(DAY)


def test_a_folder_that_is_not_there_is_unavailable(tmp_path):
    with pytest.raises(SourceUnavailable, match="no such folder"):
        Directory(tmp_path / "gone").listing(DAY)


def test_one_bad_file_of_a_day_costs_no_other(tmp_path):
    (tmp_path / "2024-03-14.en.md").write_text(HEAD + PAPER)
    (tmp_path / "2024-03-14.ko.md").write_text("nothing")

    listing = Directory(tmp_path).listing(DAY)

    assert len(listing.papers) == 1
    assert listing.problems[0].where == f"{tmp_path}/2024-03-14.ko.md:1"


def test_a_day_of_bad_files_only_is_malformed(tmp_path):
    (tmp_path / "2024-03-14.md").write_text("nothing")

    with pytest.raises(SourceMalformed, match=r"2024-03-14\.md:1: there is no heading"):
        Directory(tmp_path).listing(DAY)


def test_a_file_that_is_no_utf_8_is_read_as_far_as_it_goes(tmp_path):
    (tmp_path / "2024-03-14.md").write_bytes((HEAD + PAPER + "Authors: Ren").encode() + b"\xe9 Roy\n")

    listing = Directory(tmp_path).listing(DAY)

    assert listing.papers[0].authors == ("Ren\ufffd Roy",)
    assert "day.md:5" in str(listing.problems[0]).replace("2024-03-14", "day")


def test_papers_of_another_day_in_a_file_are_said_and_left_out(tmp_path):
    (tmp_path / "2024-03-14.md").write_text(HEAD.replace("14", "13") + PAPER)

    listing = Directory(tmp_path).listing(DAY)

    assert listing.papers == ()
    assert "2024-03-13" in listing.problems[0].what


def test_the_sample_has_one_day_in_two_languages():
    listing = Sample().listing(DAY)

    assert listing.problems == ()
    assert len(listing.papers) == 9
    assert {summary.language for paper in listing.papers for summary in paper.summaries} == {"en", "ko"}
    assert Sample().listing(date(2024, 3, 15)).papers == ()


def test_sources_are_opened_by_name(tmp_path):
    assert isinstance(open_source("huggingface"), HuggingFace)
    assert [open_source(name).name for name in ("huggingface", "sample", f"documents:{tmp_path}")] == [
        "huggingface",
        "sample",
        f"documents:{tmp_path}",
    ]


@pytest.mark.parametrize("name", ["", "telepathy", "documents", "documents:", "sample:x", "Huggingface"])
def test_an_unknown_source_is_answered_with_the_known_ones(name):
    with pytest.raises(SettingsError) as caught:
        open_source(name)

    assert all(known in caught.value.hint for known in ("huggingface", "sample", "documents:/"))


def test_the_abstracts_own_sentences_stay_marked_as_such():
    paper = PaperData(
        "arxiv", "2403.00001", "Ari", "https://arxiv.org/abs/2403.00001", summaries=(SummaryData("ko", ("We test.",), "en"),)
    )
    listing = Listing(date(2024, 3, 14), (paper,))

    document = write(listing, language="ko")

    assert "<!-- quoted from the abstract: en -->" in document
    assert read(document, where="day.md", language="ko") == listing
