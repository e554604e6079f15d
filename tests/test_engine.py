"""What the engine makes of a real mail server on loopback: everything sent once, every fault in the right state."""

from collections import Counter

import pytest
from drains import AT_ONCE, SOON, send_over
from installation import add_readers
from smtp_servers import DROP, HANG, FaultyServer
from smtp_sink import running

from newsletter.deliveries import Pace
from newsletter.lifecycle import DeliveryStatus, IssueStatus
from newsletter.models import Delivery
from newsletter.wiring import utcnow

EHLO = "250-mail.example.net\n250-PIPELINING\n250 SIZE 1000000"


@pytest.fixture
def publish(make):
    """Return `publish(count)`: an issue to so many readers, and their addresses."""

    def to(count):
        newsletter = make.newsletter()
        addresses = add_readers(make, newsletter, count)
        make.issue(newsletter, IssueStatus.PUBLISHED, now=utcnow())
        return addresses

    return to


def statuses(make):
    return Counter(row.status.value for row in make.all(Delivery))


@pytest.mark.parametrize("connections", [1, 20])
def test_everything_is_sent_once(sessions, make, publish, connections):
    addresses = publish(120)

    with running() as sink:
        report = send_over(
            sessions, sink.port, connections=connections, clock=utcnow, pace=Pace(batch=50, window=2 * connections)
        )

    assert (report.sent, report.relay_away, report.more) == (120, "", False)
    assert sorted(sink.recipients()) == sorted(addresses)
    assert statuses(make) == {"sent": 120}
    assert {(row.reply_code, row.attempts) for row in make.all(Delivery)} == {(250, 1)}
    assert len({message.message_id for message in sink.taken}) == 120


QUEUED, DEFERRED, FAILED, UNKNOWN, SENT = (
    DeliveryStatus.QUEUED,
    DeliveryStatus.DEFERRED,
    DeliveryStatus.FAILED,
    DeliveryStatus.UNKNOWN,
    DeliveryStatus.SENT,
)
FAULTS = [
    ({}, SENT, (250, "dot")),
    ({"GREETING": "421 4.3.2 too many"}, QUEUED, (421, "greeting")),
    ({"GREETING": "554 5.7.1 go away"}, QUEUED, (554, "greeting")),
    ({"GREETING": DROP}, QUEUED, (0, "greeting")),
    ({"GREETING": HANG}, QUEUED, (0, "greeting")),
    ({"EHLO": DROP}, QUEUED, (0, "helo")),
    ({"EHLO": "421 4.3.2 busy"}, QUEUED, (421, "helo")),
    ({"MAIL": "421 4.3.2 busy"}, DEFERRED, (421, "mail")),
    ({"MAIL": "550 5.7.515 who are you"}, DEFERRED, (550, "mail")),
    ({"MAIL": "552 5.3.4 too big"}, FAILED, (552, "mail")),
    ({"MAIL": DROP}, DEFERRED, (0, "mail")),
    ({"EHLO": "250-mail.example.net\n250 SIZE 1000"}, FAILED, (0, "data")),
    ({"MAIL": HANG}, DEFERRED, (0, "mail")),
    ({"RCPT": "550 5.1.1 no such user"}, FAILED, (550, "rcpt")),
    ({"RCPT": "452 4.2.2 full"}, DEFERRED, (452, "rcpt")),
    ({"RCPT": "450 4.7.1 greylisted"}, DEFERRED, (450, "rcpt")),
    ({"RCPT": "421 4.7.28 slower"}, DEFERRED, (421, "rcpt")),
    ({"RCPT": DROP}, DEFERRED, (0, "rcpt")),
    ({"RCPT": HANG}, DEFERRED, (0, "rcpt")),
    ({"DATA": "451 4.3.0 later"}, DEFERRED, (451, "data")),
    ({"DATA": "554 5.6.0 never"}, FAILED, (554, "data")),
    ({"DATA": DROP}, DEFERRED, (0, "data")),
    ({"DATA": HANG}, DEFERRED, (0, "data")),
    ({"DOT": "421 4.7.28 later"}, DEFERRED, (421, "dot")),
    ({"DOT": "451 4.3.0 later"}, DEFERRED, (451, "dot")),
    ({"DOT": "552 5.3.4 too big"}, FAILED, (552, "dot")),
    ({"DOT": "554 5.7.1 spam"}, FAILED, (554, "dot")),
    ({"DOT": DROP}, UNKNOWN, (0, "dot")),
    ({"DOT": HANG}, UNKNOWN, (0, "dot")),
    ({"DOT": "hello"}, UNKNOWN, (0, "dot")),
    ({"QUIT": DROP}, SENT, (250, "dot")),
    ({"after": DROP}, SENT, (250, "dot")),
    ({"after": "421 4.3.2 bye"}, SENT, (250, "dot")),
]


@pytest.mark.parametrize("database_kind", ["sqlite"])  # a mail server sees no difference
@pytest.mark.parametrize("offer", ["", EHLO], ids=["one by one", "pipelined"])
@pytest.mark.parametrize("fault", FAULTS, ids=[str(each[0]) for each in FAULTS])
def test_each_fault_of_a_server_ends_in_its_state_with_its_words(sessions, make, fault, offer):
    delivery, (faults, status, words) = make.delivery(), fault
    hangs = HANG in faults.values()
    given = {"EHLO": offer, **faults} if offer else faults

    with FaultyServer(given).running() as server:
        report = send_over(sessions, server.port, timeouts=AT_ONCE if hangs else SOON)

    row = make.again(delivery)
    assert (row.status, (row.reply_code, row.reply_phase)) == (status, words)
    assert row.reply_text
    assert row.reply_server == f"127.0.0.1:{server.port}"
    assert (row.reason == "") is (status is SENT)
    assert row.attempts == (0 if status is QUEUED else 1)
    assert report.sent + report.failed + report.deferred + report.unknown == (status is not QUEUED)


@pytest.mark.parametrize("database_kind", ["sqlite"])  # a mail server sees no difference
def test_what_is_larger_than_the_server_takes_fails_and_only_the_first_costs_a_connection(sessions, make):
    newsletter = make.newsletter()
    for number in range(6):
        make.delivery(f"reader{number}", newsletter_id=newsletter.id)

    with FaultyServer({"EHLO": "250-mail.example.net\n250 SIZE 1000"}).running() as server:
        report = send_over(sessions, server.port)

    assert report.failed == 6
    rows = make.all(Delivery)
    assert {(row.reason, row.reply_enhanced) for row in rows} == {("the message is too big", "5.3.4")}
    assert all("bytes is larger than the server takes (1000)" in row.reply_text for row in rows)
    assert sorted(row.reply_phase for row in rows) == ["data"] + ["mail"] * 5


@pytest.mark.parametrize("database_kind", ["sqlite"])  # a mail server sees no difference
def test_a_size_that_was_only_guessed_fails_nobody(sessions, make):
    newsletter = make.newsletter()
    for number in range(3):
        make.delivery(f"reader{number}", newsletter_id=newsletter.id)

    with FaultyServer({"MAIL": ["", "552 5.3.4 too big"]}).running() as server:  # the second, announced by the first
        report = send_over(sessions, server.port)

    sizes = [command.partition(" SIZE=")[2] for command in server.commands if command.startswith("MAIL")]
    assert (report.sent, report.failed, statuses(make)) == (3, 0, {"sent": 3})
    assert [int(size) for size in sizes[2:]] == [len(content) for content in server.contents[1:]]
