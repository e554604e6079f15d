from datetime import UTC, datetime, timedelta
from threading import Thread

import pytest
from factories import DAY, NOW

from newsletter import deliveries, issues
from newsletter.deliveries import Mail, enqueue
from newsletter.lifecycle import DeliveryStatus, SubscriptionStatus
from newsletter.models import Cadence, Delivery, DeliveryKind, DueTime, Lane, Subscriber, Subscription


@pytest.fixture
def newsletter(make):
    """Return a newsletter with a ready issue and no readers."""
    made = make.newsletter()
    make.issue(made)
    return made


def _publish(sessions, issue_id=1, now=NOW):
    with sessions.begin() as session:
        return issues.publish(session, issue_id, now=now)


def _queued(make):
    return sorted(row.address.partition("@")[0] for row in make.all(Delivery, kind=DeliveryKind.DIGEST))


def test_a_mail_asked_for_twice_is_one_mail(sessions, make, newsletter):
    mail = Mail(DeliveryKind.GOODBYE, "goodbye:1:1", "ari@example.org", newsletter.id)

    with sessions.begin() as session:
        assert enqueue(session, mail, now=NOW)
        assert not enqueue(session, mail, now=NOW)

    (row,) = make.all(Delivery)
    assert (row.lane, row.due_at, row.give_up_at) == (Lane.PERSON, NOW, NOW + timedelta(hours=24))


def test_a_mail_is_in_the_outbox_only_if_its_reason_is_committed(sessions, make, newsletter):
    mail = Mail(DeliveryKind.GOODBYE, "goodbye:1:1", "ari@example.org", newsletter.id)

    def break_off():
        with sessions.begin() as session:
            enqueue(session, mail, now=NOW)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()
    assert make.all(Delivery) == []


def test_exactly_those_get_an_issue_whom_it_is_owed(sessions, make, newsletter):
    other = make.newsletter()
    make.reader("ari", newsletter)
    make.reader("bora", newsletter, confirmed_at=NOW)  # at the moment of publication
    make.reader("back", newsletter, paused_until=DAY)
    make.reader("pending", newsletter, status=SubscriptionStatus.PENDING, confirmed_at=None)
    make.reader("left", newsletter, status=SubscriptionStatus.UNSUBSCRIBED)
    make.reader("paused", newsletter, paused_until=NOW.date() + timedelta(days=1))
    make.reader("weekly", newsletter, cadence=Cadence.WEEKLY)
    make.reader("late", newsletter, confirmed_at=NOW + timedelta(microseconds=1))
    make.reader("elsewhere", other)
    make.reader("suppressed", newsletter)
    make.suppression("suppressed")

    assert _publish(sessions) == 3
    assert _queued(make) == ["ari", "back", "bora"]


def test_publishing_again_adds_nobody_twice_and_whoever_is_missing(sessions, make, newsletter):
    make.reader("ari", newsletter)
    assert _publish(sessions) == 1
    make.reader("bora", newsletter)

    assert _publish(sessions, now=NOW + timedelta(hours=1)) == 1
    assert _publish(sessions) == 0
    assert _queued(make) == ["ari", "bora"]


def test_an_issue_published_by_two_at_once_reaches_everybody_once(sessions, make, newsletter):
    for number in range(20):
        make.reader(f"reader-{number}", newsletter)
    queued = []
    threads = [Thread(target=lambda: queued.append(_publish(sessions))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(queued) == [0, 20]
    assert len(_queued(make)) == 20


@pytest.mark.parametrize(
    ("theirs", "readers", "due"),  # hour and zone of the newsletter; hour, zone and subscriber's zone of the reader
    [
        ((None, "UTC"), (None, "", ""), NOW),
        ((7, "Asia/Seoul"), (None, "", ""), datetime(2024, 3, 15, 22, 0, tzinfo=UTC)),
        ((9, "Asia/Seoul"), (None, "", ""), datetime(2024, 3, 16, 0, 0, tzinfo=UTC)),
        ((7, "Asia/Seoul"), (None, "", "Europe/Berlin"), datetime(2024, 3, 15, 6, 0, tzinfo=UTC)),
        ((7, "Asia/Seoul"), (8, "America/New_York", "Europe/Berlin"), datetime(2024, 3, 15, 12, 0, tzinfo=UTC)),
        ((None, "Asia/Seoul"), (0, "", ""), datetime(2024, 3, 15, 15, 0, tzinfo=UTC)),
    ],
)
def test_a_digest_is_due_at_the_readers_hour(sessions, make, theirs, readers, due):
    newsletter = make.newsletter(send_hour=theirs[0], zone=theirs[1], give_up_hours=5)
    make.issue(newsletter)
    subscription = make.reader("ari", newsletter, zone=readers[2], send_hour=readers[0])
    with sessions.begin() as session:
        session.get(Subscription, subscription.id).zone = readers[1]

    _publish(sessions)

    (row,) = make.all(Delivery)
    assert (row.due_at, row.give_up_at, row.lane) == (due, due + timedelta(hours=5), Lane.LIST)


def test_one_readers_odd_zone_holds_up_nobody(sessions, make, newsletter):
    make.reader("ari", newsletter, zone="Mars/Olympus", send_hour=7)
    make.reader("bora", newsletter)

    assert _publish(sessions) == 2
    due = {row.address: row.due_at for row in make.all(Delivery)}
    assert due["ari@example.org"] == datetime(2024, 3, 15, 7, 0, tzinfo=UTC)  # by the newsletter's


def test_due_times_are_reckoned_once_for_all_who_share_them(sessions, make, newsletter):
    for number in range(5):
        make.reader(f"reader-{number}", newsletter, send_hour=number % 2, zone="Asia/Seoul")

    _publish(sessions)

    assert [(row.zone, row.send_hour) for row in make.all(DueTime)] in (
        [("Asia/Seoul", 0), ("Asia/Seoul", 1)],
        [("Asia/Seoul", 1), ("Asia/Seoul", 0)],
    )


def test_who_changes_their_zone_while_an_issue_is_published_still_gets_it(sessions, make, newsletter):
    subscription = make.reader("ari", newsletter)
    _publish(sessions)
    with sessions.begin() as session:  # as if the change had come between the reckoning and the insertion
        session.delete(session.get(Delivery, 1))
        session.get(Subscriber, subscription.subscriber_id).zone = "Asia/Seoul"

    assert _publish(sessions) == 1


def test_deliveries_are_counted_by_state(sessions, make, newsletter):
    make.reader("ari", newsletter)
    make.reader("bora", newsletter)
    _publish(sessions)

    with sessions.read() as session:
        assert deliveries.counts(session, 1) == {DeliveryStatus.QUEUED: 2}
        assert deliveries.counts(session, 99) == {}
