from datetime import timedelta

import pytest
from factories import DAY, NOW, paper

from newsletter import alarms, issues, overview, papers, pipeline, watch
from newsletter.alarms import Cause
from newsletter.deliveries import control
from newsletter.deliveries.control import Decision
from newsletter.lifecycle import DeliveryStatus, IssueStatus
from newsletter.models import Cadence, Delivery, DeliveryKind, Lane
from newsletter.overview import Ended, Need
from newsletter.sources import Listing

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
def newsletter(make):
    """Return a newsletter made on the day, whose sources were read and whose clock ticks: all is well."""
    row = make.newsletter(slug="daily", created_at=NOW - 12 * HOUR)
    with make.sessions.begin() as session:
        pipeline.mark(session, "sweep", now=NOW)
        papers.store(session, "sample", Listing(DAY, (paper(1),)), now=NOW)
    return row


def _look(sessions, now=NOW):
    with sessions.read() as session:
        return overview.look(session, now=now)


def _whats(seen):
    return [need.what for need in seen.needs]


def _tick(sessions, now, name="sweep"):
    with sessions.begin() as session:
        pipeline.mark(session, name, now=now)


def _raise(sessions, key, subject):
    with sessions.begin() as session:
        alarms.raise_alarm(session, Cause(key, subject), now=NOW)


def test_where_nothing_is_wrong_all_is_well(sessions, newsletter):
    seen = _look(sessions)

    assert (seen.well, seen.needs, seen.last_tick) == (True, (), NOW)
    assert [(row.newsletter, row.issue, row.status) for row in seen.publications] == [("daily", "", "")]
    assert [(row.source, row.day, row.status, row.papers) for row in seen.readings] == [("sample", DAY, "done", 1)]


def test_a_clock_that_never_ticked_or_stands_still_needs_somebody(sessions, make):
    assert _whats(_look(sessions)) == ["The clock has never ticked."]

    _tick(sessions, NOW - 3 * MINUTE)

    assert _whats(_look(sessions)) == ["The clock has not ticked since 2024-03-15 00:02 UTC."]


@pytest.mark.parametrize(
    ("key", "command"),
    [
        ("source:documents:/srv/daily", "newsletter collect 2024-03-15"),
        ("silent:huggingface", "newsletter collect 2024-03-15"),
        ("held:mails", "newsletter deliveries list --status held"),
        ("queue:stuck", "newsletter send"),
        ("pause:relay:mail.example.com:587", "newsletter pauses"),
        ("something:new", "newsletter alarms"),
    ],
)
def test_each_alarm_comes_with_the_command_to_begin_with(sessions, newsletter, key, command):
    _raise(sessions, key, "Trouble")

    assert _look(sessions).needs == (Need("Trouble", command),)


@pytest.mark.parametrize(("key", "verb"), [("late:issue", "show"), ("pause:issue", "resume"), ("review:issue", "approve")])
def test_an_alarm_about_an_issue_names_it_as_commands_do(sessions, make, newsletter, key, verb):
    issue = make.issue(newsletter)
    _raise(sessions, f"{key}:{issue.id}", "Trouble")

    assert Need("daily 2024-03-14: Trouble", f"newsletter issues {verb} daily 2024-03-14") in _look(sessions).needs


@pytest.mark.parametrize("lane", Lane)
def test_what_is_due_and_not_sent_needs_somebody(sessions, make, newsletter, lane):
    make.delivery(newsletter_id=newsletter.id, lane=lane.value, due_at=NOW - 6 * MINUTE)

    (need,) = _look(sessions).needs

    assert need.what.endswith("1, the oldest since 2024-03-14 23:59 UTC.")
    assert need.do == "newsletter send"


def test_a_long_list_that_is_going_out_is_no_trouble_but_a_person_who_waits_is(sessions, make, newsletter):
    _tick(sessions, NOW - MINUTE, watch.SENT_TICK)
    make.delivery(newsletter_id=newsletter.id, lane=Lane.LIST.value, due_at=NOW - HOUR)
    assert _look(sessions).well

    make.delivery(newsletter_id=newsletter.id, due_at=NOW - 6 * MINUTE)
    assert len(_look(sessions).needs) == 1


