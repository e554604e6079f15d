"""What a card of the digest says of itself, and the editor's note above all of them."""

from dataclasses import replace

import pytest
from mail_samples import HOME, content, digest, every_way, paper, read, varied

from newsletter.mail.emails import ways_of
from newsletter.mail.render import linked, render, render_page


@pytest.mark.parametrize("part", ["text", "html"])
@pytest.mark.parametrize(
    ("language", "said"),
    [
        (
            "en",
            (
                "Summary from the source document",
                "Summarised by gpt-oss-120b, a language model; machine-checked against the abstract",
                "From the abstract",
                "Written by the editors",
            ),
        ),
        (
            "ko",
            (
                "원본 문서에 실린 요약",
                "언어 모델 gpt-oss-120b 요약 · 초록과 자동으로 대조함",
                "초록에서 발췌 · 영어 원문",
                "편집자가 쓴 요약",
            ),
        ),
    ],
)
def test_every_summary_says_how_it_came_about(part, language, said):
    pieces = {piece.name: piece.content for piece in getattr(render(digest(*varied(language), language=language)), part)}

    for number, words in enumerate(said, start=1):
        assert words in " ".join(pieces[f"card:{number}"].split())
    assert not any(words in pieces["card:5"] for words in said)  # it has none


def test_what_was_not_compared_with_the_abstract_is_not_said_to_be():
    text = content(render(digest(paper(1, origin="model", model="small"))).text, "card:1")

    assert "Summarised by small, a language model\n" in text


@pytest.mark.parametrize("part", ["text", "html"])
def test_a_card_leads_to_all_there_is_of_a_paper_and_to_the_form_for_what_is_wrong(part):
    pieces = {piece.name: piece.content for piece in getattr(render(digest(*varied("en"))), part)}

    for _, url in every_way(4):
        assert url in pieces["card:4"]
    assert all(f"{HOME}/w/daily/2024-03-14/{number}" in pieces[f"card:{number}"] for number in range(1, 6))
    assert "Something wrong?" not in content(getattr(render(digest(paper(1, remark_url=""))), part), "card:1")


def test_the_ways_to_a_paper_have_their_order_and_leave_out_the_one_its_title_leads_by():
    links = {"video": "https://v.example", "html": "https://h.example", "pdf": "https://p.example", "code": ""}

    assert ways_of(links, "https://a.example") == (("pdf", "https://p.example"), ("video", "https://v.example"))
    assert ways_of(links, "https://p.example") == (("video", "https://v.example"),)


# The editor's note


def test_an_issue_without_a_note_has_no_place_for_one():
    bare = render(digest())

    assert "From the editors" not in content(bare.text) + content(bare.html)
    assert "said" not in {element.get("class") for element in read(content(bare.html)).all("div")}


def test_a_note_is_shown_by_paragraphs_with_its_addresses_as_links_also_on_the_page():
    note = "One <b>bold</b> word.\n\nSee https://example.org/a?b=1&c=2. Or http://example.org."
    email = replace(digest(), note=note)
    page = read(content(render(email).html, "head"))
    links = [link["href"] for link in page.all("a")]

    assert links == ["https://example.org/a?b=1&c=2", "http://example.org"]
    assert [said for said in page.said("p") if "bold" in said or "See" in said] == [
        "One <b>bold</b> word.",
        "See https://example.org/a?b=1&c=2. Or http://example.org.",
    ]
    assert "One <b>bold</b> word.\n\nSee https" in content(render(email).text, "head")
    assert "https://example.org/a" in content(render_page(email), "head")


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("no address", [("no address", "")]),
        ("https://example.org/가", [("https://example.org/", "https://example.org/"), ("가", "")]),
        ("(https://example.org/a).", [("(", ""), ("https://example.org/a", "https://example.org/a"), (").", "")]),
        ("https://me:word@example.org", [("https://me:word@example.org", "")]),
        ("javascript:alert(1) ftp://example.org", [("javascript:alert(1) ftp://example.org", "")]),
        ("", []),
    ],
)
def test_only_web_addresses_in_a_note_become_links(words, parts):
    assert linked(words) == parts
