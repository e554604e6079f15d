from datetime import timedelta

import pytest
from factories import NOW

from newsletter.deliveries.brakes import LOOK_EVERY, SLOWEST, Brakes
from newsletter.deliveries.ledger import Claimed
from newsletter.deliveries.pauses import RESUMED
from newsletter.deliveries.verdicts import ACCEPTED, LOST, judge
from newsletter.errors import Reply
from newsletter.models import DeliveryKind, Pause, Suppression

RELAY = "mail.example.net:587"
ROW = Claimed(1, DeliveryKind.DIGEST, 1, 7, 1, 1, "ari@example.org", "en", {}, 1)
FINE = Reply(250, "2.0.0", "taken", RELAY, "dot")
GONE = Reply(550, "5.1.1", "no such user", RELAY, "rcpt")
SHUT = Reply(550, "5.7.1", "not from you", RELAY, "rcpt")
SPAM = Reply(554, "5.7.1", "looks like spam", RELAY, "dot")
FASTER_THAN_LIKED = Reply(421, "4.7.0", "too many", RELAY, "rcpt")
BUSY = Reply(421, "", "busy", RELAY, "greeting")
AWAY = Reply(0, "", "connection refused", RELAY, "connect")


@pytest.fixture
def brakes():
    """Return the brakes of a process that has sent nothing yet."""
    return Brakes()


def hear(brakes, reply, times=1, domain="example.org", issue=7):
    """Let the brakes hear a reply about so many deliveries."""
    row = ROW._replace(address=f"ari@{domain}", issue_id=issue)
    for _ in range(times):
        brakes.note(row, judge(reply), reply, RELAY)


def look(sessions, brakes, now=NOW):
    """Write down what is to be paused, and return what is."""
    with sessions.begin() as session:
        found = brakes.look(session, now=now)
    brakes.written()
    return found


def test_good_answers_pause_nothing(sessions, brakes):
    hear(brakes, FINE, 1000)

    found = look(sessions, brakes)

    assert (found.relays, found.domains, found.issues) == ({}, {}, {})


def test_a_relay_that_is_away_is_paused_each_time_longer_until_it_takes_mail_again(sessions, brakes):
    ends = []
    for now in (NOW, NOW + timedelta(hours=1), NOW + timedelta(hours=2)):
        brakes.troubled(RELAY, AWAY)
        ends.append(look(sessions, brakes, now).relay_paused(RELAY) - now)
    hear(brakes, FINE)
    brakes.troubled(RELAY, AWAY)
    again = NOW + timedelta(hours=3)

    assert ends == [timedelta(minutes=1), timedelta(minutes=2), timedelta(minutes=5)]
    assert look(sessions, brakes, again).relay_paused(RELAY) == again + timedelta(minutes=1)


def test_a_refusal_of_our_sender_pauses_the_relay_and_blames_nobody(sessions, make, brakes):
    hear(brakes, Reply(550, "5.7.1", "who are you", RELAY, "mail"))

    found = look(sessions, brakes)

    assert found.relay_paused(RELAY) == NOW + timedelta(minutes=15)
    assert (found.domains, found.issues, make.all(Suppression)) == ({}, {}, [])


def test_a_busy_relay_is_slowed_first_and_paused_when_it_stays_busy(sessions, brakes):
    brakes.troubled(RELAY, BUSY)
    assert brakes.window(RELAY, 16) == 8
    assert look(sessions, brakes).relay_paused(RELAY) is None

    brakes.troubled(RELAY, BUSY)

    assert look(sessions, brakes).relay_paused(RELAY)


def test_a_domain_that_refuses_us_is_paused_alone(sessions, brakes):
    hear(brakes, SHUT, 4)
    assert look(sessions, brakes).domains == {}

    hear(brakes, SHUT)

    found = look(sessions, brakes)
    assert found.domain_paused(RELAY, "example.org") == NOW + timedelta(hours=1)
    assert found.domain_paused(RELAY, "example.com") is found.relay_paused(RELAY) is found.issue_paused(7) is None


def test_only_when_several_domains_agree_the_relay_is_paused(sessions, brakes):
    for domain in ("a.example", "b.example"):
        hear(brakes, SHUT, 5, domain=domain)
    assert look(sessions, brakes).relays == {}

    hear(brakes, SHUT, 5, domain="c.example")

    assert look(sessions, brakes).relay_paused(RELAY) == NOW + timedelta(hours=1)


