from datetime import timedelta

import pytest
from drains import Fragile, send_through
from factories import NOW
from fakes import Outbox

from newsletter.deliveries import Journal, ledger, recover, settle
from newsletter.errors import Reply
from newsletter.lifecycle import DeliveryStatus
from newsletter.models import Delivery, Lane

TAKEN = Reply(250, "2.0.0", "taken", "mx.example.org", "dot")
GONE = Reply(550, "5.1.1", "no such user", "mx.example.org", "rcpt")
SENT, UNKNOWN, QUEUED, FAILED, HELD = (
    DeliveryStatus.SENT,
    DeliveryStatus.UNKNOWN,
    DeliveryStatus.QUEUED,
    DeliveryStatus.FAILED,
    DeliveryStatus.HELD,
)


@pytest.fixture
def under_way(sessions, make, tmp_path):
    """Return what a worker has in hand: six deliveries about to be sent, one claimed; and its journal."""
    newsletter = make.newsletter()
    rows = [make.delivery(f"reader{number}", newsletter_id=newsletter.id) for number in range(7)]
    journal = Journal.open(tmp_path, "ari")
    with sessions.begin() as session:
        claimed = ledger.claim(session, Lane.PERSON, worker="ari", limit=7, now=NOW)
        ledger.begin(session, [row.id for row in claimed[:6]], worker="ari", now=NOW)
    yield rows, journal
    journal.disown("the test is over")


def statuses(make):
    return [row.status for row in make.all(Delivery)]


def die(journal):
    """Leave the journal as kill -9 does."""
    journal.disown("killed")


def test_a_journal_says_what_became_of_everything(sessions, make, under_way, tmp_path):
    rows, journal = under_way
    for row, reply in ((rows[0], TAKEN), (rows[1], GONE), (rows[2], None)):
        journal.begun(row.id)
        if reply:
            journal.ended(row.id, reply)
    die(journal)

    assert settle(sessions, tmp_path, now=NOW) == 1

    assert statuses(make) == [SENT, FAILED, UNKNOWN, QUEUED, QUEUED, QUEUED, QUEUED]
    assert [row.attempts for row in make.all(Delivery)] == [1, 1, 1, 0, 0, 0, 0]
    assert make.all(Delivery)[1].reply_text == "no such user"
    assert settle(sessions, tmp_path, now=NOW) == 0


def test_a_journal_that_somebody_holds_is_left_alone(sessions, make, under_way, tmp_path):
    _, journal = under_way

    assert settle(sessions, tmp_path, now=NOW) == 0
    assert journal.path.exists()


def test_after_the_loss_of_a_machine_all_that_may_have_begun_is_unknown(sessions, make, under_way, tmp_path):
    rows, journal = under_way
    die(journal)
    journal.path.unlink()
    other = Journal.open(tmp_path, "ari", boot="another-boot")
    other.begun(rows[0].id)
    other.ended(rows[0].id, TAKEN)
    die(other)

    assert settle(sessions, tmp_path, now=NOW) == 1

    assert statuses(make) == [SENT, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, QUEUED]


def test_to_settle_twice_changes_nothing_more(sessions, make, under_way, tmp_path):
    rows, journal = under_way
    journal.begun(rows[0].id)
    journal.ended(rows[0].id, TAKEN)
    journal.begun(rows[1].id)
    die(journal)
    copy = journal.path.read_bytes()

    settle(sessions, tmp_path, now=NOW)
    send_through(sessions, Outbox())
    before = statuses(make)
    journal.path.write_bytes(copy)  # as after a crash between settling and deleting

    assert settle(sessions, tmp_path, now=NOW) == 1
    assert statuses(make) == before == [SENT, UNKNOWN, SENT, SENT, SENT, SENT, SENT]


def test_a_late_answer_settles_what_was_unknown_or_held(sessions, make, under_way, tmp_path):
    rows, journal = under_way
    for row in rows[:2]:
        journal.begun(row.id)
    with sessions.begin() as session:
        recover(session, hold_unknown=True, now=NOW + ledger.SENDING_LEASE + timedelta(seconds=1))
        recover(session, hold_unknown=True, now=NOW + ledger.SENDING_LEASE + timedelta(seconds=1))
    assert statuses(make)[:2] == [HELD, HELD]
    journal.ended(rows[0].id, TAKEN)
    journal.ended(rows[1].id, GONE)
    die(journal)

    settle(sessions, tmp_path, now=NOW)

    assert statuses(make)[:2] == [SENT, FAILED]


def test_an_unknown_waits_for_late_news_before_it_is_sent_again(sessions, make, under_way, tmp_path):
    rows, journal = under_way
    journal.begun(rows[0].id)
    die(journal)
    settle(sessions, tmp_path, now=NOW)

    def sweep(minutes):
        with sessions.begin() as session:
            now = NOW + timedelta(minutes=minutes)
            return recover(session, hold_unknown=False, late_news=timedelta(minutes=10), now=now).resent

    assert [sweep(0), sweep(9), sweep(10), sweep(30)] == [0, 0, 1, 0]


def test_one_journal_that_cannot_be_settled_does_not_stop_the_others(sessions, make, under_way, tmp_path):
    rows, journal = under_way
    journal.begun(rows[0].id)
    journal.ended(rows[0].id, TAKEN)
    die(journal)
    die(Journal.open(tmp_path, "aaa"))

    assert settle(Fragile(sessions, ["before"]), tmp_path, now=NOW) == 1

    assert statuses(make)[0] is SENT
    assert settle(sessions, tmp_path, now=NOW) == 1


def test_a_damaged_journal_proves_nothing(sessions, make, under_way, tmp_path):
    _, journal = under_way
    die(journal)
    journal.path.write_bytes(b"\0" * 10_000)

    settle(sessions, tmp_path, now=NOW)

    assert statuses(make) == [UNKNOWN] * 6 + [QUEUED]
    assert [path.suffix for path in tmp_path.iterdir()] == [".damaged"]
