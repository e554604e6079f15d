import re
from datetime import UTC, datetime, timedelta, timezone
from email import message_from_bytes, policy
from email.header import decode_header, make_header

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from newsletter.errors import BadAddress, BadInput
from newsletter.mail import headers

FORBIDDEN = [*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0)), "\u2028", "\u2029", "\ud800"]
any_text = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=300)
ascii_text = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=300)
URL = "https://news.example.net/u/" + "k" * 86
MAILTO = "mailto:leave+0123456789@news.example.net?subject=unsubscribe"


def read(field: bytes) -> str:
    """Return the value as a reader sees it: unfolded and decoded."""
    message = message_from_bytes(field + b"\r\n", policy=policy.compat32)
    (value,) = message.values()
    return str(make_header(decode_header(re.sub(r"\r\n(?=[ \t])", "", value))))


def lines_of(field: bytes) -> list[bytes]:
    assert field.endswith(b"\r\n")
    assert field.isascii()
    lines = field[:-2].split(b"\r\n")
    assert all(line.strip() and line == line.rstrip() for line in lines)
    assert all(line.startswith(b" ") for line in lines[1:])
    return lines


@given(any_text | ascii_text)
@example("=?utf-8?q?not_an_encoded_word?=")
@example("a" * 200)
@example("")
def test_a_subject_of_any_text_comes_back_and_fits_its_lines(text):
    field = headers.text_header("Subject", text)

    assert all(len(line) <= 78 for line in lines_of(field))
    assert all(len(word) <= 75 for word in re.findall(rb"=\?\S+\?=", field))
    assert " ".join(read(field).split()) == " ".join(text.split())


@given(any_text)
def test_no_character_is_split_between_two_encoded_words(text):
    field = headers.text_header("Subject", "é" + text)

    for word in re.findall(r"=\?utf-8\?b\?\S*\?=", field.decode()):
        ((chunk, _),) = decode_header(word)
        chunk.decode()


def test_a_subject_in_ascii_stays_readable():
    assert headers.text_header("Subject", "Papers of 14 March") == b"Subject: Papers of 14 March\r\n"


@pytest.mark.parametrize("character", FORBIDDEN)
def test_a_control_character_is_refused_and_the_header_named(character):
    for write in (headers.text_header, headers.fold):
        with pytest.raises(BadInput, match=r"^Subject: .*U\+"):
            write("Subject", f"Papers{character}Bcc: ari@example.org")
    with pytest.raises(BadInput, match=r"^From: .*U\+"):
        headers.address_header("From", f"Ari{character}", "ari@example.org")
    with pytest.raises(BadAddress):
        headers.address_header("To", "", f"ari{character}@example.org")


@given(st.lists(ascii_text, max_size=30).map(" ".join))
def test_a_folded_value_comes_back_unchanged_but_for_its_white_space(value):
    field = headers.fold("References", value)

    lines = lines_of(field)
    assert b" ".join(line.strip() for line in lines).decode().removeprefix("References:").split() == value.split()
    assert all(len(line) <= 78 or len(line.split()) <= 2 for line in lines)


def test_a_value_that_cannot_be_folded_is_refused():
    assert max(map(len, lines_of(headers.fold("References", "a" * 900 + " b")))) < 998
    with pytest.raises(BadInput, match="References: a line would be longer"):
        headers.fold("References", "a" * 990)


def test_a_folded_value_must_be_ascii():
    with pytest.raises(BadInput, match="not ASCII"):
        headers.fold("References", "ü")


@pytest.mark.parametrize("name", ["", "X A", "X:", "X\r\nBcc", "Bétreff"])
def test_a_field_name_is_a_name(name):
    with pytest.raises(BadInput, match="no name of a header field"):
        headers.fold(name, "value")


@given(any_text | ascii_text)
@example("=?utf-8?q?a=40evil=2Etest?=")
@example('Ari "the \\ reader" <bora@example.org>, chan@example.org')
def test_a_display_name_never_reaches_the_address(display):
    field = headers.address_header("From", display, "ari@example.org")

    assert all(len(line) <= 78 for line in lines_of(field))
    (address,) = message_from_bytes(field + b"\r\n", policy=policy.default)["From"].addresses
    assert address.addr_spec == "ari@example.org"
    (unfolded,) = message_from_bytes(field + b"\r\n", policy=policy.compat32).values()
    if "=?" not in display and display.isascii():
        assert address.display_name == " ".join(display.split())
    elif display.strip():
        shown = str(make_header(decode_header(unfolded.rpartition("<")[0].strip())))
        assert shown.split() == display.split()


