"""Mail to us through a real Postfix that hands it on by LMTP."""

from dataclasses import replace
from ipaddress import ip_network

import pytest
from inbox_parts import DOMAIN, DOOR, OFFICE, PASSED, handled, letter, mails
from inbox_parts import running as taking_mail
from installation import eventually
from mail_host import running

from newsletter.inbox import Border
from newsletter.lifecycle import SubscriptionStatus
from newsletter.models import InboundStatus

READER = "ari@inbox.example.org"


@pytest.fixture
def office():
    """Return an office that believes the Postfix of this machine."""
    return replace(OFFICE, border=Border((ip_network("127.0.0.0/8"),), "mx.inbox.test"))


@pytest.fixture
def host(sessions, office):
    """Return a mail host that hands on what is for us."""
    with (
        taking_mail(sessions, replace(DOOR, lmtp=True), office) as port,
        running(routes={DOMAIN: f"lmtp:inet:127.0.0.1:{port}"}) as host,
    ):
        yield host


def arrived(make, number):
    eventually(lambda: len(mails(make)) == number, lambda: f"{len(mails(make))} came")
    assert handled(make)
    return mails(make)


def test_a_letter_comes_through_postfix_and_what_is_nobodys_goes_back(host, make):
    make.newsletter(slug="daily", reply_to="editor@example.com")
    host.send(letter(From=READER, subject="안녕하세요", text="A question"), sender=READER, to=f"daily@{DOMAIN}")
    host.send(letter(From=READER, subject="Hello"), sender=READER, to=f"nobody@{DOMAIN}")

    (row,) = arrived(make, 1)

    assert (row.status, row.sender, row.recipient) == (InboundStatus.FORWARDED, READER, f"daily@{DOMAIN}")
    assert row.subject == "안녕하세요"
    (bounce,) = host.mailbox("ari", count=1)
    assert b"5.1.1" in bounce


def test_a_result_that_came_with_the_mail_ends_nothing(host, make):
    reader = make.reader("ari", make.newsletter(slug="daily"))
    forged = letter(From="ari@example.org", proof=PASSED.replace("mx.example.net", "mx.inbox.test"), subject="unsubscribe")

    host.send(forged, sender="evil@digest.test", to=f"daily@{DOMAIN}")

    (row,) = arrived(make, 1)
    assert row.status is InboundStatus.DONE
    assert make.again(reader).status is SubscriptionStatus.ACTIVE
