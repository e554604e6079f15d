from datetime import timedelta

import pytest

from newsletter.deliveries.outcomes import outcome_of, outcome_of_reply, verdict_of
from newsletter.errors import Reply
from newsletter.lifecycle import DeliveryEvent
from newsletter.mail.smtp import Answer, Kind

TAKEN = Reply(250, "2.0.0", "taken", "mx.example.org", "dot")
GONE = Reply(550, "5.1.1", "no such user", "mx.example.org", "rcpt")
BUSY = Reply(451, "4.3.0", "busy", "mx.example.org", "dot")
SILENT = Reply(0, "", "timed out", "mx.example.org", "dot")
UNSENT = Reply(0, "", "the server closed the connection", "mx.example.org", "data")
AWAY = Reply(421, "4.3.2", "too many", "mx.example.org", "mail")


@pytest.mark.parametrize(
    ("kind", "reply", "event", "words"),
    [
        (Kind.ACCEPTED, TAKEN, DeliveryEvent.ACCEPT, TAKEN),
        (Kind.REFUSED, GONE, DeliveryEvent.REFUSE, GONE),
        (Kind.DEFERRED, BUSY, DeliveryEvent.PUT_OFF, BUSY),
        (Kind.DEFERRED, UNSENT, DeliveryEvent.PUT_OFF, UNSENT),
        (Kind.RELAY, AWAY, DeliveryEvent.PUT_OFF, AWAY),
        (Kind.LOST, SILENT, DeliveryEvent.LOSE, SILENT),
        (Kind.LOST, TAKEN, DeliveryEvent.LOSE, TAKEN),
        (Kind.RETURNED, AWAY, DeliveryEvent.GIVE_BACK, None),
    ],
)
def test_every_answer_has_an_outcome(kind, reply, event, words):
    outcome = outcome_of(7, verdict_of(Answer(kind, reply), attempts=0), reply)

    assert (outcome.delivery_id, outcome.event, outcome.reply) == (7, event, words)
    assert bool(outcome.again_in) is (event is DeliveryEvent.PUT_OFF)
    assert bool(outcome.reason) is (event not in {DeliveryEvent.ACCEPT, DeliveryEvent.GIVE_BACK})


@pytest.mark.parametrize(
    ("kind", "reply"),
    [
        (Kind.ACCEPTED, TAKEN),
        (Kind.REFUSED, GONE),
        (Kind.DEFERRED, BUSY),
        (Kind.DEFERRED, UNSENT),
        (Kind.LOST, SILENT),
    ],
)
def test_what_the_journal_kept_of_an_answer_means_the_same(kind, reply):
    at_once = outcome_of(7, verdict_of(Answer(kind, reply), attempts=1), reply)

    assert outcome_of_reply(7, reply, attempts=1) == at_once


def test_the_more_often_it_was_tried_the_longer_it_waits():
    waits = [outcome_of_reply(7, BUSY, attempts=attempts).again_in for attempts in range(9)]

    assert waits == sorted(waits)
    assert waits[0] >= timedelta(minutes=5)
