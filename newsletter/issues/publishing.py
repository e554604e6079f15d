"""Publishing: the deliveries of an issue come into being; finishing and cancelling."""

from datetime import datetime

from sqlalchemy import exists, select, update
from sqlmodel import Session, col

from newsletter import deliveries
from newsletter.errors import Conflict, NotFound
from newsletter.lifecycle import ENDED, IssueEvent, IssueStatus, advance_issue
from newsletter.models import Delivery, Issue, IssuePaper


def publish(session: Session, issue_id: int, *, now: datetime) -> int:
    """Queue a ready issue for everybody it is owed to, and return how many deliveries are new.

    Repeating it adds nobody twice. Raises Conflict for an issue that is not ready.
    """
    issue = _locked(session, issue_id)
    if issue.status in (IssueStatus.READY, IssueStatus.PUBLISHED, IssueStatus.SENT):
        issue.status = advance_issue(issue.status, IssueEvent.PUBLISH)
        issue.published_at = issue.published_at or now
        session.flush()
        return deliveries.fan_out(session, issue, now=now)
    reason = f" ({issue.reason})" if issue.reason else ""
    raise Conflict(
        f"The issue of {issue.first_day} is {issue.status.value}{reason}: it cannot be published.", hint=_BEFORE[issue.status]
    )


_BEFORE = {
    IssueStatus.EMPTY: "`newsletter assemble` tries again: papers may have come since.",
    IssueStatus.DRAFT: "`newsletter assemble` renders it.",
    IssueStatus.CANCELLED: "It stays cancelled. Its papers come with the next issue.",
}


def cancel(session: Session, issue_id: int, *, reason: str, now: datetime) -> Issue:
    """Cancel an issue: what is queued will be skipped, and its papers are free for another issue.

    Doing it twice changes nothing more. Raises Conflict when all of it has been sent.
    """
    issue = _locked(session, issue_id)
    if issue.status is IssueStatus.CANCELLED:
        return issue
    after = advance_issue(issue.status, IssueEvent.CANCEL)
    if after is not IssueStatus.CANCELLED:
        raise Conflict(f"The issue of {issue.first_day} has been sent: there is nothing left to cancel.")
    issue.status, issue.reason, issue.finished_at = after, reason, now
    session.execute(update(IssuePaper).where(col(IssuePaper.issue_id) == issue.id).values(released=True))
    return issue


def finish(session: Session, *, now: datetime) -> int:
    """Call published issues sent when no delivery of theirs is left to end; return how many that were."""
    left = exists().where(col(Delivery.issue_id) == col(Issue.id), col(Delivery.status).not_in(ENDED))
    done = update(Issue).where(col(Issue.status) == IssueStatus.PUBLISHED, ~left)
    new = {"status": advance_issue(IssueStatus.PUBLISHED, IssueEvent.FINISH), "finished_at": now}
    return int(session.connection().execute(done.values(new).execution_options(synchronize_session=False)).rowcount)


def _locked(session: Session, issue_id: int) -> Issue:
    locked = select(Issue).where(col(Issue.id) == issue_id).with_for_update().execution_options(populate_existing=True)
    issue = session.scalars(locked).one_or_none()
    if issue is None:
        raise NotFound(f"There is no issue {issue_id}.")
    return issue
