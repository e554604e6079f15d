"""The words of every mail, in every language, against golden files; the rules that any mail's HTML must keep.

After a deliberate change of a template run with NEWSLETTER_UPDATE_GOLDEN=1 and read the difference before committing.
In the golden files a slot is written «name»; a piece begins at [[name]] in text and at a comment in HTML.
"""

import os
import re
from dataclasses import replace
from datetime import date
from pathlib import Path

import jinja2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mail_samples import CAST, KINDS, LANGUAGES, content, digest, paper, publication, read, sample, varied

from newsletter.mail.emails import DigestEmail, GoodbyeEmail, WelcomeEmail
from newsletter.mail.pieces import SLOT, wrap
from newsletter.mail.render import host, render

GOLDEN = Path(__file__).parent / "golden"


# ---- golden files


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_reads_as_its_golden_files(kind, language):
    rendered = render(sample(kind, language))

    _compare(f"{kind}.{language}.subject", _shown(rendered.subject) + "\n")
    _compare(f"{kind}.{language}.txt", "".join(f"[[{piece.name}]]\n{_shown(piece.content)}" for piece in rendered.text))
    _compare(f"{kind}.{language}.html", "".join(f"<!--{piece.name}-->{_shown(piece.content)}" for piece in rendered.html))


def _shown(marked):
    return SLOT.sub("«\\1»", marked)


def _compare(name, got):
    path = GOLDEN / name
    if os.environ.get("NEWSLETTER_UPDATE_GOLDEN"):
        path.write_text(got, encoding="utf-8")
    assert got == path.read_text(encoding="utf-8"), f"{name} has changed: see the top of this file"


def test_no_golden_file_is_left_over():
    parts = ("subject", "txt", "html")
    assert {path.name for path in GOLDEN.iterdir()} == {f"{k}.{la}.{part}" for k in KINDS for la in LANGUAGES for part in parts}


# ---- pieces and slots


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_digest_is_cut_into_head_cards_lines_and_foot(language):
    rendered = render(digest(*varied(language), language=language))
    cards, lines = [f"card:{number}" for number in range(1, 6)], [f"line:{number}" for number in range(1, 6)]
    names = ["head", "why", *cards, "lines", *lines, "more", "foot"]

    assert [piece.name for piece in rendered.html] == names
    assert [piece.name for piece in rendered.text] == names


@given(order=st.permutations(range(1, 6)), chosen=st.integers(0, 5), as_cards=st.integers(0, 5))
@settings(deadline=None, database=None)
def test_any_choice_of_papers_in_any_order_nests(order, chosen, as_cards):
    cards, lines = order[: min(chosen, as_cards)], order[min(chosen, as_cards) : chosen]
    names = ["head", *(f"card:{number}" for number in cards)]
    names += ["lines", *(f"line:{number}" for number in lines)] if lines else []

    page = read(content(render(digest(*varied("en"))).html, *names, "foot"))

    assert page.nests, page.wrong
    assert len(page.said("h2")) == len(cards) + bool(lines)
    assert len(page.all("h1")) == 1


def test_every_single_piece_between_head_and_foot_nests_by_itself():
    for piece in render(digest(*varied("en"))).html[1:-1]:
        assert read(piece.content).nests, piece.name


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_both_parts_of_every_kind_have_all_its_slots_and_no_others(kind, language):
    email = sample(kind, language)
    rendered = render(email)

    assert set(SLOT.findall(content(rendered.text))) == set(email.slots)
    assert set(SLOT.findall(content(rendered.html))) == set(email.slots)


@pytest.mark.parametrize("part", ["text", "html"])
def test_a_readers_own_values_stand_where_the_digest_promises_them(part):
    pieces = {piece.name: SLOT.findall(piece.content) for piece in getattr(render(digest(*varied("en"))), part)}

    assert pieces.pop("head") == ["count"]
    assert pieces.pop("why") == ["why"]
    assert pieces.pop("lines") == []
    assert sorted(pieces.pop("more")) == ["more", "view_url"]
    assert sorted(pieces.pop("foot")) == ["preferences_url", "unsubscribe_url", "view_url"]
    assert set(map(tuple, pieces.values())) == {("rank",)}


def test_what_a_template_names_and_the_email_lacks_is_an_error():
    class Nameless(GoodbyeEmail):
        kind = "welcome"

    with pytest.raises(jinja2.UndefinedError):
        render(Nameless(publication()))


