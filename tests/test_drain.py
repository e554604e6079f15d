import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from email import message_from_bytes
from threading import Thread

import pytest
from factories import LINKS, NOW, mailer
from fakes import Outbox

from newsletter import subscribers
from newsletter.deliveries import Pace, drain, recover
from newsletter.deliveries.drain import delay
from newsletter.deliveries.ledger import BEGIN_WITHIN, SENDING_LEASE
from newsletter.errors import AnswerLost, BadInput, Deferred, Refused, RelayUnavailable, Reply
from newsletter.lifecycle import DeliveryStatus, IssueStatus
from newsletter.models import Delivery, DeliveryKind

BUSY = Reply(451, "4.3.0", "busy", "mx.example.org", "rcpt")
GONE = Reply(550, "5.1.1", "no such user", "mx.example.org", "rcpt")
SILENT = Reply(0, "", "timed out", "mx.example.org", "dot")
CLOSED = Reply(0, "", "connection refused", "mx.example.org", "connect")


@dataclass
class Clock:
    """A clock that a test sets."""

    now: object = NOW

    def __call__(self):
        """Return the time."""
        return self.now


@dataclass
class Slow(Outbox):
    """An outbox to which `then` happens with each message."""

    then: object = lambda: None

    def send(self, message):
        """Keep the message, then do it."""
        reply = super().send(message)
        self.then()
        return reply


@dataclass
class Stopper:
    """Says stop after so many questions."""

    left: int
    asked: list = field(default_factory=list)

    def __call__(self):
        """Return whether it is time."""
        self.left -= 1
        return self.left < 0


@pytest.fixture
def newsletter(make):
    """Return a newsletter."""
    return make.newsletter()


@pytest.fixture
def list_of(make, newsletter):
    """Return `list_of(count)`: an issue published to so many readers."""

    def publish(count):
        for number in range(count):
            make.reader(f"reader-{number}", newsletter)
        return make.issue(newsletter, IssueStatus.PUBLISHED)

    return publish


def _drain(sessions, outbox, clock=lambda: NOW, **more):
    given = {"worker": "one", "clock": clock, "pace": Pace()} | more
    return drain(sessions, outbox, mailer(), **given)


def _statuses(make):
    return Counter(row.status.value for row in make.all(Delivery))


def test_what_is_due_is_sent_and_on_record(sessions, make, newsletter):
    delivery, outbox = make.delivery(newsletter_id=newsletter.id), Outbox()

    report = _drain(sessions, outbox)

    assert (report.sent, report.more) == (1, False)
    assert [message.recipient for message in outbox.sent] == ["ari@example.org"]
    row = make.again(delivery)
    assert (row.status, row.sent_at, row.attempts, row.reply_text) == (DeliveryStatus.SENT, NOW, 1, "kept")
    assert _drain(sessions, outbox).sent == 0


@pytest.mark.parametrize(
    ("error", "becomes", "reason"),
    [
        (Refused(GONE), (DeliveryStatus.FAILED, None), "the server refused it"),
        (Deferred(BUSY), (DeliveryStatus.DEFERRED, timedelta(minutes=5)), "the server said later"),
        (RelayUnavailable(CLOSED), (DeliveryStatus.DEFERRED, timedelta(minutes=1)), "the relay was away"),
        (AnswerLost(SILENT), (DeliveryStatus.UNKNOWN, None), "no answer came"),
        (BadInput("no message"), (DeliveryStatus.FAILED, None), "it could not be sent: no message"),
        (ZeroDivisionError("a bug"), (DeliveryStatus.UNKNOWN, None), "sending it broke"),
    ],
)
def test_what_the_transport_says_becomes_a_state_anybody_can_read(sessions, make, error, becomes, reason):
    status, again = becomes
    delivery = make.delivery()

    _drain(sessions, Outbox(errors=[error]))

    row = make.again(delivery)
    assert row.status is status
    assert row.reason.startswith(reason)
    assert row.due_at == (NOW + again if again else NOW)


