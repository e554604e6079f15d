from datetime import timedelta

import pytest
from factories import NOW

from newsletter.deliveries import ledger
from newsletter.deliveries.ledger import Outcome
from newsletter.errors import Reply
from newsletter.lifecycle import DeliveryEvent
from newsletter.models import Bounce, BounceKind, Lane

GONE = Reply(550, "5.1.1", "no such user", "mx.example.org", "rcpt")
FULL = Reply(552, "5.2.2", "no room", "mx.example.org", "rcpt")
POLICY = Reply(550, "5.7.1", "we do not like you", "mx.example.org", "rcpt")
LATER = NOW + timedelta(minutes=1)


@pytest.fixture
def begun(sessions, make):
    """Return the ids of two mails in the hands of the worker "one"."""
    newsletter = make.newsletter()
    for name in ("ari", "bora"):
        make.delivery(name, newsletter_id=newsletter.id)
    with sessions.begin() as session:
        ids = [row.id for row in ledger.claim(session, Lane.PERSON, worker="one", limit=9, now=NOW)]
        ledger.begin(session, ids, worker="one", now=NOW)
    return ids


def record(sessions, *outcomes, worker="one"):
    with sessions.begin() as session:
        ledger.record(session, outcomes, worker=worker, now=LATER)


def refused(number, reply):
    return Outcome(number, DeliveryEvent.REFUSE, reason="why", reply=reply)


def test_a_refusal_that_blames_the_address_is_a_bounce_in_the_servers_words(sessions, make, begun):
    ari, bora = begun
    record(sessions, refused(ari, GONE), refused(bora, FULL))

    rows = make.all(Bounce)
    assert [(row.delivery_id, row.kind, row.status, row.reason) for row in rows] == [
        (ari, BounceKind.HARD, "5.1.1", "no such user"),
        (bora, BounceKind.SOFT, "5.2.2", "no room"),
    ]
    assert [(row.source, row.report_key, row.action, row.received_at) for row in rows] == [
        ("smtp", f"smtp:{ari}:1", "", LATER),
        ("smtp", f"smtp:{bora}:1", "", LATER),
    ]


def test_a_refusal_of_us_is_nobodys_bounce(sessions, make, begun):
    record(sessions, refused(begun[0], POLICY))

    assert make.all(Bounce) == []


def test_a_mail_that_could_not_be_made_is_nobodys_bounce(sessions, make, begun):
    record(sessions, refused(begun[0], None))

    assert make.all(Bounce) == []


def test_a_refusal_that_is_told_twice_is_one_bounce(sessions, make, begun):
    for _ in range(2):
        record(sessions, refused(begun[0], GONE))

    assert len(make.all(Bounce)) == 1


def test_what_another_worker_says_of_a_mail_is_no_bounce(sessions, make, begun):
    record(sessions, refused(begun[0], GONE), worker="two")

    assert make.all(Bounce) == []
