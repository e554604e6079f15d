"""The stages of a day as a person runs them: the same functions as the clock's, with words and progress."""

import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import typer
from sqlalchemy import func, select
from sqlmodel import col

from newsletter import bounces, deliveries, issues, newsletters, papers, pipeline, schedule, wiring
from newsletter.cli import say
from newsletter.config import Settings, UnknownPolicy
from newsletter.db import Sessions
from newsletter.deliveries import DrainReport, control
from newsletter.errors import BadInput, NewsletterError, NotFound, SourceUnavailable
from newsletter.lifecycle import IssueStatus
from newsletter.models import Cadence, CollectionStatus, Delivery, Issue, Newsletter
from newsletter.sources import documents
from newsletter.wiring import utcnow

_ALL_DAY = timedelta(days=1)  # a person stops it when they like


@dataclass(frozen=True)
class Work:
    """What the steps work with: the settings, the database, and which newsletters."""

    settings: Settings
    sessions: Sessions
    newsletters: tuple[Newsletter, ...]
    troubled: list[str] = field(default_factory=list)  # the slugs of those that something went wrong with


def open_work(settings: Settings, slugs: Sequence[str], *, or_none: bool = False) -> Work:
    """Open the database and find the newsletters named; all of them where none is.

    Raises NotFound where there is no newsletter at all, unless `or_none`.
    """
    sessions = wiring.sessions_of(settings)
    with sessions.read() as session:
        chosen = [newsletters.find(session, slug) for slug in slugs] or newsletters.listing(session)
    if not chosen and not or_none:
        raise NotFound("There is no newsletter yet.", hint="Add one: `newsletter newsletters add --help` says how.")
    return Work(settings, sessions, tuple(chosen))


def run(settings: Settings, day: date, slugs: Sequence[str], *, weekly: bool, at_once: bool) -> None:
    """Do all stages of a day, for each newsletter as far as it goes; raises NewsletterError in the end where one had trouble."""
    work = of_cadence(open_work(settings, slugs), weekly=weekly)
    work = _readable(work, collect(work, day))
    work = assemble(work, day, weekly=weekly)
    work = publish(work, day, weekly=weekly, at_once=at_once)
    send(work)
    conclude(work)


def of_cadence(work: Work, *, weekly: bool) -> Work:
    """Pass over the newsletters that have no weekly digest; raises BadInput where none is left."""
    cadence = _cadence(weekly=weekly)
    chosen = tuple(newsletter for newsletter in work.newsletters if cadence in newsletter.cadences)
    for newsletter in work.newsletters:
        if newsletter not in chosen:
            typer.echo(f"{newsletter.slug} has no {cadence.value} digest: passed over.")
    if not chosen:
        raise BadInput(
            f"None of them has a {cadence.value} digest.", hint="Offer one: `newsletter newsletters edit SLUG --weekly`."
        )
    return replace(work, newsletters=chosen)


def _each(work: Work, do: Callable[[Newsletter], None]) -> Work:
    """Do something for each newsletter and return the work on those it went well for.

    What goes wrong with one of several is said at once and does not stop the others.
    """
    if len(work.newsletters) == 1 and not work.troubled:
        do(work.newsletters[0])
        return work
    went_well = []
    for newsletter in work.newsletters:
        try:
            do(newsletter)
        except Exception as error:  # noqa: BLE001 -- whatever one newsletter meets, the others are not to blame
            work.troubled.append(newsletter.slug)
            _say_trouble(newsletter, error)
        else:
            went_well.append(newsletter)
    return replace(work, newsletters=tuple(went_well))


def _say_trouble(newsletter: Newsletter, error: Exception) -> None:
    if not isinstance(error, NewsletterError):
        traceback.print_exception(error)
    typer.secho(f"{newsletter.slug}: {error}", fg=typer.colors.RED, err=True)
    if isinstance(error, NewsletterError) and error.hint:
        typer.echo(f"  {error.hint}", err=True)


def conclude(work: Work) -> None:
    """Raise NewsletterError where a newsletter had trouble: the others are done by now."""
    if work.troubled:
        raise NewsletterError(
            f"There was trouble with {', '.join(work.troubled)}, as said above.",
            hint="The others are done. Mend it and repeat the command: nothing is done twice.",
        )


def collect(work: Work, day: date) -> set[str]:
    """Read each source once and return those that failed; raises SourceUnavailable when none could be read."""
    names = sorted({name for newsletter in work.newsletters for name in newsletter.sources})
    failed = set()
    for name in names:
        with _busy(f"Reading {name}"):
            record = pipeline.collect(work.sessions, partial(wiring.source_of, work.settings), name, day, now=utcnow())
        if record.status is CollectionStatus.FAILED:
            failed.add(name)
            typer.secho(f"{name}: {record.error}", fg=typer.colors.RED, err=True)
            continue
        typer.echo(f"{name} lists {record.papers} papers on {day}.")
        for problem in record.problems:
            typer.secho(f"  passed over: {problem}", fg=typer.colors.YELLOW, err=True)
    if len(failed) == len(names):
        raise SourceUnavailable(f"No source could be read for {day}.", hint="Nothing is lost: run it again later.")
    _enrich(work)
    return failed