# ---- rules of the HTML part


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_page_nests_and_says_what_it_is(kind, language):
    page = read(content(render(sample(kind, language)).html))

    assert page.nests, page.wrong
    assert page.declaration == "DOCTYPE html"
    assert page.all("html")[0] == {"lang": language, "dir": "ltr"}
    assert len(page.all("h1")) == 1
    assert page.said("title")[0].strip()
    assert {"color-scheme", "supported-color-schemes", "viewport"} <= {meta.get("name") for meta in page.all("meta")}
    assert {table.get("role") for table in page.all("table")} == {"presentation"}


@pytest.mark.parametrize("kind", KINDS)
def test_dark_and_phone_rules_survive_the_inliner_with_their_weight(kind):
    css = _css(content(render(sample(kind, "en")).html))
    dark = css.partition("@media (prefers-color-scheme:dark){")[2].partition("\n}")[0]

    assert dark.count("!important") >= 12
    assert ".sheet{background-color:#1b1e22 !important" in dark
    assert "[data-ogsc] .sheet{background-color:#1b1e22 !important" in css
    assert "padding-left:20px !important" in css.partition("@media (max-width:671px){")[2]
    assert len(css.encode()) < 8192, "Gmail drops a style sheet longer than this"


def _css(html):
    return re.search(r"<style>(.*?)</style>", html, re.DOTALL)[1]


def test_every_text_stands_out_from_its_ground_in_both_schemes():
    css = _css(content(render(digest()).html))
    light, _, rest = css.partition("@media")
    dark = rest.partition("prefers-color-scheme:dark")[2].partition("[data-ogsc]")[0]
    on_paper = [(name, "sheet") for name in ("sheet", "mute", "rank", "link", "note")]
    pairs = [*on_paper, ("foot", "foot"), ("link", "foot"), ("shot", "shot"), ("push", "push")]

    for scheme in (_colours(light), _colours(dark)):
        for ink, ground in pairs:
            assert _contrast(scheme[ink, "color"], scheme[ground, "background-color"]) >= 4.5, (ink, ground)


def _colours(css):
    found = {}
    for names, rules in re.findall(r"((?:\.[a-z-]+,?)+)\{([^}]*)\}", css):
        for name in names.split(","):
            found |= {(name[1:], key): value for key, value in re.findall(r"([a-z-]+):(#[0-9a-f]{6})", rules)}
    return found


