"""Who is asked about which paper and when: an attempt is claimed with a lease before the call, and ended with what came of it.

What the checks or the model refused is not tried again by the clock; what failed is, after 5, 20 and 60 minutes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, auto

from sqlalchemy import select, update
from sqlmodel import Session, col

from newsletter import db
from newsletter.models import AttemptStatus, Paper, SummaryAttempt, SummaryOrigin, Tick
from newsletter.summaries.keeping import best
from newsletter.summaries.spending import has_room
from newsletter.summaries.terms import Terms
from newsletter.summarisers import SummaryInput, checks
from newsletter.summarisers.model import MOST_TOKENS, Fate, Usage, Written, prompt_version

BACK_OFF = (timedelta(minutes=5), timedelta(minutes=20), timedelta(minutes=60))
LEAST = Usage(1, 500, MOST_TOKENS)  # that is kept free for an answer; less room in the budget is none
DIED = "The worker that was at it died, or lost the database."
_STATUS = {
    Fate.MADE: AttemptStatus.MADE,
    Fate.REFUSED: AttemptStatus.REFUSED,
    Fate.SOURCE: AttemptStatus.FAILED,
    Fate.FAILED: AttemptStatus.FAILED,
    Fate.AWAY: AttemptStatus.FAILED,
}


class Denied(Enum):
    """Why nobody is asked about a paper now."""

    TAKEN = auto()  # somebody is at it
    SETTLED = auto()  # it is told, or was tried often enough
    LATER = auto()
    BUDGET = auto()


@dataclass(frozen=True)
class Claim:
    """An attempt that is ours until its lease ends."""

    attempt_id: int
    number: int  # of the tries for this paper, from 1


def input_of(paper: Paper) -> SummaryInput:
    """Return what a summary of the paper may be made from."""
    return SummaryInput(title=paper.title, abstract=paper.abstract)


def unsettled(session: Session, paper_ids: Iterable[int], language: str, terms: Terms, *, now: datetime) -> set[int]:
    """Return the papers of which the language model may still write a summary today; none where there is no model."""
    open_ones = _open(session, paper_ids, language, terms)
    if not open_ones or not has_room(session, terms, LEAST, now=now):
        return set()
    hopeful = {paper.id for paper in open_ones if checks.source_fault(input_of(paper)) is None}
    tried = _attempts(session, hopeful, language, terms)
    return {paper_id for paper_id in hopeful if next_try(tried.get(paper_id, []), tries=terms.tries) is not None}


def due(session: Session, paper_ids: Iterable[int], language: str, terms: Terms, *, now: datetime) -> list[int]:
    """Return the papers that the model is to be asked about now, and those of which it is to be noted why it is not."""
    open_ones = _open(session, paper_ids, language, terms)
    tried = _attempts(session, [paper.id for paper in open_ones], language, terms)
    found = []
    for paper in open_ones:
        attempts = tried.get(paper.id, [])
        again_at = next_try(attempts, tries=terms.tries)
        if again_at is not None and again_at <= now and not (attempts and checks.source_fault(input_of(paper))):
            found.append(paper.id)
    return sorted(found)


def next_try(attempts: Sequence[SummaryAttempt], *, tries: int) -> datetime | None:
    """Return from when on a paper with these attempts, the oldest first, may be tried again; None for never."""
    if any(row.status is AttemptStatus.REFUSED for row in attempts):
        return None
    running = [row.lease_until for row in attempts if row.status is AttemptStatus.RUNNING and row.lease_until]
    if running:
        return max(running)
    failed = [row for row in attempts if row.status is AttemptStatus.FAILED and row.calls]
    if len(failed) >= tries:
        return None
    if not failed:
        return datetime.min.replace(tzinfo=UTC)
    return (failed[-1].ended_at or failed[-1].began_at) + BACK_OFF[min(len(failed), len(BACK_OFF)) - 1]


def claim(  # noqa: PLR0913 -- the paper, the terms, the lease
    session: Session,
    paper: Paper,
    language: str,
    terms: Terms,
    reckoned: Usage,
    *,
    lease: timedelta,
    now: datetime,
    again: bool = False,
) -> Claim | Denied:
    """Take a paper, so that nobody else has a summary of it written; say why not otherwise.

    What the answer may use at the most is kept with the attempt until it is known: budgets count what is under way.
    `again` asks whatever was tried before.
    """
    _wait_in_line(session, terms, now=now)
    expire(session, now=now)
    attempts = _attempts(session, [paper.id], language, terms).get(paper.id, [])
    if not again and (why := _not_now(session, paper, language, terms, attempts, now=now)):
        return why
    if not has_room(session, terms, reckoned, now=now):
        return Denied.BUDGET
    row = {
        "paper_id": paper.id,
        "language": language,
        "model": terms.model,
        "prompt_version": prompt_version(language),
        "status": AttemptStatus.RUNNING,
        "reasons": [],
        "calls": 0,
        "input_tokens": reckoned.input_tokens,
        "output_tokens": reckoned.output_tokens,
        "cost_micros": terms.micros(reckoned),
        "began_at": now,
        "lease_until": now + lease,
    }
    if not db.insert_new(session, SummaryAttempt, [row]):
        return Denied.TAKEN
    mine = select(col(SummaryAttempt.id)).where(
        col(SummaryAttempt.paper_id) == paper.id,
        col(SummaryAttempt.language) == language,
        col(SummaryAttempt.status) == AttemptStatus.RUNNING,
    )
    return Claim(session.scalars(mine).one(), len(attempts) + 1)


def end(session: Session, attempt: Claim, written: Written, terms: Terms, *, now: datetime) -> None:
    """Record what came of an attempt. One that was turned away at the door is forgotten: an alarm tells of that."""
    row = session.get_one(SummaryAttempt, attempt.attempt_id)
    if written.fate is Fate.MISCONFIGURED:
        session.delete(row)
        return
    row.status, row.reasons = _STATUS[written.fate], list(written.reasons)
    row.calls, row.input_tokens, row.output_tokens = (
        written.used.calls,
        written.used.input_tokens,
        written.used.output_tokens,
    )
    row.cost_micros, row.lease_until, row.ended_at = terms.micros(written.used), None, now


def note_source(  # noqa: PLR0913 -- as `claim`
    session: Session, paper: Paper, language: str, terms: Terms, reason: str, *, now: datetime
) -> None:
    """Record that there is nothing to summarise, and that nobody was asked; once for the same reason."""
    attempts = _attempts(session, [paper.id], language, terms).get(paper.id, [])
    if attempts and attempts[-1].reasons == [reason]:
        return
    row = SummaryAttempt(
        paper_id=paper.id,
        language=language,
        model=terms.model,
        prompt_version=prompt_version(language),
        status=AttemptStatus.FAILED,
        reasons=[reason],
        began_at=now,
        ended_at=now,
    )
    session.add(row)


def expire(session: Session, *, now: datetime) -> None:
    """End the attempts of the dead; what they may have used stays counted."""
    dead = (col(SummaryAttempt.status) == AttemptStatus.RUNNING, col(SummaryAttempt.lease_until) < now)
    ended = {"status": AttemptStatus.FAILED, "reasons": [DIED], "calls": 1, "lease_until": None, "ended_at": now}
    session.execute(update(SummaryAttempt).where(*dead).values(ended).execution_options(synchronize_session="fetch"))


def _wait_in_line(session: Session, terms: Terms, *, now: datetime) -> None:
    """Let one claim at a time look at the budget: two that look at once would both find room."""
    if terms.limited:
        db.insert_new(session, Tick, [{"name": "summaries", "at": now}])
        session.scalars(select(Tick).where(col(Tick.name) == "summaries").with_for_update()).one().at = now


def _not_now(  # noqa: PLR0913 -- as `claim`
    session: Session, paper: Paper, language: str, terms: Terms, attempts: Sequence[SummaryAttempt], *, now: datetime
) -> Denied | None:
    again_at = next_try(attempts, tries=terms.tries)
    if again_at is None or not _open(session, [paper.id], language, terms):
        return Denied.SETTLED
    return Denied.LATER if again_at > now else None


def _open(session: Session, paper_ids: Iterable[int], language: str, terms: Terms) -> Sequence[Paper]:
    """Return the papers that nobody better than the abstract has told."""
    if not terms.model:
        return []
    ids = set(paper_ids)
    told = {paper_id for paper_id, row in best(session, ids, language).items() if row.origin is not SummaryOrigin.EXTRACT}
    return session.scalars(select(Paper).where(col(Paper.id).in_(ids - told)).order_by(col(Paper.id))).all()


def _attempts(session: Session, paper_ids: Iterable[int], language: str, terms: Terms) -> dict[int, list[SummaryAttempt]]:
    """Return the attempts of the present model and prompt at each paper, the oldest first: another may do better."""
    wanted = select(SummaryAttempt).where(
        col(SummaryAttempt.paper_id).in_(list(paper_ids)),
        col(SummaryAttempt.language) == language,
        col(SummaryAttempt.model) == terms.model,
        col(SummaryAttempt.prompt_version) == prompt_version(language),
    )
    found: dict[int, list[SummaryAttempt]] = {}
    for row in session.scalars(wanted.order_by(col(SummaryAttempt.id)).execution_options(populate_existing=True)):
        found.setdefault(row.paper_id, []).append(row)
    return found
