"""The tasks: open, call, close. Arguments are ids and days, never addresses."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from functools import cache, partial
from typing import Any

import structlog
from celery.signals import worker_ready

from newsletter import admins, bounces, deliveries, inbox, issues, pipeline, subscribers, summaries, watch, wiring
from newsletter.admins import guesses
from newsletter.config import UnknownPolicy
from newsletter.db import Sessions
from newsletter.deliveries import Brakes, Journal, Mailer
from newsletter.errors import NewsletterError
from newsletter.lifecycle import IssueStatus
from newsletter.limits import Limits
from newsletter.models import Cadence
from newsletter.summaries import Round
from newsletter.summarisers.model import LanguageModel
from newsletter.wiring import utcnow
from worker.app import COLLECT_SECONDS, DRAIN_SECONDS, app, is_stopping, settings

log = structlog.get_logger()
DRAINS = max(1, (os.cpu_count() or 1))  # at once on this machine; the pool has one child more, for the other stages
SOURCES = DRAINS  # so many children wait for sites at the most; one is left for the mails
_PLACE_SECONDS = 3  # until a place is looked for again


@cache
def _sessions() -> Sessions:
    return wiring.sessions_of(settings)


@cache
def _mailer() -> Mailer:
    return wiring.mailer_of(settings)


@cache
def _model() -> LanguageModel | None:
    """Return the language model, with what this process learned of how its endpoint wants to be asked."""
    return wiring.model_of(settings)


@cache
def _brakes() -> Brakes:
    """Return what this process has learned from answers: kept from one drain to the next."""
    return Brakes()


@cache
def _limits() -> Limits:
    """Return this process's connection to the limits of all: opened after the fork."""
    return wiring.limits_of(settings)


@cache
def _kept_journal() -> Journal:
    return wiring.journal_of(settings)


def _journal() -> Journal:
    """Return this process's journal: opened after the fork, held until the process ends; another where it cannot be written."""
    if not _kept_journal().usable:
        _kept_journal().close()
        _kept_journal.cache_clear()
    return _kept_journal()


@worker_ready.connect
def _look_at_once(**_: Any) -> None:  # noqa: ANN401 -- Celery's own signature
    """Read the sources when a worker starts: nobody who tries it tonight wants to wait for the clock."""
    collect_due.delay()


@app.task(name="collect_due")
def collect_due() -> None:
    """Read every source for the days that are not complete yet, a day after the other."""
    by_source: dict[str, list[str]] = {}
    for source, day in pipeline.readings_due(_sessions(), now=utcnow()):
        by_source.setdefault(source, []).append(day.isoformat())
    for source, days in by_source.items():
        collect.apply_async((source, *days), expires=COLLECT_SECONDS)  # the next tick asks for what is left


@app.task(name="collect")
def collect(source: str, day: str, *others: str) -> None:
    """Read one source for one day, and ask for the other days; once there is a place: mails do not wait for a site that hangs."""
    expires = _expires(collect.request.expires)
    with _place("sources", SOURCES) as free:
        if not free:
            collect.apply_async((source, day, *others), countdown=_PLACE_SECONDS, expires=expires)
            return
        try:
            record = pipeline.collect(
                _sessions(), partial(wiring.source_of, settings), source, date.fromisoformat(day), now=utcnow()
            )
        finally:
            if others:
                collect.apply_async((source, *others), expires=expires)
    log.info("collected", source=source, day=day, status=record.status.value, papers=record.papers, error=record.error)
    enrich_due.delay()
    summarise_due.delay()


def _expires(given: object) -> datetime | float:
    """Return until when a task that asks for itself again is of use: as long as it was."""
    return datetime.fromisoformat(given) if isinstance(given, str) else COLLECT_SECONDS