def test_what_is_held_needs_somebody_once(sessions, make, newsletter):
    make.delivery(newsletter_id=newsletter.id, status=DeliveryStatus.HELD)
    assert _look(sessions).needs == (Need("Mails may have arrived or not: 1.", "newsletter deliveries list --status held"),)

    _raise(sessions, "held:mails", "Mails are held for you: 1")

    assert _whats(_look(sessions)) == ["Mails are held for you: 1"]


def test_an_issue_that_should_have_been_made_is_missed(sessions, make):
    make.newsletter(slug="both", cadences=["daily", "weekly"], created_at=NOW - 12 * HOUR)
    _tick(sessions, NOW + 2 * HOUR)

    assert (
        Need("both: there is no issue of 2024-03-14 yet.", "newsletter run 2024-03-14 -n both")
        in _look(sessions, NOW + 2 * HOUR).needs
    )
    assert not any("W11" in what for what in _whats(_look(sessions, NOW + 2 * HOUR)))


def test_an_issue_that_stays_half_made_needs_somebody(sessions, make, newsletter):
    make.issue(newsletter, now=NOW - 11 * MINUTE)

    (need,) = _look(sessions).needs

    assert need == Need("daily 2024-03-14 is ready since 2024-03-14 23:54 UTC.", "newsletter issues show daily 2024-03-14")


def test_a_source_that_nobody_reads_any_more_needs_somebody(sessions, make, newsletter):
    _tick(sessions, NOW + 3 * HOUR)
    with sessions.begin() as session:
        issues.assemble(session, newsletter, Cadence.DAILY, DAY, now=NOW + 3 * HOUR)

    assert _whats(_look(sessions, NOW + 3 * HOUR)) == ["sample was not read since 2024-03-15 00:05 UTC."]


@pytest.mark.parametrize(("mails", "well"), [((4, 0), True), ((5, 90), False), ((5, 100), True)])
def test_many_failed_mails_need_somebody(sessions, make, newsletter, mails, well):
    failed, sent = mails
    for status, number in ((DeliveryStatus.FAILED, failed), (DeliveryStatus.SENT, sent)):
        rows = [Delivery(**_row(newsletter, status, count)) for count in range(number)]
        with sessions.begin() as session:
            session.add_all(rows)

    seen = _look(sessions)

    assert seen.well is well
    assert seen.publications[0].ended == Ended(sent, failed, 0)


def _row(newsletter, status, number):
    return {
        "dedupe_key": f"{status}:{number}",
        "kind": DeliveryKind.WELCOME,
        "newsletter_id": newsletter.id,
        "status": status,
        "address": "ari@example.org",
        **dict.fromkeys(("due_at", "give_up_at", "created_at", "updated_at"), NOW),
    }


def test_each_issue_says_what_is_due_and_when_the_next_is_made(sessions, make):
    newsletter = make.newsletter(send_hour=8, cadences=["daily", "weekly"])
    make.reader("ari", newsletter)
    make.issue(newsletter, IssueStatus.PUBLISHED)

    daily, weekly = _look(sessions).publications

    assert (daily.issue, daily.status, daily.status_since) == ("2024-03-14", "published", NOW)
    assert (daily.due_from, daily.next_at) == (NOW.replace(hour=8, minute=0), NOW.replace(day=16, hour=0, minute=0))
    assert (weekly.issue, weekly.next_at) == ("", NOW.replace(day=18, hour=0, minute=0))


def test_what_is_paused_is_named_as_commands_name_it(sessions, make, newsletter):
    issue = make.issue(newsletter)
    with sessions.begin() as session:
        control.pause(session, issue.id, Decision("root", "a typing error"), until=NOW + MINUTE, now=NOW)

    (row,) = _look(sessions).pauses

    assert (row.what, row.until, row.cause) == ("issue daily 2024-03-14", NOW + MINUTE, "Paused by root: a typing error.")
    assert _look(sessions, NOW + 2 * MINUTE).pauses == ()
