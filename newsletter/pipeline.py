"""The day of an issue, stage by stage: what the clock runs, and what `run DAY` does at once.

Each stage looks into the tables for what there is to do, so that it can be late, doubled or lost without harm.
"""

from collections.abc import Callable, Sequence
from datetime import date, datetime

from sqlalchemy import select
from sqlmodel import Session, col

from newsletter import alarms, db, deliveries, i18n, issues, newsletters, papers, summaries, text
from newsletter.db import Sessions
from newsletter.deliveries import Mail
from newsletter.errors import NotFound
from newsletter.lifecycle import IssueStatus
from newsletter.models import Alarm, Cadence, Collection, DeliveryKind, Issue, IssuePaper, Newsletter, PaperListing, Tick
from newsletter.schedule import REACH
from newsletter.sources import Source
from newsletter.summaries import Filled
from newsletter.summarisers import Summariser
from newsletter.tokens import Links

OpenSource = Callable[[str], Source]


def readings_due(sessions: Sessions, *, now: datetime) -> list[tuple[str, date]]:
    """Return which sources should be read for which days now."""
    with sessions.read() as session:
        since: dict[str, date] = {}
        again: set[tuple[str, date]] = set()
        for newsletter in newsletters.listing(session):
            again.update(issues.days_to_read_again(session, newsletter, now=now))
            for name in newsletter.sources:
                since[name] = min(issues.wanted_from(newsletter), since.get(name, date.max))
        found = {(name, day) for name in since for day in papers.days_to_collect(session, name, since=since[name], now=now)}
    return sorted(found | again)


def collect(sessions: Sessions, open_source: OpenSource, name: str, day: date, *, now: datetime) -> Collection:
    """Read one source for one day."""
    return papers.collect(sessions, open_source(name), day, now=now)


def summaries_due(sessions: Sessions, *, now: datetime) -> list[tuple[str, list[int]]]:
    """Return for each language the papers of the last days that its newsletters may need a summary of."""
    due: dict[str, set[int]] = {}
    with sessions.read() as session:
        for newsletter in newsletters.listing(session):
            listed = select(col(PaperListing.paper_id)).where(
                col(PaperListing.source).in_(newsletter.sources),
                col(PaperListing.day) >= max((now - REACH).date(), issues.wanted_from(newsletter)),
            )
            due.setdefault(newsletter.language, set()).update(session.scalars(listed))
        have = {language: set(summaries.best(session, ids, language)) for language, ids in due.items()}
    return [(language, sorted(ids - have[language])) for language, ids in sorted(due.items()) if ids - have[language]]


def issues_due(sessions: Sessions, *, now: datetime) -> list[tuple[int, Cadence, date, date]]:
    """Return (newsletter id, cadence, first day, last day) of the issues that should be made now, oldest first."""
    with sessions.read() as session:
        return [
            (newsletter.id, cadence, period.first_day, period.last_day)
            for newsletter in newsletters.listing(session)
            for cadence in map(Cadence, newsletter.cadences)
            for period in issues.due_periods(session, newsletter, cadence, now=now)
        ]


def assemble(  # noqa: PLR0913 -- which issue of what
    sessions: Sessions, newsletter_id: int, cadence: Cadence, day: date, *, until: date | None = None, now: datetime
) -> Issue:
    """Choose and order the papers of an issue, or of one for all days `until`; raises NotFound for a newsletter that is gone."""
    with sessions.begin() as session:
        newsletter = session.get(Newsletter, newsletter_id)
        if newsletter is None:
            raise NotFound(f"There is no newsletter {newsletter_id} any more.")
        return issues.assemble(session, newsletter, cadence, day, until=until, now=now)


def summarise(sessions: Sessions, issue_id: int, summarisers: Sequence[Summariser], *, now: datetime) -> Filled:
    """Fill the gaps among an issue's summaries."""
    with sessions.read() as session:
        newsletter = session.get_one(Newsletter, session.get_one(Issue, issue_id).newsletter_id)
        ids = list(session.scalars(select(col(IssuePaper.paper_id)).where(col(IssuePaper.issue_id) == issue_id)))
    return summaries.fill(sessions, ids, newsletter.language, summarisers, now=now)


def freeze(sessions: Sessions, issue_id: int, summarisers: Sequence[Summariser], links: Links, *, now: datetime) -> Issue:
    """Render an issue, with a summary for each paper that can have one."""
    summarise(sessions, issue_id, summarisers, now=now)
    return issues.freeze(sessions, issue_id, links, now=now)


def publish(sessions: Sessions, issue_id: int, *, now: datetime) -> int:
    """Queue an issue's deliveries; return how many are new."""
    with sessions.begin() as session:
        return issues.publish(session, issue_id, now=now)


def waiting(sessions: Sessions, status: IssueStatus) -> list[int]:
    """Return the issues in a state, for the stage that follows it."""
    with sessions.read() as session:
        return issues.waiting(session, status)


def mail_alarms(session: Session, operator: str, *, now: datetime) -> int:
    """Put a mail about each open alarm into the outbox, once each; return how many are new. No operator, no mail."""
    if not operator:
        return 0
    return sum(deliveries.enqueue(session, _alarm_mail(alarm, operator), now=now) for alarm in alarms.open_alarms(session))


def _alarm_mail(alarm: Alarm, operator: str) -> Mail:
    slots = {
        "cause": alarm.cause,
        "subject": text.one_line(alarm.subject),
        "detail": text.one_line(alarm.detail),
        "opened_at": i18n.moment(alarm.opened_at, i18n.SOURCE_LANGUAGE),
    }
    return Mail(kind=DeliveryKind.ALARM, dedupe_key=f"alarm:{alarm.id}", address=operator, values={"slots": slots})


def mark(session: Session, name: str, *, now: datetime) -> None:
    """Note that a stage ran: health checks look at it."""
    if not db.insert_new(session, Tick, [{"name": name, "at": now}]):
        session.get_one(Tick, name).at = now


def last_tick(session: Session, name: str) -> datetime | None:
    """Return when a stage last ran."""
    tick = session.get(Tick, name)
    return tick.at if tick else None
