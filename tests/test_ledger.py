from datetime import timedelta
from threading import Barrier, Thread

import pytest
from factories import DAY, NOW
from sqlalchemy import event

from newsletter.deliveries import ledger, recover
from newsletter.deliveries.ledger import BEGIN_WITHIN, CLAIM_LEASE, SENDING_LEASE, Outcome, Recovered
from newsletter.errors import Reply
from newsletter.lifecycle import DeliveryEvent, DeliveryStatus, IssueStatus, SubscriptionStatus
from newsletter.models import Delivery, DeliveryKind, Issue, Lane, Subscription, SuppressionReason

LATER = NOW + timedelta(minutes=1)
TAKEN = Reply(250, "2.0.0", "taken", "mx.example.org", "dot")


@pytest.fixture
def newsletter(make):
    """Return a newsletter."""
    return make.newsletter()


def _claim(sessions, lane=Lane.PERSON, *, worker="one", limit=100, now=NOW):
    with sessions.begin() as session:
        return [row.id for row in ledger.claim(session, lane, worker=worker, limit=limit, now=now)]


def _begin(sessions, ids, *, worker="one", now=NOW):
    with sessions.begin() as session:
        return ledger.begin(session, ids, worker=worker, now=now).owed


def _record(sessions, delivery_id, event, *, worker="one", now=LATER, **more):
    with sessions.begin() as session:
        ledger.record(session, [Outcome(delivery_id, event, **more)], worker=worker, now=now)


def _recover(sessions, *, hold=False, now=NOW):
    with sessions.begin() as session:
        return recover(session, hold_unknown=hold, now=now)


def _status(make, delivery):
    row = make.again(delivery)
    return (row.status, row.reason)


def _digest(make, newsletter, name="ari", **changes):
    """Queue the digest of a published issue for a reader of it."""
    reader = make.reader(name, newsletter)
    given = {"kind": DeliveryKind.DIGEST, "lane": Lane.LIST.value, "subscriber_id": reader.subscriber_id}
    given |= {"subscription_id": reader.id, "newsletter_id": newsletter.id}
    return make.delivery(name, **(given | changes))


def test_what_is_due_is_claimed_the_longest_due_first(sessions, make, newsletter):
    due = [make.delivery(newsletter_id=newsletter.id, due_at=NOW - timedelta(minutes=minutes)).id for minutes in (0, 5, 1)]
    make.delivery(newsletter_id=newsletter.id, due_at=LATER)
    make.delivery(newsletter_id=newsletter.id, lane=Lane.LIST.value)
    make.delivery(newsletter_id=newsletter.id, status=DeliveryStatus.SENT)
    deferred = make.delivery(newsletter_id=newsletter.id, status=DeliveryStatus.DEFERRED).id

    assert _claim(sessions, limit=2) == [due[1], due[2]]
    assert _claim(sessions, worker="two") == [due[0], deferred]
    assert _claim(sessions) == []


def test_what_is_no_longer_worth_sending_is_not_claimed(sessions, make, newsletter):
    late = make.delivery(newsletter_id=newsletter.id, give_up_at=NOW)

    assert _claim(sessions) == []
    assert _recover(sessions, now=LATER) == Recovered(too_late=1)
    assert _status(make, late) == (DeliveryStatus.FAILED, "it could not be sent in time")


def test_a_claim_tells_what_is_needed_to_make_the_mail(sessions, make, newsletter):
    delivery = make.delivery(newsletter_id=newsletter.id, attempts=2)

    with sessions.begin() as session:
        (row,) = ledger.claim(session, Lane.PERSON, worker="one", limit=1, now=NOW)

    assert (row.kind, row.address, row.attempts) == (DeliveryKind.CONFIRM, "ari@example.org", 2)
    assert row.values == delivery.values