@app.task(name="enrich_due")
def enrich_due() -> None:
    """Ask arXiv for what lists left out, a batch at a time; one task of this machine is enough."""
    with _place("enrich", 1) as alone, _place("sources", SOURCES) as free:
        if not (alone and free and settings.sources.enrich):
            return
        done = pipeline.enrich(_sessions(), wiring.look_up_of(settings), now=utcnow())
    if done.asked:
        log.info("enriched", **vars(done))
    if done.found:
        summarise_due.delay()
    if done.more and not done.error:
        enrich_due.delay()


@app.task(name="summarise_due")
def summarise_due() -> None:
    """Summarise what was collected, a task a language."""
    for language, paper_ids in pipeline.summaries_due(_sessions(), wiring.summary_terms_of(settings), now=utcnow()):
        summarise.delay(language, paper_ids)


@app.task(name="summarise")
def summarise(language: str, paper_ids: list[int]) -> None:
    """Have the missing summaries in a language written for about a minute, quote where that fails; again while there is more."""
    written = _write(language, paper_ids)
    terms, summarisers = wiring.summary_terms_of(settings), wiring.summarisers_of(settings)
    filled = pipeline.quote(_sessions(), paper_ids, language, terms, summarisers, now=utcnow())
    outcome = {"written": written.made, "refused": written.refused, "left": written.left, "stopped": written.stopped}
    log.info("summarised", language=language, made=filled.made, failed=len(filled.failed), **outcome)
    if written.asked and not is_stopping():  # of whom nobody can be asked, nothing more comes of looking again at once
        summarise_due.delay()
        freeze_due.delay()


def _write(language: str, paper_ids: list[int]) -> Round:
    """Have the language model write, one task a machine at a time: it must not keep all others from their work."""
    model = _model()
    with _place("summarise", 1) as free:
        if model is None or not free:
            return Round()
        terms = wiring.summary_terms_of(settings)
        return summaries.write(_sessions(), paper_ids, language, model, terms, clock=utcnow, stopping=is_stopping)


@app.task(name=wiring.REWRITE_TASK)
def write_again(paper_id: int, language: str) -> None:
    """Have one more summary of a paper written, as an editor wishes."""
    if model := _model():
        terms = wiring.summary_terms_of(settings)
        try:
            summaries.write_again(_sessions(), paper_id, language, model, terms, clock=utcnow)
        except NewsletterError as error:
            log.warning("not_written_again", paper=paper_id, language=language, error=str(error))


@app.task(name="assemble_due")
def assemble_due() -> None:
    """Make the issues whose cut-off has passed."""
    for newsletter_id, cadence, day, until in pipeline.issues_due(_sessions(), now=utcnow()):
        assemble.delay(newsletter_id, cadence.value, day.isoformat(), until.isoformat())


@app.task(name="assemble")
def assemble(newsletter_id: int, cadence: str, day: str, until: str = "") -> None:
    """Make one issue, of all days until that one."""
    last_day = date.fromisoformat(until) if until else None
    issue = pipeline.assemble(_sessions(), newsletter_id, Cadence(cadence), date.fromisoformat(day), until=last_day, now=utcnow())
    said = {"status": issue.status.value, "emptiness": issue.emptiness.value, "reason": issue.reason}
    log.info("assembled", issue=issue.id, day=day, until=issue.last_day.isoformat(), **said)
    freeze_due.delay()


@app.task(name="freeze_due")
def freeze_due() -> None:
    """Render the drafts whose summaries are there, or were waited for long enough, and that nobody has to approve."""
    terms, patience = wiring.summary_terms_of(settings), timedelta(minutes=settings.summaries.patience_minutes)
    for issue_id in pipeline.drafts_due(_sessions(), terms, patience=patience, now=utcnow()):
        freeze.delay(issue_id)


@app.task(name="freeze")
def freeze(issue_id: int) -> None:
    """Render one issue into pieces."""
    summarisers, links = wiring.summarisers_of(settings), wiring.links_of(settings)
    issue = pipeline.freeze(_sessions(), issue_id, summarisers, links, now=utcnow())
    log.info("frozen", issue=issue.id, status=issue.status.value)
    publish_due.delay()


