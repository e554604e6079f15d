from datetime import timedelta

import pytest
from factories import DAY, LINKS, NOW
from sqlalchemy import update

from newsletter import alarms, issues, watch
from newsletter.errors import Conflict, NotFound
from newsletter.lifecycle import IssueStatus
from newsletter.models import Cadence, Issue, IssueEdit, IssuePaper, Newsletter, Review

HOUR = timedelta(hours=1)
DEADLINE = NOW + 6 * HOUR


@pytest.fixture
def held(make):
    """Return a draft of a newsletter that wants approval, and holds what gets none."""
    return make.issue(make.newsletter(review=Review.THEN_HOLD), IssueStatus.DRAFT)


def _due(sessions, now=NOW, *, open_papers=(), patience=HOUR):
    asked = []

    def unsettled(_session, ids, language):
        asked.append((tuple(ids), language))
        return set(ids) & set(open_papers)

    with sessions.read() as session:
        return issues.drafts_due(session, patience=patience, unsettled=unsettled, now=now)


def _approve(sessions, issue, by="dana", now=NOW):
    with sessions.begin() as session:
        return issues.approve(session, issue.id, by=by, now=now)


def _set_review(sessions, review):
    with sessions.begin() as session:
        session.execute(update(Newsletter).values(review=review))


def test_a_draft_that_nobody_has_to_see_is_due_at_once(sessions, make):
    draft = make.issue(make.newsletter(), IssueStatus.DRAFT)
    make.issue(make.newsletter(), IssueStatus.READY, numbers=(3,))

    assert draft.review_until is None
    assert _due(sessions) == [draft.id]


def test_a_draft_waits_for_summaries_but_not_for_ever(sessions, make):
    draft = make.issue(make.newsletter(), IssueStatus.DRAFT)

    assert _due(sessions, open_papers={2}) == []
    assert _due(sessions, NOW + HOUR - timedelta(seconds=1), open_papers={2}) == []
    assert _due(sessions, NOW + HOUR, open_papers={2}) == [draft.id]


def test_nobody_waits_for_the_summary_of_a_paper_that_an_editor_dropped(sessions, make):
    draft = make.issue(make.newsletter(), IssueStatus.DRAFT)
    with sessions.begin() as session:
        session.execute(update(IssuePaper).where(IssuePaper.paper_id == 2).values(dropped=True))

    assert _due(sessions, open_papers={2}) == [draft.id]


@pytest.mark.parametrize("review", [Review.THEN_SEND, Review.THEN_HOLD])
def test_a_draft_waits_for_approval_until_its_deadline(sessions, make, review):
    draft = make.issue(make.newsletter(review=review), IssueStatus.DRAFT)

    assert draft.review_until == DEADLINE
    assert _due(sessions, DEADLINE - timedelta(seconds=1)) == []
    assert _due(sessions, DEADLINE) == ([draft.id] if review is Review.THEN_SEND else [])


def test_an_approved_draft_is_due_before_its_deadline_and_after(sessions, make, held):
    approved = _approve(sessions, held)
    _approve(sessions, held, by="chan", now=NOW + HOUR)

    assert (approved.approved_at, approved.approved_by) == (NOW, "dana")
    assert [(edit.editor, edit.action, edit.at) for edit in make.all(IssueEdit)] == [("dana", "approve", NOW)]
    assert _due(sessions) == _due(sessions, DEADLINE + 100 * HOUR) == [held.id]


def test_an_approved_draft_still_waits_for_its_summaries(sessions, held):
    _approve(sessions, held)

    assert _due(sessions, open_papers={1}) == []


def test_a_draft_of_a_newsletter_that_wants_no_review_any_more_goes(sessions, held):
    _set_review(sessions, Review.AUTOMATIC)

    assert _due(sessions) == [held.id]


def test_what_is_no_draft_cannot_be_approved(sessions, make):
    ready = make.issue(make.newsletter())

    with pytest.raises(Conflict, match="is ready: there is nothing to approve"):
        _approve(sessions, ready)
    with sessions.begin() as session, pytest.raises(NotFound, match="no issue 77"):
        issues.approve(session, 77, by="dana", now=NOW)


