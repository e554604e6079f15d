from datetime import timedelta

import pytest
from factories import NOW
from sqlalchemy import select

from newsletter import issues
from newsletter.deliveries import control, ledger, recover
from newsletter.deliveries.control import NO_ADDRESS, Decision, Settled, Unreached, Wanted
from newsletter.deliveries.ledger import Outcome
from newsletter.errors import Conflict, NotFound, Reply
from newsletter.lifecycle import DeliveryEvent, DeliveryStatus, IssueStatus, SubscriptionStatus
from newsletter.models import Delivery, DeliveryKind, Lane, Subscription

HOUR = timedelta(hours=1)
LATER = NOW + HOUR
FULL, LOST = "the mailbox is full", "the worker was lost while sending"
ROOT = Decision("root", "the relay is back")
GONE = Reply(550, "5.1.1", "no such user", "mx.example.org", "rcpt")


@pytest.fixture
def newsletter(make):
    """Return a newsletter."""
    return make.newsletter()


@pytest.fixture
def ended(make, newsletter):
    """Return an issue that is all sent, and its deliveries by name: one sent, the others for one reason each."""
    ends = {
        "ari": (DeliveryStatus.SENT, ""),
        "bora": (DeliveryStatus.FAILED, FULL),
        "chan": (DeliveryStatus.FAILED, NO_ADDRESS),
        "dana": (DeliveryStatus.HELD, LOST),
        "eun": (DeliveryStatus.SKIPPED, "unsubscribed"),
    }
    for name in ends:
        make.reader(name, newsletter)
    issue = make.issue(newsletter, IssueStatus.PUBLISHED)
    with make.sessions.begin() as session:
        for row in make.all(Delivery, issue_id=issue.id):
            row.status, row.reason = ends[row.address.partition("@")[0]]
            row.claimed_by, row.attempts, row.reply_phase = "a-worker", 1, "dot"
            session.add(row)
    with make.sessions.begin() as session:
        issues.finish(session, now=NOW)
    return make.again(issue), {row.address.partition("@")[0]: row for row in make.all(Delivery, issue_id=issue.id)}


def _group(reason, status=DeliveryStatus.FAILED):
    return Unreached(status, reason, 1, twice=False, gone=0)


def _resend(sessions, issue, *chosen, now=LATER):
    with sessions.begin() as session:
        return control.resend(session, issue.id, chosen, ROOT, now=now)


def _claimed(sessions, lane, *, now=NOW, worker="one"):
    with sessions.begin() as session:
        return ledger.claim(session, lane, worker=worker, limit=100, now=now)


def _begun(sessions, lane, *, now=NOW, worker="one"):
    ids = [row.id for row in _claimed(sessions, lane, now=now, worker=worker)]
    with sessions.begin() as session:
        ledger.begin(session, ids, worker=worker, now=now)
        mine = select(Delivery.id).where(Delivery.status == DeliveryStatus.SENDING, Delivery.claimed_by == worker)
        return set(session.scalars(mine))


def _record(sessions, delivery, event, *, worker="a-worker", now=LATER):
    with sessions.begin() as session:
        ledger.record(session, [Outcome(delivery.id, event)], worker=worker, now=now)


# Sending again


def test_the_unreached_are_counted_by_what_became_of_their_mail(sessions, make, ended):
    issue, _ = ended
    make.suppression("bora")

    with sessions.read() as session:
        found = control.unreached(session, issue.id)

    assert {(row.status, row.reason, row.number, row.gone, row.doubt) for row in found} == {
        (DeliveryStatus.FAILED, FULL, 1, 1, ""),
        (DeliveryStatus.FAILED, NO_ADDRESS, 1, 0, "hopeless"),
        (DeliveryStatus.HELD, LOST, 1, 0, "may have arrived"),
    }