def test_workers_at_once_share_no_claim(sessions, make, newsletter):
    ids = {make.delivery(newsletter_id=newsletter.id).id for _ in range(60)}
    start, claimed = Barrier(3), []

    def work(worker):
        start.wait()
        while taken := _claim(sessions, worker=worker, limit=7):
            claimed.extend(taken)

    threads = [Thread(target=work, args=(str(number),)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(claimed) == 60
    assert set(claimed) == ids


def test_the_last_look_lets_through_what_is_owed(sessions, make, newsletter):
    delivery = _digest(make, newsletter)
    ids = _claim(sessions, Lane.LIST)

    assert _begin(sessions, ids) == {delivery.id}

    row = make.again(delivery)
    assert (row.status, row.attempts, row.lease_until) == (DeliveryStatus.SENDING, 1, NOW + SENDING_LEASE)


def _leave(session, subscription, issue):
    subscription.status = SubscriptionStatus.UNSUBSCRIBED


def _pause(session, subscription, issue):
    subscription.paused_until = NOW.date() + timedelta(days=1)


def _cancel(session, subscription, issue):
    issue.status = IssueStatus.CANCELLED


def _erase(session, subscription, issue):
    session.delete(subscription)


@pytest.mark.parametrize(
    ("change", "reason"),
    [(_leave, "unsubscribed"), (_pause, "paused until 2024-03-16"), (_cancel, "issue cancelled"), (_erase, "unsubscribed")],
)
def test_what_changes_after_the_claim_is_seen_by_the_last_look(sessions, make, newsletter, change, reason):
    issue = make.issue(newsletter, IssueStatus.PUBLISHED)
    gone, owed = _digest(make, newsletter, issue_id=issue.id), _digest(make, newsletter, "bora")
    ids = _claim(sessions, Lane.LIST)
    with sessions.begin() as session:
        change(session, session.get(Subscription, gone.subscription_id), session.get(Issue, issue.id))

    assert _begin(sessions, ids) == {owed.id}
    assert _status(make, gone) == (DeliveryStatus.SKIPPED, reason)
    assert make.again(gone).lease_until is None


@pytest.mark.parametrize("reason", SuppressionReason)
def test_the_suppressed_get_nothing_whatever_was_queued(sessions, make, newsletter, reason):
    delivery = _digest(make, newsletter)
    ids = _claim(sessions, Lane.LIST)
    make.suppression("ari", reason)

    assert _begin(sessions, ids) == set()
    assert _status(make, delivery) == (DeliveryStatus.SKIPPED, f"suppressed: {reason.value}")


@pytest.mark.parametrize(
    ("kind", "standing", "owed"),
    [
        (DeliveryKind.CONFIRM, (SubscriptionStatus.PENDING, "suppressed"), True),  # their own way back
        (DeliveryKind.WELCOME, (SubscriptionStatus.ACTIVE, "paused"), True),  # a pause is from digests
        (DeliveryKind.WELCOME, (SubscriptionStatus.UNSUBSCRIBED, ""), False),
        (DeliveryKind.GOODBYE, (SubscriptionStatus.UNSUBSCRIBED, "paused"), True),
        (DeliveryKind.GOODBYE, (SubscriptionStatus.UNSUBSCRIBED, "suppressed"), False),
        (DeliveryKind.ALREADY_SUBSCRIBED, (SubscriptionStatus.ACTIVE, "paused"), True),
        (DeliveryKind.ALREADY_SUBSCRIBED, (SubscriptionStatus.UNSUBSCRIBED, ""), False),
    ],
)
def test_each_kind_of_mail_is_owed_to_whom_it_concerns(sessions, make, kind, standing, owed):
    status, trouble = standing
    paused_until = NOW.date() + timedelta(days=5) if trouble == "paused" else None
    delivery = _digest(make, make.newsletter(), kind=kind)
    with sessions.begin() as session:
        row = session.get(Subscription, delivery.subscription_id)
        row.status, row.paused_until = status, paused_until
    if trouble == "suppressed":
        make.suppression("ari")

    assert bool(_begin(sessions, _claim(sessions, Lane.LIST))) is owed


def test_an_alarm_goes_to_the_operator_whatever_the_tables_say(sessions, make):
    alarm = make.delivery(kind=DeliveryKind.ALARM)

    assert _begin(sessions, _claim(sessions)) == {alarm.id}


@pytest.mark.parametrize(("worker", "now"), [("two", NOW), ("one", NOW + CLAIM_LEASE)])
def test_only_the_claims_holder_may_begin_and_only_in_time(sessions, make, newsletter, worker, now):
    delivery = make.delivery(newsletter_id=newsletter.id)
    ids = _claim(sessions)

    assert _begin(sessions, ids, worker=worker, now=now) == set()
    assert make.again(delivery).status is DeliveryStatus.CLAIMED


def test_what_one_worker_has_begun_no_other_begins(sessions, make, newsletter):
    delivery = make.delivery(newsletter_id=newsletter.id)
    ids = _claim(sessions)

    assert _begin(sessions, ids) == set(ids)
    assert _begin(sessions, ids, worker="two") == set()
    assert make.again(delivery).attempts == 1


def test_what_is_given_back_can_be_claimed_at_once(sessions, make, newsletter):
    make.delivery(newsletter_id=newsletter.id)
    ids = _claim(sessions)
    with sessions.begin() as session:
        ledger.give_back(session, ids, worker="one", now=NOW)

    assert _claim(sessions, worker="two") == ids


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (DeliveryEvent.ACCEPT, DeliveryStatus.SENT),
        (DeliveryEvent.REFUSE, DeliveryStatus.FAILED),
        (DeliveryEvent.PUT_OFF, DeliveryStatus.DEFERRED),
        (DeliveryEvent.LOSE, DeliveryStatus.UNKNOWN),
    ],
)
def test_an_outcome_is_written_down_with_the_servers_words(sessions, make, newsletter, event, status):
    delivery = make.delivery(newsletter_id=newsletter.id)
    _begin(sessions, _claim(sessions))

    _record(sessions, delivery.id, event, reason="so it was", reply=TAKEN, again_in=timedelta(minutes=5))

    row = make.again(delivery)
    assert (row.status, row.reason) == (status, "so it was")
    assert (row.reply_code, row.reply_enhanced, row.reply_text) == (250, "2.0.0", "taken")
    assert (row.reply_phase, row.reply_server) == ("dot", "mx.example.org")
    assert row.sent_at == (LATER if event is DeliveryEvent.ACCEPT else None)
    assert row.due_at == (LATER + timedelta(minutes=5) if event is DeliveryEvent.PUT_OFF else NOW)


