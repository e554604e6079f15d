from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inbox_parts import BORDER, PASSED, PEER, letter

from newsletter.inbox import letters, results
from newsletter.inbox.authentication import Border, author_of


def author(content, *, peer=PEER, border=BORDER):
    return author_of(letters.read(content), peer=peer, border=border)


def test_whom_the_border_vouches_for_is_proven():
    found = author(letter())

    assert (found.address.text, found.proven) == ("ari@example.org", True)


@pytest.mark.parametrize(
    "proof",
    [
        "mx.example.net 1; dmarc=pass header.from=example.org",
        "MX.Example.NET; DMARC=Pass header.From=Example.ORG",
        'mx.example.net; dmarc=pass reason="p = none; (no)" header.from=example.org;',
        "(our (own) \\)) mx.example.net (v1);\r\n\tspf=pass x.y=b+x=y@z;\r\n dmarc = pass (p) header.from = example.org",
        '"mx.example.net"; dmarc/1=pass header.from="example.org"',
        "mx.example.net; spf=pass smtp.helo=a; dmarc=pass policy.dmarc=none header.from=example.org; arc=none",
    ],
)
def test_the_border_may_write_it_in_every_form_of_the_grammar(proof):
    assert author(letter(proof=proof)).doubt == ""


@pytest.mark.parametrize(
    ("proof", "doubt"),
    [
        (None, "says nothing of it"),
        ("", "says nothing of it"),
        ("other.example.net; dmarc=pass header.from=example.org", "says nothing of it"),
        ("mx.example.net.evil.example; dmarc=pass header.from=example.org", "says nothing of it"),
        ("mx.example.net; none", "nothing of DMARC"),
        ("mx.example.net; dkim=pass header.d=example.org", "nothing of DMARC"),
        ("mx.example.net; dmarc=fail header.from=example.org", "dmarc=fail"),
        ("mx.example.net; dmarc=none header.from=example.org", "dmarc=none"),
        ("mx.example.net; dmarc=fail (dmarc=pass) header.from=example.org", "dmarc=fail"),
        ('mx.example.net; dmarc=fail reason="; dmarc=pass header.from=example.org"', "dmarc=fail"),
        ("mx.example.net; dmarc=fail; dmarc=pass header.from=example.org", "nothing of DMARC"),
        ("mx.example.net; dmarc=pass header.from=evil.example", "another domain"),
        ("mx.example.net; dmarc=pass header.from=sub.example.org", "another domain"),
        ("mx.example.net; dmarc=pass header.from=evil.example header.from=example.org", "another domain"),
        ("mx.example.net; dmarc=pass", "another domain"),
        ("mx.example.net; dmarc=pass header.from=example.org (never ends", "says nothing of it"),
        ('mx.example.net; dmarc=pass header.from=example.org "never ends', "says nothing of it"),
        ("mx.example.net dmarc=pass header.from=example.org", "says nothing of it"),
        ("mx.example.net; what is this; dmarc=pass header.from=example.org", "says nothing of it"),
        ("mx.example.net 2; dmarc=pass header.from=example.org", "says nothing of it"),
    ],
)
def test_what_is_not_said_in_so_many_words_is_not_believed(proof, doubt):
    assert doubt in author(letter(proof=proof)).doubt


def test_the_topmost_field_alone_counts():
    planted = letter(proof=f"mx.example.net; dmarc=fail header.from=example.org\r\nAuthentication-Results: {PASSED}")

    assert author(planted).doubt == "dmarc=fail"


def test_only_the_border_is_believed():
    assert "did not come from the border" in author(letter(), peer="198.51.100.7").doubt
    assert author(letter(), peer="::ffff:192.0.2.25").proven
    assert "did not come" in author(letter(), peer="").doubt
    assert "no border" in author(letter(), border=Border()).doubt
    assert "no border" in author(letter(), border=Border((ip_network("0.0.0.0/0"),))).doubt


@pytest.mark.parametrize(
    "stated",
    [
        None,
        "",
        "ari@example.org, bora@example.org",
        "victim@example.org <evil@evil.example>",
        "ari@example.org\r\nFrom: bora@example.org",
        "Readers: ari@example.org;",
        "<ari@example.org",
        "ari@example.org>",
        "ari@@example.org",
        "ari",
        "ari@localhost",
        '"ari@example.org',
        "ari@example.org (comment",
        "=?utf-8?q?ari=40example=2Eorg?=",
        "<>",
        "ari@example.org" + " " * 2000 + "x",
    ],
)
def test_a_from_field_that_does_not_name_one_mailbox_is_nobodys(stated):
    assert author(letter(From=stated)) is None


@pytest.mark.parametrize(
    "stated",
    [
        "ari@example.org",
        "<ari@example.org>",
        "Ari Kim <ari@example.org>",
        '"Kim, Ari" <ari@example.org>',
        "=?utf-8?b?6rmA7JWE66as?= <Ari@Example.org>",
        "=?utf-8?q?victim=40evil=2Eexample?= <ari@example.org>",
        "김아리 <ari@example.org>",
        "ari@example.org (Ari)",
    ],
)
def test_a_from_field_that_names_one_mailbox_is_theirs(stated):
    found = author(letter(From=stated))

    assert (found.address.key, found.proven) == ("ari@example.org", True)


@pytest.mark.parametrize(
    "odd", [b"X: a\nX-B: c\r\n", b"X: a\rFrom: b\r\n", b"X: \0\r\n", b"no field\r\n", b"\r\n", b"From x\r\n"]
)
def test_a_header_that_could_be_read_in_two_ways_proves_nothing(odd):
    found = author(odd + letter())

    assert found is None or not found.proven


@given(st.text(st.sampled_from('mx.example.net;=dmarcpsheor "()\\\r\n\t') | st.characters(), max_size=300))
def test_any_field_has_an_answer(value):
    results.parse(value)


@given(st.text(max_size=300))
def test_any_from_field_has_an_answer(value):
    author(letter(From=value.replace("\n", " ").encode("utf-8", "replace").decode()))