def test_what_may_have_arrived_before_it_failed_is_told_apart_and_sent_again_only_where_it_is_chosen(sessions, make, ended):
    issue, rows = ended
    _resend(sessions, issue, _group(LOST, DeliveryStatus.HELD))
    _begun(sessions, Lane.LIST, now=LATER, worker="a-worker")
    with sessions.begin() as session:
        ledger.record(session, [Outcome(rows["dana"].id, DeliveryEvent.REFUSE, FULL)], worker="a-worker", now=LATER)

    with sessions.read() as session:
        found = {row.twice: row for row in control.unreached(session, issue.id) if row.reason == FULL}

    assert {twice: (row.number, row.doubt) for twice, row in found.items()} == {False: (1, ""), True: (1, "may have arrived")}
    assert _resend(sessions, issue, found[False]) == 1
    assert (make.again(rows["bora"]).status, make.again(rows["dana"]).status) == (DeliveryStatus.QUEUED, DeliveryStatus.FAILED)
    assert _resend(sessions, issue, found[True]) == 1


def test_exactly_the_chosen_are_queued_again_as_the_same_deliveries(sessions, make, newsletter, ended):
    issue, rows = ended

    assert _resend(sessions, issue, _group(FULL)) == 1

    row = make.again(rows["bora"])
    assert (row.status, row.due_at, row.dedupe_key) == (DeliveryStatus.QUEUED, LATER, rows["bora"].dedupe_key)
    assert row.give_up_at == LATER + timedelta(hours=newsletter.give_up_hours)
    assert row.reason == "sent again by root: the relay is back"
    assert [make.again(rows[name]).status for name in ("ari", "chan", "dana", "eun")] == [
        DeliveryStatus.SENT,
        DeliveryStatus.FAILED,
        DeliveryStatus.HELD,
        DeliveryStatus.SKIPPED,
    ]
    assert make.again(issue).status is IssueStatus.PUBLISHED
    assert make.again(issue).finished_at is None


def test_what_is_sent_again_is_sent_once(sessions, make, ended):
    issue, rows = ended
    chosen = _group(FULL)
    _resend(sessions, issue, chosen)

    assert _resend(sessions, issue, chosen) == 0
    assert _begun(sessions, Lane.LIST, now=LATER) == {rows["bora"].id}
    assert _begun(sessions, Lane.LIST, now=LATER, worker="two") == set()


@pytest.mark.parametrize("status", [DeliveryStatus.SENT, DeliveryStatus.SKIPPED])
def test_nobody_who_got_it_or_is_not_owed_it_is_sent_it_again(sessions, make, ended, status):
    issue, _ = ended
    reason = {"sent": "", "skipped": "unsubscribed"}[status.value]

    assert _resend(sessions, issue, _group(reason, status)) == 0
    assert make.again(issue).status is IssueStatus.SENT


def test_who_left_since_is_passed_over_at_the_last_look(sessions, make, ended):
    issue, rows = ended
    with sessions.begin() as session:
        session.get(Subscription, rows["bora"].subscription_id).status = SubscriptionStatus.UNSUBSCRIBED
    make.suppression("dana")
    _resend(sessions, issue, _group(FULL), _group(LOST, DeliveryStatus.HELD))

    assert _begun(sessions, Lane.LIST, now=LATER) == set()
    assert make.again(rows["bora"]).reason == "unsubscribed"
    assert make.again(rows["dana"]).reason == "suppressed: bounce"


def test_nothing_of_a_cancelled_issue_is_sent_again(sessions, make, newsletter, ended):
    issue, rows = ended
    with sessions.begin() as session:
        session.merge(issue).status = IssueStatus.CANCELLED

    with pytest.raises(Conflict, match="cancelled"):
        _resend(sessions, issue, _group(FULL))

    assert make.again(rows["bora"]).status is DeliveryStatus.FAILED


