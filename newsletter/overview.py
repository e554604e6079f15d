"""One look at everything: what an operator asks at three in the morning, and what needs a person."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import select
from sqlmodel import Session, col

from newsletter import alarms, issues, newsletters, pipeline, readings, schedule, watch
from newsletter.deliveries import control
from newsletter.deliveries.control import Lined
from newsletter.lifecycle import DeliveryStatus, IssueStatus
from newsletter.models import Alarm, Cadence, Issue, Lane, Newsletter, Pause, PauseScope
from newsletter.models import Collection as CollectionRow

LATELY = timedelta(hours=24)
TICKS_WITHIN = timedelta(minutes=2)  # it ticks twice a minute
SENDS_WITHIN = timedelta(minutes=5)  # after its due time
STAGE_WITHIN = timedelta(minutes=10)  # from draft to ready, from ready to published
READS_WITHIN = timedelta(hours=2)  # a source of today
MAKES_WITHIN = timedelta(hours=1)  # after the cut-off
MANY_FAILED, FAILED_SHARE = 5, 0.05  # fewer, or less, is every day's


@dataclass(frozen=True)
class Need:
    """Something that a person has to look at, and how."""

    what: str
    do: str


@dataclass(frozen=True)
class Ended:
    """How many mails came to an end of late, and which."""

    sent: int = 0
    failed: int = 0
    held: int = 0


@dataclass(frozen=True)
class Publication:
    """A newsletter's latest issue of a cadence, what is due, and what became of its mails in the last 24 hours."""

    newsletter: str
    cadence: str
    issue: str  # its name, "" for none yet
    status: str
    status_since: datetime | None
    reason: str
    due_from: datetime | None  # the first of its mails that wait
    next_at: datetime  # when the next issue is made
    ended: Ended  # of the newsletter, whatever the cadence


@dataclass(frozen=True)
class Reading:
    """The last reading of a source."""

    source: str
    day: date | None
    status: str  # "done", "failed", or "never"
    papers: int
    error: str
    at: datetime | None


@dataclass(frozen=True)
class Raised:
    """An open alarm."""

    id: int
    subject: str
    detail: str
    times: int
    opened_at: datetime
    need: Need  # as it stands among the needs


@dataclass(frozen=True)
class Stopped:
    """Something that is paused: until a time, or until somebody resumes it."""

    id: int
    what: str
    until: datetime | None
    cause: str


@dataclass(frozen=True)
class Overview:
    """Everything at one moment."""

    at: datetime
    well: bool
    needs: tuple[Need, ...]
    last_tick: datetime | None
    publications: tuple[Publication, ...]
    others: Ended  # mails that belong to no newsletter: alarms
    queue: tuple[Lined, ...]
    held: int
    readings: tuple[Reading, ...]
    alarms: tuple[Raised, ...]
    pauses: tuple[Stopped, ...]


def look(session: Session, *, now: datetime) -> Overview:
    """Look at the clock, newsletters, queue, sources and alarms, and judge what needs a person."""
    rows = newsletters.listing(session)
    last_tick, queue = pipeline.last_tick(session, "sweep"), control.queue(session, now=now)
    held = control.held(session, since=now - watch.HELD)
    ended = _ended(session, now=now)
    publications = [
        _publication(session, row, Cadence(cadence), ended.get(row.id, Ended()), now=now)
        for row in rows
        for cadence in row.cadences
    ]
    wanted_since = _sources(rows)
    read = [_reading(session, name) for name in sorted(wanted_since)]
    raised = alarms.open_alarms(session)
    told = {alarm.cause.partition(":")[0] for alarm in raised}  # by an alarm, and not once more
    needs = [
        *_of_clock(last_tick, now),
        *(_of_alarm(session, alarm) for alarm in raised),
        *([] if "queue" in told else _of_queue(queue, pipeline.last_tick(session, watch.SENT_TICK), now)),
        *([] if "held" in told else _of_held(held)),
        *(need for row in rows for need in _of_issues(session, row, now)),
        *(need for row in publications for need in _of_publication(row, told, now)),
        *(need for row in read for need in _of_reading(row, wanted_since[row.source], now)),
    ]
    return Overview(
        at=now,
        well=not needs,
        needs=tuple(dict.fromkeys(needs)),
        last_tick=last_tick,
        publications=tuple(publications),
        others=ended.get(None, Ended()),
        queue=tuple(queue),
        held=held,
        readings=tuple(read),
        alarms=tuple(_raised(session, row) for row in raised),
        pauses=tuple(stopped(session, now=now)),
    )


