from datetime import timedelta

import pytest
from admin_parts import Desk
from factories import DAY, NOW
from sqlalchemy import select

from newsletter import alarms, pipeline, remarks, today
from newsletter.alarms import Cause
from newsletter.deliveries import pauses
from newsletter.deliveries.pauses import Stop
from newsletter.lifecycle import DeliveryStatus, IssueStatus
from newsletter.models import (
    Alarm,
    AttemptStatus,
    Collection,
    CollectionStatus,
    Delivery,
    Issue,
    Newsletter,
    Pause,
    PauseScope,
    Remark,
    SummaryAttempt,
    SummaryOrigin,
)

HOUR = timedelta(hours=1)
HOSTILE = '<script>alert("x")</script>'


@pytest.fixture
def desk(make):
    """Return the site in Seoul, whose clock ticks and whose source was read."""
    desk = Desk(make)
    with make.sessions.begin() as session:
        row = session.get_one(Newsletter, desk.newsletter.id)
        row.zone, row.created_at = "Asia/Seoul", NOW - 12 * HOUR
        pipeline.mark(session, "sweep", now=NOW)
    return desk


def _look(make, now=NOW):
    with make.sessions.read() as session:
        return today.look(session, now=now)


def _publication(make, now=NOW):
    return _look(make, now).publications[0]


def _attempt(make, paper_id, status, *reasons, **more):
    row = {"paper_id": paper_id, "language": "en", "model": "m", "prompt_version": "1", "status": status, "began_at": NOW}
    return make.add(SummaryAttempt(**(row | {"reasons": list(reasons), "ended_at": NOW} | more)))


# What there is to see


def test_a_newsletter_without_an_issue_has_the_next_one_coming(desk, make):
    found = _publication(make)

    assert (found.newsletter, found.zone, found.latest) == ("daily-papers", "Asia/Seoul", None)
    assert (found.coming.name, found.coming.readings[0].status) == ("2024-03-15", "never")


def test_what_was_listed_nothing_and_broken_are_told_apart(desk, make):
    readings = [_publication(make).coming.readings]
    for papers_of_it in ((), (1, 2)):
        make.papers(*papers_of_it, day=DAY + timedelta(days=1), seen_at=NOW)
        readings.append(_publication(make).coming.readings)

    with make.sessions.begin() as session:
        row = session.scalars(select(Collection).where(Collection.day > DAY)).one()
        row.status, row.error, row.failing_since = CollectionStatus.FAILED, "503", NOW - HOUR
    readings.append(_publication(make).coming.readings)
    assert [(row.status, row.papers) for (row,) in readings] == [("never", 0), ("nothing", 0), ("done", 2), ("failed", 2)]
    assert (readings[-1][0].at, readings[-1][0].error) == (NOW - HOUR, "503")


def test_an_issue_tells_by_whom_its_papers_are_told_and_why_not_by_the_model(desk, make):
    make.issue(desk.newsletter, IssueStatus.DRAFT, numbers=(1, 2, 3, 4))
    make.summary(1, "By a person.")
    make.summary(2, "By a model.", origin=SummaryOrigin.MODEL, model="m", prompt_version="1")
    make.summary(3, "From the abstract.", origin=SummaryOrigin.EXTRACT)
    _attempt(make, 2, AttemptStatus.MADE, calls=1, input_tokens=900, output_tokens=100, cost_micros=250)
    _attempt(make, 3, AttemptStatus.FAILED, "It gave no answer within 60 s.", calls=1)
    _attempt(make, 3, AttemptStatus.REFUSED, "“7B” is not in the abstract.", calls=1)

    seen = _look(make)
    told = seen.publications[0].latest.told

    assert (told.papers, told.human, told.model, told.extract, told.nothing) == (4, 1, 1, 1, 1)
    assert [(row.status, row.reasons) for row in told.untold] == [("refused", ("“7B” is not in the abstract.",))]
    assert (seen.spent.calls, seen.spent.input_tokens, seen.spent.cost_micros) == (3, 900, 250)
    assert seen.publications[0].latest.name == "2024-03-14"


def test_mails_are_counted_by_what_became_of_them_and_why(desk, make):
    for name in ("ari", "bora", "chan", "dana"):
        make.reader(name, desk.newsletter)
    issue = desk.publish()
    ends = [(DeliveryStatus.SENT, ""), (DeliveryStatus.FAILED, "550 5.1.1 no such user"), (DeliveryStatus.SKIPPED, "left")]
    with make.sessions.begin() as session:
        for row, (status, reason) in zip(make.all(Delivery, issue_id=issue.id), ends, strict=False):
            kept = session.get_one(Delivery, row.id)
            kept.status, kept.reason = status, reason

    mails = _publication(make, desk.now).latest.mails

    assert (mails.number, mails.sent, mails.failed, mails.skipped, mails.waiting) == (4, 1, 1, 1, 1)
    assert [(row.number, row.reason) for row in mails.failures] == [(1, "550 5.1.1 no such user")]
    assert mails.first_due is not None


# The page