def test_a_draft_that_waits_is_not_frozen_whoever_asks(sessions, make, held):
    assert issues.freeze(sessions, held.id, LINKS, now=DEADLINE).status is IssueStatus.DRAFT

    _approve(sessions, held)

    assert issues.freeze(sessions, held.id, LINKS, now=DEADLINE).status is IssueStatus.READY
    assert [edit.action for edit in make.all(IssueEdit)] == ["approve"]


def test_what_goes_at_its_deadline_says_so(sessions, make):
    draft = make.issue(make.newsletter(review=Review.THEN_SEND), IssueStatus.DRAFT)

    assert issues.freeze(sessions, draft.id, LINKS, now=DEADLINE).status is IssueStatus.READY

    (edit,) = make.all(IssueEdit)
    assert (edit.editor, edit.action, edit.at) == ("nobody", "deadline", DEADLINE)
    assert edit.after == "Nobody approved it until 2024-03-15 06:05 UTC: it was sent at the deadline."


def test_assembling_a_draft_under_review_again_changes_nothing(sessions, make, held):
    make.papers(9)
    with sessions.begin() as session:
        again = issues.assemble(session, session.get(Newsletter, held.newsletter_id), held.cadence, DAY, now=NOW + HOUR)

    assert again == held
    assert len(make.all(IssuePaper)) == 2


def test_an_empty_issue_waits_for_nobody(sessions, make):
    newsletter = make.newsletter(review=Review.THEN_HOLD)
    with sessions.begin() as session:
        issues.assemble(session, newsletter, Cadence.DAILY, DAY, now=NOW)

    assert [issue.review_until for issue in make.all(Issue)] == [None]
    assert _due(sessions) == []


def _remind(sessions, now=NOW):
    with sessions.begin() as session:
        issues.remind(session, now=now)
        watch.review(session, now=now)
    with sessions.read() as session:
        return [(row.cause, row.detail) for row in alarms.open_alarms(session)]


@pytest.mark.parametrize(("review", "then"), [(Review.THEN_SEND, "sent"), (Review.THEN_HOLD, "held")])
def test_who_has_to_approve_is_told_once_and_no_longer_than_it_is_needed(sessions, make, review, then):
    draft = make.issue(make.newsletter(slug="papers", review=review), IssueStatus.DRAFT)

    ((key, detail),) = _remind(sessions)
    assert key == f"review:issue:{draft.id}"
    assert detail.startswith(
        f"It waits until 2024-03-15 06:05 UTC, then it is {then}. Approve it: newsletter issues approve papers"
    )
    assert _remind(sessions, DEADLINE - HOUR) == [(key, detail)]

    _approve(sessions, draft)
    assert _remind(sessions, DEADLINE - HOUR) == [(f"late:issue:{draft.id}", "It is draft since 00:05 UTC.")]


def test_an_issue_that_nobody_approved_in_time_is_told_again_where_it_is_held(sessions, held):
    _remind(sessions)

    ((key, detail),) = _remind(sessions, DEADLINE + 3 * HOUR)  # no word that it is late
    assert key == f"unapproved:issue:{held.id}"
    assert detail.startswith("Nobody approved it until 2024-03-15 06:05 UTC.")

    with sessions.begin() as session:
        issues.cancel(session, held.id, reason="not today", now=NOW)
    assert _remind(sessions, DEADLINE + 4 * HOUR) == []


def test_a_draft_past_its_deadline_that_does_not_go_is_late(sessions, make):
    draft = make.issue(make.newsletter(review=Review.THEN_SEND), IssueStatus.DRAFT)

    assert f"late:issue:{draft.id}" not in dict(_remind(sessions, DEADLINE + HOUR))
    assert f"late:issue:{draft.id}" in dict(_remind(sessions, DEADLINE + 2 * HOUR))