def test_one_bad_mail_does_not_stop_the_rest(sessions, make, newsletter):
    make.delivery("bad", newsletter_id=newsletter.id, values={})
    make.delivery("odd", newsletter_id=newsletter.id, address="bora\r\nBcc: all@example.org")
    make.delivery("gone", newsletter_id=newsletter.id, kind=DeliveryKind.DIGEST, issue_id=None)
    make.delivery("chan", newsletter_id=newsletter.id)
    outbox = Outbox(errors=[Refused(GONE)])
    make.delivery("dana", newsletter_id=newsletter.id)

    report = _drain(sessions, outbox)

    assert [message.recipient for message in outbox.sent] == ["dana@example.org"]
    assert (report.sent, report.failed, report.deferred) == (1, 2, 1)
    assert {row.address: row.status.value for row in make.all(Delivery)} == {
        "bad@example.org": "deferred",
        "bora\r\nBcc: all@example.org": "failed",
        "gone@example.org": "skipped",
        "chan@example.org": "failed",
        "dana@example.org": "sent",
    }


def test_delays_grow_and_then_stay():
    assert [delay(attempts).total_seconds() / 60 for attempts in (0, 1, 2, 3, 4, 5, 99)] == [5, 10, 20, 40, 60, 120, 120]


def test_a_busy_mail_server_is_tried_again_later_and_later(sessions, make):
    delivery, clock, outbox = make.delivery(), Clock(), Outbox(errors=[Deferred(BUSY)] * 2)
    _drain(sessions, outbox, clock)
    assert _drain(sessions, outbox, clock).deferred == 0  # not due yet

    clock.now += timedelta(minutes=5)
    _drain(sessions, outbox, clock)
    assert make.again(delivery).due_at == clock.now + timedelta(minutes=10)

    clock.now += timedelta(minutes=10)
    assert _drain(sessions, outbox, clock).sent == 1
    assert make.again(delivery).attempts == 3


def test_a_relay_that_is_away_is_not_asked_again_for_every_mail(sessions, make, list_of):
    list_of(20)
    outbox = Outbox(errors=[RelayUnavailable(CLOSED)])

    report = _drain(sessions, outbox)

    assert "connection refused" in report.relay_away
    assert (outbox.sent, report.deferred) == ([], 8)
    assert _statuses(make) == {"deferred": 8, "queued": 12}


def test_a_lost_answer_is_sent_again_once_with_the_same_message_id_and_then_held(sessions, make):
    delivery, outbox = make.delivery(), Outbox()

    class Forgetful(Outbox):
        def send(self, message):
            outbox.send(message)
            raise AnswerLost(SILENT)

    for _ in range(3):
        _drain(sessions, Forgetful())
        with sessions.begin() as session:
            recover(session, hold_unknown=False, now=NOW)

    assert make.again(delivery).status is DeliveryStatus.HELD
    ids = [message_from_bytes(message.content)["Message-ID"] for message in outbox.sent]
    assert ids == [LINKS.message_id(delivery.id, "example.org")] * 2


def test_persons_go_before_a_list_that_waits(sessions, make, newsletter, list_of):
    list_of(30)

    def somebody_asks():
        if len(outbox.sent) == 10:
            make.delivery("dana", newsletter_id=newsletter.id)

    outbox = Slow(then=somebody_asks)
    make.delivery("chan", newsletter_id=newsletter.id)

    assert _drain(sessions, outbox).sent == 32
    order = [message.recipient for message in outbox.sent]
    assert order.index("chan@example.org") == 0
    assert order.index("dana@example.org") <= 16  # with the next window


def test_who_leaves_while_their_mail_waits_gets_none(sessions, make, list_of):
    list_of(20)
    leaver = make.all(Delivery)[-1]

    def leave():
        if len(outbox.sent) == 1:
            with sessions.begin() as session:
                subscribers.unsubscribe(session, leaver.subscription_id, by="page", now=NOW)

    outbox = Slow(then=leave)
    report = _drain(sessions, outbox)

    assert (report.sent, report.skipped) == (20, 1)  # nineteen digests and a goodbye
    assert make.again(leaver).status is DeliveryStatus.SKIPPED