def test_odd_words_of_a_server_cost_no_outcome(sessions, make, newsletter):
    delivery = make.delivery(newsletter_id=newsletter.id)
    _begin(sessions, _claim(sessions))

    odd = Reply(250, "", "ok\0 \ud800 " + "x" * 2000, "mx", "dot")
    _record(sessions, delivery.id, DeliveryEvent.ACCEPT, reply=odd, reason="\0")

    row = make.again(delivery)
    assert row.status is DeliveryStatus.SENT
    assert row.reply_text.startswith("ok x")


def test_nobody_else_may_record_an_outcome(sessions, make, newsletter):
    delivery = make.delivery(newsletter_id=newsletter.id)
    _begin(sessions, _claim(sessions))

    _record(sessions, delivery.id, DeliveryEvent.REFUSE, worker="two")

    assert make.again(delivery).status is DeliveryStatus.SENDING


def test_a_claim_that_ran_out_goes_back_to_the_queue(sessions, make, newsletter):
    delivery = make.delivery(newsletter_id=newsletter.id)
    _claim(sessions)

    assert _recover(sessions, now=NOW + CLAIM_LEASE) == Recovered()
    assert _recover(sessions, now=NOW + CLAIM_LEASE + timedelta(seconds=1)) == Recovered(given_back=1)
    assert make.again(delivery).status is DeliveryStatus.QUEUED


def _lose(sessions, now):
    """Claim and begin what is due, and let its lease run out."""
    begun = _begin(sessions, _claim(sessions, now=now), now=now)
    return begun, now + SENDING_LEASE + timedelta(seconds=1)


def test_a_mail_lost_while_sending_is_sent_again_once_and_then_held(sessions, make, newsletter):
    delivery = make.delivery(newsletter_id=newsletter.id)

    begun, now = _lose(sessions, NOW)
    assert begun == {delivery.id}
    assert _recover(sessions, now=now) == Recovered(lost=1, resent=1)
    begun, now = _lose(sessions, now)
    assert begun == {delivery.id}
    assert _recover(sessions, now=now) == Recovered(lost=1, held=1)

    assert _claim(sessions, now=now) == []
    assert _status(make, delivery) == (DeliveryStatus.HELD, "the worker was lost while sending")


def test_the_policy_may_be_to_hold_at_once(sessions, make, newsletter):
    delivery = make.delivery(newsletter_id=newsletter.id)

    _, now = _lose(sessions, NOW)

    assert _recover(sessions, hold=True, now=now) == Recovered(lost=1, held=1)
    assert make.again(delivery).status is DeliveryStatus.HELD


