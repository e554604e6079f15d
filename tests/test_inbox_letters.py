import time

import pytest
from factories import LINKS
from hypothesis import given
from hypothesis import strategies as st
from inbox_parts import letter

from newsletter.errors import BadInput
from newsletter.inbox import letters
from newsletter.inbox.automatic import Ours, why_automatic
from newsletter.inbox.recipients import Directory, Recipient, Use

OURS = Ours(LINKS.keyring, frozenset({"news.example.net"}), frozenset({"news@example.org"}))


def automatic(content, sender="ari@example.org"):
    return why_automatic(letters.read(content), sender=sender, ours=OURS)


def test_a_letter_is_read():
    read = letters.read(letter(subject="=?utf-8?b?6rWs64+F?=", text="Hello\nthere"))

    assert (read.subject, read.text, read.sound) == ("구독", "Hello\nthere\n", True)
    assert read.message_id == "<letter.1@mail.example.org>"


def test_plain_text_goes_before_html_and_attachments_are_passed_over():
    parts = (
        '--b\nContent-Type: text/plain\nContent-Disposition: attachment; filename="a"\n\nattached\n'
        "--b\nContent-Type: text/html\n\n<p>unsubscribe<br>me</p>\n"
    )
    kind = 'multipart/mixed; boundary="b"'

    assert letters.read(letter(text=f"{parts}--b--", Content_Type=kind)).text.split() == ["unsubscribe", "me"]
    plain = "--b\nContent-Type: text/plain\n\nplain\n"
    assert letters.read(letter(text=f"{parts}{plain}--b--", Content_Type=kind)).text.strip() == "plain"


@pytest.mark.parametrize(
    "content", [b"X: y\r\n" * 60_000, b"X: " + b"y" * 200_000 + b"\r\n\r\n", b"\r\n" * 3 + b"X: y\r\n" * 600]
)
def test_a_header_no_person_writes_is_refused(content):
    with pytest.raises(BadInput):
        letters.read(content)


def nested(depth):
    """Return a multipart within a multipart, so often."""
    opening = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (number, number) for number in range(depth)
    )
    return b"From: ari@example.org\r\n" + opening + b"\r\nunsubscribe\r\n"


def test_ten_thousand_nested_parts_take_no_time():
    began = time.process_time()

    letters.read(nested(10_000))
    letters.read(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 100_000)
    letters.read(b"Subject: " + b"=?utf-8?q?a?= " * 5000 + b"\r\n\r\n" + b"(" * 1_000_000)

    assert time.process_time() - began < 3


@given(st.binary(max_size=2000))
def test_no_bytes_whatever_raise(content):
    for whole in (content, letter() + content, content + letter()):
        read = letters.read(whole)
        why_automatic(read, sender="ari@example.org", ours=OURS)


@given(st.integers(0, 400))
def test_a_mail_cut_short_is_read(length):
    whole = letter(text=nested(3).decode(), Content_Type="multipart/mixed; boundary=b0")

    letters.read(whole[:length])


def test_what_a_person_writes_is_not_automatic():
    assert automatic(letter(Auto_Submitted="no", Precedence="normal", X_Auto_Response_Suppress="DR, RN, NRN")) == ""


@pytest.mark.parametrize(
    "fields",
    [
        {"Auto_Submitted": "auto-replied (vacation)"},
        {"Auto_Submitted": "Auto-Generated; owner-email=x"},
        {"Precedence": "Bulk"},
        {"Precedence": "list"},
        {"Precedence": "junk"},
        {"List_Id": "<a.b>"},
        {"List_Unsubscribe": "<mailto:a@b.example>"},
        {"X_Auto_Response_Suppress": "All"},
        {"X_Auto_Response_Suppress": "DR, OOF"},
        {"X_Autoreply": "yes"},
        {"Content_Type": "multipart/report; report-type=disposition-notification"},
        {"Message_ID": LINKS.message_id(7, "example.org")},
    ],
)
def test_what_a_machine_writes_is_told_by_its_fields(fields):
    assert automatic(letter(**fields))