def test_a_late_answer_about_a_held_mail_saves_sending_it_again(sessions, make, ended):
    issue, rows = ended
    _resend(sessions, issue, _group(LOST, DeliveryStatus.HELD))

    _record(sessions, rows["dana"], DeliveryEvent.ACCEPT)

    assert make.again(rows["dana"]).status is DeliveryStatus.SENT


def test_an_old_refusal_that_is_told_twice_does_not_undo_sending_it_again(sessions, make, ended):
    issue, rows = ended
    _resend(sessions, issue, _group(FULL))

    _record(sessions, rows["bora"], DeliveryEvent.REFUSE)

    assert make.again(rows["bora"]).status is DeliveryStatus.QUEUED


# Settling


@pytest.mark.parametrize("status", [DeliveryStatus.HELD, DeliveryStatus.UNKNOWN])
@pytest.mark.parametrize(
    ("settled", "after"),
    [
        (Settled.SENT, (DeliveryStatus.SENT, "settled as sent by root: the relay is back")),
        (Settled.FAILED, (DeliveryStatus.FAILED, "settled as failed by root: the relay is back")),
        (Settled.RESEND, (DeliveryStatus.QUEUED, "sent again by root: the relay is back")),
    ],
)
def test_what_nobody_knew_is_settled_by_the_operator(sessions, make, status, settled, after):
    delivery = make.delivery(status=status, claimed_by="a-worker")

    with sessions.begin() as session:
        control.resolve(session, delivery.id, settled, ROOT, now=LATER)

    row = make.again(delivery)
    assert (row.status, row.reason) == after
    assert row.sent_at == (NOW if settled is Settled.SENT else None)


def test_one_failed_mail_can_be_sent_again(sessions, make):
    delivery = make.delivery(status=DeliveryStatus.FAILED, give_up_at=NOW)

    with sessions.begin() as session:
        control.resolve(session, delivery.id, Settled.RESEND, Decision("root"), now=LATER)

    assert make.again(delivery).reason == "sent again by root"
    assert _begun(sessions, Lane.PERSON, now=LATER) == {delivery.id}


@pytest.mark.parametrize(
    ("status", "settled"),
    [
        (DeliveryStatus.SENT, Settled.RESEND),
        (DeliveryStatus.SKIPPED, Settled.RESEND),
        (DeliveryStatus.SENDING, Settled.SENT),
        (DeliveryStatus.QUEUED, Settled.FAILED),
        (DeliveryStatus.FAILED, Settled.SENT),
    ],
)
def test_what_is_known_is_not_settled(sessions, make, status, settled):
    delivery = make.delivery(status=status)

    with sessions.begin() as session, pytest.raises(Conflict, match=f"is {status.value}"):
        control.resolve(session, delivery.id, settled, ROOT, now=LATER)

    assert make.again(delivery).status is status


def test_a_delivery_that_is_none_cannot_be_settled(sessions):
    with sessions.begin() as session, pytest.raises(NotFound, match="no delivery 7"):
        control.resolve(session, 7, Settled.SENT, ROOT, now=NOW)


@pytest.mark.parametrize(
    ("settled", "after"),
    [
        (Settled.SENT, (DeliveryStatus.SENT, IssueStatus.SENT)),
        (Settled.RESEND, (DeliveryStatus.QUEUED, IssueStatus.PUBLISHED)),
    ],
)
def test_all_of_an_issue_that_nobody_knew_is_settled_alike(sessions, make, ended, settled, after):
    issue, rows = ended

    with sessions.begin() as session:
        assert control.resolve_issue(session, issue.id, settled, ROOT, now=LATER) == 1

    assert (make.again(rows["dana"]).status, make.again(issue).status) == after
    assert make.again(rows["bora"]).status is DeliveryStatus.FAILED


