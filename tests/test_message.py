import html
import re
from dataclasses import replace
from datetime import UTC, date, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from random import Random

import dkim.canonicalization
import mail_samples
import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.errors import BadInput
from newsletter.mail.compose import Mailbox, MessageHeaders, Selection, body, compose, head, prepare
from newsletter.mail.emails import DigestEmail, PaperCard, Publication
from newsletter.mail.headers import ListInfo
from newsletter.mail.pieces import Piece, Rendered, wrap
from newsletter.mail.render import render

NOW = datetime(2024, 3, 14, 9, tzinfo=UTC)
SLOTS = ("name", "link", "rank", "count")
HEADERS = MessageHeaders(
    sender=Mailbox("오늘의 논문", "digest@news.example.net"),
    recipient="ari@example.org",
    date=NOW,
    message_id="<1.17@news.example.net>",
    reply_to="hello@news.example.net",
    mailing_list=ListInfo(
        "오늘의 논문", "papers.news.example.net", "https://news.example.net/u/" + "k" * 86, "mailto:leave+k@news.example.net"
    ),
    feedback_id="1:papers:digest:newsletter",
    extra=(("References", "<0@news.example.net>"),),
)
PAPERS = Rendered(
    subject="\x01count\x02 papers",
    text=(
        Piece("head", "Good morning \x01name\x02\n"),
        Piece("why", "For you: \x01why\x02\n"),
        Piece("card:7", "\x01rank\x02. Seven\n"),
        Piece("card:8", "\x01rank\x02. Eight\n"),
        Piece("lines", "Also\n"),
        Piece("line:7", "\x01rank\x02 seven\n"),
        Piece("line:8", "\x01rank\x02 eight\n"),
        Piece("more", "\x01more\x02 more\n"),
        Piece("foot", "\x01count\x02 in all"),
    ),
    html=tuple(
        Piece(name, f"<p>{name}") for name in ("head", "why", "card:7", "card:8", "lines", "line:7", "line:8", "more", "foot")
    ),
)

clean = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=90)
marks = st.sampled_from([f"\x01{name}\x02" for name in SLOTS if name != "rank"])
contents = st.lists(clean | marks | st.just("\n") | st.just("words that fill a line or two. " * 4), max_size=8).map("".join)
ranked = st.lists(clean | marks | st.just("\x01rank\x02") | st.just("a longer segment\n" * 9), max_size=8).map("".join)
reasons = st.lists(clean | st.just("a long reason of many topics and words"), min_size=1, max_size=4).map(" <&> ".join)


@st.composite
def parts(draw, ids):
    papers = [Piece(f"card:{paper}", draw(ranked)) for paper in ids]
    lines = [Piece(f"line:{paper}", draw(ranked)) for paper in ids]
    why, more = Piece("why", draw(contents) + "\x01why\x02" + draw(contents)), Piece("more", "\x01more\x02" + draw(contents))
    return (
        Piece("head", draw(contents)),
        why,
        *papers,
        Piece("lines", draw(contents)),
        *lines,
        more,
        Piece("foot", draw(contents)),
    )


@st.composite
def messages(draw):
    """Draw a rendered email of up to four papers, the slots' values, and a selection or None."""
    ids = draw(st.lists(st.integers(1, 99), unique=True, max_size=4))
    rendered = Rendered(draw(clean | marks), draw(parts(ids)), draw(parts(ids)))
    chosen = draw(st.permutations(ids))[: draw(st.integers(0, len(ids)))]
    split = draw(st.integers(0, len(chosen)))
    why, more = draw(st.just("") | reasons), draw(st.integers(0, 12))
    selection = draw(st.sampled_from([None, Selection(tuple(chosen[:split]), tuple(chosen[split:]), why, more)]))
    return rendered, {"name": draw(clean), "link": draw(clean)}, selection


