from datetime import timedelta

import pytest
from factories import LINKS, NOW, POLICY, asking
from import_parts import bring_in, outcomes, written
from sqlalchemy import text

from newsletter import subscribers
from newsletter.deliveries import ledger
from newsletter.lifecycle import DeliveryStatus
from newsletter.models import (
    AddressChange,
    Attempt,
    Bounce,
    BounceKind,
    Consent,
    Delivery,
    InboundMail,
    Lane,
    Subscriber,
    Subscription,
    Suppression,
    SuppressionReason,
)
from newsletter.subscribers import parse_address

ARI = parse_address("ari@example.org")
LATER = NOW + timedelta(hours=1)


def _erase(sessions, address=ARI):
    with sessions.begin() as session:
        return subscribers.erase(session, address, POLICY, now=NOW)


def _everything(sessions):
    """Return all that is stored, as text."""
    with sessions.read() as session:
        tables = (
            "subscribers",
            "subscriptions",
            "consents",
            "deliveries",
            "attempts",
            "bounces",
            "suppressions",
            "inbound_mails",
        )
        return "\n".join(str(row) for table in tables for row in session.execute(text(f"SELECT * FROM {table}")))


@pytest.fixture
def daily(make):
    return make.newsletter()


def test_nothing_names_the_erased_any_more_but_their_mails_still_count(sessions, make, daily):
    reader = make.reader("ari", daily)
    ids = {"subscriber_id": reader.subscriber_id, "subscription_id": reader.id}
    failed = {"status": DeliveryStatus.FAILED, "reply_code": 550, "reply_text": "<ari@example.org>: unknown"}
    mails = [make.delivery("ari", **ids, status=DeliveryStatus.SENT), make.delivery("ari", **ids, **failed)]
    test = make.delivery("ari", dedupe_key="test:1:ari@example.org:now", values={"to": "ari@example.org"})
    report = {"suppression_key": "k", "report_key": "r", "kind": BounceKind.HARD, "received_at": NOW}
    make.add(Attempt(delivery_id=mails[1].id, number=1, at=NOW, **failed))
    make.add(Bounce(delivery_id=mails[1].id, reason="no ari@example.org here", **report))

    erased = _erase(sessions)

    assert (erased.subscriber, erased.subscriptions, erased.deliveries, erased.stopped) == (True, 1, 3, 1)
    assert "ari" not in _everything(sessions)
    assert make.all(Subscriber) == make.all(Subscription) == make.all(Consent) == []
    assert [make.again(mail).status for mail in mails] == [DeliveryStatus.SENT, DeliveryStatus.FAILED]
    assert (make.again(test).status, make.again(test).reason) == (DeliveryStatus.SKIPPED, "erased")
    assert [row.reason for row in make.all(Suppression)] == [SuppressionReason.ERASED]


def test_what_they_wrote_from_a_former_address_goes_too(sessions, make, daily):
    reader = make.reader("ari", daily)
    change = {"old_address": "Kim@example.com", "new_address": ARI.text, "new_address_key": ARI.key}
    make.add(AddressChange(subscriber_id=reader.subscriber_id, requested_at=NOW, expires_at=NOW, done_at=NOW, **change))
    for number, sender in enumerate(("kim@example.com", "bora@example.org")):
        make.add(InboundMail(content_key=f"{number}", sender=sender, recipient="us", size=1, content=b"x", received_at=NOW))

    assert _erase(sessions).letters == 1

    assert [row.sender for row in make.all(InboundMail)] == ["bora@example.org"]


def test_others_are_left_alone(sessions, make, daily):
    make.reader("bora", daily)
    mail = make.delivery("bora")

    _erase(sessions)

    assert make.again(mail) == mail
    assert [row.address for row in make.all(Subscriber)] == ["bora@example.org"]


def test_a_mail_in_the_air_may_arrive_and_is_never_repeated(sessions, make):
    mail = make.delivery("ari", status=DeliveryStatus.SENDING, claimed_by="one", lease_until=LATER)
    _erase(sessions)

    with sessions.begin() as session:
        ledger.recover(session, hold_unknown=False, now=LATER + timedelta(hours=1))
        ledger.recover(session, hold_unknown=False, now=LATER + timedelta(hours=2))
        claimed = ledger.claim(session, Lane.PERSON, worker="two", limit=9, now=LATER)

    assert claimed == []
    assert make.again(mail).status is DeliveryStatus.HELD


def test_no_file_brings_the_erased_back_but_they_may_come_themselves(sessions, make, tmp_path):
    daily = make.newsletter(slug="daily")
    make.reader("ari", daily)
    _erase(sessions)

    told = bring_in(sessions, written(tmp_path, "email", "ARI@example.org"), "daily", consent="on paper")
    assert outcomes(told) == ["refused"]

    with sessions.begin() as session:
        subscribers.request(session, asking("ari", daily), POLICY, now=LATER)
    (consent,) = make.all(Consent)
    with sessions.begin() as session:
        subscribers.confirm(session, consent.id, LINKS, now=LATER)
    assert [row.status for row in make.all(Subscription)] == ["active"]


def test_a_suppression_keeps_its_reason_and_loses_its_evidence(sessions, make):
    with sessions.begin() as session:
        reason = SuppressionReason.COMPLAINT
        subscribers.suppress(session, ARI, POLICY, reason, evidence="Ari Kim rang up", now=NOW)

    assert not _erase(sessions).subscriber

    (row,) = make.all(Suppression)
    assert (row.reason, row.evidence) == (SuppressionReason.COMPLAINT, "")


def test_erasing_twice_changes_nothing_more(sessions, make, daily):
    make.reader("ari", daily)
    make.delivery("ari")
    _erase(sessions)
    before = make.all(Delivery)

    again = _erase(sessions)

    assert (again.subscriber, again.deliveries) == (False, 0)
    assert make.all(Delivery) == before