def _enrich(work: Work) -> None:
    """Ask arXiv for what the lists left out, as far as it answers: no digest waits for it."""
    more = work.settings.sources.enrich
    while more:
        with _busy("Asking arXiv for what lists leave out"):
            done = pipeline.enrich(work.sessions, wiring.look_up_of(work.settings), now=utcnow())
        more = done.more and not done.error
        if done.error:
            typer.secho(f"arXiv was not asked for {done.asked} papers: {done.error}", fg=typer.colors.YELLOW, err=True)
        elif done.asked:
            typer.echo(f"arXiv told of {done.found} of {done.asked} papers what lists left out.")


def _readable(work: Work, failed: set[str]) -> Work:
    """Leave out the newsletters of which no source could be read: their issue would be called empty."""

    def check(newsletter: Newsletter) -> None:
        if failed.issuperset(newsletter.sources):
            raise SourceUnavailable("None of its sources could be read.", hint="Nothing is lost: run it again later.")

    return _each(work, check)


def assemble(work: Work, day: date, *, weekly: bool) -> Work:
    """Assemble and freeze the issue of each newsletter; return the work on those it went well for."""
    cadence = _cadence(weekly=weekly)
    summarisers, links = wiring.summarisers_of(work.settings), wiring.links_of(work.settings)

    def one(newsletter: Newsletter) -> None:
        issue = pipeline.assemble(work.sessions, newsletter.id, cadence, day, now=utcnow())
        if issue.status is IssueStatus.DRAFT:
            _have_written(work, issue)
            with _busy(f"Summarising and rendering {newsletter.slug}"):
                issue = pipeline.freeze(work.sessions, issue.id, summarisers, links, now=utcnow())
        name = schedule.name_of(cadence, issue.first_day)
        typer.echo(f"{newsletter.slug} {name}: {issue.status.value}. {issue.reason or issue.subject}")

    return _each(work, one)


def _have_written(work: Work, issue: Issue) -> None:
    """Have the language model write the issue's summaries once, where one is set, and say what became of them."""
    model, settings = wiring.model_of(work.settings), work.settings.summaries
    if model is None:
        return
    patience, terms = timedelta(minutes=settings.patience_minutes), wiring.summary_terms_of(work.settings)
    with _busy(f"{model.name} writes summaries"):
        written = pipeline.write(work.sessions, issue.id, model, terms, clock=utcnow, budget=patience)
    for reason in sorted(set(written.failed.values())):
        typer.secho(f"  {model.name}: {reason}", fg=typer.colors.YELLOW, err=True)
    typer.echo(f"{model.name} wrote {written.made} summaries; what it did not is quoted from the abstracts.")
    if written.stopped:
        typer.secho(f"  It was not asked further ({written.stopped}): newsletter alarms", fg=typer.colors.YELLOW, err=True)


def publish(work: Work, day: date, *, weekly: bool, at_once: bool) -> Work:
    """Queue the issue of each newsletter that has one, due at once if so wanted; return the work on those it went well for."""
    cadence = _cadence(weekly=weekly)
    name = schedule.name_of(cadence, issues.period_of(cadence, day).first_day)

    def one(newsletter: Newsletter) -> None:
        with work.sessions.begin() as session:
            issue = issues.find(session, newsletter, name)
            now = utcnow()
            if issue.status is IssueStatus.EMPTY:
                typer.echo(f"{newsletter.slug} {name}: nothing to publish. {issue.reason}")
                return
            if issue.status is IssueStatus.DRAFT and issues.waits_for_approval(issue, newsletter, now=now):
                typer.echo(f"{newsletter.slug} {name} waits for approval: newsletter issues approve {newsletter.slug} {name}")
                return
            queued = issues.publish(session, issue.id, now=now)
            if at_once:
                control.make_due(session, issue.id, now=now)
            due = control.first_due(session, issue.id)
        typer.echo(f"{newsletter.slug} {name}: queued {queued} deliveries{_when(due, newsletter.zone, queued)}.")

    return _each(work, one)


def _when(due: datetime | None, zone: str, queued: int) -> str:
    """Say when the first of what waits is due, unless it is due now."""
    if due is None or due <= utcnow():
        return ""
    return (", due from " if queued else "; what waits is due from ") + say.moment(due, zone=zone) + " (--now: at once)"


def send(work: Work) -> None:
    """Drain the outbox with a line of progress; raises NewsletterError when the relay sent us away."""
    settings = work.settings
    _sweep(work)
    with wiring.journal_of(settings) as journal, _progress(_due(work)) as show, _interruptible() as stopping:
        total = deliveries.drain(
            work.sessions,
            wiring.way_of(settings),
            wiring.mailer_of(settings),
            journal,
            clock=utcnow,
            backup=wiring.backup_of(settings),
            limits=wiring.limits_of(settings),
            pace=wiring.pace_of(settings, budget=_ALL_DAY),
            stopping=stopping,
            watch=show,
        )
    with work.sessions.begin() as session:
        issues.finish(session, now=utcnow())
    followed = bounces.follow_all(work.sessions, wiring.bounce_terms_of(settings), now=utcnow())
    typer.echo(
        f"Sent {total.sent}, failed {total.failed}, put off {total.deferred}, unknown {total.unknown}, skipped {total.skipped}."
    )
    if followed.suppressed:
        typer.echo(f"Suppressed {followed.suppressed} addresses that came back: newsletter bounces list")
    if total.relay_away:
        raise NewsletterError(
            f"The mail server is away: {total.relay_away}", hint="What is left goes out with the next `newsletter send`."
        )


