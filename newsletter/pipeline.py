"""The day of an issue, stage by stage: what the clock runs, and what `run DAY` does at once.

Each stage looks into the tables for what there is to do, so that it can be late, doubled or lost without harm.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta

from sqlalchemy import ColumnElement, select
from sqlmodel import Session, col

from newsletter import alarms, db, deliveries, i18n, issues, newsletters, papers, readings, summaries, text
from newsletter.db import Sessions
from newsletter.deliveries import Mail
from newsletter.errors import NotFound
from newsletter.lifecycle import IssueStatus
from newsletter.models import Alarm, Cadence, Collection, DeliveryKind, Issue, IssuePaper, Newsletter, PaperListing, Tick
from newsletter.papers import Enriched, LookUp
from newsletter.schedule import REACH
from newsletter.sources import Source
from newsletter.summaries import Filled, Round, Terms
from newsletter.summarisers import Summariser
from newsletter.summarisers.model import LanguageModel
from newsletter.tokens import Links

OpenSource = Callable[[str], Source]
NO_MODEL = Terms()


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


def forget_sources(session: Session, *, now: datetime) -> None:
    """End the alarms about sources that no newsletter has any more."""
    readings.forget(session, {name for newsletter in newsletters.listing(session) for name in newsletter.sources}, now=now)


def collect(sessions: Sessions, open_source: OpenSource, name: str, day: date, *, now: datetime) -> Collection:
    """Read one source for one day."""
    return papers.collect(sessions, open_source(name), day, now=now)


def enrich(sessions: Sessions, look_up: LookUp, *, now: datetime) -> Enriched:
    """Ask arXiv for a batch of what lists left out; a failure is in the answer."""
    return papers.enrich(sessions, look_up, now=now)


def summaries_due(sessions: Sessions, terms: Terms = NO_MODEL, *, now: datetime) -> list[tuple[str, list[int]]]:
    """Return for each language the papers that want a summary now, those of drafts first.

    They have none, or the language model may write a better one and they are not out yet: what was told is not rewritten.
    """
    with sessions.read() as session:
        listed, drafted = _listed(session, now=now), _placed(session, col(Issue.status) == IssueStatus.DRAFT)
        out = _placed(session, col(Issue.frozen_at).is_not(None), col(Issue.last_day) >= (now - 2 * REACH).date())
        found = []
        for language in sorted({*listed, *drafted}):
            ids, first = listed[language] | drafted[language], drafted[language]
            bare = ids - set(summaries.best(session, ids, language))
            due = bare.union(summaries.due(session, ids - out[language] | first, language, terms, now=now))
            found.append((language, [*sorted(due & first), *sorted(due - first)]))
    return [(language, ids) for language, ids in found if ids]


def _listed(session: Session, *, now: datetime) -> defaultdict[str, set[int]]:
    """Return for each language the papers that its newsletters' sources listed lately."""
    found = defaultdict[str, set[int]](set)
    for newsletter in newsletters.listing(session):
        listed = select(col(PaperListing.paper_id)).where(
            col(PaperListing.source).in_(newsletter.sources),
            col(PaperListing.day) >= max((now - REACH).date(), issues.wanted_from(newsletter)),
        )
        found[newsletter.language].update(session.scalars(listed))
    return found


def _placed(session: Session, *which: ColumnElement[bool]) -> defaultdict[str, set[int]]:
    """Return for each language the papers of such issues."""
    joined = (
        select(col(Newsletter.language), col(IssuePaper.paper_id))
        .join_from(Issue, Newsletter)
        .join(IssuePaper, col(IssuePaper.issue_id) == col(Issue.id))
    )
    found = defaultdict[str, set[int]](set)
    for language, paper_id in session.execute(joined.where(*which)):
        found[language].add(paper_id)
    return found


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


def write(  # noqa: PLR0913 -- as `summaries.write`
    sessions: Sessions, issue_id: int, model: LanguageModel, terms: Terms, *, clock: Callable[[], datetime], budget: timedelta
) -> Round:
    """Have the language model write the summaries of an issue, as far as that goes now."""
    language, ids = _told(sessions, issue_id)
    return summaries.write(sessions, ids, language, model, terms, clock=clock, budget=budget)


def summarise(sessions: Sessions, issue_id: int, summarisers: Sequence[Summariser], *, now: datetime) -> Filled:
    """Fill the gaps among an issue's summaries."""
    language, ids = _told(sessions, issue_id)
    return summaries.fill(sessions, ids, language, summarisers, now=now)


def quote(  # noqa: PLR0913 -- as `summaries.fill`
    sessions: Sessions, paper_ids: Sequence[int], language: str, terms: Terms, summarisers: Sequence[Summariser], *, now: datetime
) -> Filled:
    """Fill the gaps among papers' summaries, but for those that the language model may still write."""
    with sessions.read() as session:
        hopeful = summaries.unsettled(session, paper_ids, language, terms, now=now)
    return summaries.fill(
        sessions, [paper_id for paper_id in paper_ids if paper_id not in hopeful], language, summarisers, now=now
    )


def _told(sessions: Sessions, issue_id: int) -> tuple[str, list[int]]:
    """Return an issue's language and papers."""
    with sessions.read() as session:
        newsletter = session.get_one(Newsletter, session.get_one(Issue, issue_id).newsletter_id)
        return newsletter.language, issues.kept(session, issue_id)


def drafts_due(sessions: Sessions, terms: Terms, *, patience: timedelta, now: datetime) -> list[int]:
    """Return the drafts that may be frozen now: they wait for what the language model may still write, but not for ever."""

    def unsettled(session: Session, paper_ids: Sequence[int], language: str) -> set[int]:
        return summaries.unsettled(session, paper_ids, language, terms, now=now)

    with sessions.read() as session:
        return issues.drafts_due(session, patience=patience, unsettled=unsettled, now=now)


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