def test_a_late_answer_settles_what_was_held(sessions, make, newsletter):
    delivery = make.delivery(newsletter_id=newsletter.id)
    _, now = _lose(sessions, NOW)
    _recover(sessions, hold=True, now=now)

    _record(sessions, delivery.id, DeliveryEvent.ACCEPT, reply=TAKEN, now=now)

    assert make.again(delivery).status is DeliveryStatus.SENT
    assert _recover(sessions, now=now + timedelta(days=1)) == Recovered()


def test_a_late_answer_to_an_unknown_makes_it_sent_without_a_second_mail(sessions, make, newsletter):
    delivery = make.delivery(newsletter_id=newsletter.id)
    _begin(sessions, _claim(sessions))
    _record(sessions, delivery.id, DeliveryEvent.LOSE)

    _record(sessions, delivery.id, DeliveryEvent.ACCEPT, reply=TAKEN)

    assert _recover(sessions, now=LATER) == Recovered()
    assert make.again(delivery).status is DeliveryStatus.SENT


def test_an_unknown_past_its_time_is_held_and_not_called_failed(sessions, make, newsletter):
    delivery = make.delivery(newsletter_id=newsletter.id, give_up_at=NOW + timedelta(minutes=1))
    _, now = _lose(sessions, NOW)

    assert _recover(sessions, now=now) == Recovered(lost=1, held=1)
    assert make.again(delivery).status is DeliveryStatus.HELD


def test_what_was_put_off_too_long_fails_with_the_servers_last_words(sessions, make, newsletter):
    delivery = make.delivery(newsletter_id=newsletter.id)
    _begin(sessions, _claim(sessions))
    busy = Reply(451, "4.3.0", "busy", "mx", "rcpt")
    _record(sessions, delivery.id, DeliveryEvent.PUT_OFF, reason="the server said later", reply=busy)

    assert _recover(sessions, now=NOW + timedelta(hours=25)) == Recovered(too_late=1)
    row = make.again(delivery)
    assert (row.status, row.reason, row.reply_text) == (DeliveryStatus.FAILED, "the server said later", "busy")


def test_the_sweep_leaves_alone_what_is_under_way(sessions, make, newsletter):
    claimed, queued = make.delivery(newsletter_id=newsletter.id), make.delivery(newsletter_id=newsletter.id, due_at=LATER)
    _begin(sessions, _claim(sessions))

    assert _recover(sessions, now=LATER) == Recovered()
    assert {make.again(claimed).status, make.again(queued).status} == {DeliveryStatus.SENDING, DeliveryStatus.QUEUED}


def test_a_mail_begins_early_enough_for_its_answer_to_come_within_the_lease():
    assert timedelta(minutes=10) < SENDING_LEASE - BEGIN_WITHIN


def test_a_pause_ends_on_its_day(sessions, make, newsletter):
    delivery = _digest(make, newsletter)
    with sessions.begin() as session:
        session.get(Subscription, delivery.subscription_id).paused_until = DAY + timedelta(days=1)

    assert _begin(sessions, _claim(sessions, Lane.LIST)) == {delivery.id}
    assert make.all(Delivery)[0].reason == ""


def test_a_set_is_one_parameter_however_many_are_in_it(sessions, make, newsletter):
    def said(count):
        found = []
        ids = [make.delivery(newsletter_id=newsletter.id).id for _ in range(count)]
        event.listen(sessions.engine, "before_cursor_execute", keep := lambda *given: found.append(given[2]))
        with sessions.begin() as session:
            assert len(ledger.claim(session, Lane.PERSON, worker="one", limit=count, now=NOW)) == count
            ledger.give_back(session, [], worker="one", now=NOW)
            assert ledger.begin(session, ids, worker="one", now=NOW).owed == set(ids)
            ledger.renew(session, ids, worker="one", now=NOW)
            ledger.record(session, [Outcome(number, DeliveryEvent.ACCEPT, reply=TAKEN) for number in ids], worker="one", now=NOW)
        event.remove(sessions.engine, "before_cursor_execute", keep)
        return [statement for statement in found if "deliveries" in statement]

    assert said(1) == said(3)