def test_a_content_that_several_domains_refuse_stops_the_issue_alone(sessions, brakes):
    hear(brakes, SPAM, 20)
    assert look(sessions, brakes).issues == {}  # one domain's taste

    for domain in ("a.example", "b.example"):
        hear(brakes, SPAM, domain=domain)

    found = look(sessions, brakes)
    assert found.issue_paused(7) == RESUMED
    assert (found.domains, found.relays) == ({}, {})


def test_sudden_hard_bounces_hold_the_issue_and_suppress_nobody(sessions, make, brakes):
    for number in range(200):
        hear(brakes, GONE if number % 20 == 19 else FINE, domain=f"d{number}.example")
    assert look(sessions, brakes).issues == {}  # one in twenty is usual

    hear(brakes, GONE, 1, domain="e.example")

    assert look(sessions, brakes).issue_paused(7) == RESUMED
    assert make.all(Suppression) == []
    (row,) = make.all(Pause)
    assert row.cause.startswith("11 of its last 200 recipients are said not to exist: rcpt: 550 5.1.1")


def test_many_gone_of_one_domain_hold_that_domain(sessions, brakes):
    hear(brakes, FINE, 16)
    hear(brakes, GONE, 5)

    found = look(sessions, brakes)

    assert found.domain_paused(RELAY, "example.org") == RESUMED
    assert found.issues == {}


def test_mails_to_persons_trip_no_breaker(sessions, brakes):
    hear(brakes, GONE, 100, issue=None)

    assert look(sessions, brakes).domains == {}


def test_after_it_tripped_a_breaker_counts_afresh(sessions, brakes):
    hear(brakes, GONE, 11, domain="a.example")
    look(sessions, brakes)

    hear(brakes, GONE, 9, domain="b.example")

    with sessions.begin() as session:
        assert not brakes._due  # noqa: SLF001 -- what a look would write
        assert brakes.look(session, now=NOW + LOOK_EVERY).issue_paused(7)


def test_a_domain_that_wants_less_gets_less_and_more_again_as_answers_are_good(brakes):
    hear(brakes, FASTER_THAN_LIKED)
    assert brakes.slowed(RELAY, 16) == {"example.org": 8}
    hear(brakes, FASTER_THAN_LIKED, 9)  # what was under way
    assert brakes.slowed(RELAY, 16) == {"example.org": 8}
    hear(brakes, FASTER_THAN_LIKED, 1000)
    assert brakes.slowed(RELAY, 64) == {"example.org": 64 * SLOWEST}

    hear(brakes, FINE, 30)

    assert 32 < brakes.slowed(RELAY, 64)["example.org"] < 64
    hear(brakes, FINE, 30)
    assert brakes.slowed(RELAY, 64) == {}
    assert brakes.window(RELAY, 16) == 16


def test_what_was_lost_or_put_off_counts_for_no_breaker(sessions, brakes):
    for _ in range(100):
        brakes.note(ROW, LOST, None, RELAY)
        brakes.note(ROW, ACCEPTED, FINE, RELAY)
    hear(brakes, Reply(450, "4.2.1", "later", RELAY, "rcpt"), 100)

    assert look(sessions, brakes).issues == {}


def test_a_write_that_failed_is_written_by_the_next(sessions, brakes):
    hear(brakes, SHUT, 5)
    with sessions.begin() as session:
        brakes.look(session, now=NOW)
        session.rollback()

    assert look(sessions, brakes).domains


def test_what_others_pause_is_seen_within_seconds(sessions, brakes):
    other = Brakes()
    look(sessions, brakes)
    hear(other, SHUT, 5)
    look(sessions, other)

    assert look(sessions, brakes, NOW + LOOK_EVERY / 2).domains == {}
    assert look(sessions, brakes, NOW + LOOK_EVERY).domains


def test_refusals_are_remembered_of_the_latest_issues_alone(brakes):
    for issue in range(100):
        hear(brakes, FINE, issue=issue)

    assert len(brakes._issues) == 50  # noqa: SLF001 -- what it costs to remember