def test_a_domain_goes_out_in_ascii_and_never_as_an_encoded_word():
    assert headers.address_header("To", "", "ari@bücher.example") == b"To: ari@xn--bcher-kva.example\r\n"
    assert headers.wire_address("ari@논문.test") == "ari@xn--s80bq8p.test"


def test_a_local_part_beyond_ascii_is_flagged_and_kept():
    assert headers.needs_smtputf8("ü@example.org")
    assert not headers.needs_smtputf8("u@bücher.example")
    assert headers.address_header("To", "", "ü@bücher.example") == "To: ü@xn--bcher-kva.example\r\n".encode()


@pytest.mark.parametrize(
    "address",
    ["", "ari", "@example.org", "ari@", "a b@example.org", "ari@a>, <bora@b.org", "a@b@c.org", "a\u2028@b.org", "ari@ü..org"],
)
def test_what_is_no_address_is_refused(address):
    with pytest.raises(BadAddress):
        headers.address_header("To", "", address)


def test_list_headers_keep_long_links_whole():
    field = headers.list_headers(headers.ListInfo("Papers", "papers.news.example.net", URL, MAILTO))

    assert field.decode().split("\r\n") == [
        'List-Id: "Papers" <papers.news.example.net>',
        f"List-Unsubscribe: <{URL}>,",
        f" <{MAILTO}>",
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
        "",
    ]


def test_a_list_title_beyond_ascii_encodes_the_phrase_alone():
    info = headers.ListInfo(
        "오늘의 논문",
        "papers.news.example.net",
        URL,
        archive_url="https://a.example/",
        help_url="https://h.example/",
        owner_url="mailto:o@a.example",
    )
    field = headers.list_headers(info).decode()

    assert field.startswith("List-Id: =?utf-8?b?7Jik64qY7J2YIOuFvOusuA==?= <papers.news.example.net>\r\n")
    assert (
        "List-Archive: <https://a.example/>\r\nList-Help: <https://h.example/>\r\nList-Owner: <mailto:o@a.example>\r\n" in field
    )


def test_one_click_is_promised_for_https_alone():
    info = headers.ListInfo("Papers", "papers.localhost.test", "http://localhost:8000/u/key")

    assert b"One-Click" not in headers.list_headers(info)


@pytest.mark.parametrize("uri", ["https://a/ü", "https://a/ b", "https://a/>, <mailto:x@y", "nothing", "https://a/\r\nBcc: x"])
def test_a_link_that_could_break_the_header_is_refused(uri):
    with pytest.raises(BadInput, match="List-Unsubscribe"):
        headers.list_headers(headers.ListInfo("Papers", "papers.example.net", uri))


@pytest.mark.parametrize("list_id", ["", "papers", "a b.example", "papers.bücher.example", "a." * 200 + "b"])
def test_a_list_id_is_a_label_and_a_domain(list_id):
    with pytest.raises(BadInput, match="List-Id"):
        headers.list_headers(headers.ListInfo("Papers", list_id, URL))


def test_a_date_carries_its_true_offset():
    seoul = timezone(timedelta(hours=9))

    assert headers.date_header(datetime(2024, 3, 14, 7, 30, tzinfo=seoul)) == b"Date: Thu, 14 Mar 2024 07:30:00 +0900\r\n"
    assert headers.date_header(datetime(2024, 3, 14, 7, 30, tzinfo=UTC)).endswith(b"+0000\r\n")
    with pytest.raises(BadInput, match="no time zone"):
        headers.date_header(datetime(2024, 3, 14))  # noqa: DTZ001 -- what is refused


def test_a_message_id_is_made_of_a_unique_part_and_a_domain():
    made = headers.message_id("17.42", "news.example.net")

    assert made == "<17.42@news.example.net>"
    assert headers.message_id_header(made) == b"Message-ID: <17.42@news.example.net>\r\n"
    for unique in ("", "a b", "a>", "a@b>\r\n"):
        with pytest.raises(BadInput):
            headers.message_id(unique, "news.example.net")
    with pytest.raises(BadInput):
        headers.message_id_header("17.42@news.example.net")
