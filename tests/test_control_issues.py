from datetime import timedelta
from email import message_from_bytes, policy

import pytest
from factories import NOW, POLICY, mailer
from sqlalchemy import select

from newsletter import issues
from newsletter.deliveries import control, ledger
from newsletter.deliveries.control import NO_ADDRESS, Decision, Group
from newsletter.deliveries.ledger import Outcome
from newsletter.errors import BadInput, Conflict, NotFound, Reply
from newsletter.issues import control as issue_control
from newsletter.lifecycle import DeliveryEvent, DeliveryStatus, IssueStatus
from newsletter.models import Delivery, DeliveryKind, Lane
from newsletter.subscribers import parse_address

LATER = NOW + timedelta(hours=1)
GONE = Reply(550, "5.1.1", "no such user", "mx.example.org", "rcpt")


@pytest.fixture
def newsletter(make):
    """Return a newsletter."""
    return make.newsletter()


def _claimed(sessions, lane, *, now=NOW, worker="one"):
    with sessions.begin() as session:
        return ledger.claim(session, lane, worker=worker, limit=100, now=now)


def _begun(sessions, lane, *, now=NOW, worker="one"):
    ids = [row.id for row in _claimed(sessions, lane, now=now, worker=worker)]
    with sessions.begin() as session:
        ledger.begin(session, ids, worker=worker, now=now)
        mine = select(Delivery.id).where(Delivery.status == DeliveryStatus.SENDING, Delivery.claimed_by == worker)
        return set(session.scalars(mine))


def test_what_servers_last_said_is_shown_the_latest_first(sessions, make, newsletter):
    for name in ("ari", "bora"):
        make.reader(name, newsletter)
    issue = make.issue(newsletter, IssueStatus.PUBLISHED)
    ids = sorted(_begun(sessions, Lane.LIST))
    for number, minutes in zip(ids, (1, 2), strict=True):
        outcome = Outcome(number, DeliveryEvent.REFUSE, reason=NO_ADDRESS, reply=GONE)
        with sessions.begin() as session:
            ledger.record(session, [outcome], worker="one", now=NOW + timedelta(minutes=minutes))

    with sessions.read() as session:
        shown = issue_control.show(session, session.merge(issue, load=False), now=NOW)

    assert [row.delivery for row in shown.words] == ids[::-1]
    assert (shown.words[0].reply, shown.words[0].server) == ("rcpt: 550 5.1.1 no such user", "mx.example.org")
    assert shown.deliveries == (Group(DeliveryStatus.FAILED, NO_ADDRESS, 2),)
    assert [paper.title for paper in shown.papers] == ["Paper 1 on small models", "Paper 2 on small models"]


def test_what_waits_of_a_cancelled_issue_is_skipped_at_once(sessions, make, newsletter):
    for name in ("ari", "bora"):
        make.reader(name, newsletter)
    issue = make.issue(newsletter, IssueStatus.PUBLISHED)
    sent, waits = make.all(Delivery)
    with sessions.begin() as session:
        session.merge(sent).status = DeliveryStatus.SENT

    with sessions.begin() as session:
        cancelled = issue_control.call_off(session, issue.id, reason="wrong papers", now=NOW)

    assert (cancelled.sent, cancelled.skipped) == (1, 1)
    assert (make.again(waits).status, make.again(waits).reason) == (DeliveryStatus.SKIPPED, "issue cancelled")


def test_cancelling_twice_changes_nothing_more(sessions, make, newsletter):
    issue = make.issue(newsletter)
    for now, reason in ((NOW, "wrong papers"), (LATER, "no reason")):
        with sessions.begin() as session:
            issue_control.call_off(session, issue.id, reason=reason, now=now)

    assert (make.again(issue).reason, make.again(issue).finished_at) == ("wrong papers", NOW)


# Trying an issue out


def _send_test(sessions, issue, name="dana", now=NOW):
    address = parse_address(f"{name}@example.org")
    with sessions.begin() as session:
        return issue_control.send_test(session, issue, address, POLICY, now=now)


def test_an_issue_can_be_tried_on_one_address_before_it_is_out(sessions, make, newsletter):
    issue = make.issue(newsletter)

    assert _send_test(sessions, issue)

    (row,) = _claimed(sessions, Lane.PERSON)
    made = mailer()
    with sessions.read() as session:
        made.load(session, [row])
    message = message_from_bytes(made.message(row, now=NOW).content, policy=policy.default)
    assert (message["To"], message["Subject"]) == ("dana@example.org", f"[Test] {issue.subject}")
    assert message["List-Unsubscribe"] is None
    assert "Paper 1 on small models" in message.get_body(("plain",)).get_content()
    assert "/u/" not in message.get_body(("plain",)).get_content()


