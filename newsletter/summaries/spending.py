"""What summaries by a language model cost: per day, which a budget bounds, and per issue."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import func, select
from sqlmodel import Session, col

from newsletter import schedule
from newsletter.models import AttemptStatus, Issue, IssuePaper, Newsletter, SummaryAttempt
from newsletter.summaries.terms import Terms
from newsletter.summarisers.model import Usage


@dataclass(frozen=True)
class Spent:
    """What came of attempts and what they used; cost in millionths of the currency of the prices."""

    made: int = 0
    refused: int = 0
    failed: int = 0
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_micros: int = 0


def usage(session: Session, issue_id: int) -> Spent:
    """Return what the summaries of an issue's papers used, in its language; a paper of two issues counts in both."""
    issue = session.get_one(Issue, issue_id)
    language = session.get_one(Newsletter, issue.newsletter_id).language
    papers = select(col(IssuePaper.paper_id)).where(col(IssuePaper.issue_id) == issue_id)
    wanted = select(SummaryAttempt).where(col(SummaryAttempt.paper_id).in_(papers), col(SummaryAttempt.language) == language)
    return _sum(list(session.scalars(wanted)))


def usage_by_day(session: Session, days: int, *, now: datetime) -> dict[date, Spent]:
    """Return what each of the last days (UTC) used, the oldest first, today included."""
    first = now.date() - timedelta(days=days - 1)
    rows = session.scalars(select(SummaryAttempt).where(col(SummaryAttempt.began_at) >= schedule.start_of(first))).all()
    by_day: dict[date, list[SummaryAttempt]] = {day: [] for day in schedule.days_between(first, now.date())}
    for row in rows:
        by_day.setdefault(row.began_at.date(), []).append(row)
    return {day: _sum(of_day) for day, of_day in by_day.items()}


def has_room(session: Session, terms: Terms, wanted: Usage, *, now: datetime) -> bool:
    """Whether today's budget (UTC) is enough for one more answer, with what is under way at what it may use at the most.

    The overshoot is bounded: for each paper under way one repair turn and what calls without an answer used, which is
    estimated.
    """
    if not terms.limited:
        return True
    tokens = func.sum(col(SummaryAttempt.input_tokens) + col(SummaryAttempt.output_tokens))
    today = col(SummaryAttempt.began_at) >= schedule.start_of(now.date())
    row = session.execute(select(tokens, func.sum(col(SummaryAttempt.cost_micros))).where(today)).one()
    used, cost = (int(number or 0) for number in row)
    return terms.allows(used + wanted.input_tokens + wanted.output_tokens, cost + terms.micros(wanted))


def _sum(attempts: list[SummaryAttempt]) -> Spent:
    statuses = [row.status for row in attempts]
    return Spent(
        made=statuses.count(AttemptStatus.MADE),
        refused=statuses.count(AttemptStatus.REFUSED),
        failed=statuses.count(AttemptStatus.FAILED),
        calls=sum(row.calls for row in attempts),
        input_tokens=sum(row.input_tokens for row in attempts),
        output_tokens=sum(row.output_tokens for row in attempts),
        cost_micros=sum(row.cost_micros for row in attempts),
    )
