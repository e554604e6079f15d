"""Trouble that no single event tells of: what is late, stuck or held; and pauses whose time is over."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, select, text
from sqlmodel import Session, col

from newsletter import schedule
from newsletter.alarms import Cause, close, follow, raise_alarm
from newsletter.lifecycle import DeliveryStatus, IssueStatus
from newsletter.models import Alarm, Consent, Delivery, DueTime, Issue, Newsletter, Pause, PauseScope, Review, Tick

CALM = timedelta(minutes=10)  # a pause that was not renewed for so long is over
STUCK = timedelta(minutes=15)  # something is due, and nothing was sent for so long
UNMADE = timedelta(hours=1)  # an issue stays half made for so long
LATE = timedelta(hours=3)  # after it was due a digest has not ended; sooner where it is given up before
HELD = timedelta(days=7)  # what was held longer ago is left alone by the operator
UNDECIDED = timedelta(hours=1)  # in which a request may still be confirmed
ENOUGH_SIGN_UPS = 50  # in a day, for their share to say anything
SIGN_UPS_ALARM = "sign-up:unconfirmed"
SENT_TICK = "sent"  # marked by a drain that has sent something
# Word for word the indexes' conditions, or they are not used.
_WAITING = text("deliveries.status IN ('queued', 'deferred')")
_HELD = text("deliveries.status = 'held'")
_UNFINISHED = (
    DeliveryStatus.QUEUED,
    DeliveryStatus.CLAIMED,
    DeliveryStatus.SENDING,
    DeliveryStatus.DEFERRED,
    DeliveryStatus.UNKNOWN,
)


def pause_key(scope: PauseScope, key: str) -> str:
    """Return the key of the alarm of a pause."""
    return f"pause:{scope.value}:{key}"


def review(session: Session, *, now: datetime) -> None:
    """Look for trouble that no single event tells of, raise its alarms, and close those of trouble that is over."""
    _end_pauses(session, now)
    causes = [*_late_issues(session, now), *_stuck_queue(session, now), *_held_mails(session, now)]
    follow(session, ("late", "queue", "held"), causes, now=now)


def review_sign_ups(session: Session, *, least: float, now: datetime) -> None:
    """Raise an alarm when of a day's requests by page or mail too small a share is confirmed; close it once it is not.

    Then somebody plays with the form, or the confirmations do not arrive. The last hour's may still be confirmed.
    """
    during = (col(Consent.requested_at) > now - timedelta(days=1), col(Consent.requested_at) <= now - UNDECIDED)
    counted = select(func.count(), func.count(col(Consent.confirmed_at))).where(
        *during, col(Consent.source).in_(("page", "mail"))
    )
    asked, confirmed = session.execute(counted).one()
    if asked < ENOUGH_SIGN_UPS or confirmed >= asked * least:
        close(session, SIGN_UPS_ALARM, now=now)
        return
    known = select(Alarm).where(col(Alarm.cause) == SIGN_UPS_ALARM, col(Alarm.closed_at).is_(None))
    if session.scalars(known).first() is None:
        detail = f"{confirmed} of {asked} in a day. Either the confirmation mails do not arrive, or somebody plays with the form."
        raise_alarm(session, Cause(SIGN_UPS_ALARM, "Few sign-ups are confirmed", detail), now=now)


def _end_pauses(session: Session, now: datetime) -> None:
    """Close the pauses whose time has been over for a while, and their alarms."""
    over = select(Pause).where(col(Pause.closed_at).is_(None), col(Pause.until) <= now - CALM)
    for pause in session.scalars(over.with_for_update()):
        pause.closed_at = now
        close(session, pause_key(pause.scope, pause.key), now=now)


def _late_issues(session: Session, now: datetime) -> list[Cause]:
    """Return the issues that stay half made, and those whose digests should long have ended."""
    living = (IssueStatus.DRAFT, IssueStatus.READY, IssueStatus.PUBLISHED)
    rows = select(Issue, Newsletter).join(Newsletter, col(Newsletter.id) == col(Issue.newsletter_id))
    causes = []
    for issue, newsletter in session.execute(rows.where(col(Issue.status).in_(living))):
        why = _why_late(session, issue, newsletter, now)
        if why:
            name = f"{newsletter.slug} {schedule.name_of(issue.cadence, issue.first_day)}"
            causes.append(Cause(f"late:issue:{issue.id}", f"The issue {name} is late", why))
    return causes


def _why_late(session: Session, issue: Issue, newsletter: Newsletter, now: datetime) -> str:
    """Return in a sentence why an issue is late, "" if it is not."""
    if issue.status is not IssueStatus.PUBLISHED:
        since = issue.frozen_at or _could_go_since(issue, newsletter)
        return f"It is {issue.status.value} since {since:%H:%M} UTC." if since and since < now - UNMADE else ""
    give_up = timedelta(hours=newsletter.give_up_hours)
    late = min(LATE, give_up / 2)
    if not _any(session, col(DueTime.issue_id) == issue.id, col(DueTime.due_at) < now - late):
        return ""  # spares the look at its deliveries, which may be many
    due = (
        col(Delivery.issue_id) == issue.id,
        col(Delivery.status).in_(_UNFINISHED),
        col(Delivery.give_up_at) < now - late + give_up,
    )
    return f"Some of its mails were due more than {late.total_seconds() / 3600:g} hours ago." if _any(session, *due) else ""


def _could_go_since(issue: Issue, newsletter: Newsletter) -> datetime | None:
    """Return since when a draft could have gone, as far as people are concerned; None while it waits for one."""
    reviewed = issue.review_until is not None and newsletter.review is not Review.AUTOMATIC
    if issue.held_at is not None or (reviewed and issue.approved_at is None and newsletter.review is Review.THEN_HOLD):
        return None
    return (issue.approved_at or issue.review_until if reviewed else None) or issue.created_at


def _any(session: Session, *which: ColumnElement[bool]) -> bool:
    return session.scalar(select(text("1")).where(*which).limit(1)) is not None


def _stuck_queue(session: Session, now: datetime) -> list[Cause]:
    """Return the alarm of a queue that nobody empties, unless a pause explains it."""
    paused = _any(session, col(Pause.closed_at).is_(None))
    sent_at = session.scalar(select(col(Tick.at)).where(col(Tick.name) == SENT_TICK))
    if paused or (sent_at is not None and sent_at > now - STUCK):
        return []
    overdue = select(col(Delivery.due_at)).where(_WAITING, col(Delivery.due_at) < now - STUCK, col(Delivery.give_up_at) > now)
    oldest = session.scalar(overdue.order_by(col(Delivery.lane), col(Delivery.due_at)).limit(1))
    if oldest is None:
        return []
    detail = f"The longest waits since {oldest:%Y-%m-%d %H:%M} UTC. Do the workers run, and does the relay answer?"
    return [Cause("queue:stuck", "Mails are due and none is sent", detail)]


def _held_mails(session: Session, now: datetime) -> list[Cause]:
    """Return the alarm of mails that wait for the operator's word."""
    held = select(func.count()).select_from(Delivery).where(_HELD, col(Delivery.updated_at) > now - HELD)
    number = session.scalar(held) or 0
    detail = "They were begun and never answered: each may have arrived, or not."
    return [Cause("held:mails", f"Mails are held for you: {number}", detail)] if number else []
