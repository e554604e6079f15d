from datetime import timedelta

import pytest
from factories import NOW

from newsletter.deliveries import attempts, ledger, recover
from newsletter.deliveries.ledger import SENDING_LEASE, Outcome
from newsletter.errors import Reply
from newsletter.lifecycle import DeliveryEvent, DeliveryStatus
from newsletter.models import Attempt, Delivery, Lane

BUSY = Reply(451, "4.3.0", "busy", "mx.example.org", "rcpt")
GONE = Reply(550, "5.1.1", "no such user", "mx.example.org", "rcpt")
TAKEN = Reply(250, "2.0.0", "taken", "mx.example.org", "dot")
DEFERRED, FAILED, UNKNOWN, SENT = (
    DeliveryStatus.DEFERRED,
    DeliveryStatus.FAILED,
    DeliveryStatus.UNKNOWN,
    DeliveryStatus.SENT,
)


@pytest.fixture
def begin(sessions, make):
    """Return `begin(minutes)`: two mails are begun by a worker, so many minutes after they were due; their ids."""
    newsletter = make.newsletter()
    for name in ("ari", "bora"):
        make.delivery(name, newsletter_id=newsletter.id)

    def begun(minutes=0, worker="one"):
        now = NOW + timedelta(minutes=minutes)
        with sessions.begin() as session:
            ids = [row.id for row in ledger.claim(session, Lane.PERSON, worker=worker, limit=9, now=now)]
            ledger.begin(session, ids, worker=worker, now=now)
        return ids

    return begun


def record(sessions, event, *ids, minutes=0, worker="one", **more):
    with sessions.begin() as session:
        now = NOW + timedelta(minutes=minutes)
        ledger.record(session, [Outcome(number, event, **more) for number in ids], worker=worker, now=now)


def history(sessions, delivery_id):
    with sessions.read() as session:
        return [(row.number, row.status, row.reply_code, row.at - NOW) for row in attempts.of(session, delivery_id)]


def minutes(number):
    return timedelta(minutes=number)


def test_what_each_try_came_to_is_kept_in_the_servers_words(sessions, make, begin):
    ari, bora = begin()
    record(sessions, DeliveryEvent.PUT_OFF, ari, bora, reply=BUSY, reason="the server said later", minutes=1)
    begin(2)
    record(sessions, DeliveryEvent.REFUSE, ari, reply=GONE, reason="the address does not exist", minutes=3)
    record(sessions, DeliveryEvent.ACCEPT, bora, reply=TAKEN, minutes=3)

    assert history(sessions, ari) == [(1, DEFERRED, 451, minutes(1)), (2, FAILED, 550, minutes(3))]
    assert history(sessions, bora) == [(1, DEFERRED, 451, minutes(1))]
    first, _ = make.all(Attempt, delivery_id=ari)
    assert (first.reason, first.reply_enhanced, first.reply_text) == ("the server said later", "4.3.0", "busy")
    assert (first.reply_phase, first.reply_server) == ("rcpt", "mx.example.org")


def test_a_mail_that_is_sent_at_once_costs_nothing(sessions, make, begin):
    record(sessions, DeliveryEvent.ACCEPT, *begin(), reply=TAKEN)

    assert make.all(Attempt) == []


def test_what_was_never_begun_was_no_try(sessions, make, begin):
    record(sessions, DeliveryEvent.GIVE_BACK, *begin(), reply=BUSY)

    assert make.all(Attempt) == []


def test_an_outcome_that_is_told_twice_is_one_try(sessions, begin):
    ari, _ = begin()
    for at in (1, 1, 2):
        record(sessions, DeliveryEvent.PUT_OFF, ari, reply=BUSY, minutes=at)

    assert history(sessions, ari) == [(1, DEFERRED, 451, minutes(1))]


def test_what_somebody_else_says_of_a_mail_is_not_kept(sessions, make, begin):
    record(sessions, DeliveryEvent.REFUSE, *begin(), reply=GONE, worker="two")

    assert make.all(Attempt) == []


def test_a_try_of_which_no_end_is_known_is_kept_and_so_is_the_answer_that_comes_to_light(sessions, make, begin):
    ari, bora = begin()
    late = SENDING_LEASE + minutes(1)
    with sessions.begin() as session:
        assert recover(session, hold_unknown=True, now=NOW + late).lost == 2
    record(sessions, DeliveryEvent.REFUSE, ari, reply=GONE, minutes=30)

    assert history(sessions, ari) == [(1, UNKNOWN, 0, late), (1, FAILED, 550, minutes(30))]
    assert history(sessions, bora) == [(1, UNKNOWN, 0, late)]


def test_a_try_that_was_lost_with_its_machine_is_kept(sessions, begin):
    ari, _ = begin()
    with sessions.begin() as session:
        ledger.bury(session, "one", never_began=False, now=NOW + minutes(1))

    assert history(sessions, ari) == [(1, UNKNOWN, 0, minutes(1))]


def test_the_tries_go_with_their_mail(sessions, make, begin):
    ari, bora = begin()
    record(sessions, DeliveryEvent.PUT_OFF, ari, bora, reply=BUSY)
    with sessions.begin() as session:
        session.delete(session.get_one(Delivery, ari))

    assert [row.delivery_id for row in make.all(Attempt)] == [bora]


def test_the_words_that_may_quote_an_address_can_be_forgotten(sessions, make, begin):
    ari, bora = begin()
    record(sessions, DeliveryEvent.PUT_OFF, ari, bora, reply=BUSY)
    with sessions.begin() as session:
        attempts.forget_words(session, [ari])

    assert [(row.reply_code, row.reply_text) for row in make.all(Attempt)] == [(451, ""), (451, "busy")]