def _ended(session: Session, *, now: datetime) -> dict[int | None, Ended]:
    found = control.ended_since(session, now - LATELY)
    return {
        newsletter_id: Ended(
            *(
                found.get((newsletter_id, status), 0)
                for status in (DeliveryStatus.SENT, DeliveryStatus.FAILED, DeliveryStatus.HELD)
            )
        )
        for newsletter_id in {newsletter_id for newsletter_id, _ in found}
    }


def _publication(session: Session, newsletter: Newsletter, cadence: Cadence, ended: Ended, *, now: datetime) -> Publication:
    issue = issues.latest(session, newsletter, cadence)
    return Publication(
        newsletter=newsletter.slug,
        cadence=cadence.value,
        issue=schedule.name_of(cadence, issue.first_day) if issue else "",
        status=issue.status.value if issue else "",
        status_since=_since(issue) if issue else None,
        reason=issue.reason if issue else "",
        due_from=control.first_due(session, issue.id) if issue else None,
        next_at=_next_at(newsletter, cadence, now=now),
        ended=ended,
    )


def _since(issue: Issue) -> datetime:
    return issue.finished_at or issue.published_at or issue.frozen_at or issue.created_at


def _next_at(newsletter: Newsletter, cadence: Cadence, *, now: datetime) -> datetime:
    """Return the first cut-off to come."""
    closed = max((now - timedelta(hours=newsletter.cutoff_hours)).date(), newsletter.created_at.date() - timedelta(days=1))
    period = issues.period_of(cadence, closed)
    if issues.cutoff_of(newsletter, period) <= now or period.last_day < newsletter.created_at.date():
        period = issues.period_of(cadence, period.last_day + timedelta(days=1))
    return issues.cutoff_of(newsletter, period)


def _sources(rows: Sequence[Newsletter]) -> dict[str, datetime]:
    """Return the sources of all newsletters, and since when somebody wants each."""
    found: dict[str, datetime] = {}
    for row in rows:
        for name in row.sources:
            found[name] = min(row.created_at, found.get(name, row.created_at))
    return found


def _reading(session: Session, source: str) -> Reading:
    rows = select(CollectionRow).where(col(CollectionRow.source) == source)
    row = session.scalars(rows.order_by(col(CollectionRow.collected_at).desc(), col(CollectionRow.day).desc()).limit(1)).first()
    if row is None:
        return Reading(source, None, "never", 0, "", None)
    return Reading(source, row.day, row.status.value, row.papers, row.error, row.collected_at)


def _raised(session: Session, alarm: Alarm) -> Raised:
    return Raised(alarm.id, alarm.subject, alarm.detail, alarm.times, alarm.opened_at, _of_alarm(session, alarm))


def _of_alarm(session: Session, alarm: Alarm) -> Need:
    """Return what an alarm is about with the command to begin with."""
    kind, _, about = alarm.cause.partition(":")
    number = about.rpartition(":")[2]
    if kind in {"source", "silent"}:
        days = readings.failing_days(session, about, now=alarm.raised_at)
        return Need(alarm.subject, f"newsletter collect {days[0] if days else alarm.opened_at.date()}")
    if about.startswith("issue:"):
        name = _name_of(session, number)
        verb = {"pause": "resume", "review": "approve", "unapproved": "approve"}.get(kind, "show")
        what = alarm.subject if name in alarm.subject else f"{name}: {alarm.subject}"
        return Need(what, f"newsletter issues {verb} {name}")
    if kind == "bounces":
        return Need(alarm.subject, f"newsletter bounces {'apply' if about == 'held' else 'list'}")
    commands = {"pause": "pauses", "queue": "send", "held": "deliveries list --status held", "log-in": "admin list"}
    return Need(alarm.subject, f"newsletter {commands.get(kind, 'alarms')}")