def plainly(pieces, slots, selection, escape):
    """Put a part together the slow way."""
    by_name = {piece.name: piece.content for piece in pieces}
    ids = tuple(int(name[5:]) for name in by_name if name.startswith("card:"))
    chosen = selection or Selection(ids)
    order = [f"card:{paper}" for paper in chosen.cards] + [f"line:{paper}" for paper in chosen.lines]
    papers = [by_name[name].replace("\x01rank\x02", str(rank)) for rank, name in enumerate(order, 1)]
    lines = [by_name["lines"]] if chosen.lines and chosen.cards else []
    first = by_name["head"] + (by_name.get("why", "") if chosen.why else "")
    last = (by_name.get("more", "") if chosen.more else "") + by_name.get("foot", "")
    words = "".join([first, *papers[: len(chosen.cards)], *lines, *papers[len(chosen.cards) :], last])
    words = words.replace("\x01why\x02", wrap(chosen.why) if escape is str else escape(chosen.why))
    return fill(words, {**slots, "count": str(chosen.count), "more": str(chosen.more)}, escape)


def fill(words, slots, escape):
    return re.sub("\x01([a-z_]+)\x02", lambda slot: escape(slots[slot[1]]), words)


def reference(rendered, slots, selection):
    """Build the same message with the standard library."""
    count = str((selection or prepare(rendered).everything).count)
    message = EmailMessage()
    message["Subject"] = fill(rendered.subject, {**slots, "count": count}, str)
    message["From"] = "digest@news.example.net"
    message.set_content(plainly(rendered.text, slots, selection, str), cte="base64")
    message.add_alternative(plainly(rendered.html, slots, selection, html.escape), subtype="html", cte="base64")
    return message_from_bytes(message.as_bytes(policy=policy.SMTP), policy=policy.default)


def content(message, kind):
    """Return the decoded words of a part; the standard library ends them with a line break of its own."""
    return message.get_body((kind,)).get_content().replace("\r\n", "\n").rstrip("\n")


@given(messages())
def test_a_message_says_what_the_standard_library_would(drawn):
    rendered, slots, selection = drawn
    raw = compose(prepare(rendered), headers=HEADERS, slots=slots, selection=selection)

    message, expected = message_from_bytes(raw, policy=policy.default), reference(*drawn)
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert content(message, "plain") == content(expected, "plain")
    assert content(message, "html") == content(expected, "html")
    assert message["Subject"].split() == expected["Subject"].split()
    assert not [part.defects for part in message.walk() if part.defects]


def decoded(raw):
    """Return the bytes of both parts."""
    return [part.get_payload(decode=True) for part in message_from_bytes(raw).get_payload()]


@given(messages())
def test_both_parts_are_the_chosen_pieces_byte_for_byte(drawn):
    rendered, slots, selection = drawn
    raw = compose(prepare(rendered), headers=HEADERS, slots=slots, selection=selection)

    words = [plainly(rendered.text, slots, selection, str), plainly(rendered.html, slots, selection, html.escape)]
    assert decoded(raw) == [word.replace("\n", "\r\n").encode() for word in words]


@pytest.mark.parametrize("language", mail_samples.LANGUAGES)
@pytest.mark.parametrize("kind", mail_samples.KINDS)
def test_any_selection_of_a_real_mail_is_its_pieces_byte_for_byte(kind, language):
    random = Random(19)
    rendered = render(mail_samples.sample(kind, language))
    prepared = prepare(rendered)
    slots = {name: f"https://n.example.net/{name}?a=1&b=%d" for name in prepared.wanted}
    for _ in range(30):
        slots = {name: value + "k" for name, value in slots.items()}
        chosen = random.sample(prepared.everything.cards, random.randint(0, len(prepared.everything.cards)))
        split = random.randint(0, len(chosen))
        selection = Selection(
            tuple(chosen[:split]), tuple(chosen[split:]), random.choice(["", "말 <&> 글"]), random.choice([0, 7])
        )
        raw = compose(prepared, headers=HEADERS, slots=slots, selection=selection)
        parts = ((rendered.text, str), (rendered.html, html.escape))
        words = [plainly(pieces, slots, selection, escape) for pieces, escape in parts]
        assert decoded(raw) == [word.replace("\n", "\r\n").encode() for word in words]


