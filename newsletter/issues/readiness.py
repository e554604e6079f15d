"""Whether a draft may go: whose summaries are settled, and who has to look at it first."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Select, and_, or_, select
from sqlmodel import Session, col

from newsletter import alarms, schedule
from newsletter.alarms import Cause
from newsletter.errors import Conflict
from newsletter.issues.locking import locked
from newsletter.issues.telling import kept
from newsletter.lifecycle import IssueStatus
from newsletter.models import Issue, IssueEdit, Newsletter, Review

NOBODY = "nobody"  # the editor of what the clock did at a deadline


def review_key(issue_id: int) -> str:
    """Return the key of the alarm that an issue waits for approval."""
    return f"review:issue:{issue_id}"


def held_key(issue_id: int) -> str:
    """Return the key of the alarm that an issue is held, as nobody approved it in time."""
    return f"unapproved:issue:{issue_id}"


def deadline_of(newsletter: Newsletter, *, now: datetime) -> datetime | None:
    """Return until when an issue made now waits for approval, None if it need not."""
    return None if newsletter.review is Review.AUTOMATIC else now + timedelta(hours=newsletter.review_hours)


def waits_for_approval(issue: Issue, newsletter: Newsletter, *, now: datetime) -> bool:
    """Whether a draft must not go yet, as nobody has approved it."""
    if issue.held_at is not None:
        return True
    if issue.review_until is None or issue.approved_at is not None or newsletter.review is Review.AUTOMATIC:
        return False
    return newsletter.review is Review.THEN_HOLD or now < issue.review_until


def drafts_due(
    session: Session,
    *,
    patience: timedelta,
    unsettled: Callable[[Session, Sequence[int], str], set[int]],
    now: datetime,
) -> list[int]:
    """Return the drafts that may be frozen now, the oldest day first.

    Those are approved, need not be, or are past a deadline after which they go; and their summaries are as good as they get,
    or were waited for `patience` long. `unsettled` says of which papers a better summary may still come in a language.
    """
    rows = session.execute(_with_newsletter().where(col(Issue.status) == IssueStatus.DRAFT).order_by(col(Issue.first_day))).all()
    return [
        issue.id
        for issue, newsletter in rows
        if not waits_for_approval(issue, newsletter, now=now)
        and (now >= issue.created_at + patience or not unsettled(session, kept(session, issue.id), newsletter.language))
    ]


def approve(session: Session, issue_id: int, *, by: str, now: datetime) -> Issue:
    """Let a draft go before its deadline, and keep who said so; doing it twice changes nothing more.

    Raises NotFound, and Conflict for an issue that is no draft any more, or none yet.
    """
    issue = locked(session, issue_id)
    if issue.status is not IssueStatus.DRAFT:
        raise Conflict(f"The issue of {issue.first_day} is {issue.status.value}: there is nothing to approve.")
    if issue.approved_at is None:
        issue.approved_at, issue.approved_by, issue.held_at = now, by, None
        session.add(IssueEdit(issue_id=issue.id, editor=by, action="approve", at=now))
        for key in (review_key(issue.id), held_key(issue.id)):
            alarms.close(session, key, now=now)
        session.flush()
    return issue


def hold(session: Session, issue: Issue, *, by: str, now: datetime) -> None:
    """Let a draft wait for an approval whatever its deadline says, and take back the one it had; keep who said so."""
    if issue.held_at is None:
        issue.held_at, issue.approved_at, issue.approved_by = now, None, ""
        session.add(IssueEdit(issue_id=issue.id, editor=by, action="hold", at=now))
        session.flush()


def note_deadline(session: Session, issue: Issue, *, now: datetime) -> None:
    """Keep that an issue went because its deadline passed, if that is why."""
    newsletter = session.get_one(Newsletter, issue.newsletter_id)
    if issue.review_until is None or issue.approved_at is not None or newsletter.review is Review.AUTOMATIC:
        return
    words = f"Nobody approved it until {issue.review_until:%Y-%m-%d %H:%M} UTC: it was sent at the deadline."
    session.add(IssueEdit(issue_id=issue.id, editor=NOBODY, action="deadline", after=words, at=now))


def waiting_for_approval(session: Session) -> list[tuple[Issue, Newsletter]]:
    """Return the drafts that an editor holds, or that nobody has approved of newsletters that want it, the oldest day first."""
    awaited = and_(col(Issue.review_until).is_not(None), col(Newsletter.review) != Review.AUTOMATIC)
    wanted = _with_newsletter().where(
        col(Issue.status) == IssueStatus.DRAFT,
        col(Issue.approved_at).is_(None),
        or_(awaited, col(Issue.held_at).is_not(None)),
    )
    return [(issue, newsletter) for issue, newsletter in session.execute(wanted.order_by(col(Issue.first_day)))]


def remind(session: Session, *, now: datetime) -> None:
    """Raise an alarm for each issue that waits for a person, close those of issues that do not any more."""
    causes = [cause for issue, newsletter in waiting_for_approval(session) if (cause := _reminder(issue, newsletter, now=now))]
    alarms.follow(session, ("review", "unapproved"), causes, now=now)


def _reminder(issue: Issue, newsletter: Newsletter, *, now: datetime) -> Cause | None:
    """Return what to say of an issue that waits: at once, and again when its time is over; of one that is held after a while."""
    name = f"{newsletter.slug} {schedule.name_of(issue.cadence, issue.first_day)}"
    what = f"Approve it: newsletter issues approve {name}. Or cancel it: its papers then come with the next."
    until = issue.review_until or issue.created_at
    if issue.held_at is not None:
        until = issue.held_at + timedelta(hours=newsletter.review_hours)
    if now >= until and (issue.held_at is not None or newsletter.review is Review.THEN_HOLD):
        return Cause(
            held_key(issue.id), f"The issue {name} is held", f"Nobody approved it until {until:%Y-%m-%d %H:%M} UTC. {what}"
        )
    if issue.held_at is not None:
        return None
    then = "sent" if newsletter.review is Review.THEN_SEND else "held"
    detail = f"It waits until {until:%Y-%m-%d %H:%M} UTC, then it is {then}. {what}"
    return Cause(review_key(issue.id), f"The issue {name} waits for approval", detail)


def _with_newsletter() -> Select[Issue, Newsletter]:
    return select(Issue, Newsletter).join(Newsletter, col(Newsletter.id) == col(Issue.newsletter_id))
