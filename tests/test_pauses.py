from datetime import timedelta

import pytest
from factories import NOW

from newsletter import alarms
from newsletter.deliveries import ledger, pauses
from newsletter.deliveries.pauses import RESUMED, Stop, Wait, wait_for
from newsletter.lifecycle import DeliveryStatus
from newsletter.models import Alarm, Lane, Pause, PauseScope

MINUTE = timedelta(minutes=1)
RELAY = "mail.example.net:587"
RELAY_AWAY = Stop(PauseScope.RELAY, RELAY, "connect: refused", NOW + MINUTE)
DOMAIN_SHUT = Stop(PauseScope.DOMAIN, f"{RELAY} example.org", "it refuses us", NOW + 60 * MINUTE)
ISSUE_HELD = Stop(PauseScope.ISSUE, "7", "nobody wants it", None)


@pytest.fixture
def pause(sessions):
    """Return `pause(stop, now)`."""

    def open_it(stop, now=NOW):
        with sessions.begin() as session:
            return pauses.pause(session, stop, now=now)

    return open_it


def _active(sessions, now=NOW):
    with sessions.read() as session:
        return pauses.active(session, now=now)


def _resume(sessions, stop, now=NOW):
    with sessions.begin() as session:
        return pauses.resume(session, stop.scope, stop.key, now=now)


def test_nothing_is_paused_at_first(sessions):
    found = _active(sessions)

    assert found.relay_paused(RELAY) is found.domain_paused(RELAY, "example.org") is found.issue_paused(7) is None
    assert found.issue_paused(None) is None


def test_what_is_paused_is_paused_until_its_time(sessions, pause):
    for stop in (RELAY_AWAY, DOMAIN_SHUT, ISSUE_HELD):
        assert pause(stop)

    found = _active(sessions)

    assert found.relay_paused(RELAY) == NOW + MINUTE
    assert found.domain_paused(RELAY, "example.org") == NOW + 60 * MINUTE
    assert found.domain_paused("other.example.net:587", "example.org") is None
    assert found.issue_paused(7) == RESUMED
    later = _active(sessions, NOW + 2 * MINUTE)
    assert (later.relay_paused(RELAY), later.issue_paused(7)) == (None, RESUMED)


@pytest.mark.parametrize(
    ("lengths", "lasts"),
    [
        ((MINUTE, 2 * MINUTE), NOW + 2 * MINUTE),
        ((2 * MINUTE, MINUTE), NOW + 2 * MINUTE),
        ((MINUTE, None), RESUMED),
        ((None, MINUTE), RESUMED),
    ],
)
def test_the_longer_of_two_pauses_holds(sessions, make, pause, lengths, lasts):
    for length in lengths:
        pause(Stop(PauseScope.RELAY, RELAY, "away", length and NOW + length))

    assert len(make.all(Pause)) == 1
    assert _active(sessions).relay_paused(RELAY) == lasts


def test_a_short_pause_alarms_nobody_and_one_that_goes_on_does_once(make, pause):
    pause(RELAY_AWAY)
    assert make.all(Alarm) == []

    for minutes in (4, 8, 12):
        pause(Stop(PauseScope.RELAY, RELAY, "connect: refused", NOW + minutes * MINUTE), NOW + (minutes - 2) * MINUTE)

    (alarm,) = make.all(Alarm)
    assert (alarm.cause, alarm.subject) == (f"pause:relay:{RELAY}", f"Nothing is sent over {RELAY}")
    assert alarm.detail == "connect: refused It goes on by itself at 00:17 UTC."


def test_a_pause_without_end_alarms_at_once_and_resuming_closes_both(sessions, make, pause):
    pause(ISSUE_HELD)
    (alarm,) = make.all(Alarm)
    assert (alarm.subject, alarm.closed_at) == ("Issue 7 is stopped", None)

    assert _resume(sessions, ISSUE_HELD, NOW + MINUTE)

    assert make.again(alarm).closed_at == NOW + MINUTE
    assert _active(sessions).issue_paused(7) is None
    assert not _resume(sessions, ISSUE_HELD)
    assert pause(ISSUE_HELD)


def _put_off(sessions, stop, *deliveries):
    until = stop.until or RESUMED
    with sessions.begin() as session:
        for lane in Lane:
            ledger.claim(session, lane, worker="one", limit=10, now=NOW)
        pauses.put_off(session, {wait_for(until, now=NOW): [row.id for row in deliveries]}, worker="one", now=NOW)


def test_what_a_pause_puts_off_waits_without_an_attempt_and_goes_on_when_it_is_resumed(sessions, make, pause):
    delivery, other = make.delivery(), make.delivery("bora@example.net", address="bora@example.net")
    pause(DOMAIN_SHUT)

    _put_off(sessions, DOMAIN_SHUT, delivery)

    waiting = make.again(delivery)
    assert (waiting.status, waiting.attempts, waiting.claimed_by) == (DeliveryStatus.DEFERRED, 0, "")
    assert (waiting.due_at, waiting.reason) == (NOW + 60 * MINUTE, "paused: until 2024-03-15 01:05 UTC")
    assert make.again(other).status is DeliveryStatus.CLAIMED
    _resume(sessions, DOMAIN_SHUT, NOW + MINUTE)
    assert make.again(delivery).due_at == NOW + MINUTE


def test_what_waits_for_something_else_is_not_brought_forward(sessions, make, pause):
    later = NOW + 30 * MINUTE
    delivery = make.delivery(status=DeliveryStatus.DEFERRED, reason="the server said later", due_at=later)
    elsewhere = make.delivery(
        address="bora@sub.example.org", status=DeliveryStatus.DEFERRED, reason=f"{pauses.REASON}…", due_at=later
    )
    pause(DOMAIN_SHUT)

    _resume(sessions, DOMAIN_SHUT)

    assert [make.again(row).due_at for row in (delivery, elsewhere)] == [later, later]


def test_only_its_worker_puts_a_delivery_off(sessions, make):
    delivery = make.delivery()
    with sessions.begin() as session:
        ledger.claim(session, Lane.PERSON, worker="other", limit=1, now=NOW)
        pauses.put_off(session, {Wait(NOW + MINUTE, "no"): [delivery.id]}, worker="one", now=NOW)

    assert make.again(delivery).status is DeliveryStatus.CLAIMED


def test_what_waits_for_a_person_is_looked_at_again_within_the_hour():
    assert wait_for(RESUMED, now=NOW) == Wait(NOW + pauses.LOOK_AGAIN, "paused: until it is resumed")


def test_the_domains_paused_over_a_relay_are_counted(sessions, pause):
    for domain in ("a.example", "b.example"):
        pause(Stop(PauseScope.DOMAIN, pauses.domain_key(RELAY, domain), "no", NOW + MINUTE))
    pause(Stop(PauseScope.DOMAIN, pauses.domain_key("other:25", "c.example"), "no", NOW + MINUTE))

    with sessions.read() as session:
        assert [pauses.paused_domains(session, RELAY, now=NOW + late) for late in (timedelta(), MINUTE)] == [2, 0]
        assert len(alarms.open_alarms(session)) == 0