def test_the_page_says_first_that_all_is_well(desk, make):
    make.papers(1, day=DAY, seen_at=NOW)
    issue = desk.publish()
    with make.sessions.begin() as session:
        session.get_one(Issue, issue.id).status = IssueStatus.SENT

    page = desk.mina().get("/admin").text

    assert "<h1>All is well</h1>" in page
    assert 'class="needs"' not in page
    assert "(Asia/Seoul)" in page
    assert 'title="2024-03-15 00:05 UTC">9:05' in page, "times are the newsletter's"


def test_what_is_wrong_comes_first_with_what_to_do(desk, make):
    with make.sessions.begin() as session:
        alarms.raise_alarm(session, Cause("pause:relay:a", "The relay turns us away", "421 4.7.0 later"), now=NOW)

    page = desk.mina().get("/admin").text

    wrong = page.index("The relay turns us away")
    assert wrong < page.index("421 4.7.0 later") < page.index("newsletter pauses") < page.index("Daily Papers")
    assert page.count('<strong lang="en">The relay turns us away') == 1


def test_the_buttons_do_what_they_say_once_and_twice(desk, make):
    with make.sessions.begin() as session:
        alarms.raise_alarm(session, Cause("queue:stuck", "Mails are due"), now=NOW)
        pauses.pause(session, Stop(PauseScope.DOMAIN, "relay:25 example.org", "421 later", None), now=NOW)
    issue = desk.publish()
    make.add(Remark(issue_id=issue.id, paper_id=1, content="The number is wrong.", made_at=NOW))
    mina, woken = desk.mina(), desk.woken

    for path in ("alarms/1/dismiss", "pauses/1/resume", "remarks/1/close", "alarms/1/dismiss", "remarks/1/close"):
        answer = mina.post(f"/admin/{path}?lang=ko")
        assert (answer.status_code, answer.headers["location"]) == (303, "/admin?lang=ko")

    assert [row.closed_at is not None for row in (*make.all(Alarm), *make.all(Pause))] == [True] * 3
    assert [row.closed_by for row in make.all(Remark)] == ["mina"]
    assert desk.woken > woken
    with make.sessions.read() as session:
        assert remarks.open_remarks(session) == []


@pytest.mark.parametrize("path", ["alarms/1/dismiss", "pauses/1/resume", "remarks/1/close"])
def test_the_buttons_are_nobody_elses(desk, make, path):
    with make.sessions.begin() as session:
        alarms.raise_alarm(session, Cause("queue:stuck", "Mails are due"), now=NOW)

    assert desk.browser().post(f"/admin/{path}").headers["location"] == "/admin/login?lang=en"
    assert desk.mina().post(f"/admin/{path}", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert desk.mina().get(f"/admin/{path}").status_code == 405
    assert make.all(Alarm)[0].closed_at is None


def test_what_is_not_there_is_a_page_too(desk):
    mina = desk.mina()

    assert [mina.post(f"/admin/alarms/{number}/dismiss").status_code for number in ("99", "x")] == [404, 422]


@pytest.mark.parametrize(
    "path", ["/archive/daily%00", "/w/daily%00/2024-03-14/1", "/admin/issues/daily%00/2024-03-14", "/admin/remarks/9{}/close"]
)
def test_what_no_database_can_look_for_is_a_page_too(desk, path):
    ask = desk.mina().post if "{}" in path else desk.mina().get

    assert ask(path.format("9" * 20)).status_code == 404


def test_a_name_and_words_with_nul_are_only_wrong_ones(desk, make):
    issue, mina = make.issue(desk.newsletter, IssueStatus.DRAFT), desk.mina()

    assert desk.browser().post("/admin/login", data={"name": "mi\0no", "password": "x"}).status_code == 403
    mina.post(f"/admin/issues/daily-papers/{DAY}", data={"do": "cancel", "sure": "yes", "reason": "wrong\0 day"})
    assert make.again(issue).reason == "wrong day"


def test_whatever_others_say_is_only_text(desk, make):
    issue = desk.publish()
    with make.sessions.begin() as session:
        alarms.raise_alarm(session, Cause("x", HOSTILE, HOSTILE), now=NOW)
        pauses.pause(session, Stop(PauseScope.RELAY, HOSTILE, HOSTILE, None), now=NOW)
        session.get_one(Issue, issue.id).subject = HOSTILE
    make.add(Remark(issue_id=issue.id, paper_id=1, content=HOSTILE, reply_to=HOSTILE, made_at=NOW))
    _attempt(make, 1, AttemptStatus.REFUSED, HOSTILE, calls=1)

    page = desk.mina().get("/admin").text

    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 6


@pytest.mark.parametrize("language", ["en", "ko"])
def test_looking_changes_nothing(desk, make, language):
    desk.publish()
    with make.sessions.begin() as session:
        alarms.raise_alarm(session, Cause("queue:stuck", "Mails are due"), now=NOW)
    mina = desk.mina()
    before = [make.all(table) for table in (Alarm, Issue, Delivery, Pause)]

    for method in ("GET", "HEAD", "GET"):
        assert mina.request(method, "/admin", params={"lang": language}).status_code == 200

    assert [make.all(table) for table in (Alarm, Issue, Delivery, Pause)] == before
