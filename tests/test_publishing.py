from datetime import timedelta
from threading import Thread

import pytest
from drains import send_through
from factories import DAY, NOW, listing
from fakes import Outbox

from newsletter import issues
from newsletter.deliveries import control
from newsletter.deliveries.control import Decision
from newsletter.errors import BadInput, Conflict, NotFound
from newsletter.issues import records
from newsletter.lifecycle import DeliveryStatus, IssueStatus
from newsletter.models import Cadence, Delivery, DeliveryKind, Issue, IssuePaper, Paper
from newsletter.sources.documents import read

LATER = NOW + timedelta(hours=1)


@pytest.fixture
def newsletter(make):
    """Return a newsletter with one reader."""
    made = make.newsletter()
    make.reader("ari", made)
    return made


def _publish(sessions, issue, now=NOW):
    with sessions.begin() as session:
        return issues.publish(session, issue.id, now=now)


def _cancel(sessions, issue):
    with sessions.begin() as session:
        return issues.cancel(session, issue.id, reason="wrong papers", now=LATER)


def _finish(sessions, now=LATER):
    with sessions.begin() as session:
        return issues.finish(session, now=now)


def _drain(sessions):
    return send_through(sessions, Outbox())


def test_publishing_queues_the_issue_once_however_often_it_is_asked(sessions, make, newsletter):
    issue = make.issue(newsletter)

    assert [_publish(sessions, issue), _publish(sessions, issue, LATER)] == [1, 0]

    row = make.again(issue)
    assert (row.status, row.published_at) == (IssueStatus.PUBLISHED, NOW)
    assert len(make.all(Delivery)) == 1


