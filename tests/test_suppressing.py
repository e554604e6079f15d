from datetime import timedelta

import pytest
from factories import LINKS, NOW, POLICY, asking

from newsletter import subscribers
from newsletter.deliveries import ledger
from newsletter.errors import NotFound
from newsletter.lifecycle import DeliveryStatus, SubscriptionStatus
from newsletter.models import Consent, Delivery, DeliveryKind, Lane, SuppressionReason
from newsletter.subscribers import parse_address

LATER = NOW + timedelta(hours=1)
ARI = parse_address("ari@example.org")


def _suppress(sessions, address=ARI, reason=SuppressionReason.OPERATOR, evidence="root: by phone", now=NOW):
    with sessions.begin() as session:
        return subscribers.suppress(session, address, POLICY, reason, evidence=evidence, now=now)


def _known(sessions, address=ARI):
    with sessions.read() as session:
        return subscribers.suppression_of(session, address, POLICY)


def _unsubscribe(sessions, *newsletters):
    with sessions.begin() as session:
        ids = [row.id for row in newsletters]
        return subscribers.unsubscribe_address(session, ARI, ids, by="operator", now=NOW)


def test_an_address_need_be_no_readers_to_be_suppressed(sessions):
    assert _suppress(sessions)

    assert (_known(sessions).reason, _known(sessions).evidence) == (SuppressionReason.OPERATOR, "root: by phone")
    assert _known(sessions, parse_address("bora@example.org")) is None


def test_the_first_suppression_stays_as_it_is(sessions):
    _suppress(sessions, reason=SuppressionReason.COMPLAINT, evidence="a report of 14 March")

    assert not _suppress(sessions, now=LATER)

    assert (_known(sessions).reason, _known(sessions).created_at) == (SuppressionReason.COMPLAINT, NOW)


def test_another_spelling_of_the_address_is_suppressed_too(sessions):
    _suppress(sessions)

    assert _known(sessions, parse_address("ARI@Example.ORG")) is not None


def test_what_is_queued_for_the_suppressed_is_skipped(sessions, make):
    reader = make.reader("ari", make.newsletter())
    ids = {"subscription_id": reader.id, "subscriber_id": reader.subscriber_id}
    digest = make.delivery("ari", kind=DeliveryKind.DIGEST, lane=Lane.LIST.value, **ids)
    _suppress(sessions)

    with sessions.begin() as session:
        claimed = [row.id for row in ledger.claim(session, Lane.LIST, worker="one", limit=9, now=NOW)]
        ledger.begin(session, claimed, worker="one", now=NOW)

    assert (make.again(digest).status, make.again(digest).reason) == (DeliveryStatus.SKIPPED, "suppressed: operator")


def test_only_the_person_undoes_it(sessions, make):
    newsletter = make.newsletter()
    _suppress(sessions)
    with sessions.begin() as session:
        subscribers.request(session, asking("ari", newsletter), POLICY, now=LATER)
    assert _known(sessions) is not None

    (consent,) = make.all(Consent)
    with sessions.begin() as session:
        subscribers.confirm(session, consent.id, LINKS, now=LATER)

    assert _known(sessions) is None


def test_who_asks_to_be_taken_off_is_off_everything_at_once(sessions, make):
    one, two = make.newsletter(), make.newsletter()
    rows = [make.reader("ari", one), make.reader("ari", two), make.reader("bora", one)]

    assert len(_unsubscribe(sessions)) == 2

    ends = [(make.again(row).status, make.again(row).unsubscribed_by) for row in rows]
    gone = (SubscriptionStatus.UNSUBSCRIBED, "operator")
    assert ends == [gone, gone, (SubscriptionStatus.ACTIVE, "")]
    assert [mail.kind for mail in make.all(Delivery)] == [DeliveryKind.GOODBYE] * 2


def test_who_asks_to_leave_one_newsletter_keeps_the_others(sessions, make):
    one, two = make.newsletter(), make.newsletter()
    rows = [make.reader("ari", one), make.reader("ari", two)]

    _unsubscribe(sessions, one)

    assert [make.again(row).status for row in rows] == [SubscriptionStatus.UNSUBSCRIBED, SubscriptionStatus.ACTIVE]


def test_taking_somebody_off_twice_changes_nothing_more(sessions, make):
    make.reader("ari", make.newsletter())
    _unsubscribe(sessions)

    assert _unsubscribe(sessions) == []
    assert len(make.all(Delivery)) == 1


def test_nobody_unknown_is_taken_off(sessions):
    with pytest.raises(NotFound, match="is no subscriber"):
        _unsubscribe(sessions)