def test_a_test_counts_for_nothing(sessions, make, newsletter):
    reader = make.reader("ari", newsletter)
    issue = make.issue(newsletter)
    _send_test(sessions, issue, "ari")

    with sessions.begin() as session:
        assert issues.publish(session, issue.id, now=NOW) == 1
    with sessions.read() as session:
        assert sum(group.number for group in control.groups(session, issue.id)) == 1

    test, digest = make.all(Delivery)
    assert (test.issue_id, test.subscription_id, digest.subscription_id) == (None, None, reader.id)
    assert _begun(sessions, Lane.PERSON) == {test.id}


def test_a_test_asked_for_twice_at_once_is_one_mail(sessions, make, newsletter):
    issue = make.issue(newsletter)

    assert [_send_test(sessions, issue, now=moment) for moment in (NOW, NOW, LATER)] == [True, False, True]


def test_an_issue_that_is_not_frozen_cannot_be_tried(sessions, make, newsletter):
    with pytest.raises(Conflict, match="nothing to send yet"):
        _send_test(sessions, make.issue(newsletter, IssueStatus.DRAFT))


def test_the_suppressed_get_no_test_either(sessions, make, newsletter):
    issue = make.issue(newsletter)
    _send_test(sessions, issue, "bora")  # whom it is too late to spare when they are suppressed by now
    make.subscriber("chan")
    _send_test(sessions, issue, "chan")
    make.suppression("chan")
    make.suppression("dana")

    with pytest.raises(Conflict, match="suppressed"):
        _send_test(sessions, issue, "dana")

    assert len(_begun(sessions, Lane.PERSON)) == 1


@pytest.mark.parametrize(("lane", "owed"), [(Lane.PERSON, True), (Lane.LIST, False)])
def test_a_digest_without_a_subscription_is_owed_only_as_a_test(sessions, make, lane, owed):
    digest = make.delivery(kind=DeliveryKind.DIGEST, lane=lane.value)

    assert bool(_begun(sessions, lane)) is owed
    assert (make.again(digest).status is DeliveryStatus.SKIPPED) is not owed


# Pausing


def _pause(sessions, issue, until=None, now=NOW):
    with sessions.begin() as session:
        control.pause(session, issue.id, Decision("root", "a typing error"), until=until, now=now)


def test_a_paused_issue_says_so_and_is_not_paused_twice(sessions, make, newsletter):
    issue = make.issue(newsletter)
    _pause(sessions, issue)
    _pause(sessions, issue)

    with sessions.read() as session:
        shown = issue_control.show(session, session.merge(issue, load=False), now=NOW)
        (row,) = control.paused(session, now=NOW)

    assert (shown.pause.until, shown.pause.cause) == (None, "Paused by root: a typing error.")
    with sessions.begin() as session:
        assert control.lift(session, row.id, now=NOW).key == str(issue.id)
    with sessions.read() as session:
        assert control.paused(session, now=NOW) == []


def test_what_a_pause_put_off_is_due_when_it_goes_on(sessions, make, newsletter):
    make.reader("ari", newsletter)
    issue = make.issue(newsletter, IssueStatus.PUBLISHED)
    _pause(sessions, issue)
    (row,) = make.all(Delivery)
    with sessions.begin() as session:
        waiting = session.merge(row)
        waiting.status, waiting.reason, waiting.due_at = DeliveryStatus.DEFERRED, "paused: until it is resumed", LATER

    with sessions.begin() as session:
        assert control.go_on(session, issue.id, now=NOW)
        assert not control.go_on(session, issue.id, now=NOW)

    assert _begun(sessions, Lane.LIST) == {row.id}


def test_a_pause_until_a_time_that_is_over_is_refused(sessions, make, newsletter):
    with pytest.raises(BadInput, match="2024-03-15 00:05 UTC is over"):
        _pause(sessions, make.issue(newsletter), until=NOW)


def test_an_issue_of_which_nothing_is_to_come_is_not_paused(sessions, make, newsletter):
    issue = make.issue(newsletter)
    with sessions.begin() as session:
        issue_control.call_off(session, issue.id, reason="wrong papers", now=NOW)

    with pytest.raises(Conflict, match="nothing to pause"):
        _pause(sessions, issue)


def test_a_pause_that_is_none_or_over_cannot_be_lifted(sessions, make, newsletter):
    _pause(sessions, make.issue(newsletter))
    with sessions.begin() as session:
        control.lift(session, 1, now=NOW)

    with sessions.begin() as session, pytest.raises(Conflict, match="was over at 2024-03-15 00:05 UTC"):
        control.lift(session, 1, now=LATER)
    with sessions.begin() as session, pytest.raises(NotFound, match="no pause 2"):
        control.lift(session, 2, now=LATER)
