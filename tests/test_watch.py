from datetime import timedelta

import pytest
from factories import NOW
from sqlalchemy import update
from sqlmodel import col

from newsletter import alarms, watch
from newsletter.alarms import Cause
from newsletter.lifecycle import DeliveryStatus, IssueStatus
from newsletter.models import Alarm, Consent, Delivery, Issue, Pause, PauseScope, Tick
from newsletter.watch import CALM, HELD, SENT_TICK, STUCK, UNMADE


def _raise(sessions, cause):
    with sessions.begin() as session:
        alarms.raise_alarm(session, cause, now=NOW)


def _review(sessions, now=NOW):
    """Review, and return the causes of the alarms that are open then."""
    with sessions.begin() as session:
        watch.review(session, now=now)
    with sessions.read() as session:
        return sorted(row.cause for row in alarms.open_alarms(session))


def _pause(make, until):
    return make.add(Pause(scope=PauseScope.RELAY, key="relay:587", until=until, cause="away", opened_at=NOW))


def test_where_all_is_well_nothing_is_raised(sessions, make):
    newsletter = make.newsletter()
    make.reader("ari", newsletter)
    make.issue(newsletter, IssueStatus.PUBLISHED)

    assert _review(sessions) == []


def test_an_alarm_of_another_kind_is_left_alone(sessions):
    _raise(sessions, Cause("source:sample", "sample could not be read"))

    assert _review(sessions) == ["source:sample"]


def test_a_pause_that_is_over_for_a_while_is_closed_with_its_alarm(sessions, make):
    row, endless = _pause(make, NOW), make.add(Pause(scope=PauseScope.ISSUE, key="7", cause="held", opened_at=NOW))
    keys = [watch.pause_key(each.scope, each.key) for each in (row, endless)]
    for key in keys:
        _raise(sessions, Cause(key, "paused"))

    assert _review(sessions, NOW + CALM - timedelta(seconds=1)) == sorted(keys)  # it may come back at once
    assert _review(sessions, NOW + CALM) == keys[1:]
    assert make.again(row).closed_at == NOW + CALM
    assert make.again(endless).closed_at is None


@pytest.mark.parametrize("status", [IssueStatus.DRAFT, IssueStatus.READY])
def test_an_issue_that_stays_half_made_is_late_until_it_goes_on(sessions, make, status):
    issue = make.issue(make.newsletter(slug="papers"), status)
    assert _review(sessions, NOW + UNMADE) == []

    assert _review(sessions, NOW + UNMADE * 2) == [f"late:issue:{issue.id}"]
    assert _review(sessions, NOW + UNMADE * 3) == [f"late:issue:{issue.id}"]

    (alarm,) = make.all(Alarm)
    assert (alarm.subject, alarm.times) == ("The issue papers 2024-03-14 is late", 1)
    assert alarm.detail == f"It is {status.value} since 00:05 UTC."
    with sessions.begin() as session:
        session.execute(update(Issue).values(status=IssueStatus.CANCELLED))
    assert _review(sessions, NOW + UNMADE * 4) == []


@pytest.mark.parametrize(("give_up", "hours"), [(12, 3), (2, 1)])
def test_an_issue_whose_mails_do_not_end_is_late(sessions, make, give_up, hours):
    newsletter = make.newsletter(give_up_hours=give_up)
    make.reader("ari", newsletter)
    issue = make.issue(newsletter, IssueStatus.PUBLISHED)
    make.add(Tick(name=SENT_TICK, at=NOW + timedelta(hours=hours)))

    assert _review(sessions, NOW + timedelta(hours=hours)) == []
    late = NOW + timedelta(hours=hours, minutes=1)
    assert _review(sessions, late) == [f"late:issue:{issue.id}"]

    assert make.all(Alarm)[0].detail == f"Some of its mails were due more than {hours} hours ago."
    with sessions.begin() as session:
        session.execute(update(Delivery).values(status=DeliveryStatus.SENT))
    assert _review(sessions, late) == []


def test_a_queue_that_nobody_empties_is_told_unless_something_was_sent_or_is_paused(sessions, make):
    make.delivery()
    late = NOW + STUCK + timedelta(minutes=1)

    assert _review(sessions, NOW + STUCK) == []
    assert _review(sessions, late) == ["queue:stuck"]
    pause = _pause(make, late)
    assert _review(sessions, late) == []
    assert _review(sessions, late + CALM) == ["queue:stuck"]
    assert make.again(pause).closed_at
    make.add(Tick(name=SENT_TICK, at=late + CALM))
    assert _review(sessions, late + CALM) == []


def test_held_mails_are_told_once_for_a_week(sessions, make):
    delivery = make.delivery(status=DeliveryStatus.HELD)
    make.delivery("bora", status=DeliveryStatus.HELD)

    assert _review(sessions) == ["held:mails"]
    assert make.all(Alarm)[0].subject == "Mails are held for you: 2"
    assert _review(sessions, NOW + HELD) == []
    with sessions.begin() as session:
        session.execute(update(Delivery).where(col(Delivery.id) != delivery.id).values(status=DeliveryStatus.SENT))
    assert _review(sessions) == ["held:mails"]


def _ask(make, number, *, confirmed=0, before=timedelta(hours=2), source="page"):
    subscriber = make.subscriber("ari")
    for each in range(number):
        confirmed_at = NOW if each < confirmed else None
        given = {"subscriber_id": subscriber.id, "wording": "", "wording_version": "", "expires_at": NOW, "source": source}
        make.add(Consent(requested_at=NOW - before, confirmed_at=confirmed_at, **given))


def _review_sign_ups(sessions, now=NOW):
    with sessions.begin() as session:
        watch.review_sign_ups(session, least=0.3, now=now)
    with sessions.read() as session:
        return [row.detail.partition(".")[0] for row in alarms.open_alarms(session)]


def test_sign_ups_of_which_few_are_confirmed_are_told_until_more_are(sessions, make):
    _ask(make, 50, confirmed=14)
    assert _review_sign_ups(sessions) == ["14 of 50 in a day"]
    assert _review_sign_ups(sessions) == ["14 of 50 in a day"]
    assert make.all(Alarm)[0].times == 1

    _ask(make, 10, confirmed=10)
    assert _review_sign_ups(sessions) == []
    assert make.all(Alarm)[0].closed_at == NOW


def test_sign_ups_of_long_ago_of_just_now_and_by_file_say_nothing(sessions, make):
    _ask(make, 49)
    _ask(make, 50, before=timedelta(days=1))
    _ask(make, 50, before=timedelta(minutes=59))
    _ask(make, 50, source="import")

    assert _review_sign_ups(sessions) == []
