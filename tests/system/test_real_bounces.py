"""What comes of mail that real servers refuse, put off, or take and then send back: from their words to the reader's state."""

import json
import re

import pytest
from correspondence import OURS, THEIRS, letter
from factories import SECRET
from installation import eventually

from newsletter.lifecycle import DeliveryStatus, IssueStatus
from newsletter.models import Bounce, Delivery, DeliveryKind, Suppression
from newsletter.tokens import suppression_key
from newsletter.wiring import utcnow

USERS = ("full", "quota", "greylist", "late-nosuch", "well")


@pytest.fixture(scope="module")
def sent(post):
    """Send an issue to readers whose mail comes to nothing in different ways, and wait for what comes back."""
    with post.tables() as make:
        newsletter = make.newsletter(slug="bounced", from_address=f"bounced@{OURS}")
        for user in USERS:
            make.reader(f"{user}@{THEIRS}", newsletter)
        make.issue(newsletter, IssueStatus.PUBLISHED, now=utcnow(), numbers=(3, 4))
        post.say("send")
        for user in ("quota", "late-nosuch"):
            address = f"{user}@{THEIRS}"
            eventually(lambda address=address: bounce(post, address), post.said)
        with make.sessions.begin() as session:  # as if the minutes had passed
            for row in make.all(Delivery, address=f"greylist@{THEIRS}"):
                session.get_one(Delivery, row.id).due_at = row.created_at
        post.say("send")
        yield newsletter


def delivery(post, user):
    """Return the digest to a user."""
    with post.tables() as make:
        (row,) = make.all(Delivery, address=f"{user}@{THEIRS}", kind=DeliveryKind.DIGEST)
    return row


def bounce(post, address):
    """Return what was reported of the mail to an address, None for nothing."""
    with post.tables() as make:
        numbers = {row.id for row in make.all(Delivery, address=address)}
        return next((row for row in make.all(Bounce) if row.delivery_id in numbers), None)


def is_suppressed(post, user):
    key = suppression_key(SECRET, f"{user}@{THEIRS}")
    with post.tables() as make:
        return bool(make.all(Suppression, suppression_key=key))


@pytest.mark.parametrize(
    ("user", "status", "reported", "suppressed"),
    [
        ("full", "failed", ("soft", "5.2.2", "smtp", "rcpt"), False),
        ("quota", "sent", ("soft", "5.2.2", "inbox", "rfc3464"), False),
        ("late-nosuch", "sent", ("hard", "5.1.1", "inbox", "rfc3464"), True),
    ],
)
def test_each_ends_in_the_right_state(post, sent, user, status, reported, suppressed):  # noqa: PLR0917 -- a table's row
    mail, said = delivery(post, user), bounce(post, f"{user}@{THEIRS}")
    shown = post.say("deliveries", "show", mail.id)

    assert mail.status == status
    assert (said.kind, said.status, said.source, said.reader) == reported
    assert is_suppressed(post, user) is suppressed
    assert said.action == ("suppressed" if suppressed else "counted")
    for words in (reported[0], reported[1], said.reason.split()[0]):
        assert words in shown
    assert ("suppressed" in post.say("subscribers", "show", f"{user}@{THEIRS}")) is suppressed


def test_who_is_greylisted_gets_it_at_a_later_try_and_nothing_is_held_against_them(post, sent):
    mail = delivery(post, "greylist")

    assert (mail.status, mail.attempts) == (DeliveryStatus.SENT, 2)
    assert "4.7.1" in post.say("deliveries", "show", mail.id)
    assert bounce(post, f"greylist@{THEIRS}") is None
    assert len(post.mails("greylist", 1)) == 1


def test_reports_of_another_mail_or_with_a_forged_token_change_nothing(post, sent, comes_back):
    read, other = delivery(post, "well"), delivery(post, "greylist")
    (digest,) = post.mails("well", 1)
    stated = comes_back("late-nosuch").replace(b"late-nosuch@", b"greylist@")
    original = re.search(rb"Message-ID: (<.*>)", stated.partition(b"Content-Description: Undelivered Message")[2])[1]
    about = stated.replace(original, digest["Message-ID"].encode())
    for to, content, reason in (
        (f"b+aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@{OURS}", about, "nothing changed: the address it came to is forged"),
        (f"bounced@{OURS}", about, "ignored: it is about another recipient"),
        (f"news@{OURS}", stated, "ignored: names no mail of ours"),
    ):
        post.intrude(content, to, sender="")
        assert post.outcome(recipient=to).reason == reason
    for mail in (read, other):
        assert bounce(post, mail.address) is None or bounce(post, mail.address).action.startswith("ignored")
    assert not is_suppressed(post, "well")
    assert not is_suppressed(post, "greylist")


def test_an_answer_that_somebody_is_away_causes_nothing(post, comes_back):
    with post.tables() as make:
        make.newsletter(slug="away", from_address=f"away@{OURS}")
        post.say("subscribers", "add", f"away@{THEIRS}", "--newsletter", "away")
        post.say("send")
        (question,) = [mail for mail in post.mails("away", 1) if mail["Subject"].startswith("Please confirm")]
        answer, before = comes_back("away"), len(make.all(Delivery))
        assert b"until Monday" in answer
        for to, said in ((question["Return-Path"].strip("<>"), "nothing"), (f"away@{OURS}", "ignored: names no mail")):
            post.intrude(answer, to, sender="")
            assert post.outcome(recipient=to).reason.startswith(said)
        post.say("send")

        assert len(make.all(Delivery)) == before
    assert post.statuses("away") == ["pending"]
    assert bounce(post, f"away@{THEIRS}") is None


@pytest.fixture
def comes_back(post):
    """Return what gives the mail that a person gets who writes to a user."""

    def give(user):
        writer, to = f"writer-{user}@{THEIRS}", f"{user}@{THEIRS}"
        post.host.send(letter(writer, to, "Hello?"), sender=writer, to=to)
        return post.host.mailbox(f"writer-{user}", count=1)[-1]

    return give


@pytest.mark.parametrize(
    ("user", "read_as"), [("late-nosuch", ("hard", "5.1.1")), ("quota", ("soft", "5.2.2")), ("away", ("none", ""))]
)
def test_they_are_read_from_the_files_that_they_came_in(post, comes_back, tmp_path, user, read_as):
    (tmp_path / "came.eml").write_bytes(comes_back(user))

    read = json.loads(post.say("bounces", "read", tmp_path / "came.eml"))

    assert (read["kind"], read["status"]) == read_as
    if user != "away":
        assert (read["recipient"], read["reader"]) == (f"{user}@{THEIRS}", "rfc3464")
