from datetime import timedelta

import pytest
from drains import Clock, Slow, send_through
from factories import NOW

from newsletter.deliveries import Journal, Pace, doubts, ledger, recover, settle
from newsletter.deliveries.control import Decision, Settled, resolve
from newsletter.deliveries.ledger import SENDING_LEASE, Outcome
from newsletter.errors import Reply
from newsletter.lifecycle import DeliveryEvent, DeliveryStatus, IssueStatus
from newsletter.models import Delivery, Issue, Lane

LATER = NOW + SENDING_LEASE + timedelta(minutes=1)
BUSY = Reply(451, "4.3.0", "busy", "mx.example.org", "dot")
QUEUED, DEFERRED, UNKNOWN, HELD, SENT = (
    DeliveryStatus.QUEUED,
    DeliveryStatus.DEFERRED,
    DeliveryStatus.UNKNOWN,
    DeliveryStatus.HELD,
    DeliveryStatus.SENT,
)
GIVE_BACK, LOSE, PUT_OFF = DeliveryEvent.GIVE_BACK, DeliveryEvent.LOSE, DeliveryEvent.PUT_OFF


@pytest.fixture
def newsletter(make):
    """Return a newsletter."""
    return make.newsletter()


def begin(sessions, *, worker="one", now=NOW):
    with sessions.begin() as session:
        ids = [row.id for row in ledger.claim(session, Lane.PERSON, worker=worker, limit=9, now=now)]
        ledger.begin(session, ids, worker=worker, now=now)
    return ids


def sweep(sessions, *, hold=True, late_news=timedelta(hours=1), now=LATER):
    with sessions.begin() as session:
        recover(session, hold_unknown=hold, late_news=late_news, now=now)


def tell(sessions, event, *ids, attempt=1, worker="one", now=LATER, **more):
    with sessions.begin() as session:
        ledger.record(session, [Outcome(number, event, attempt=attempt, **more) for number in ids], worker=worker, now=now)


def give_back(sessions, *, begun=(), worker="one"):
    with sessions.begin() as session:
        return doubts.give_back(session, worker, begun=begun, now=LATER)


def stand(make):
    return [(row.status, row.attempts) for row in make.all(Delivery)]


@pytest.mark.parametrize(("hold", "after"), [(True, HELD), (False, UNKNOWN)])
def test_what_a_worker_that_was_thought_lost_never_began_goes_back_to_the_queue(sessions, make, newsletter, hold, after):
    for name in ("ari", "bora"):
        make.delivery(name, newsletter_id=newsletter.id)
    ari, _ = begin(sessions)
    sweep(sessions, hold=hold)
    assert stand(make) == [(after, 1)] * 2

    tell(sessions, GIVE_BACK, ari)

    assert stand(make) == [(QUEUED, 0), (after, 1)]
    row = make.all(Delivery)[0]
    assert (row.claimed_by, row.reason, row.resends) == ("", "", 0)
    assert begin(sessions, worker="two", now=LATER) == [ari]


def test_somebody_elses_word_counts_for_nothing(sessions, make, newsletter):
    make.delivery(newsletter_id=newsletter.id)
    ids = begin(sessions)
    sweep(sessions)

    tell(sessions, GIVE_BACK, *ids, worker="two")

    assert stand(make) == [(HELD, 1)]
    assert give_back(sessions, worker="two") == 0


def test_a_word_about_another_try_counts_for_nothing(sessions, make, newsletter):
    make.delivery(newsletter_id=newsletter.id)
    ids = begin(sessions)
    sweep(sessions, hold=False, late_news=timedelta())  # sent again, by the same worker
    assert begin(sessions, now=LATER) == ids
    sweep(sessions, now=LATER + SENDING_LEASE * 2)
    assert stand(make) == [(HELD, 2)]

    tell(sessions, GIVE_BACK, *ids, attempt=1)
    tell(sessions, GIVE_BACK, *ids, attempt=0)
    assert stand(make) == [(HELD, 2)]

    tell(sessions, GIVE_BACK, *ids, attempt=2)
    assert stand(make) == [(QUEUED, 1)]


def test_what_somebody_else_has_sent_again_meanwhile_is_not_touched(sessions, make, newsletter):
    make.delivery(newsletter_id=newsletter.id)
    ids = begin(sessions)
    sweep(sessions, hold=False, late_news=timedelta())
    assert begin(sessions, worker="two", now=LATER) == ids
    sweep(sessions, now=LATER + SENDING_LEASE * 2)

    tell(sessions, GIVE_BACK, *ids, attempt=1)
    tell(sessions, GIVE_BACK, *ids, attempt=2)

    assert give_back(sessions) == 0
    assert stand(make) == [(HELD, 2)]


def test_what_the_operator_has_settled_stays_settled(sessions, make, newsletter):
    make.delivery(newsletter_id=newsletter.id)
    (number,) = begin(sessions)
    sweep(sessions)
    with sessions.begin() as session:
        resolve(session, number, Settled.SENT, Decision("ari"), now=LATER)

    tell(sessions, GIVE_BACK, number)

    assert give_back(sessions) == 0
    assert stand(make) == [(SENT, 1)]