def test_a_worker_told_to_stop_gives_back_what_it_did_not_begin(sessions, make, list_of):
    list_of(20)

    report = _drain(sessions, Outbox(), stopping=Stopper(1))

    assert (report.sent, report.more) == (8, True)
    assert _statuses(make) == {"sent": 8, "queued": 12}
    assert {row.claimed_by for row in make.all(Delivery, status=DeliveryStatus.QUEUED)} == {""}


def test_a_drain_ends_when_its_time_is_over(sessions, make, list_of):
    list_of(20)
    clock = Clock()

    def tick():
        clock.now += timedelta(seconds=4)

    report = _drain(sessions, Slow(then=tick), clock)

    assert (report.sent, report.more) == (16, True)  # 60 s end within the second window
    assert _statuses(make) == {"sent": 16, "queued": 4}


def test_no_mail_begins_that_could_outlive_its_lease(sessions, make, list_of):
    list_of(5)
    clock = Clock()

    def take_long():
        clock.now += BEGIN_WITHIN + timedelta(seconds=1)

    outbox = Slow(then=take_long)
    report = _drain(sessions, outbox, clock)

    assert (report.sent, report.deferred) == (1, 4)
    assert _statuses(make) == {"sent": 1, "deferred": 4}


def test_a_worker_that_dies_leaves_nothing_that_is_not_found_again(sessions, make, list_of):
    list_of(20)

    class Killed(BaseException):
        """What nobody catches."""

    def die():
        if len(outbox.sent) == 3:
            raise Killed

    outbox = Slow(then=die)
    with pytest.raises(Killed):
        _drain(sessions, outbox)
    assert _statuses(make) == {"sending": 8, "queued": 12}

    later = NOW + SENDING_LEASE + timedelta(seconds=1)
    with sessions.begin() as session:
        assert recover(session, hold_unknown=False, now=later).resent == 8
    survivor = Outbox()
    assert _drain(sessions, survivor, lambda: later).sent == 20

    times = Counter(message.recipient for message in [*outbox.sent, *survivor.sent])
    assert len(times) == 20
    assert sum(times.values()) == 23  # never more often than there were unknowns


def test_two_workers_at_once_send_everything_once(sessions, make, list_of):
    list_of(60)
    outboxes = [Outbox(), Outbox()]
    threads = [
        Thread(target=_drain, args=(sessions, outbox), kwargs={"worker": str(at), "pace": Pace(batch=10, window=3)})
        for at, outbox in enumerate(outboxes)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    sent = [message.recipient for outbox in outboxes for message in outbox.sent]
    assert len(sent) == 60
    assert len(set(sent)) == 60


WORKER = """
import sys
from pathlib import Path
from factories import NOW, mailer
from newsletter import db
from newsletter.deliveries import Pace, drain
from newsletter.mail.transports import Files

class Counted(Files):
    def send(self, message):
        print(message.recipient)
        return super().send(message)

url, folder, name = sys.argv[1:]
sessions = db.connect(url)
sys.stdin.read(1)
with Counted(Path(folder)) as transport:
    drain(sessions, transport, mailer(), worker=name, clock=lambda: NOW, pace=Pace(batch=10, window=3))
"""


def test_two_processes_at_once_send_everything_once(database, make, list_of, tmp_path):
    list_of(60)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, database, tmp_path, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        for name in ("one", "two")
    ]
    for worker in workers:
        worker.stdin.write("\n")
        worker.stdin.flush()
    sent = [line for worker in workers for line in worker.communicate(timeout=60)[0].split()]

    assert Counter(Counter(sent).values()) == {1: 60}
    assert _statuses(make) == {"sent": 60}
