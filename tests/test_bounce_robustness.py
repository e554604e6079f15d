import time

import bounce_samples as samples
import pytest
from bounce_samples import arf, dsn, failed
from hypothesis import given, settings
from hypothesis import strategies as st

from newsletter.bounces.reading import Kind, read
from newsletter.bounces.reading.parts import DEPTH_LIMIT, PART_LIMIT, SIZE_LIMIT, take_apart

SAMPLES = [
    *(
        getattr(samples, name)
        for name in ("QMAIL", "EXIM", "POSTFIX", "SENDMAIL", "EXCHANGE", "DOMINO", "YAHOO", "NAVER", "DAUM")
    ),
    dsn(failed("5.1.1", "550 User unknown"), failed("5.2.2", "552 Mailbox full", recipient="chan@example.org")),
    arf("abuse", "Original-Rcpt-To: <bora@example.org>"),
]
SPLICES = st.sampled_from(
    [b"\n", b"\n\n", b"\r", b"\x00", b"=?utf-8?b?A?=", b"--=_b", b"--=_b--", b"; charset=idna", b'"', b"<", b"\xff\xfe"]
)
ODD = [b"base64", b"quoted-printable", b"utf-16", b"message/rfc822", b"multipart/mixed", b"text/html", b"", b'"', b"\xed\xa0\x80"]
SLOW = 10.0  # seconds; a hundredfold of what it takes
MB = 1_000_000


@given(st.binary(max_size=2000))
@settings(deadline=None, max_examples=100)
def test_no_bytes_make_the_reader_fail(message):
    assert read(message)


@given(st.sampled_from(SAMPLES), st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 200), SPLICES), max_size=6))
@settings(deadline=None, max_examples=150)
def test_no_damage_to_a_report_makes_the_reader_fail(message, damages):
    for place, length, splice in damages:
        message = message[:place] + splice + message[place + length :]

    assert all(report.kind in set(Kind) for report in read(message))


@given(
    st.sampled_from(SAMPLES),
    st.sampled_from([b"text/plain", b"7bit", b"=_b", b"rfc822", b":", b"@", b"\n"]),
    st.sampled_from(ODD),
)
@settings(deadline=None, max_examples=100)
def test_no_odd_word_in_a_report_makes_the_reader_fail(message, word, odd):
    assert read(message.replace(word, odd))


@pytest.mark.parametrize("message", SAMPLES)
def test_a_report_cut_off_anywhere_is_still_read(message):
    for end in range(0, len(message), 29):
        assert read(message[:end])


@pytest.mark.parametrize(
    "message",
    [
        b"".join(b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (number, number) for number in range(10_000)),
        b'Content-Type: multipart/mixed; boundary="b"\n\n' + b"--b\n\nuser unknown\n" * 50_000,
        b"Content-Type: message/rfc822\n\n" * 30_000,
        samples.notice("a@" * (MB // 2)),
        samples.notice("<bora@example.org>: " + "mailbox exceeded the " * (MB // 21)),
        samples.notice("<style>" * (MB // 7), headers="Content-Type: text/html\n"),
        samples.notice("".join(f"name{number}@example.org: user unknown\n" for number in range(20_000))),
        samples.notice(
            "no", headers="X-Failed-Recipients: " + ",".join(f"n{number}@example.org" for number in range(20_000)) + "\n"
        ),
        samples.notice("https://a" * (MB // 9)),
        dsn(*[failed("5.1.1", "550 User unknown")] * 5_000),
        dsn("Final-Recipient: rfc822; bora@example.org\n" + "X: y\n\n" * (MB // 6)),
    ],
    ids=["depth", "parts", "enclosed", "at", "words", "html", "people", "header", "links", "recipients", "fields"],
)
def test_what_is_built_to_take_forever_does_not(message):
    begun = time.process_time()

    assert read(message)

    assert time.process_time() - begun < SLOW


def test_a_message_is_taken_apart_within_its_limits():
    deep = b"".join(b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (number, number) for number in range(100))
    broad = b'Content-Type: multipart/mixed; boundary="b"\n\n' + b"--b\n\nx\n" * (PART_LIMIT * 3)

    assert len(take_apart(deep).parts) <= DEPTH_LIMIT
    assert len(take_apart(broad).parts) <= PART_LIMIT
    assert sum(len(part.text) for part in take_apart(b"\n\n" + b"x" * (SIZE_LIMIT * 2)).parts) <= SIZE_LIMIT