def _contrast(one, other):
    """WCAG 2.2, relative luminance."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour):
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("kind", KINDS)
def test_no_letter_is_smaller_than_14_pixels(kind):
    sizes = [int(size) for size in re.findall(r"font-size:(\d+)px", content(render(sample(kind, "ko")).html))]

    assert min(sizes) >= 14


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_fetched_but_the_papers_own_pictures(kind, language):
    email = sample(kind, language)
    html = content(render(email).html)
    page = read(html)

    pictures = {paper.thumbnail_url for paper in getattr(email, "papers", ())} - {""}
    assert {image["src"] for image in page.all("img")} == pictures
    assert all(image["alt"] and image["width"] and image["height"] for image in page.all("img"))
    assert not {"script", "link", "form", "iframe", "object", "video", "input"} & {tag for tag, _ in page.elements}
    assert not re.search(r"@import|url\(|@font-face", html)


@pytest.mark.parametrize("kind", KINDS)
def test_every_link_goes_somewhere_and_says_where(kind):
    html = SLOT.sub("https://papers.example.org/x", content(render(sample(kind, "en")).html))
    page = read(html)

    assert all(link["href"].startswith("https://") for link in page.all("a"))
    words = [text.strip() for text in page.said("a")]
    assert "here" not in {text.lower() for text in words}
    assert words.count("") == len(page.all("img"))


def test_a_digest_of_25_papers_is_not_clipped():
    for language in LANGUAGES:
        rendered = render(digest(*(paper(number, language) for number in range(1, 26)), language=language))
        size = {piece.name: len(piece.content.encode()) for piece in rendered.html}
        cards = [size[f"card:{number}"] for number in range(1, 26)]

        assert size["head"] + size["foot"] + sum(cards) < 75_000
        assert size["head"] + size["foot"] + sum(cards[:9]) < 31_000
        assert max(cards) < 2_700


def test_the_hidden_preview_is_short_and_useful():
    html = content(render(digest(*(paper(number) for number in range(1, 10)))).html, "head")
    hidden = re.search(r'<div style="display:none[^>]*>(.*?)</div>', html)[1]

    assert hidden.startswith("Open Weights That Know")
    assert len(hidden) < 150


# ---- what a card says


def test_at_most_eight_authors_are_named():
    text = " ".join(content(render(digest(*varied("en"))).text).split())

    assert f"{', '.join(CAST[:8])} and 2 others" in text
    assert f"{', '.join(CAST[:8])} and 1 other " in text
    assert f"{', '.join(CAST[:8])} and others" in text
    assert "외 2명" in content(render(digest(*varied("ko"), language="ko")).text)


def test_an_english_abstract_in_a_korean_digest_is_marked_as_english_for_screen_readers():
    page = read(content(render(digest(*varied("ko"), language="ko")).html, "card:3"))

    assert page.all("ul")[0]["lang"] == "en"


def test_a_week_is_told_by_its_first_and_last_day():
    week = replace(digest(), first_day=date(2024, 3, 11), last_day=date(2024, 3, 17))
    rendered = render(week)

    assert rendered.subject == "AI Papers · Mar 11, 2024 to Mar 17, 2024"
    assert "Mar 11, 2024 to Mar 17, 2024" in content(rendered.html, "head")


def test_what_a_newsletter_does_not_have_leaves_no_gap():
    bare = replace(publication(), postal_address="", archive_url="", description="")
    rendered = render(DigestEmail(bare, date(2024, 3, 14), date(2024, 3, 14), (paper(),)))

    assert "All issues" not in content(rendered.text) + content(rendered.html)
    assert "\n\n\n" not in content(rendered.text, "head", "card:1", "foot")
    assert read(content(rendered.html)).nests


def test_a_welcome_without_an_issue_or_an_hour_promises_neither():
    rendered = render(WelcomeEmail(publication(), "weekly", None, "Asia/Seoul", "", ""))

    assert "once a week, as soon as it is ready" in content(rendered.html)
    assert "A day without papers" not in content(rendered.text)
    assert "latest" not in content(rendered.text) + content(rendered.html)


def test_the_text_part_is_complete():
    text = content(render(digest(*varied("en"))).text)

    for card in varied("en"):
        assert card.url in text
        assert all(" ".join(bullet.split()) in " ".join(text.split()) for bullet in card.bullets)
    assert text.rindex("\x01unsubscribe_url\x02") > text.rindex("\x01view_url\x02")


# ---- hostile words stay words

HOSTILE = (
    "<script>alert(1)</script>",
    "{{ 7*7 }} {% raw %} ${7*7} #{7}",
    '"><img src=x onerror=alert(1)>',
    "'; background:url(javascript:alert(1))",
    "</td></tr></table><h1>gone</h1>",
    "<!-- card:1 --> --> <![endif]-->",
    "&lt;b&gt; &amp;amp; $x<y$ H<sub>2</sub>O 100%(title)s %s",
    "مرحبا بالعالم \N{RIGHT-TO-LEFT OVERRIDE}abc",
    "Donaudampfschifffahrt" * 12,
    "π-칼큘러스와 \N{GRINNING FACE} 수학 \N{MATHEMATICAL BOLD CAPITAL A}",
)


@pytest.mark.parametrize("words", HOSTILE)
def test_hostile_titles_names_and_bullets_stay_text(words):
    rendered = render(digest(paper(1, title=words, authors=(words,), bullets=(words,), origin="model", model=words)))
    page = read(content(rendered.html))
    harmless = read(content(render(digest(paper(1, origin="model", model="m", bullets=("b",)))).html))

    assert page.said("h2")[0].strip() == words
    assert page.said("li") == [words]
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in harmless.elements]
    assert [image["alt"] for image in page.all("img")] == [words]
    assert page.nests
    assert words in content(rendered.text, "line:1") or words.split()[0] in content(rendered.text, "card:1")


def test_a_hostile_newsletter_title_stays_text_in_every_kind():
    for kind in KINDS:
        email = sample(kind, "en")
        hostile = replace(email, publication=replace(email.publication, title='<b>%(x)s "{{ 1 }}', postal_address="<i>Street"))
        page = read(content(render(hostile).html))

        assert page.nests
        assert "%(x)s" in page.said("body")[0]
        assert not page.all("i")


# ---- filters


def test_text_is_wrapped_by_columns_where_a_hangul_syllable_takes_two():
    latin, hangul = wrap("word " * 40).split("\n"), wrap("단어 " * 40).split("\n")

    assert max(map(len, latin)) == 74
    assert max(map(len, hangul)) == 44
    assert " ".join(latin) == ("word " * 40).strip()


def test_wrapped_lines_hang_under_the_first_and_long_words_stay_whole():
    link = "https://example.org/" + "x" * 90

    assert wrap(f"see {link} there", first="- ", rest="  ") == f"- see\n  {link}\n  there"
    assert wrap("", first="- ") == "- "


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://arxiv.org/abs/1", "arxiv.org"),
        ("https://www.example.org:8443/x", "example.org"),
        ("mailto:a@example.org", ""),
        ("https://[broken", ""),
    ],
)
def test_a_link_is_named_by_its_host(url, expected):
    assert host(url) == expected
