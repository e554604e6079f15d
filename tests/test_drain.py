import os
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from email import message_from_bytes
from threading import Thread

import pytest
from drains import Clock, Slow
from drains import send_through as _drain
from factories import LINKS, NOW
from fakes import Outbox

from newsletter import subscribers
from newsletter.deliveries import Pace, recover
from newsletter.errors import AnswerLost, BadInput, Deferred, Refused, RelayUnavailable, Reply, TransportError
from newsletter.lifecycle import DeliveryStatus, IssueStatus
from newsletter.models import Delivery, DeliveryKind

BUSY = Reply(451, "4.3.0", "busy", "mx.example.org", "rcpt")
GONE = Reply(550, "5.1.1", "no such user", "mx.example.org", "rcpt")
SILENT = Reply(0, "", "timed out", "mx.example.org", "dot")
CLOSED = Reply(0, "", "connection refused", "mx.example.org", "connect")


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


WITHOUT_WORDS = TransportError(Reply(0, "", "a third kind", "mx.example.org", "dot"))


@pytest.mark.parametrize(
    ("error", "becomes", "reason"),
    [
        (Refused(GONE), (DeliveryStatus.FAILED, None), "the address does not exist"),
        (Deferred(BUSY), (DeliveryStatus.DEFERRED, timedelta(minutes=6)), "the server said later"),
        (RelayUnavailable(CLOSED), (DeliveryStatus.DEFERRED, timedelta(minutes=1)), "the relay could not be talked to"),
        (AnswerLost(SILENT), (DeliveryStatus.UNKNOWN, None), "no answer came"),
        (BadInput("no message"), (DeliveryStatus.FAILED, None), "the content was refused"),
        (ZeroDivisionError("a bug"), (DeliveryStatus.UNKNOWN, None), "no answer came"),
        (WITHOUT_WORDS, (DeliveryStatus.UNKNOWN, None), "no answer came"),
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
    assert (report.sent, report.failed, report.deferred) == (1, 3, 1)
    assert {row.address: row.status.value for row in make.all(Delivery)} == {
        "bad@example.org": "deferred",
        "bora\r\nBcc: all@example.org": "failed",
        "gone@example.org": "failed",
        "chan@example.org": "failed",
        "dana@example.org": "sent",
    }


def test_a_busy_mail_server_is_tried_again_later_and_later(sessions, make):
    delivery, clock, outbox = make.delivery(), Clock(), Outbox(errors=[Deferred(BUSY)] * 2)
    _drain(sessions, outbox, clock=clock)
    assert _drain(sessions, outbox, clock=clock).deferred == 0  # not due yet

    clock.advance(minutes=6)
    _drain(sessions, outbox, clock=clock)
    assert make.again(delivery).due_at == clock.now + timedelta(minutes=15)

    clock.advance(minutes=15)
    assert _drain(sessions, outbox, clock=clock).sent == 1
    assert make.again(delivery).attempts == 3


def test_a_mail_that_cannot_be_made_is_tried_again_later_and_later(sessions, make):
    delivery, clock, waited = make.delivery(values={}), Clock(), []
    for _ in range(3):
        _drain(sessions, Outbox(), clock=clock)
        waited.append(make.again(delivery).due_at - clock.now)
        clock.now = make.again(delivery).due_at

    assert [each.total_seconds() / 60 for each in waited] == [5, 10, 20]


def test_a_relay_that_is_away_is_not_asked_again_for_every_mail(sessions, make, list_of):
    list_of(20)
    outbox = Outbox(errors=[RelayUnavailable(CLOSED)])

    report = _drain(sessions, outbox, pace=Pace(window=16))

    assert "connection refused" in report.relay_away
    assert (outbox.sent, report.deferred) == ([], 1)
    assert _statuses(make) == {"deferred": 1, "queued": 19}
    words = Counter(row.reply_text for row in make.all(Delivery))
    assert words == {"connection refused": 16, "": 4}  # of all that were about to go: to be seen beside them
    assert {row.attempts for row in make.all(Delivery, status=DeliveryStatus.QUEUED)} == {0}


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

    assert _drain(sessions, outbox, pace=Pace(window=4, persons_every=timedelta())).sent == 32
    assert outbox.recipients().index("chan@example.org") == 0
    assert outbox.recipients().index("dana@example.org") <= 10 + 4  # before the next window


def test_who_leaves_while_their_mail_waits_gets_none(sessions, make, list_of):
    list_of(20)
    leaver = make.all(Delivery)[-1]

    def leave():
        if len(outbox.sent) == 1:
            with sessions.begin() as session:
                subscribers.unsubscribe(session, leaver.subscription_id, by="page", now=NOW)

    outbox = Slow(then=leave)
    report = _drain(sessions, outbox, pace=Pace(window=4))

    assert (report.sent, report.skipped) == (20, 1)  # nineteen digests and a goodbye
    assert make.again(leaver).status is DeliveryStatus.SKIPPED


def test_a_worker_told_to_stop_gives_back_what_it_did_not_begin(sessions, make, list_of):
    list_of(20)
    outbox = Slow(then=lambda: said.append(len(said)))
    said = []

    report = _drain(sessions, outbox, stopping=lambda: len(said) >= 2, pace=Pace(window=4))

    assert report.more
    assert 2 <= report.sent <= 6  # and what was in the air
    assert _statuses(make) == {"sent": len(outbox.sent), "queued": 20 - len(outbox.sent)}
    assert {(row.claimed_by, row.attempts) for row in make.all(Delivery, status=DeliveryStatus.QUEUED)} == {("", 0)}


def test_a_drain_without_time_begins_nothing(sessions, make, list_of):
    list_of(20)

    report = _drain(sessions, Outbox(), pace=Pace(budget=timedelta()))

    assert (report.sent, report.more) == (0, True)
    assert _statuses(make) == {"queued": 20}


def test_the_report_is_shown_while_it_grows(sessions, make, list_of):
    list_of(20)
    shown = []

    _drain(sessions, Outbox(), watch=lambda report: shown.append(report.sent), pace=Pace(window=4))

    assert shown == sorted(shown)
    assert shown[-1] <= 20


def test_two_workers_at_once_send_everything_once(sessions, make, list_of):
    list_of(60)
    outboxes = [Outbox(), Outbox()]
    threads = [Thread(target=_drain, args=(sessions, outbox), kwargs={"pace": Pace(batch=10, window=3)}) for outbox in outboxes]
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
from drains import send_through
from newsletter import db
from newsletter.deliveries import Pace
from newsletter.mail.transports import Files

class Counted(Files):
    def send(self, message):
        print(message.recipient)
        return super().send(message)

url, folder = sys.argv[1:]
sessions = db.connect(url)
sys.stdin.read(1)
send_through(sessions, Counted(Path(folder)), pace=Pace(batch=10, window=3))
"""


def test_two_processes_at_once_send_everything_once(database, make, list_of, tmp_path):
    list_of(60)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, database, tmp_path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        for _ in range(2)
    ]
    for worker in workers:
        worker.stdin.write("\n")
        worker.stdin.flush()
    sent = [line for worker in workers for line in worker.communicate(timeout=60)[0].split()]

    assert Counter(Counter(sent).values()) == {1: 60}
    assert _statuses(make) == {"sent": 60}