def test_publishing_at_once_queues_once(sessions, make, newsletter):
    issue = make.issue(newsletter)
    threads = [Thread(target=_publish, args=(sessions, issue, NOW + timedelta(seconds=at))) for at in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(make.all(Delivery)) == 1


@pytest.mark.parametrize("status", [IssueStatus.EMPTY, IssueStatus.DRAFT, IssueStatus.CANCELLED])
def test_what_is_not_ready_cannot_be_published(sessions, make, newsletter, status):
    issue = make.issue(newsletter)
    with sessions.begin() as session:
        session.get(Issue, issue.id).status = status

    with pytest.raises(Conflict, match=f"2024-03-14 is {status.value}"):
        _publish(sessions, issue)


def test_an_issue_is_sent_when_no_delivery_is_left_to_end(sessions, make, newsletter):
    issue = make.issue(newsletter, IssueStatus.PUBLISHED)
    assert _finish(sessions) == 0

    _drain(sessions)

    assert [_finish(sessions), _finish(sessions)] == [1, 0]
    row = make.again(issue)
    assert (row.status, row.finished_at) == (IssueStatus.SENT, LATER)


@pytest.mark.parametrize("status", [DeliveryStatus.UNKNOWN, DeliveryStatus.DEFERRED, DeliveryStatus.SENDING])
def test_an_issue_is_not_sent_while_anything_is_open(sessions, make, newsletter, status):
    make.issue(newsletter, IssueStatus.PUBLISHED)
    with sessions.begin() as session:
        session.get(Delivery, 1).status = status

    assert _finish(sessions) == 0


@pytest.mark.parametrize("database_kind", ["postgres"])  # on SQLite one writes after the other
def test_an_issue_is_not_called_sent_while_it_is_being_sent_again(sessions, make, newsletter):
    issue = make.issue(newsletter, IssueStatus.PUBLISHED)
    with sessions.begin() as session:
        session.get(Delivery, 1).status = DeliveryStatus.FAILED
    with sessions.read() as session:
        failed = control.unreached(session, issue.id)
    finishing = Thread(target=_finish, args=(sessions,))

    with sessions.begin() as session:
        assert control.resend(session, issue.id, failed, Decision("root"), now=LATER) == 1
        finishing.start()
        finishing.join(1)
    finishing.join()

    assert make.again(issue).status is IssueStatus.PUBLISHED


def test_an_issue_nobody_wants_is_sent_at_once(sessions, make):
    make.issue(make.newsletter(), IssueStatus.PUBLISHED)

    assert _finish(sessions) == 1


def test_who_was_missed_is_reached_by_publishing_again(sessions, make, newsletter):
    issue = make.issue(newsletter, IssueStatus.PUBLISHED)
    _drain(sessions)
    _finish(sessions)
    make.reader("bora", newsletter)

    assert _publish(sessions, issue, LATER) == 1
    assert make.again(issue).status is IssueStatus.PUBLISHED


def _publish_late(sessions, now):
    with sessions.begin() as session:
        return issues.publish_late(session, now=now)


def test_who_was_confirming_while_an_issue_was_published_gets_it(sessions, make, newsletter):
    issue = make.issue(newsletter)
    _publish(sessions, issue)
    _drain(sessions)
    _finish(sessions)
    make.reader("bora", newsletter, confirmed_at=NOW - timedelta(seconds=1))
    make.reader("caro", newsletter, confirmed_at=NOW + timedelta(seconds=1))

    assert [_publish_late(sessions, NOW + timedelta(minutes=at)) for at in (1, 2)] == [1, 0]
    assert make.again(issue).status is IssueStatus.PUBLISHED
    assert sorted(row.address.partition("@")[0] for row in make.all(Delivery)) == ["ari", "bora"]


def test_late_confirmations_are_looked_for_just_after_publishing_alone(sessions, make, newsletter):
    issue = make.issue(newsletter)
    _publish(sessions, issue)
    make.reader("bora", newsletter, confirmed_at=NOW)

    assert _publish_late(sessions, NOW + timedelta(minutes=6)) == 0


def test_a_cancelled_issue_is_published_to_nobody_late(sessions, make, newsletter):
    issue = make.issue(newsletter)
    _publish(sessions, issue)
    _cancel(sessions, issue)
    make.reader("bora", newsletter, confirmed_at=NOW)

    assert _publish_late(sessions, NOW + timedelta(minutes=1)) == 0


def test_a_cancelled_issue_is_not_sent_and_its_papers_are_free(sessions, make, newsletter):
    issue = make.issue(newsletter, IssueStatus.PUBLISHED)

    assert _cancel(sessions, issue).status is IssueStatus.CANCELLED

    assert _drain(sessions).skipped == 1
    assert make.all(Delivery)[0].reason == "issue cancelled"
    assert {row.released for row in make.all(IssuePaper)} == {True}
    with pytest.raises(Conflict, match="wrong papers"):
        _publish(sessions, issue)


def test_what_has_been_sent_cannot_be_cancelled(sessions, make, newsletter):
    issue = make.issue(newsletter, IssueStatus.PUBLISHED)
    _drain(sessions)
    _finish(sessions)

    with pytest.raises(Conflict, match="nothing left to cancel"):
        _cancel(sessions, issue)


@pytest.mark.parametrize("act", [_publish, _cancel])
def test_an_issue_that_is_gone_is_not_found(sessions, act):
    with pytest.raises(NotFound):
        act(sessions, Issue(id=99))


def test_an_issue_is_found_by_its_day_or_week(sessions, make, newsletter):
    issue = make.issue(newsletter)

    with sessions.read() as session:
        assert issues.find(session, newsletter, "2024-03-14").id == issue.id
        with pytest.raises(NotFound, match="2024-W11"):
            issues.find(session, newsletter, "2024-W11")
        for name in ("yesterday", "2024-02-30", "2024-W60", "0000-W01", "", "x" * 500):
            with pytest.raises(BadInput, match="no issue's name"):
                issues.find(session, newsletter, name)


def test_the_archive_shows_what_is_out_the_newest_first(sessions, make, newsletter):
    for days in range(4):
        status = IssueStatus.READY if days == 3 else IssueStatus.PUBLISHED
        make.issue(newsletter, status, numbers=(10 * days, 10 * days + 1), day=DAY + timedelta(days=days))

    with sessions.read() as session:
        entries = issues.archive(session, newsletter)
        older = issues.archive(session, newsletter, before=entries[0].name, limit=1)

    assert [(entry.name, entry.papers) for entry in entries] == [("2024-03-16", 2), ("2024-03-15", 2), ("2024-03-14", 2)]
    assert [entry.name for entry in older] == ["2024-03-15"]


def test_the_archive_passes_over_no_issue_where_a_day_and_a_week_begin_together(sessions, make, newsletter):
    monday = DAY - timedelta(days=3)
    for days in range(3):
        make.issue(newsletter, IssueStatus.PUBLISHED, numbers=(days,), day=monday + timedelta(days=days))
    with sessions.begin() as session:
        week = issues.assemble(session, newsletter, Cadence.WEEKLY, monday, now=NOW)
        week.status = IssueStatus.PUBLISHED

    found, before = [], ""
    with sessions.read() as session:
        while shown := issues.archive(session, newsletter, before=before, limit=1):
            before = shown[0].name
            found.append(before)

    assert found == ["2024-03-13", "2024-03-12", "2024-03-11", "2024-W11"]


def test_the_archive_names_the_first_papers_of_an_issue_in_its_order(sessions, make, newsletter):
    make.issue(newsletter, IssueStatus.PUBLISHED, numbers=(5, 4, 1, 2))

    with sessions.read() as session:
        (entry,) = issues.archive(session, newsletter)

    assert entry.papers == 4
    assert entry.titles == tuple(f"Paper {number} on small models" for number in (1, 2, 4))


def test_the_page_of_an_issue_holds_every_paper_and_nobodys_links(sessions, make, newsletter):
    make.issue(newsletter, IssueStatus.PUBLISHED)

    with sessions.read() as session:
        page = issues.page(session, newsletter, "2024-03-14")

    assert "Paper 1 on small models" in page
    assert "Paper 2 on small models" in page
    assert "/u/" not in page


def test_an_issue_that_is_not_out_has_no_page(sessions, make, newsletter):
    make.issue(newsletter)

    with sessions.read() as session, pytest.raises(NotFound):
        issues.page(session, newsletter, "2024-03-14")


def test_what_waits_for_a_stage_comes_oldest_first(sessions, make, newsletter):
    for days in (1, 0):
        make.issue(newsletter, numbers=(days,), day=DAY + timedelta(days=days))

    with sessions.read() as session:
        assert records.waiting(session, IssueStatus.READY) == [2, 1]


def test_an_exported_issue_reads_back_as_the_same_papers_in_the_same_order(sessions, make):
    newsletter = make.newsletter()
    make.papers(
        3, 1, 2, title="A [model] of *many* parts: $x_i$ & <b>", more_authors=True, thumbnail_url="https://example.org/a.png"
    )
    for paper in make.all(Paper):
        make.summary(paper.id, f"It is *number* {paper.source_id}.", "It [works](so).")
    issue = make.issue(newsletter, numbers=())

    with sessions.read() as session:
        found = read(issues.export(session, issue), where="2024-03-14.md", language="en")

    expected = listing(1, 2, 3).papers
    assert [paper.source_id for paper in found.papers] == [paper.source_id for paper in expected]
    assert [paper.votes for paper in found.papers] == [paper.votes for paper in expected]
    assert {paper.title for paper in found.papers} == {"A [model] of *many* parts: $x_i$ & <b>"}
    assert found.papers[0].authors == expected[0].authors
    assert found.papers[0].more_authors
    assert found.papers[0].summaries[0].bullets == (f"It is *number* {expected[0].source_id}.", "It [works](so).")
    assert found.problems == ()
    assert make.all(Delivery, kind=DeliveryKind.DIGEST) == []
