from datetime import timedelta
from threading import Barrier, Thread

import pytest
from factories import LINKS, LONG_AGO, NOW, POLICY, asking

from newsletter import subscribers
from newsletter.errors import BadInput, BadToken
from newsletter.lifecycle import IssueStatus, SubscriptionStatus
from newsletter.models import Cadence, Consent, Delivery, DeliveryKind, Subscriber, Subscription, Suppression
from newsletter.subscribers import parse_address

LATER = NOW + timedelta(minutes=5)


@pytest.fixture
def newsletter(make):
    """Return a newsletter."""
    return make.newsletter()


def _ask(sessions, asked, now=NOW):
    with sessions.begin() as session:
        subscribers.request(session, asked, POLICY, now=now)


def _confirm(sessions, consent_id=1, now=LATER, ip="192.0.2.9"):
    with sessions.begin() as session:
        return subscribers.confirm(session, consent_id, LINKS, ip=ip, now=now)


def _leave(sessions, subscription_id=1, now=LATER):
    with sessions.begin() as session:
        return subscribers.unsubscribe(session, subscription_id, by="page", now=now)


def _statuses(make):
    return [row.status for row in make.all(Subscription)]


def _mails(make):
    return [row.kind.value for row in make.all(Delivery)]


def test_asking_makes_nothing_but_a_mail_that_asks_to_confirm(sessions, make, newsletter):
    _ask(sessions, asking("ari", newsletter))

    assert _statuses(make) == [SubscriptionStatus.PENDING]
    (mail,) = make.all(Delivery)
    assert (mail.kind, mail.address, mail.subscription_id) == (DeliveryKind.CONFIRM, "ari@example.org", None)
    assert mail.values["consent_id"] == 1
    assert mail.values["expires_at"] == (NOW + timedelta(hours=72)).isoformat()
    assert mail.values["slots"]["hours"] == 72


def test_confirming_makes_the_subscription_active_and_says_welcome(sessions, make, newsletter):
    _ask(sessions, asking("ari", newsletter))

    asked = _confirm(sessions)

    assert (asked.confirmed, asked.titles) == (True, ("Daily Papers",))
    (row,) = make.all(Subscription)
    assert (row.status, row.confirmed_at) == (SubscriptionStatus.ACTIVE, LATER)
    assert _mails(make) == ["confirm", "welcome"]


def test_the_evidence_says_who_agreed_to_what_when_and_from_where(sessions, make, newsletter):
    _ask(sessions, asking("ari", newsletter, wording="I want Daily Papers.", ip="192.0.2.7"))
    _confirm(sessions, ip="192.0.2.9")

    (row,) = make.all(Consent)
    assert (row.newsletter_ids, row.source, row.wording) == ([newsletter.id], "page", "I want Daily Papers.")
    assert row.wording_version
    assert (row.requested_at, row.requested_ip) == (NOW, "192.0.2.7")
    assert (row.confirmed_at, row.confirmed_ip) == (LATER, "192.0.2.9")


def test_looking_at_a_request_changes_nothing(sessions, make, newsletter):
    _ask(sessions, asking("ari", newsletter))

    with sessions.read() as session:
        asked = subscribers.look_at_request(session, 1)

    assert not asked.confirmed
    assert _statuses(make) == [SubscriptionStatus.PENDING]


def test_confirming_twice_changes_nothing_more(sessions, make, newsletter):
    _ask(sessions, asking("ari", newsletter))
    _confirm(sessions)
    before = (make.all(Subscription), make.all(Consent), make.all(Delivery))

    assert _confirm(sessions, now=LATER + timedelta(hours=1)).confirmed
    assert (make.all(Subscription), make.all(Consent), make.all(Delivery)) == before


