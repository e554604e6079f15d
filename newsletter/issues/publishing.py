"""Publishing: the deliveries of an issue come into being; finishing and cancelling."""

from datetime import date, datetime, timedelta

from sqlalchemy import exists, func, select, update
from sqlmodel import Session, col

from newsletter import deliveries
from newsletter.errors import Conflict
from newsletter.issues.locking import locked
from newsletter.issues.periods import cutoff_of, period_of
from newsletter.lifecycle import ENDED, IssueEvent, IssueStatus, advance_issue
from newsletter.models import Delivery, Issue, IssuePaper, Newsletter

OUT = (IssueStatus.PUBLISHED, IssueStatus.SENT)
LATE = timedelta(minutes=5)  # longer than a confirmation or a chunk of an import takes to be committed


def publish(session: Session, issue_id: int, *, now: datetime) -> int:
    """Queue a ready issue for everybody it is owed to, and return how many deliveries are new.

    Repeating it adds nobody twice. Raises Conflict for an issue that is not ready. Issues of a newsletter are published one
    after the other: each must see whose day the one before takes.
    """
    _lock_newsletter(session, issue_id)
    issue = locked(session, issue_id)
    if issue.status in (IssueStatus.READY, IssueStatus.PUBLISHED, IssueStatus.SENT):
        issue.status = advance_issue(issue.status, IssueEvent.PUBLISH)
        if issue.published_at is None:
            issue.published_at, issue.catch_up = now, _catches_up(session, issue, now=now)
        session.flush()
        return deliveries.fan_out(session, issue, now=now)
    reason = f" ({issue.reason})" if issue.reason else ""
    raise Conflict(
        f"The issue of {issue.first_day} is {issue.status.value}{reason}: it cannot be published.", hint=_BEFORE[issue.status]
    )


def publish_late(session: Session, *, now: datetime) -> int:
    """Queue the issues published just now for those whose confirmation was being written meanwhile; return how many.

    It is earlier than the issue, but PostgreSQL shows no publishing what is committed after it began to look.
    """
    recent = select(Issue).where(col(Issue.status).in_(OUT), col(Issue.published_at) > now - LATE).order_by(col(Issue.id))
    return sum(_publish_again(session, issue.id, now=now) for issue in session.scalars(recent).all())


def _publish_again(session: Session, issue_id: int, *, now: datetime) -> int:
    _lock_newsletter(session, issue_id)
    issue = locked(session, issue_id)
    if issue.published_at is None or issue.status not in OUT:  # cancelled meanwhile
        return 0
    queued = deliveries.fan_out(session, issue, confirmed_since=issue.published_at - LATE, now=now)
    if queued:
        issue.status = advance_issue(issue.status, IssueEvent.PUBLISH)
    return queued


_BEFORE = {
    IssueStatus.EMPTY: "`newsletter assemble` tries again: papers may have come since.",
    IssueStatus.DRAFT: "`newsletter assemble` renders it.",
    IssueStatus.CANCELLED: "It stays cancelled. Its papers come with the next issue.",
}


def is_catch_up(first_day: date, *, next_cutoff: datetime, newest: date | None, published_at: datetime) -> bool:
    """Whether an issue catches up: it is published after an outage, when the turn of the next has come.

    That is so when the next one may be made already (its cut-off, `next_cutoff`, has passed), or when one of later days is
    out (`newest` is the first day of the latest that is). It is the exception to one issue a local day: it comes at the
    reader's hour whatever else comes that day, and takes the day from no other, or no reader would ever be up to date again.
    """
    return published_at >= next_cutoff or (newest is not None and newest > first_day)


def _catches_up(session: Session, issue: Issue, *, now: datetime) -> bool:
    newsletter = session.get_one(Newsletter, issue.newsletter_id)
    following = period_of(issue.cadence, issue.last_day + timedelta(days=1))
    same = (col(Issue.newsletter_id) == issue.newsletter_id, col(Issue.cadence) == issue.cadence, col(Issue.status).in_(OUT))
    newest = session.scalar(select(func.max(col(Issue.first_day))).where(*same, col(Issue.id) != issue.id))
    return is_catch_up(issue.first_day, next_cutoff=cutoff_of(newsletter, following), newest=newest, published_at=now)


def cancel(session: Session, issue_id: int, *, reason: str, now: datetime) -> Issue:
    """Cancel an issue: what is queued will be skipped, and its papers are free for another issue.

    Doing it twice changes nothing more. Raises Conflict when all of it has been sent.
    """
    issue = locked(session, issue_id)
    if issue.status is IssueStatus.CANCELLED:
        return issue
    after = advance_issue(issue.status, IssueEvent.CANCEL)
    if after is not IssueStatus.CANCELLED:
        raise Conflict(f"The issue of {issue.first_day} has been sent: there is nothing left to cancel.")
    issue.status, issue.reason, issue.finished_at = after, reason, now
    kept = (col(IssuePaper.issue_id) == issue.id, ~col(IssuePaper.dropped))  # what an editor left out is in no later issue either
    session.execute(update(IssuePaper).where(*kept).values(released=True))
    return issue


def finish(session: Session, *, now: datetime) -> int:
    """Call published issues sent when no delivery of theirs is left to end; return how many that were.

    One that somebody is at work on is left for the next time: what is being queued for it is not to be seen yet.
    """
    published = select(col(Issue.id)).where(col(Issue.status) == IssueStatus.PUBLISHED)
    ids = session.scalars(published.with_for_update(key_share=True, skip_locked=True)).all()
    left = exists().where(col(Delivery.issue_id) == col(Issue.id), col(Delivery.status).not_in(ENDED))
    done = update(Issue).where(col(Issue.id).in_(ids), ~left)
    new = {"status": advance_issue(IssueStatus.PUBLISHED, IssueEvent.FINISH), "finished_at": now}
    return int(session.connection().execute(done.values(new).execution_options(synchronize_session=False)).rowcount)


def _lock_newsletter(session: Session, issue_id: int) -> None:
    """Lock the newsletter before its issue, as assembling does: in another order the two could wait for each other."""
    owner = select(col(Issue.newsletter_id)).where(col(Issue.id) == issue_id).scalar_subquery()
    session.execute(select(col(Newsletter.id)).where(col(Newsletter.id) == owner).with_for_update(key_share=True))
