import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.errors import BadAddress
from newsletter.subscribers import parse_address


@pytest.mark.parametrize(
    ("given_text", "text", "key"),
    [
        (" ari@example.org\n", "ari@example.org", "ari@example.org"),
        ("Ari@EXAMPLE.org", "Ari@example.org", "ari@example.org"),
        ("A@C.ORG", "A@c.org", "a@c.org"),
        ("ari+papers@example.org", "ari+papers@example.org", "ari+papers@example.org"),
        ("아리@도메인.한국", "아리@도메인.한국", "아리@도메인.한국"),
        ("ari@xn--hq1bm8jm9l.xn--3e0b707e", "ari@도메인.한국", "ari@도메인.한국"),
        ("ａｒｉ@example.org", "ari@example.org", "ari@example.org"),  # full width, as an input method leaves it
        ("ari@example。org", "ari@example.org", "ari@example.org"),
    ],
)
def test_two_spellings_of_a_mailbox_are_one(given_text, text, key):
    address = parse_address(given_text)

    assert (address.text, address.key) == (text, key)


@pytest.mark.parametrize(
    "given_text",
    [
        "",
        "ari",
        "ari@",
        "@example.org",
        "ari@example",
        "ari@localhost",
        "ari@[127.0.0.1]",
        "ari@example.org,bora@example.org",
        "ari@example.org\r\nBcc: bora@example.org",
        "ari\nbora@example.org",
        "ari\0@example.org",
        "Ari <ari@example.org>",
        "a" * 250 + "@example.org",
        "ari@" + "a" * 300 + ".org",
        "a" * 100_000,
        "ari@exam\u202eple.org",
        "\ud800@example.org",
    ],
)
def test_what_is_no_address_is_refused_and_its_like_shown(given_text):
    with pytest.raises(BadAddress, match="no email address") as caught:
        parse_address(given_text)

    assert "name@example.org" in caught.value.hint
    assert len(str(caught.value)) < 600


def test_domains_of_two_owners_are_never_one():
    given_texts = ("ari@straße.org", "ari@strasse.org", "ari@βόλος.org", "ari@βόλοσ.org")

    assert len({parse_address(text).key for text in given_texts}) == len(given_texts)
    assert parse_address("Ari@xn--strae-oqa.org").key == "ari@straße.org"


@given(st.text(max_size=60).map(lambda text: f"{text}@example.org") | st.text(max_size=300))
def test_any_text_is_an_address_on_one_line_or_refused(text):
    try:
        address = parse_address(text)
    except BadAddress:
        return
    assert address.text.isprintable()
    assert len(address.text) <= 254
    assert parse_address(address.text) == address