def test_pieces_are_encoded_again_for_nobody_who_chose_their_own():
    random = Random(23)
    prepared = prepare(render(mail_samples.digest(*map(mail_samples.paper, range(1, 9)))))
    slots = dict.fromkeys(prepared.wanted, "https://n.example.net/")
    orders = [Selection(tuple(random.sample(range(1, 9), 8))) for _ in range(600)]
    for order in orders[:300]:  # every paper at every rank, after all that can come before it
        body(prepared, slots=slots, selection=order)

    encoded = [card.known.cache_info().misses for card in prepared.html.cards.values()]
    for order in orders[300:]:
        body(prepared, slots=slots, selection=order)

    assert [card.known.cache_info().misses for card in prepared.html.cards.values()] == encoded
    assert max(encoded) <= 8 * 3


@given(messages())
def test_a_message_is_made_of_short_ascii_lines_that_need_no_canonical_form(drawn):
    rendered, slots, selection = drawn
    prepared = prepare(rendered)
    raw = compose(prepared, headers=HEADERS, slots=slots, selection=selection)
    content_of_it = body(prepared, slots=slots, selection=selection)

    assert raw.isascii()
    assert raw.count(b"\r") == raw.count(b"\n") == raw.count(b"\r\n")
    assert all(len(line) <= 76 for line in content_of_it.split(b"\r\n"))
    assert not re.search(rb"[ \t]\r\n|\r\n\.|^\.", raw)
    assert raw.partition(b"\r\n\r\n")[2] == content_of_it
    for form in (dkim.canonicalization.Simple, dkim.canonicalization.Relaxed):
        assert form.canonicalize_body(content_of_it) == content_of_it


def test_a_selection_is_counted_through_its_cards_and_lines():
    raw = compose(prepare(PAPERS), headers=HEADERS, slots={"name": "Ari"}, selection=Selection((8,), (7,)))

    message = message_from_bytes(raw, policy=policy.default)
    assert message["Subject"] == "2 papers"
    assert content(message, "plain") == "Good morning Ari\n1. Eight\nAlso\n2 seven\n2 in all"


def test_without_a_selection_every_paper_is_a_card():
    message = message_from_bytes(compose(prepare(PAPERS), headers=HEADERS, slots={"name": "Ari"}), policy=policy.default)

    assert content(message, "plain") == "Good morning Ari\n1. Seven\n2. Eight\n2 in all"


def test_a_selection_of_nothing_is_nothing():
    raw = compose(prepare(PAPERS), headers=HEADERS, slots={"name": "Ari"}, selection=Selection(()))

    assert content(message_from_bytes(raw, policy=policy.default), "plain") == "Good morning Ari\n0 in all"


def test_a_selection_says_why_and_what_there_was_no_room_for():
    selection = Selection((8,), why="words, words: " * 6, more=3)
    raw = compose(prepare(PAPERS), headers=HEADERS, slots={"name": "Ari"}, selection=selection)

    text = content(message_from_bytes(raw, policy=policy.default), "plain")
    assert " ".join(text.split()) == f"Good morning Ari For you: {'words, words: ' * 6}1. Eight 3 more 1 in all"
    assert max(map(len, text.splitlines())) <= 76 + len("For you: ")


def test_an_issue_frozen_without_a_piece_for_why_goes_without():
    older = replace(
        PAPERS, **{part: [p for p in getattr(PAPERS, part) if p.name not in ("why", "more")] for part in ("text", "html")}
    )
    raw = compose(prepare(older), headers=HEADERS, slots={"name": "Ari"}, selection=Selection((8,), why="For you", more=3))

    assert content(message_from_bytes(raw, policy=policy.default), "plain") == "Good morning Ari\n1. Eight\n1 in all"


def test_why_these_costs_the_papers_behind_it_no_second_encoding():
    prepared = prepare(render(mail_samples.digest(*map(mail_samples.paper, range(1, 5)))))
    slots = dict.fromkeys(prepared.wanted, "https://n.example.net/")
    for number in range(200):
        body(prepared, slots=slots, selection=Selection((1, 2, 3, 4), why=f"word {number}"))

    assert max(card.known.cache_info().misses for card in prepared.html.cards.values()) <= 3


