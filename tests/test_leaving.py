import json
from datetime import timedelta
from threading import Thread

import pytest
from factories import LINKS, NOW, POLICY, asking

from newsletter import subscribers
from newsletter.errors import BadToken, NotFound
from newsletter.lifecycle import SubscriptionStatus
from newsletter.models import Consent, Delivery, DeliveryKind, Subscription, SuppressionReason
from newsletter.subscribers import parse_address


@pytest.fixture
def reader(make):
    """Return the subscription of ari."""
    return make.reader("ari", make.newsletter())


def _leave(sessions, subscription_id, by="one-click", now=NOW):
    with sessions.begin() as session:
        return subscribers.unsubscribe(session, subscription_id, by=by, now=now)


def test_leaving_is_at_once_and_says_goodbye(sessions, make, reader):
    seen = _leave(sessions, reader.id)

    assert (seen.status, seen.title) == (SubscriptionStatus.UNSUBSCRIBED, "Daily Papers")
    row = make.again(reader)
    assert (row.status, row.unsubscribed_at, row.unsubscribed_by) == (SubscriptionStatus.UNSUBSCRIBED, NOW, "one-click")
    (mail,) = make.all(Delivery)
    assert (mail.kind, mail.subscription_id) == (DeliveryKind.GOODBYE, reader.id)


def test_leaving_twice_changes_nothing_more(sessions, make, reader):
    _leave(sessions, reader.id)
    before = make.again(reader)

    _leave(sessions, reader.id, by="page", now=NOW + timedelta(days=1))

    assert make.again(reader) == before
    assert len(make.all(Delivery)) == 1


def test_leaving_at_once_by_several_ways_says_goodbye_once(sessions, make, reader):
    threads = [
        Thread(target=_leave, args=(sessions, reader.id), kwargs={"by": str(at), "now": NOW + timedelta(seconds=at)})
        for at in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    row = make.again(reader)
    assert row.unsubscribed_at == NOW + timedelta(seconds=int(row.unsubscribed_by))
    assert len(make.all(Delivery)) == 1


def test_leaving_decides_by_what_is_stored_and_not_by_what_was_seen_before(sessions, make, reader):
    if sessions.is_sqlite:
        return  # one writer at a time: nothing can change in between
    with sessions.begin() as session:
        subscribers.look_at(session, reader.id)
        _leave(sessions, reader.id, by="meanwhile")
        subscribers.unsubscribe(session, reader.id, by="too late", now=NOW + timedelta(hours=1))

    assert make.again(reader).unsubscribed_by == "meanwhile"


def test_one_leaves_one_newsletter_and_not_the_others(sessions, make, reader):
    other = make.reader("ari", make.newsletter())

    _leave(sessions, reader.id)

    assert make.again(other).status is SubscriptionStatus.ACTIVE


def test_a_pending_request_can_be_taken_back(sessions, make):
    pending = make.reader("ari", make.newsletter(), status=SubscriptionStatus.PENDING, confirmed_at=None)

    assert _leave(sessions, pending.id).status is SubscriptionStatus.UNSUBSCRIBED


def test_looking_changes_nothing(sessions, make, reader):
    with sessions.read() as session:
        assert subscribers.look_at(session, reader.id).status is SubscriptionStatus.ACTIVE

    assert make.again(reader) == reader


def test_a_subscription_that_is_gone_says_so(sessions):
    with pytest.raises(BadToken, match="no more mail"):
        _leave(sessions, 99)


def test_coming_back_takes_a_new_confirmation(sessions, make, reader):
    _leave(sessions, reader.id)
    later = NOW + timedelta(minutes=1)

    with sessions.begin() as session:
        subscribers.come_back(session, reader.id, POLICY, wording="I want it again.", ip="192.0.2.7", now=later)
    assert make.again(reader).status is SubscriptionStatus.PENDING

    consent = make.all(Consent)[-1]
    with sessions.begin() as session:
        subscribers.confirm(session, consent.id, LINKS, now=later)

    assert consent.wording == "I want it again."
    assert make.again(reader).status is SubscriptionStatus.ACTIVE
    assert [row.kind.value for row in make.all(Delivery)] == ["goodbye", "confirm", "welcome"]

    _leave(sessions, reader.id, now=later + timedelta(minutes=1))
    assert make.all(Delivery)[-1].kind is DeliveryKind.GOODBYE  # a second departure, a second goodbye


def test_coming_back_while_still_there_is_only_told(sessions, make, reader):
    with sessions.begin() as session:
        subscribers.come_back(session, reader.id, POLICY, wording="I want it.", ip="", now=NOW)

    assert [row.kind for row in make.all(Delivery)] == [DeliveryKind.ALREADY_SUBSCRIBED]


def test_all_that_is_known_of_an_address_can_be_shown(sessions, make):
    newsletter = make.newsletter()
    with sessions.begin() as session:
        subscribers.request(session, asking("ari", newsletter), POLICY, now=NOW)
    make.suppression("ari", SuppressionReason.COMPLAINT)

    with sessions.read() as session:
        shown = subscribers.show(session, parse_address("ARI@example.org"))

    assert json.loads(json.dumps(shown)) == shown
    assert (shown["address"], shown["suppressed"]) == ("ari@example.org", "complaint")
    assert shown["subscriptions"][0]["consent"]["wording"] == "I want it."
    assert [row["kind"] for row in shown["deliveries"]] == ["confirm"]


def test_who_is_no_subscriber_is_not_found(sessions):
    with sessions.read() as session, pytest.raises(NotFound, match=r"dana@example\.org"):
        subscribers.show(session, parse_address("dana@example.org"))


def test_subscribers_are_listed_page_by_page_and_counted_by_state(sessions, make):
    one, two = make.newsletter(), make.newsletter()
    for name in ("ari", "bora", "chan"):
        make.reader(name, one)
    make.reader("ari", two, status=SubscriptionStatus.UNSUBSCRIBED)

    with sessions.read() as session:
        first = subscribers.listing(session, limit=2)
        rest = subscribers.listing(session, after=first[-1].id)
        of_two = subscribers.listing(session, newsletter_id=two.id)
        counts = subscribers.counts(session)

    assert [row.address[:4] for row in (*first, *rest)] == ["ari@", "bora", "chan"]
    assert [row.address for row in of_two] == ["ari@example.org"]
    assert counts == {one.id: {SubscriptionStatus.ACTIVE: 3}, two.id: {SubscriptionStatus.UNSUBSCRIBED: 1}}
    assert len(make.all(Subscription)) == 4