@pytest.mark.parametrize(
    "sender", ["", "MAILER-DAEMON@example.org", "postmaster@example.org", "no-reply@example.org", "list-bounces@example.org"]
)
def test_what_a_machine_writes_is_told_by_its_sender(sender):
    assert automatic(letter(), sender=sender)


@pytest.mark.parametrize("sender", ["news@example.org", "b+abc@news.example.net", "anything@news.example.net"])
def test_our_own_mail_is_known_when_it_comes_back(sender):
    assert automatic(letter(), sender=sender) == "it is our own"


def test_who_writes_from_a_newsletters_domain_is_a_person():
    assert automatic(letter(Message_ID="<1@example.org>"), sender="ari@example.org") == ""


def found(address, *slugs, **more):
    return Directory("news.example.net", slugs or ("daily", "vision"), **more).find(address)


@pytest.mark.parametrize(
    ("local", "recipient"),
    [
        ("daily", Recipient(Use.LETTER, "daily")),
        ("DAILY-Subscribe", Recipient(Use.SUBSCRIBE, "daily")),
        ("vision-unsubscribe", Recipient(Use.UNSUBSCRIBE, "vision")),
        ("daily-help", Recipient(Use.HELP, "daily")),
        ("unsubscribe", Recipient(Use.UNSUBSCRIBE)),
        ("help", Recipient(Use.HELP)),
        ("subscribe", None),  # to which of the two?
        ("u+abc", Recipient(Use.ONE_CLICK, token="abc")),
        ("b+abc", Recipient(Use.BOUNCE, token="abc")),
        ("postmaster", Recipient(Use.OPERATOR)),
        ("abuse", Recipient(Use.OPERATOR)),
        ("weekly", None),
        ("weekly-subscribe", None),
        ("-subscribe", None),
        ("daily+tag", None),
        ("u+", Recipient(Use.ONE_CLICK)),
    ],
)
def test_an_address_says_what_it_is_for(local, recipient):
    assert found(f"{local}@News.Example.Net") == recipient
    assert found(f"{local}@example.net") is None


def test_one_newsletter_alone_is_meant_by_the_short_addresses():
    assert found("subscribe@news.example.net", "daily") == Recipient(Use.SUBSCRIBE, "daily")
    assert found("unsubscribe@news.example.net", "daily") == Recipient(Use.UNSUBSCRIBE, "daily")


def test_bounces_may_come_to_a_domain_of_their_own_and_nothing_else_does():
    assert found("b+abc@bounces.example.net", bounce_domain="bounces.example.net") == Recipient(Use.BOUNCE, token="abc")
    assert found("u+abc@bounces.example.net", bounce_domain="bounces.example.net") is None
    assert found("daily@bounces.example.net", bounce_domain="bounces.example.net") is None


def test_what_a_newsletter_writes_as_is_its_own_address():
    own = {"hello@news.example.net": "daily", "help@news.example.net": "vision"}

    assert found("Hello@news.example.net", own=own) == Recipient(Use.LETTER, "daily")
    assert found("help@news.example.net", own=own) == Recipient(Use.LETTER, "vision")


@pytest.mark.parametrize("slug", ["help", "subscribe", "daily-help", "unsubscribe", "postmaster", "u", "b"])
def test_a_newsletter_called_as_a_command_is_breaks_no_command(slug):
    slugs = ("daily", slug)

    assert found("unsubscribe@news.example.net", *slugs) == Recipient(Use.UNSUBSCRIBE)
    assert found("daily-help@news.example.net", *slugs) == Recipient(Use.HELP, "daily")
    assert found(f"{slug}-unsubscribe@news.example.net", *slugs) == Recipient(Use.UNSUBSCRIBE, slug)
    assert found("postmaster@news.example.net", *slugs) == Recipient(Use.OPERATOR)