def test_a_paper_that_is_not_in_the_issue_cannot_be_chosen():
    with pytest.raises(BadInput, match="no piece 9"):
        compose(prepare(PAPERS), headers=HEADERS, slots={"name": "Ari"}, selection=Selection((9,)))


def test_a_slot_that_nobody_fills_is_named():
    with pytest.raises(BadInput, match="wants a value for name"):
        compose(prepare(PAPERS), headers=HEADERS, slots={"link": ""})


def test_a_rank_outside_a_paper_is_a_slot_that_nobody_fills():
    rendered = replace(PAPERS, text=(Piece("head", "\x01rank\x02"),), html=(Piece("head", ""),))

    with pytest.raises(BadInput, match="rank"):
        compose(prepare(rendered), headers=HEADERS, slots={})


@pytest.mark.parametrize("value", ["a\r\nb", "\x00", "\x01name\x02", "\x85", "\u2028", "\udc80"])
def test_a_slot_holds_no_control_characters(value):
    with pytest.raises(BadInput, match="name: character"):
        compose(prepare(PAPERS), headers=HEADERS, slots={"name": value})


def test_parts_of_different_pieces_are_refused():
    with pytest.raises(BadInput, match="the text has the pieces"):
        prepare(replace(PAPERS, html=PAPERS.html[:-1]))
    with pytest.raises(BadInput, match="the text has the pieces"):
        prepare(replace(PAPERS, text=PAPERS.text + PAPERS.text[-1:], html=PAPERS.html + PAPERS.html[-1:]))


def test_a_message_has_each_header_once_and_the_list_headers_whole():
    raw = compose(prepare(PAPERS), headers=HEADERS, slots={"name": "Ari"})

    message = message_from_bytes(raw, policy=policy.default)
    assert message.keys() == [
        *("From", "To", "Subject", "Date", "Message-ID", "Reply-To", "List-Id", "List-Unsubscribe", "List-Unsubscribe-Post"),
        *("Auto-Submitted", "Feedback-ID", "References", "MIME-Version", "Content-Type"),
    ]
    assert message["From"] == "오늘의 논문 <digest@news.example.net>"
    assert message["To"] == "ari@example.org"
    assert f"<https://news.example.net/u/{'k' * 86}>".encode() in raw
    assert message["Auto-Submitted"] == "auto-generated"


def test_a_mail_that_is_no_list_mail_has_no_list_headers():
    plain = replace(HEADERS, mailing_list=None, reply_to="", feedback_id="", extra=(), auto_submitted="auto-replied")

    written = head(plain, "Hello")
    assert b"List-" not in written
    assert b"Auto-Submitted: auto-replied\r\n" in written


def test_a_subject_of_the_callers_own_takes_the_place_of_the_emails():
    headers = replace(HEADERS, subject="[Test] \x01count\x02 papers for \x01name\x02")
    message = message_from_bytes(compose(prepare(PAPERS), headers=headers, slots={"name": "Ari"}), policy=policy.default)

    assert message["Subject"] == "[Test] 2 papers for Ari"


def test_the_digest_of_the_real_templates_gives_each_reader_their_own_link():
    card = PaperCard(7, "Less <is> more", "https://papers.example.net/7", ("Bora",), False, 3, "", ("It is.",), "extract")
    publication = Publication("papers", "논문", "", "ko", "Seoul", "https://n.example.net/", "https://n.example.net/archive")
    email = DigestEmail(publication, NOW.date(), date(2024, 3, 14), (card, replace(card, paper_id=8, title="More")))
    paths = {"unsubscribe_url": "u/ari?a=1&b=2", "preferences_url": "p/ari", "view_url": "v/ari"}
    slots = {name: f"https://n.example.net/{path}" for name, path in paths.items()}

    raw = compose(prepare(render(email)), headers=HEADERS, slots=slots, selection=Selection((8,), (7,)))

    message = message_from_bytes(raw, policy=policy.default)
    assert slots["unsubscribe_url"] in content(message, "plain")
    assert html.escape(slots["unsubscribe_url"]) in content(message, "html")
    assert "Less &lt;is&gt; more" in content(message, "html")
    assert "\x01" not in content(message, "plain") + content(message, "html")