def test_a_worker_gives_back_all_but_what_it_has_begun(sessions, make, newsletter):
    for name in ("ari", "bora", "chan"):
        make.delivery(name, newsletter_id=newsletter.id)
    ari, *_ = begin(sessions)
    sweep(sessions)

    assert give_back(sessions, begun=[ari]) == 2
    assert stand(make) == [(HELD, 1), (QUEUED, 0), (QUEUED, 0)]


def test_what_its_worker_itself_calls_lost_is_never_queued(sessions, make, newsletter):
    for name in ("ari", "bora"):
        make.delivery(name, newsletter_id=newsletter.id)
    ari, bora = begin(sessions)
    tell(sessions, LOSE, ari, reason="no answer came", now=NOW)
    sweep(sessions)
    tell(sessions, LOSE, bora, reason="no answer came")

    assert give_back(sessions) == 0
    assert stand(make) == [(HELD, 1)] * 2
    assert {row.reason for row in make.all(Delivery)} == {"no answer came"}


def test_what_the_server_put_off_is_tried_again_though_it_was_held_meanwhile(sessions, make, newsletter):
    make.delivery(newsletter_id=newsletter.id)
    ids = begin(sessions)
    sweep(sessions)

    tell(sessions, PUT_OFF, *ids, reply=BUSY)

    assert stand(make) == [(DEFERRED, 1)]


def test_an_answer_that_comes_when_its_own_worker_has_claimed_the_mail_again_counts(sessions, make, newsletter):
    delivery = make.delivery(newsletter_id=newsletter.id)
    begin(sessions)
    sweep(sessions, hold=False, late_news=timedelta())
    with sessions.begin() as session:
        ledger.claim(session, Lane.PERSON, worker="one", limit=9, now=LATER)

    tell(sessions, DeliveryEvent.ACCEPT, delivery.id)

    assert stand(make) == [(SENT, 1)]
    with sessions.begin() as session:
        assert ledger.begin(session, [delivery.id], worker="one", now=LATER).owed == set()


@pytest.mark.parametrize("event", [GIVE_BACK, PUT_OFF])
def test_an_issue_that_was_all_sent_has_work_again(sessions, make, newsletter, event):
    issue = make.issue(newsletter)
    make.delivery(newsletter_id=newsletter.id, issue_id=issue.id)
    ids = begin(sessions)
    sweep(sessions)
    with sessions.begin() as session:
        row = session.get_one(Issue, issue.id)
        row.status, row.finished_at = IssueStatus.SENT, LATER

    tell(sessions, event, *ids)

    assert (make.again(issue).status, make.again(issue).finished_at) == (IssueStatus.PUBLISHED, None)


@pytest.fixture
def found_late(sessions, make, newsletter, tmp_path):
    """Return `found_late(**header)`: a worker's journal is found when all it had in hand is held; it had begun two of four."""
    for name in ("ari", "bora", "chan", "dana"):
        make.delivery(name, newsletter_id=newsletter.id)
    ids = begin(sessions)

    def found(**header):
        journal = Journal.open(tmp_path, "one", **header)
        for number in ids[:2]:
            journal.begun(number)
        journal.ended(ids[0], Reply(250, "2.0.0", "taken", "mx.example.org", "dot"))
        sweep(sessions)
        assert stand(make) == [(HELD, 1)] * 4
        journal.disown("killed")
        settle(sessions, tmp_path, now=LATER)

    return found


def test_a_journal_that_is_found_late_says_what_was_never_begun(found_late, make):
    found_late()

    assert stand(make) == [(SENT, 1), (HELD, 1), (QUEUED, 0), (QUEUED, 0)]
    assert make.all(Delivery)[1].reason == "its worker was killed while sending it"


def test_a_journal_of_before_the_machine_was_restarted_gives_nothing_back(found_late, make):
    found_late(boot="another-boot")

    assert stand(make) == [(SENT, 1), (HELD, 1), (HELD, 1), (HELD, 1)]


@pytest.mark.parametrize("hold", [True, False])
def test_a_drain_that_was_stopped_beyond_its_leases_gives_back_what_it_had_not_begun(sessions, make, newsletter, hold):
    for number in range(12):
        make.delivery(f"reader{number}", newsletter_id=newsletter.id)
    clock = Clock()

    def stop():
        if len(outbox.sent) == 3:  # as by SIGSTOP, while others sweep
            clock.advance(hours=1)
            sweep(sessions, hold=hold, now=clock())

    outbox = Slow(then=stop)
    report = send_through(sessions, outbox, clock=clock, pace=Pace(window=6))
    send_through(sessions, outbox, clock=clock)

    assert (report.sent, report.unknown) == (12, 0)
    assert stand(make) == [(SENT, 1)] * 12
    assert sorted(outbox.recipients()) == sorted(row.address for row in make.all(Delivery))