@app.task(name="publish_due")
def publish_due() -> None:
    """Queue the deliveries of what is ready."""
    for issue_id in pipeline.waiting(_sessions(), IssueStatus.READY):
        publish.delay(issue_id)


@app.task(name="publish")
def publish(issue_id: int) -> None:
    """Queue the deliveries of one issue."""
    log.info("published", issue=issue_id, deliveries=pipeline.publish(_sessions(), issue_id, now=utcnow()))
    drain.delay()


@app.task(name=wiring.DRAIN_TASK)
def drain() -> None:
    """Send what is due for at most a minute; queue another drain while there is more."""
    with _place("drain", DRAINS) as free:
        if not free:
            return
        journal = _journal()
        deliveries.settle(_sessions(), wiring.journal_folder(settings), now=utcnow())
        report = deliveries.drain(
            _sessions(),
            wiring.way_of(settings),
            _mailer(),
            journal,
            clock=utcnow,
            backup=wiring.backup_of(settings),
            brakes=_brakes(),
            limits=_limits(),
            pace=wiring.pace_of(settings, budget=timedelta(seconds=DRAIN_SECONDS)),
            stopping=is_stopping,
        )
    if report.sent or report.failed or report.deferred or report.unknown:
        log.info("drained", **vars(report))
    with _sessions().begin() as session:
        issues.finish(session, now=utcnow())
        if report.sent:
            pipeline.mark(session, watch.SENT_TICK, now=utcnow())
    if report.failed:
        follow_bounces.delay()
    if report.more and not is_stopping():
        drain.delay()


@app.task(name="follow_bounces")
def follow_bounces() -> None:
    """Do what follows from the reports of failed mail that came in since."""
    done = bounces.follow_all(_sessions(), wiring.bounce_terms_of(settings), now=utcnow())
    if done.looked_at:
        log.info("bounces_followed", **vars(done))


@app.task(name="sweep")
def sweep() -> None:
    """Find what got stuck, finish issues that are all sent, note that the clock ticks."""
    now = utcnow()
    deliveries.settle(_sessions(), wiring.journal_folder(settings), now=now)
    with _sessions().begin() as session:
        hold, late_news = settings.unknown_policy is UnknownPolicy.HOLD, timedelta(minutes=settings.resend_after_minutes)
        found = deliveries.recover(session, hold_unknown=hold, late_news=late_news, now=now)
        late = issues.publish_late(session, now=now)
        finished = issues.finish(session, now=now)
        pipeline.mark(session, "sweep", now=now)
        watch.review(session, now=now)
        issues.remind(session, now=now)
        pipeline.forget_sources(session, now=now)
        watch.review_sign_ups(session, least=settings.sign_up.confirmed_share, now=now)
        alarmed = pipeline.mail_alarms(session, settings.operator_email, now=now)
    if alarmed or late:
        drain.delay()
    if any(vars(found).values()) or finished or late:
        log.info("swept", finished_issues=finished, confirmed_late=late, **vars(found))


@app.task(name="purge")
def purge() -> None:
    """Delete the sign-ups that nobody confirmed, blank IP addresses that are no longer needed, forget mail to us and log-ins."""
    log.info("purged", **vars(subscribers.purge(_sessions(), now=utcnow())))
    with _sessions().begin() as session:
        log.info("inbox_purged", **vars(inbox.purge(session, now=utcnow())))
    with _sessions().begin() as session:
        admins.purge(session, wiring.admin_rules_of(settings), now=utcnow())
        guesses.purge(session, wiring.policy_of(settings).secret, now=utcnow())


@contextmanager
def _place(what: str, number: int) -> Iterator[bool]:
    """Hold one of this machine's places to do something, or say that all are taken; a killed process frees its own."""
    folder = settings.data_dir / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    for place in range(number):
        with (folder / f"{what}-{socket.gethostname()}-{place}").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield True
            return
    yield False
