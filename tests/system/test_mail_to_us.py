"""Mail to us through a border that checks DMARC: who is believed, who is not, what a person reads and what nobody can."""

import re
import smtplib

import pytest
from correspondence import EDITOR, OURS, THEIRS, letter

from newsletter.deliveries import ledger
from newsletter.lifecycle import DeliveryStatus, IssueStatus
from newsletter.models import Delivery, DeliveryKind, InboundStatus, Lane, Newsletter
from newsletter.wiring import utcnow

PLANTED = f"mx.digest.test; dkim=pass header.d={THEIRS}; dmarc=pass header.from={THEIRS}"
CLAIMED = "claimed"
JUNK = b"From: <\xff\xfe\xfd>\r\n\r\n" + bytes(set(range(256)) - set(b"\r\n")) * 40
DEEP = b"From: ari@elsewhere.example, bora@elsewhere.example\r\n" + b"".join(
    b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (each, each) for each in range(3000)
)


@pytest.fixture
def newsletter(post):
    """Return the newsletter."""
    with post.tables() as make:
        return make.all(Newsletter)[0]


@pytest.fixture
def reader(post, newsletter, request):
    """Return the name of a reader who is this test's alone."""
    name = re.sub(r"\W|_", "-", request.node.name)[-40:].strip("-")
    with post.tables() as make:
        make.reader(f"{name}@{THEIRS}", newsletter)
    return name


def owed(post, user, kind):
    """Return the mails of a kind to a user."""
    with post.tables() as make:
        return make.all(Delivery, address=f"{user}@{THEIRS}", kind=kind)


def test_who_leaves_by_mail_after_their_digest_was_claimed_is_skipped(post, newsletter, reader):
    with post.tables() as make:
        make.issue(newsletter, IssueStatus.PUBLISHED, now=utcnow())
        with make.sessions.begin() as session:
            claimed = ledger.claim(session, Lane.LIST, worker=CLAIMED, limit=10, now=utcnow())
        post.write(reader, "daily", Subject="unsubscribe")
        assert post.outcome(sender=f"{reader}@{THEIRS}").reason == "left daily"
        ids = [row.id for row in claimed]
        with make.sessions.begin() as session:
            look = ledger.begin(session, ids, worker=CLAIMED, now=utcnow())
    post.say("send")

    (digest,) = owed(post, reader, DeliveryKind.DIGEST)
    assert digest.id in ids
    assert digest.id in look.skipped
    assert digest.status is DeliveryStatus.SKIPPED
    assert "unsubscribed" in post.say("deliveries", "show", digest.id)
    (goodbye,) = post.mails(reader, 1)
    assert goodbye["Subject"] == "You have left Daily Papers"


@pytest.mark.parametrize("planted", [(), (PLANTED,)], ids=["bare", "planted"])
def test_who_writes_in_a_readers_name_makes_us_ask_the_reader(post, newsletter, planted):
    user = f"victim-{len(planted)}"
    with post.tables() as make:
        make.reader(f"{user}@{THEIRS}", newsletter)
    fields = {"Authentication-Results": planted[0]} if planted else {}
    forged = letter(f"{user}@{THEIRS}", f"daily-unsubscribe@{OURS}", Subject="unsubscribe", **fields)

    post.intrude(forged, "daily-unsubscribe", sender=f"{user}@elsewhere.example")
    said = post.outcome(sender=f"{user}@elsewhere.example")
    post.say("send")

    assert (said.status, said.reason) == (InboundStatus.DONE, "answered with the link to leave: dmarc=fail")
    assert re.search(rf"mail_not_believed +mail={said.id} why='?dmarc=fail", post.installation.log("inbox"))
    (asked,) = post.mails(user, 1)
    assert "Do you want to leave Daily Papers?" in asked.get_body(("plain",)).get_content()
    assert post.statuses(user) == ["active"]
    post.intrude(
        forged.replace(b"Message-ID: <", b"Message-ID: <more."), "daily-unsubscribe", sender=f"again-{user}@elsewhere.example"
    )
    assert post.outcome(sender=f"again-{user}@elsewhere.example").reason == "no answer: there was one today"
    assert post.statuses(user) == ["active"]


def test_a_forged_unsubscribe_address_changes_nothing(post, reader):
    to = f"u+aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@{OURS}"
    post.write(reader, to, Subject="unsubscribe")

    said = post.outcome(recipient=to)
    assert said.reason.startswith("nothing changed")
    assert re.search(rf"mail_not_believed +mail={said.id} why='its token is not ours'", post.installation.log("inbox"))
    assert post.statuses(reader) == ["active"]


def test_who_writes_to_no_address_of_ours_is_refused_at_the_border(post):
    with pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
        post.intrude(letter(f"ari@{THEIRS}", f"nobody@{OURS}"), "nobody")

    assert caught.value.recipients[f"nobody@{OURS}"][0] == 550


def test_a_letter_reaches_a_person_whole_and_their_answer_the_writer(post, reader):
    post.write(reader, "daily", Subject="감사합니다", text="Thanks for it! One question: who chooses the papers?")
    assert post.outcome(sender=f"{reader}@{THEIRS}").status is InboundStatus.FORWARDED
    post.say("send")

    (mail,) = post.mails(EDITOR.partition("@")[0], 1)
    (original,) = mail.iter_attachments()
    assert mail["Reply-To"] == f"{reader}@{THEIRS}"
    assert original.get_content_type() == "message/rfc822"
    assert original.get_content()["Subject"] == "감사합니다"
    assert "who chooses the papers?" in original.get_content().get_content()


@pytest.mark.parametrize("content", [JUNK, DEEP], ids=["junk", "deep"])
def test_what_nobody_can_read_waits_in_quarantine_and_the_inbox_lives(post, reader, content, request):
    sender = f"{request.node.callspec.id}@elsewhere.example"
    post.intrude(content, "daily", sender=sender, port=post.port)

    row = post.outcome(sender=sender)
    assert row.status is InboundStatus.QUARANTINED
    assert sender in post.say("inbox", "list", "--status", "quarantined")
    assert row.reason in post.say("inbox", "show", row.id)
    post.write(reader, "daily", Subject="help", Message_ID=f"<{sender}>")
    assert post.outcome(sender=f"{reader}@{THEIRS}").reason
