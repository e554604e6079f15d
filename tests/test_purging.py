from datetime import timedelta
from threading import Thread

import pytest
from factories import LINKS, NOW, POLICY, asking
from import_parts import bring_in, written
from sqlalchemy import update

from newsletter import subscribers
from newsletter.lifecycle import DeliveryStatus, SubscriptionStatus
from newsletter.models import AddressChange, Bounce, BounceKind, Consent, Delivery, Subscriber, Subscription, Suppression
from newsletter.subscribers import IPS_KEPT, UNCONFIRMED_KEPT, Purged, parse_address

LATER = NOW + UNCONFIRMED_KEPT + timedelta(seconds=1)


@pytest.fixture
def newsletter(make):
    return make.newsletter()


@pytest.fixture
def ask(sessions):
    """Return `ask(name, *newsletters, now=…)`, which signs up and has the mail sent."""

    def sign_up(name, *newsletters, now=NOW, **changes):
        with sessions.begin() as session:
            subscribers.request(session, asking(name, *newsletters, **changes), POLICY, now=now)
            session.execute(update(Delivery).values(status=DeliveryStatus.SENT))

    return sign_up


def confirm(sessions, consent_id=1, now=NOW):
    with sessions.begin() as session:
        subscribers.confirm(session, consent_id, LINKS, ip="192.0.2.9", now=now)


def test_a_sign_up_that_nobody_confirmed_is_forgotten_after_a_fortnight(sessions, make, newsletter, ask):
    ask("ari", newsletter)

    assert subscribers.purge(sessions, now=NOW + UNCONFIRMED_KEPT) == Purged()
    assert subscribers.purge(sessions, now=LATER) == Purged(subscriptions=1, requests=1, subscribers=1)

    assert [make.all(table) for table in (Subscriber, Consent, Subscription)] == [[], [], []]
    assert subscribers.purge(sessions, now=LATER) == Purged()


def test_of_their_mails_it_is_kept_that_they_were(sessions, make, newsletter, ask):
    ask("ari", newsletter)
    mail = make.all(Delivery)[0]
    make.add(Bounce(delivery_id=mail.id, kind=BounceKind.HARD, reason="no ari", report_key="1", received_at=NOW))

    subscribers.purge(sessions, now=LATER)

    (mail,), (bounce,) = make.all(Delivery), make.all(Bounce)
    assert (mail.address, mail.values, mail.subscriber_id, mail.status) == ("", {}, None, DeliveryStatus.SENT)
    assert bounce.reason == ""


def test_who_signs_up_again_after_it_gets_a_mail(sessions, make, newsletter, ask):
    ask("ari", newsletter)
    subscribers.purge(sessions, now=LATER)

    ask("ari", newsletter, now=LATER)

    assert [mail.address for mail in make.all(Delivery)] == ["", "ari@example.org"]


def test_who_confirmed_stays_and_loses_only_the_request_that_was_not(sessions, make, newsletter, ask):
    other = make.newsletter()
    ask("ari", newsletter)
    confirm(sessions)
    ask("ari", other)

    assert subscribers.purge(sessions, now=LATER) == Purged(subscriptions=1, requests=1)

    assert [row.newsletter_id for row in make.all(Subscription)] == [newsletter.id]
    assert [row.id for row in make.all(Consent)] == [1]


def test_a_request_made_again_counts_from_the_last(sessions, make, newsletter, ask):
    ask("ari", newsletter)
    ask("ari", newsletter, now=NOW + timedelta(days=1))

    assert subscribers.purge(sessions, now=LATER) == Purged(requests=1)
    assert make.all(Subscription)[0].status is SubscriptionStatus.PENDING


def test_who_left_stays_as_they_are(sessions, make, newsletter, ask):
    left_at = NOW - timedelta(days=100)
    status = SubscriptionStatus.UNSUBSCRIBED
    before = make.reader("ari", newsletter, status=status, unsubscribed_at=left_at, unsubscribed_by="page")
    ask("ari", newsletter)
    assert make.again(before).status is SubscriptionStatus.PENDING

    subscribers.purge(sessions, now=LATER)

    after = make.again(before)
    assert (after.status, after.unsubscribed_at, after.unsubscribed_by) == (status, left_at, "page")


def test_who_left_before_they_confirmed_is_not_forgotten(sessions, make, newsletter, ask):
    ask("ari", newsletter)
    with sessions.begin() as session:
        subscribers.unsubscribe(session, 1, by="page", now=NOW + timedelta(hours=1))

    subscribers.purge(sessions, now=LATER)

    assert [row.status for row in make.all(Subscription)] == [SubscriptionStatus.UNSUBSCRIBED]