def stopped(session: Session, *, now: datetime) -> list[Stopped]:
    """Return what is paused now, the oldest pause first."""
    return [_stopped(session, row) for row in control.paused(session, now=now)]


def _stopped(session: Session, pause: Pause) -> Stopped:
    what = f"issue {_name_of(session, pause.key)}" if pause.scope is PauseScope.ISSUE else f"{pause.scope.value} {pause.key}"
    return Stopped(pause.id, what, pause.until, pause.cause)


def _name_of(session: Session, issue_id: str) -> str:
    """Return an issue as commands name it: newsletter and name."""
    issue = session.get(Issue, int(issue_id)) if issue_id.isdecimal() else None
    if issue is None:
        return issue_id
    return f"{session.get_one(Newsletter, issue.newsletter_id).slug} {schedule.name_of(issue.cadence, issue.first_day)}"


def _of_clock(last_tick: datetime | None, now: datetime) -> list[Need]:
    if last_tick is None:
        return [Need("The clock has never ticked.", "Run the service: newsletter up")]
    if now - last_tick <= TICKS_WITHIN:
        return []
    return [Need(f"The clock has not ticked since {last_tick:%Y-%m-%d %H:%M} UTC.", "Look at the logs of beat and worker.")]


def _of_queue(queue: Sequence[Lined], last_sent: datetime | None, now: datetime) -> list[Need]:
    """Miss the sending of what is due; a long list takes its time, but a person goes before it."""
    needs = []
    for line in queue:
        a_person = line.lane == Lane.PERSON.name.lower()
        busy = not a_person and last_sent is not None and now - last_sent <= SENDS_WITHIN
        if line.oldest_due_at is not None and now - line.oldest_due_at > SENDS_WITHIN and not busy:
            to = "persons" if a_person else "the list"
            since = f"{line.oldest_due_at:%Y-%m-%d %H:%M} UTC"
            needs.append(Need(f"Mails to {to} are due and not sent: {line.due}, the oldest since {since}.", "newsletter send"))
    return needs


def _of_held(held: int) -> list[Need]:
    return [Need(f"Mails may have arrived or not: {held}.", "newsletter deliveries list --status held")] if held else []


def _of_issues(session: Session, newsletter: Newsletter, now: datetime) -> list[Need]:
    """Miss the issues that should have been made."""
    return [
        Need(
            f"{newsletter.slug}: there is no issue of {schedule.name_of(cadence, period.first_day)} yet.",
            f"newsletter run {period.last_day} -n {newsletter.slug}" + (" --weekly" if cadence is Cadence.WEEKLY else ""),
        )
        for cadence in map(Cadence, newsletter.cadences)
        for period in issues.untried_periods(session, newsletter, cadence, now=now)
        if now > issues.cutoff_of(newsletter, period) + MAKES_WITHIN
    ]


def _of_publication(row: Publication, told: Collection[str], now: datetime) -> list[Need]:
    needs = []
    made = row.status in {IssueStatus.DRAFT, IssueStatus.READY} and not {"late", "review", "unapproved"} & set(told)
    if made and row.status_since is not None and now - row.status_since > STAGE_WITHIN:
        since = f"{row.status_since:%Y-%m-%d %H:%M} UTC"
        what = f"{row.newsletter} {row.issue} is {row.status} since {since}."
        needs.append(Need(what, f"newsletter issues show {row.newsletter} {row.issue}"))
    ended = row.ended
    if ended.failed >= MANY_FAILED and ended.failed > FAILED_SHARE * (ended.sent + ended.failed + ended.held):
        what = f"{row.newsletter}: {ended.failed} mails failed in 24 hours, {ended.sent} were sent."
        needs.append(Need(what, "newsletter deliveries list --status failed"))
    return needs


def _of_reading(row: Reading, wanted_since: datetime, now: datetime) -> list[Need]:
    if now - (row.at or wanted_since) <= READS_WITHIN:
        return []
    since = f"since {row.at:%Y-%m-%d %H:%M} UTC" if row.at else "yet"
    return [Need(f"{row.source} was not read {since}.", f"newsletter collect {now.date()}")]