def _sweep(work: Work) -> None:
    """Find what got stuck, as the clock would: there may be none."""
    settings, now = work.settings, utcnow()
    deliveries.settle(work.sessions, wiring.journal_folder(settings), now=now)
    hold, late_news = settings.unknown_policy is UnknownPolicy.HOLD, timedelta(minutes=settings.resend_after_minutes)
    with work.sessions.begin() as session:
        found = deliveries.recover(session, hold_unknown=hold, late_news=late_news, now=now)
    for number, what in ((found.resent, "sent again: no answer had come"), (found.held, "held for you: they may have arrived")):
        if number:
            typer.echo(f"{say.mails(number)} {what}.")


def latest_issues(work: Work, limit: int = 20) -> list[dict[str, Any]]:
    """Return the newest issues of the newsletters, ready for a table or JSON."""
    slugs = {newsletter.id: newsletter.slug for newsletter in work.newsletters}
    with work.sessions.read() as session:
        wanted = select(Issue).where(col(Issue.newsletter_id).in_(slugs)).order_by(col(Issue.first_day).desc(), col(Issue.id))
        found = []
        for issue in session.scalars(wanted.limit(limit)):
            counts = deliveries.counts(session, issue.id)
            found.append(
                {
                    "newsletter": slugs[issue.newsletter_id],
                    "issue": schedule.name_of(issue.cadence, issue.first_day),
                    "status": issue.status.value,
                    "reason": issue.reason,
                    "papers": len(issues.kept(session, issue.id)),
                    "deliveries": {status.value: number for status, number in counts.items()},
                    "summary": ", ".join(f"{number} {status.value}" for status, number in counts.items()),
                }
            )
    return found


def import_documents(work: Work, files: Sequence[Path]) -> None:
    """Store what the documents hold under the newsletter's first source; one bad file does not stop the others."""
    newsletter = work.newsletters[0]
    bad = 0
    for file in files:
        try:
            listings = documents.read_all(_text_of(file), where=str(file), language=_language_of(file, newsletter.language))
        except NewsletterError as error:
            bad += 1
            typer.secho(str(error), fg=typer.colors.RED, err=True)
            continue
        for listing in listings:
            with work.sessions.begin() as session:
                papers.store(session, newsletter.sources[0], listing, now=utcnow())
            typer.echo(f"{file}: {len(listing.papers)} papers of {listing.day}.")
            for problem in listing.problems:
                typer.secho(f"  passed over: {problem}", fg=typer.colors.YELLOW, err=True)
    if bad:
        raise NewsletterError(
            f"{bad} of {len(files)} files could not be read.", hint="The others are in; mend these and import them."
        )


def _text_of(file: Path) -> str:
    from newsletter.errors import BadDocument

    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise BadDocument(f"{file}: {error.strerror}.", hint="Name a file that can be read.") from None
    except UnicodeDecodeError as error:
        raise BadDocument(f"{file}: byte {error.start} is no UTF-8.", hint="Save it as UTF-8.") from None


def _language_of(file: Path, otherwise: str) -> str:
    """Return the language in a name such as 2024-03-14.ko.md."""
    return file.suffixes[-2].removeprefix(".") if len(file.suffixes) > 1 else otherwise


def _cadence(*, weekly: bool) -> Cadence:
    return Cadence.WEEKLY if weekly else Cadence.DAILY


def _due(work: Work) -> int:
    """Count what is due, for the line of progress."""
    with work.sessions.read() as session:
        waiting = select(func.count()).select_from(Delivery).where(col(Delivery.status).in_(("queued", "deferred")))
        return session.scalar(waiting.where(col(Delivery.due_at) <= utcnow())) or 0


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Give what tells that Ctrl-C or SIGTERM came; a second one breaks in at once, and may leave a mail's fate unknown."""
    came = False

    def note(signum: int, _: object) -> None:
        nonlocal came
        came = True
        signal.signal(signum, signal.default_int_handler)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _busy(what: str) -> Iterator[None]:
    """Show that something takes a while."""
    from rich.console import Console

    with Console(stderr=True).status(f"{what} …"):
        yield


@contextmanager
def _progress(total: int) -> Iterator[Callable[[DrainReport], None]]:
    """Show a bar with the rate and the time left."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("Sending"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("send", total=total)

        def show(report: DrainReport) -> None:
            bar.update(task, completed=report.sent + report.failed + report.deferred + report.unknown + report.skipped)

        yield show