def test_who_was_suppressed_stays_known(sessions, make, newsletter, ask):
    make.suppression("ari")
    ask("ari", newsletter)

    assert subscribers.purge(sessions, now=LATER) == Purged(subscriptions=1, requests=1)
    assert len(make.all(Subscriber)) == 1


def test_nobody_brings_the_erased_back_by_typing_their_address(sessions, make, newsletter, ask):
    with sessions.begin() as session:
        subscribers.erase(session, parse_address("ari@example.org"), POLICY, now=NOW - timedelta(days=1))
    ask("ari", newsletter)

    assert subscribers.purge(sessions, now=LATER) == Purged(subscriptions=1, requests=1, subscribers=1)
    assert [mail.address for mail in make.all(Delivery)] == [""]
    assert len(make.all(Suppression)) == 1


def test_what_a_file_brought_waits_from_then_on_however_old_it_is(sessions, make, newsletter, tmp_path):
    path = written(tmp_path, "email,consent_requested_at", "ari@example.org,2020-01-02")
    bring_in(sessions, path, newsletter.slug, confirmations=True)

    assert subscribers.purge(sessions, now=NOW + timedelta(days=2)) == Purged()
    confirm(sessions, now=NOW + timedelta(days=2))
    assert make.all(Subscription)[0].status is SubscriptionStatus.ACTIVE


def test_what_a_file_brought_and_nobody_confirmed_is_forgotten_a_fortnight_after_its_link_expired(
    sessions, make, newsletter, tmp_path
):
    bring_in(sessions, written(tmp_path, "email", "ari@example.org"), newsletter.slug)

    expired = NOW + POLICY.confirm_within
    assert subscribers.purge(sessions, now=expired + UNCONFIRMED_KEPT) == Purged()
    assert subscribers.purge(sessions, now=expired + UNCONFIRMED_KEPT + timedelta(seconds=1)).subscribers == 1


@pytest.mark.parametrize("status", [DeliveryStatus.QUEUED, DeliveryStatus.SENDING, DeliveryStatus.UNKNOWN])
def test_who_is_about_to_get_a_mail_stays_until_it_has_ended(sessions, make, newsletter, ask, status):
    ask("ari", newsletter)
    with sessions.begin() as session:
        session.get_one(Delivery, 1).status = status

    assert subscribers.purge(sessions, now=LATER).subscribers == 0


def test_the_active_are_never_touched_however_old(sessions, make, newsletter):
    rows = [make.reader("ari", newsletter), make.reader("bora", newsletter)]

    subscribers.purge(sessions, now=NOW + timedelta(days=4000))

    assert [make.again(row) for row in rows] == rows
    assert len(make.all(Consent)) == 2


def test_ip_addresses_are_blanked_some_time_after_the_confirmation(sessions, make, newsletter, ask):
    ask("ari", newsletter)
    confirm(sessions, now=NOW + timedelta(days=2))
    change = {"old_address": "ari@example.org", "new_address": "a@example.org", "new_address_key": "a@example.org"}
    make.add(AddressChange(subscriber_id=1, requested_at=NOW, requested_ip="192.0.2.7", expires_at=NOW, **change))

    assert subscribers.purge(sessions, now=NOW + IPS_KEPT).ips == 0
    assert make.all(Consent)[0].requested_ip == "192.0.2.7"
    assert subscribers.purge(sessions, now=NOW + IPS_KEPT + timedelta(days=3)).ips == 1

    (consent,) = make.all(Consent)
    assert (consent.requested_ip, consent.confirmed_ip, consent.wording) == ("", "", "I want it.")
    assert consent.confirmed_at
    assert make.all(AddressChange)[0].requested_ip == ""


def test_many_are_forgotten_in_batches(sessions, make, newsletter):
    for name in ("ari", "bora", "chan", "dana", "eli"):
        make.subscriber(name)

    assert subscribers.purge(sessions, now=NOW, batch=2).subscribers == 5


def test_who_signs_up_while_it_runs_is_not_lost(sessions, make, newsletter):
    for number in range(30):
        make.subscriber(f"reader{number}")
    errors = []

    def sign_up():
        try:
            for number in range(29, -1, -1):
                with sessions.begin() as session:
                    asked = asking(f"reader{number}", newsletter)
                    subscribers.request(session, asked, POLICY, now=NOW)
        except Exception as error:  # noqa: BLE001 -- shown by the assertion
            errors.append(error)

    thread = Thread(target=sign_up)
    thread.start()
    while thread.is_alive():
        subscribers.purge(sessions, now=NOW)
    thread.join()

    assert errors == []
    assert [len(make.all(table)) for table in (Subscriber, Subscription, Consent, Delivery)] == [30] * 4
