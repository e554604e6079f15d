"""Having summaries written by the language model: several papers at once, each claimed, asked about, checked, recorded.

A failure is its paper's alone. No transaction is open while the model writes.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock

import structlog
from sqlalchemy import select
from sqlmodel import Session, col

from newsletter import alarms, db
from newsletter.db import Sessions
from newsletter.errors import Conflict, NotFound, SummaryError
from newsletter.models import Alarm, Paper, Summary, SummaryOrigin
from newsletter.summaries import attempts
from newsletter.summaries.attempts import Claim, Denied, input_of
from newsletter.summaries.terms import Terms
from newsletter.summarisers import checks
from newsletter.summarisers.model import Fate, LanguageModel, Written, prompt_version

log = structlog.get_logger()
ROUND = timedelta(seconds=45)  # in which papers are begun; what was begun is finished
MISCONFIGURED, AWAY, BUDGET = "model:misconfigured", "model:away", "budget:summaries"  # causes of alarms
PAUSES = {MISCONFIGURED: timedelta(minutes=15), AWAY: timedelta(minutes=4)}  # in which nobody is asked, after such an alarm
LOOK_BACK = timedelta(days=3)  # as far back as other summaries are looked at for near-copies
MOST_OTHERS = 300
_MARGIN = timedelta(seconds=60)  # of a lease, for the database

Clock = Callable[[], datetime]


@dataclass
class Round:
    """What one round came to."""

    asked: int = 0  # papers that the model was asked about
    made: int = 0
    refused: int = 0
    failed: dict[int, str] = field(default_factory=dict)  # paper id -> why
    left: int = 0  # not begun, as the time was over
    stopped: str = ""  # why no more were begun: the cause of an alarm


def write(  # noqa: PLR0913 -- what to write, by whom, on what terms, and when to stop
    sessions: Sessions,
    paper_ids: Iterable[int],
    language: str,
    model: LanguageModel,
    terms: Terms,
    *,
    clock: Clock,
    stopping: Callable[[], bool] = lambda: False,
    budget: timedelta = ROUND,
) -> Round:
    """Have a summary written of each paper that may have one now, in this order, `terms.at_once` at a time.

    Nothing more is begun after `budget`, when stopping, when the endpoint is away or will not have us, and when the day's
    budget is spent: the last three are alarms.
    """
    desk = _Desk(sessions, language, model, terms, clock, stopping, until=clock() + budget)
    with sessions.read() as session:
        if desk.is_paused(session):
            return desk.round
        order = {paper_id: place for place, paper_id in enumerate(paper_ids)}
        papers = session.scalars(select(Paper).where(col(Paper.id).in_(order))).all()
    with ThreadPoolExecutor(terms.at_once, thread_name_prefix="summary") as pool:
        for _ in pool.map(desk.take, sorted(papers, key=lambda paper: order[paper.id])):
            pass
    return desk.round


def write_again(  # noqa: PLR0913 -- as `write`
    sessions: Sessions, paper_id: int, language: str, model: LanguageModel, terms: Terms, *, clock: Clock
) -> tuple[str, ...]:
    """Have one more summary written, whatever there is, and return its bullets: of the model's, the newest is told.

    Raises NotFound, Conflict where somebody is at it or the budget is spent, and SummaryError with the reasons why there is none.
    """
    with sessions.read() as session:
        paper = session.get(Paper, paper_id)
    if paper is None:
        raise NotFound(f"There is no paper {paper_id}.")
    desk = _Desk(sessions, language, model, terms, clock, lambda: False, until=clock())
    claim = desk.claim(paper, again=True)
    if claim is Denied.BUDGET:
        raise Conflict("The day's budget for summaries is spent.", hint="Raise summaries.daily_tokens or summaries.daily_cost.")
    if not isinstance(claim, Claim):
        raise Conflict(f"A summary of {paper.title!r} is being written already.", hint="Look again in a minute.")
    written = desk.work(paper, claim, again=True)
    if written.fate is not Fate.MADE:
        raise SummaryError(" ".join(written.reasons), hint=written.hint or "What there was before stays.")
    return written.bullets


@dataclass
class _Desk:
    """One round at work; several threads take papers from it."""

    sessions: Sessions
    language: str
    model: LanguageModel
    terms: Terms
    clock: Clock
    stopping: Callable[[], bool]
    until: datetime
    round: Round = field(default_factory=Round)
    aways: int = 0  # in a row
    cleared: bool = False
    lock: Lock = field(default_factory=Lock)

    def is_paused(self, session: Session) -> bool:
        """Whether an alarm of the last minutes says that asking is of no use yet."""
        for alarm in session.scalars(select(Alarm).where(col(Alarm.closed_at).is_(None), col(Alarm.cause).in_(PAUSES))):
            if self.clock() < alarm.raised_at + PAUSES[alarm.cause]:
                self.round.stopped = alarm.cause
        return bool(self.round.stopped)

    def take(self, paper: Paper) -> None:
        """Have one paper written, unless nothing more is begun; whatever happens is this paper's alone."""
        if self.round.stopped:
            return
        if self.stopping() or self.clock() >= self.until:
            with self.lock:
                self.round.left += 1
            return
        if fault := checks.source_fault(input_of(paper)):
            with self.sessions.begin() as session:
                attempts.note_source(session, paper, self.language, self.terms, fault.sentence, now=self.clock())
            with self.lock:
                self.round.failed[paper.id] = fault.sentence
            return
        claim = self.claim(paper)
        if isinstance(claim, Claim):
            self._count(paper, self.work(paper, claim))
        elif claim is Denied.BUDGET:
            self._stop(BUDGET, "The day's budget for summaries is spent", _SPENT)

    def claim(self, paper: Paper, *, again: bool = False) -> Claim | Denied:
        """Take the paper for as long as it can last."""
        reckoned = self.model.reckon(input_of(paper), self.language)
        lease = timedelta(seconds=self.model.longest) + _MARGIN
        with self.sessions.begin() as session:
            return attempts.claim(session, paper, self.language, self.terms, reckoned, lease=lease, now=self.clock(), again=again)

    def work(self, paper: Paper, claim: Claim, *, again: bool = False) -> Written:
        """Ask, and record what came of it."""
        try:
            written = self.model.write(
                input_of(paper), language=self.language, others=lambda: self._others(paper), seed=claim.number
            )
        except Exception as error:  # a bug that one paper meets must not cost the others theirs
            log.exception("model_summary_broke", paper=paper.id)
            written = Written(Fate.FAILED, reasons=(f"The program stumbled over it: {error!r}.",))
        with self.sessions.begin() as session:
            attempts.end(session, claim, written, self.terms, now=self.clock())
            if written.fate is Fate.MADE:
                db.insert_new(session, Summary, [self._row(paper, claim, written, again=again)])
        log.info(
            "summary_written", paper=paper.id, language=self.language, fate=written.fate.value, reasons=list(written.reasons)
        )
        return written

    def _row(self, paper: Paper, claim: Claim, written: Written, *, again: bool) -> dict[str, object]:
        """Return the summary to keep; one written again is one more, as issues that are out keep the words they were told in."""
        version = prompt_version(self.language)
        return {
            "paper_id": paper.id,
            "language": self.language,
            "written_in": self.language,
            "origin": SummaryOrigin.MODEL,
            "model": self.model.name,
            "prompt_version": f"{version}+{claim.attempt_id}" if again else version,
            "bullets": list(written.bullets),
            "checks": {
                "passed": True,
                "repaired": written.repaired,
                "rules": list(written.rules),
                "audited": self.model.audit is not None,
            },
            "created_at": self.clock(),
        }

    def _others(self, paper: Paper) -> Sequence[Sequence[str]]:
        """Return the bullets of other papers of these days: a copy of theirs is no summary of this one."""
        wanted = select(col(Summary.bullets)).where(
            col(Summary.language) == self.language,
            col(Summary.paper_id) != paper.id,
            col(Summary.origin) != SummaryOrigin.EXTRACT,
            col(Summary.created_at) >= self.clock() - LOOK_BACK,
        )
        with self.sessions.read() as session:
            return session.scalars(wanted.order_by(col(Summary.id).desc()).limit(MOST_OTHERS)).all()

    def _count(self, paper: Paper, written: Written) -> None:
        reason = " ".join(written.reasons)
        with self.lock:
            self.aways = self.aways + 1 if written.fate is Fate.AWAY else 0
            self.round.asked += 1
            self.round.made += written.fate is Fate.MADE
            self.round.refused += written.fate is Fate.REFUSED
            if written.fate is not Fate.MADE:
                self.round.failed[paper.id] = reason
            gone = self.aways >= self.terms.at_once
        if written.fate is Fate.MISCONFIGURED:
            self._stop(
                MISCONFIGURED,
                f"The language model at {self.model.endpoint.host} cannot be used as it is set up",
                f"{reason}. {written.hint}",
            )
        elif gone:
            self._stop(AWAY, f"The language model at {self.model.endpoint.host} gives no answer", f"{reason}. {written.hint}")
        elif written.fate is not Fate.AWAY:
            self._all_clear()

    def _stop(self, cause: str, subject: str, detail: str) -> None:
        """Begin nothing more, and tell the operator; the papers are told by their abstracts meanwhile."""
        with self.lock:
            first, self.round.stopped = not self.round.stopped, self.round.stopped or cause
        if first:
            with self.sessions.begin() as session:
                alarms.raise_alarm(session, alarms.Cause(cause, subject, detail), now=self.clock())

    def _all_clear(self) -> None:
        """Close the alarms, as an answer came; a day's budget that was spent is spent until the day is over."""
        with self.lock:
            before, self.cleared = self.cleared, True
        if before:
            return
        now = self.clock()
        with self.sessions.begin() as session:
            for alarm in alarms.open_alarms(session):
                if alarm.cause in PAUSES or (alarm.cause == BUDGET and alarm.opened_at.date() < now.date()):
                    alarms.close(session, alarm.cause, now=now)


_SPENT = (
    "No more is asked of the language model until midnight UTC; the abstracts are quoted meanwhile. "
    "Raise summaries.daily_tokens or summaries.daily_cost if that happens too often."
)