def test_a_mail_that_is_lost_again_after_being_sent_again_is_held_again(sessions, make):
    delivery = make.delivery(status=DeliveryStatus.HELD, resends=1)
    with sessions.begin() as session:
        control.resolve(session, delivery.id, Settled.RESEND, ROOT, now=NOW)
    _begun(sessions, Lane.PERSON)
    _record(sessions, delivery, DeliveryEvent.LOSE, worker="one")

    with sessions.begin() as session:
        recover(session, hold_unknown=False, now=LATER)

    assert make.again(delivery).status is DeliveryStatus.HELD


# Looking


def test_deliveries_are_listed_a_page_at_a_time_the_newest_first(sessions, make, newsletter):
    ids = [make.delivery(newsletter_id=newsletter.id).id for _ in range(5)]

    with sessions.read() as session:
        first = control.listing(session, Wanted(), limit=2)
        second = control.listing(session, Wanted(), before_id=first[-1].id, limit=2)

    assert [row.id for row in (*first, *second)] == ids[:0:-1]


def test_deliveries_are_listed_by_issue_and_state(sessions, make, ended):
    issue, rows = ended
    make.delivery(status=DeliveryStatus.HELD)
    wanted = Wanted(issue_id=issue.id, statuses=(DeliveryStatus.HELD, DeliveryStatus.SENT))

    with sessions.read() as session:
        found = control.listing(session, wanted)

    assert {row.id for row in found} == {rows["ari"].id, rows["dana"].id}


def test_all_mails_to_an_address_are_listed_whoever_it_is(sessions, make, ended):
    _, rows = ended
    alarm = make.delivery("ari", kind=DeliveryKind.ALARM)

    with sessions.read() as session:
        found = control.listing(session, Wanted(address="ari@example.org", address_key="ari@example.org"))

    assert [row.id for row in found] == [alarm.id, rows["ari"].id]


def test_the_queue_tells_what_waits_in_each_lane_and_since_when(sessions, make, newsletter):
    for minutes in (5, 1, -10):
        make.delivery(newsletter_id=newsletter.id, due_at=NOW - timedelta(minutes=minutes))
    make.delivery(newsletter_id=newsletter.id, lane=Lane.LIST.value, due_at=LATER, status=DeliveryStatus.DEFERRED)
    make.delivery(newsletter_id=newsletter.id, status=DeliveryStatus.SENT)

    with sessions.read() as session:
        person, mass = control.queue(session, now=NOW)

    assert (person.lane, person.due, person.later, person.oldest_due_at) == ("person", 2, 1, NOW - timedelta(minutes=5))
    assert (mass.lane, mass.due, mass.later, mass.oldest_due_at) == ("list", 0, 1, None)


def test_what_ended_of_late_is_counted_by_newsletter(sessions, make, newsletter, ended):
    make.delivery(newsletter_id=newsletter.id, status=DeliveryStatus.SENT)
    make.delivery(newsletter_id=newsletter.id, status=DeliveryStatus.SENT, updated_at=NOW - 25 * HOUR)
    make.delivery(newsletter_id=newsletter.id)

    with sessions.read() as session:
        found = control.ended_since(session, NOW - 24 * HOUR)
        held = control.held(session, since=NOW - 24 * HOUR)

    assert found == {
        (newsletter.id, DeliveryStatus.SENT): 2,
        (newsletter.id, DeliveryStatus.FAILED): 2,
        (newsletter.id, DeliveryStatus.HELD): 1,
    }
    assert held == 1


# Time


def test_what_is_for_a_later_hour_can_be_made_due_at_once(sessions, make):
    newsletter = make.newsletter(send_hour=8)
    make.reader("ari", newsletter)
    issue = make.issue(newsletter, IssueStatus.PUBLISHED)
    with sessions.begin() as session:
        assert control.first_due(session, issue.id) == NOW.replace(hour=8, minute=0)
        assert control.make_due(session, issue.id, now=NOW) == 1
        assert control.make_due(session, issue.id, now=NOW) == 0
        assert control.first_due(session, issue.id) == NOW

    assert len(_begun(sessions, Lane.LIST)) == 1