def test_confirming_twice_at_once_welcomes_once(sessions, make, newsletter):
    _ask(sessions, asking("ari", newsletter))
    threads = [Thread(target=_confirm, args=(sessions,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert _mails(make) == ["confirm", "welcome"]


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_the_link_of_either_request_works(sessions, make, newsletter, order):
    _ask(sessions, asking("ari", newsletter))
    _ask(sessions, asking("ari", newsletter), now=NOW + timedelta(minutes=1))

    assert [_confirm(sessions, consent_id).confirmed for consent_id in order] == [True, True]
    (row,) = make.all(Subscription)
    assert (row.status, row.consent_id) == (SubscriptionStatus.ACTIVE, order[0])
    assert _mails(make) == ["confirm", "confirm", "welcome"]


def test_one_confirmation_makes_all_that_was_asked_for_active(sessions, make, newsletter):
    other = make.newsletter(title="Weekly", cadences=["weekly"])
    make.newsletter()
    _ask(sessions, asking("ari", newsletter, other))

    assert _confirm(sessions).titles == ("Daily Papers", "Weekly")
    assert _statuses(make) == [SubscriptionStatus.ACTIVE] * 2
    assert [row.cadence for row in make.all(Subscription)] == [Cadence.DAILY, Cadence.WEEKLY]
    assert _mails(make) == ["confirm", "welcome", "welcome"]


def test_a_request_confirms_only_what_it_asked_for(sessions, make, newsletter):
    other = make.newsletter()
    _ask(sessions, asking("ari", newsletter))
    _ask(sessions, asking("ari", other))

    _confirm(sessions, 1)

    assert _statuses(make) == [SubscriptionStatus.ACTIVE, SubscriptionStatus.PENDING]


def test_an_old_link_brings_nobody_back_who_left(sessions, make, newsletter):
    _ask(sessions, asking("ari", newsletter))
    _confirm(sessions)
    _leave(sessions)

    _confirm(sessions, now=LATER + timedelta(minutes=1))
    assert _statuses(make) == [SubscriptionStatus.UNSUBSCRIBED]

    _ask(sessions, asking("ari", newsletter), now=LATER + timedelta(minutes=2))
    _confirm(sessions, 1, now=LATER + timedelta(minutes=3))
    assert _statuses(make) == [SubscriptionStatus.PENDING]
    _confirm(sessions, 2, now=LATER + timedelta(minutes=3))
    assert _statuses(make) == [SubscriptionStatus.ACTIVE]


def test_an_unused_link_from_before_the_departure_brings_nobody_back(sessions, make, newsletter):
    _ask(sessions, asking("ari", newsletter))
    _ask(sessions, asking("ari", newsletter))
    _confirm(sessions, 1)
    _leave(sessions)

    assert not _confirm(sessions, 2, now=LATER + timedelta(minutes=1)).confirmed
    assert _statuses(make) == [SubscriptionStatus.UNSUBSCRIBED]


def test_nobody_floods_a_mailbox_through_the_form(sessions, make, newsletter):
    for minutes in range(6):
        _ask(sessions, asking("ari", newsletter), now=NOW + timedelta(minutes=minutes))
    assert _mails(make) == ["confirm"] * 3
    assert len(make.all(Consent)) == 3

    _ask(sessions, asking("ari", newsletter), now=NOW + timedelta(days=1))
    assert _mails(make) == ["confirm"] * 4


def test_who_is_subscribed_is_told_by_mail_once_a_day(sessions, make, newsletter):
    make.reader("ari", newsletter)

    for hours in (0, 1, 24):
        _ask(sessions, asking("ari", newsletter), now=NOW + timedelta(hours=hours))

    assert _mails(make) == ["already-subscribed"] * 2
    assert _statuses(make) == [SubscriptionStatus.ACTIVE]
    assert len(make.all(Consent)) == 1  # what a stranger typed is no evidence


def test_who_asks_for_more_confirms_only_what_is_new(sessions, make, newsletter):
    other = make.newsletter(title="Weekly")
    make.reader("ari", newsletter)

    _ask(sessions, asking("ari", newsletter, other))

    assert _mails(make) == ["already-subscribed", "confirm"]
    assert make.all(Consent)[-1].newsletter_ids == [other.id]


@pytest.mark.parametrize("status", SubscriptionStatus)
def test_the_suppressed_come_back_by_their_own_confirmation_alone(sessions, make, newsletter, status):
    confirmed_at = None if status is SubscriptionStatus.PENDING else LONG_AGO
    left_at = LONG_AGO if status is SubscriptionStatus.UNSUBSCRIBED else None
    make.reader("ari", newsletter, status=status, confirmed_at=confirmed_at, unsubscribed_at=left_at)
    make.suppression("ari")

    _ask(sessions, asking("ari", newsletter))
    assert len(make.all(Suppression)) == 1
    assert _mails(make) == ["confirm"]

    assert _confirm(sessions, 2).confirmed
    assert make.all(Suppression) == []
    assert _statuses(make) == [SubscriptionStatus.ACTIVE]


def test_an_old_link_takes_back_no_complaint(sessions, make, newsletter):
    _ask(sessions, asking("ari", newsletter), now=NOW - timedelta(minutes=2))
    _ask(sessions, asking("ari", newsletter), now=NOW - timedelta(minutes=1))
    _confirm(sessions, 1, now=NOW - timedelta(seconds=1))
    make.suppression("ari")

    _confirm(sessions, 1)
    _confirm(sessions, 2)

    assert len(make.all(Suppression)) == 1


def test_what_was_chosen_holds_once_it_is_confirmed(sessions, make):
    both = make.newsletter(cadences=["daily", "weekly"])
    make.reader("ari", both, status=SubscriptionStatus.UNSUBSCRIBED, unsubscribed_at=LONG_AGO)

    _ask(sessions, asking("ari", both, cadences={both.id: Cadence.WEEKLY}, language="ko"))
    assert make.all(Subscription)[0].cadence is Cadence.DAILY  # anybody can ask
    assert (make.all(Consent)[-1].cadences, make.all(Consent)[-1].language) == ({str(both.id): "weekly"}, "ko")

    _confirm(sessions, 2)
    assert make.all(Subscription)[0].cadence is Cadence.WEEKLY


def test_of_two_requests_that_which_is_confirmed_holds(sessions, make):
    both = make.newsletter(cadences=["daily", "weekly"])
    _ask(sessions, asking("ari", both, cadences={both.id: Cadence.WEEKLY}))
    _ask(sessions, asking("ari", both, cadences={both.id: Cadence.DAILY}))

    _confirm(sessions, 2)
    assert make.all(Subscription)[0].cadence is Cadence.DAILY
    _confirm(sessions, 1)  # an old mail, opened late
    assert make.all(Subscription)[0].cadence is Cadence.DAILY


def test_what_the_suppressed_chose_holds_when_they_come_back(sessions, make):
    both = make.newsletter(cadences=["daily", "weekly"])
    make.reader("ari", both)
    make.suppression("ari")
    _ask(sessions, asking("ari", both, cadences={both.id: Cadence.WEEKLY}))

    _confirm(sessions, 2)

    assert make.all(Subscription)[0].cadence is Cadence.WEEKLY


def test_two_spellings_make_one_subscriber(sessions, make, newsletter):
    _ask(sessions, asking("ari", newsletter))
    _ask(sessions, asking("ari", newsletter, address=parse_address("ARI@Example.ORG")))

    assert [row.address for row in make.all(Subscriber)] == ["ari@example.org"]


@pytest.mark.parametrize("known", [False, True])
def test_requests_at_once_make_one_subscription(sessions, make, newsletter, known):
    if known:
        make.subscriber("ari")
    start, errors = Barrier(4), []

    def ask():
        start.wait()
        try:
            _ask(sessions, asking("ari", newsletter))
        except Exception as error:  # noqa: BLE001 -- shown by the assertion
            errors.append(error)

    threads = [Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert len(make.all(Subscriber)) == len(make.all(Subscription)) == 1
    assert _mails(make) == ["confirm"] * 3


@pytest.mark.parametrize(("zone", "kept"), [("Asia/Seoul", "Asia/Seoul"), ("Mars/Olympus", ""), ("../etc/passwd", ""), ("", "")])
def test_a_zone_is_kept_only_if_there_is_one(sessions, make, newsletter, zone, kept):
    _ask(sessions, asking("ari", newsletter, zone=zone))

    assert make.all(Subscriber)[0].zone == kept


@pytest.mark.parametrize("ids", [(), (99,), (1, 99)])
def test_asking_for_what_there_is_not_is_refused_and_leaves_no_trace(sessions, make, newsletter, ids):
    with pytest.raises(BadInput, match="newsletter"):
        _ask(sessions, asking("ari", newsletter, newsletter_ids=ids))

    assert make.all(Subscriber) == []


def test_a_request_that_is_gone_says_what_to_do(sessions, newsletter):
    with pytest.raises(BadToken) as caught:
        _confirm(sessions, 99)

    assert "Sign up again" in caught.value.hint


def test_the_welcome_tells_the_hour_and_leads_to_the_latest_issue(sessions, make):
    newsletter = make.newsletter(send_hour=7, zone="Asia/Seoul")
    issue = make.issue(newsletter, IssueStatus.PUBLISHED)
    _ask(sessions, asking("ari", newsletter))
    _confirm(sessions)

    values = make.all(Delivery, kind=DeliveryKind.WELCOME)[0].values
    assert (values["send_hour"], values["zone"]) == (7, "Asia/Seoul")
    assert values["latest_url"] == LINKS.issue(newsletter.slug, "2024-03-14")
    assert values["latest_title"] == issue.subject


def _add_recorded(sessions, asked):
    with sessions.begin() as session:
        return subscribers.add_recorded(session, asked, POLICY, now=NOW)


def test_consent_on_record_elsewhere_makes_an_unknown_address_active(sessions, make, newsletter):
    asked = asking("ari", newsletter, source="import", wording="Signed at the conference, 2 March 2024")

    assert _add_recorded(sessions, asked) == ["Daily Papers"]

    assert _statuses(make) == [SubscriptionStatus.ACTIVE]
    assert (make.all(Consent)[0].source, make.all(Consent)[0].confirmed_at) == ("import", NOW)
    assert _mails(make) == []
    assert _add_recorded(sessions, asked) == []


@pytest.mark.parametrize("status", SubscriptionStatus)
def test_no_import_overrides_what_a_person_decided(sessions, make, newsletter, status):
    confirmed_at = None if status is SubscriptionStatus.PENDING else LONG_AGO
    before = make.reader("ari", newsletter, status=status, confirmed_at=confirmed_at)

    assert _add_recorded(sessions, asking("ari", newsletter, source="import")) == []
    assert make.again(before) == before


def test_no_import_brings_back_the_suppressed_nor_keeps_their_address(sessions, make, newsletter):
    make.suppression("ari")

    assert _add_recorded(sessions, asking("ari", newsletter, source="import")) == []
    assert make.all(Subscriber) == []
