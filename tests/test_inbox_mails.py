"""The mails that have to do with mail to us: answers, letters passed on, and the address in List-Unsubscribe."""

from email import message_from_bytes, policy

import mail_samples
import pytest
from factories import LINKS, NOW, SECRET, mailer
from hypothesis import given
from hypothesis import strategies as st
from inbox_parts import DOMAIN, come, letter, office

from newsletter import bounces
from newsletter.bounces import Terms
from newsletter.deliveries import ledger
from newsletter.errors import NotFound
from newsletter.mail.emails import ForwardEmail, HelpEmail
from newsletter.mail.enclosing import enclose
from newsletter.mail.render import render
from newsletter.models import Delivery, DeliveryKind, InboundStatus, Lane
from newsletter.tokens import Purpose

TYPE = b'MIME-Version: 1.0\r\nContent-Type: multipart/alternative;\r\n boundary="b"\r\n'
BODY = b"--b\r\nContent-Type: text/plain\r\n\r\nwords\r\n--b--\r\n"


def made(sessions, **settings):
    maker = mailer(**settings)
    with sessions.begin() as session:
        (row,) = ledger.claim(session, Lane.PERSON, worker="w", limit=10, now=NOW)
        maker.load(session, [row])
    return maker.message(row, now=NOW)


def test_one_can_unsubscribe_by_link_and_by_mail(sessions, make):
    reader = make.reader("ari", make.newsletter(slug="daily"))
    values = {"slots": {"requested_at": "today"}}
    make.delivery(
        kind=DeliveryKind.ALREADY_SUBSCRIBED,
        newsletter_id=reader.newsletter_id,
        subscription_id=reader.id,
        subscriber_id=reader.subscriber_id,
        values=values,
    )

    content = made(sessions, inbox_domain=DOMAIN).content

    message = message_from_bytes(content, policy=policy.default.clone(max_line_length=None))
    address = LINKS.unsubscribe_mail(reader.id, DOMAIN)
    assert message["List-Unsubscribe"] == f"<{LINKS.unsubscribe(reader.id)}>, <mailto:{address}?subject=unsubscribe>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message["List-Help"] == f"<mailto:daily-help@{DOMAIN}>"
    token = address.partition("@")[0].removeprefix("u+")
    assert LINKS.keyring.unsign_local_part(token, Purpose.UNSUBSCRIBE_MAIL) == reader.id
    head = content.partition(b"\r\n\r\n")[0]
    assert b"=?" not in head
    assert max(map(len, head.split(b"\r\n"))) <= 100


@pytest.mark.parametrize(("domain", "answers"), [(DOMAIN, f"daily@{DOMAIN}"), ("", "editor@example.org")])
def test_replies_come_to_the_inbox_where_there_is_one(sessions, make, domain, answers):
    make.delivery("ari", newsletter_id=make.newsletter(slug="daily", reply_to="editor@example.org").id)

    message = message_from_bytes(made(sessions, inbox_domain=domain).content, policy=policy.default)

    assert message["Reply-To"] == answers


def test_a_letter_that_is_gone_is_not_passed_on(sessions, make):
    values = {"inbound_id": 99, "proven": True, "reply_to": "ari@example.org", "slots": {}}
    make.delivery(kind=DeliveryKind.FORWARD, values=values)

    with pytest.raises(NotFound, match="gone"):
        made(sessions)


def enclosed(letter):
    """Return a letter as it is attached, and the whole mail's bytes."""
    head, body = enclose(TYPE, BODY, letter)
    whole = head + b"\r\n" + body
    alternative, attached = message_from_bytes(whole, policy=policy.default).iter_parts()
    assert alternative.get_content_type() == "multipart/alternative"
    assert alternative.get_body().get_content() == "words"
    return attached, whole


def test_an_ordinary_letter_is_attached_as_a_mail():
    letter = b"From: ari@example.org\r\nSubject: Hello\r\n\r\nHow are you?\r\n"

    attached, whole = enclosed(letter)

    assert attached.get_content_type() == "message/rfc822"
    assert attached.get_content()["Subject"] == "Hello"
    assert letter in whole


@pytest.mark.parametrize("odd", [b"caf\xc3\xa9", b"x" * 999, b"a\nb", b"a\rb", b"\0"])
def test_what_cannot_stand_in_a_mail_is_attached_as_a_file(odd):
    attached, _ = enclosed(b"From: ari@example.org\r\n\r\n" + odd + b"\r\n")

    assert attached.get_content_type() == "application/octet-stream"
    assert attached.get_content() == b"From: ari@example.org\r\n\r\n" + odd + b"\r\n"


@given(st.binary(max_size=3000))
def test_any_bytes_can_be_attached(letter):
    attached, whole = enclosed(letter)

    assert whole.isascii()
    assert whole.count(b"\r") == whole.count(b"\n") == whole.count(b"\r\n")
    assert max(map(len, whole.split(b"\r\n"))) <= 998
    assert attached.get_content_type() == "message/rfc822" or attached.get_content() == letter


@pytest.mark.parametrize("language", mail_samples.LANGUAGES)
def test_help_names_the_addresses_in_both_parts(language):
    rendered = render(HelpEmail(mail_samples.publication(language), DOMAIN, leaving=False))

    for part in (rendered.text, rendered.html):
        words = "".join(piece.content for piece in part)
        assert all(f"daily{end}@{DOMAIN}" in words for end in ("", "-subscribe", "-unsubscribe"))
        assert "\x01" not in words


def test_a_letter_whose_writer_is_proven_says_nothing_of_doubt():
    doubtful, proven = (render(ForwardEmail(mail_samples.publication(), proven=proven)) for proven in (False, True))

    assert "not proven" in doubtful.text[0].content
    assert "not proven" not in proven.text[0].content


@pytest.mark.parametrize(
    ("sender", "content"),
    [
        ("fbl@provider.example", letter(subject="A complaint", Content_Type="multipart/report; boundary=b", text="--b--")),
        ("", letter(subject="Your address is on our list")),
    ],
)
def test_what_machines_tell_the_operator_that_names_no_mail_of_ours_is_passed_on(sessions, make, sender, content):
    make.newsletter(slug="daily")
    terms = Terms(LINKS, SECRET)
    told = office(reports=lambda session, content, _, now: bounces.take(session, content, terms, now=now))

    row = come(sessions, content, to="abuse", sender=sender, office=told)

    assert row.status is InboundStatus.FORWARDED
    assert [mail.address for mail in make.all(Delivery)] == ["operator@example.com"]


def test_what_we_passed_on_and_comes_back_is_not_passed_on_again(sessions, make):
    make.newsletter(slug="daily")

    row = come(sessions, letter(Message_ID=LINKS.message_id(7, DOMAIN)), to="postmaster", sender=LINKS.return_path(7, DOMAIN))

    assert (row.status, row.reason) == (InboundStatus.DONE, "left alone: it is our own")
    assert make.all(Delivery) == []
