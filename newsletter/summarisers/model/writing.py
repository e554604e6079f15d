"""One paper from its abstract to a summary that passed the checks, or to the reasons why there is none."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from newsletter.errors import BadAnswer, ModelDeclined, ModelMisconfigured, ModelUnavailable, SettingsError, SummaryError
from newsletter.summarisers import SummaryInput, checks
from newsletter.summarisers.checks import Reason
from newsletter.summarisers.model.endpoint import MOST_TOKENS, Endpoint, Meter
from newsletter.summarisers.model.prompts import Message, Prompt, opening, prompt_of, repairing, sent
from newsletter.summarisers.model.reading import NOTHING, Reply, Usage, estimate, read_bullets

Others = Callable[[], Sequence[Sequence[str]]]  # the bullets of other papers' summaries, looked up when an answer is there
Audit = Callable[[SummaryInput, Sequence[str]], Reason | None]


class Fate(StrEnum):
    """What became of a paper, named for what is done next."""

    MADE = "made"
    SOURCE = "source"  # there is nothing to summarise, and nobody was asked
    REFUSED = "refused"  # by the checks, or by the model: it is not asked again
    FAILED = "failed"  # no answer that can be read: again on another occasion
    AWAY = "away"  # the endpoint is away: as failed, and the others need not be tried now
    MISCONFIGURED = "misconfigured"  # the endpoint will not have us: nobody needs to be tried until that is mended


@dataclass(frozen=True)
class Written:
    """What came of one paper."""

    fate: Fate
    bullets: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()  # whole, in plain English: why there is none
    rules: tuple[str, ...] = ()  # of the checks that the first answer did not pass
    repaired: bool = False
    used: Usage = NOTHING
    hint: str = ""


@dataclass(frozen=True)
class LanguageModel:
    """A model at an endpoint, with the checks that its summaries must pass."""

    endpoint: Endpoint
    audit: Audit | None = field(default=None, repr=False)
    trouble: SettingsError | None = None  # why nothing may be written as things are set up

    @property
    def name(self) -> str:
        """The model's name, as readers are told it."""
        return self.endpoint.model

    @property
    def longest(self) -> float:
        """The most seconds that one paper takes: an answer and its repair, or the waits while the endpoint is busy."""
        return 2 * self.endpoint.seconds + 5

    def reckon(self, paper: SummaryInput, language: str) -> Usage:
        """Return what one answer may use at the most, before it is asked for."""
        messages = opening(prompt_of(language), sent(paper))
        return Usage(1, estimate("".join(message["content"] for message in messages)), MOST_TOKENS)

    def write(self, paper: SummaryInput, *, language: str, others: Others = tuple, seed: int = 1) -> Written:
        """Return a summary that passed the checks, or why there is none; never raises for what an endpoint does."""
        if fault := checks.source_fault(paper):
            return Written(Fate.SOURCE, reasons=(fault.sentence,), rules=(fault.rule,))
        if self.trouble:
            return Written(Fate.MISCONFIGURED, reasons=(str(self.trouble),), hint=self.trouble.hint)
        meter = Meter()
        prompt = prompt_of(language)
        task = _Task(self, sent(paper), prompt, language, others, meter, seed, time.monotonic() + self.longest)
        try:
            return task.do()
        except SummaryError as error:
            return Written(_fate(error), reasons=(str(error),), used=meter.used, hint=error.hint)


def prompt_version(language: str) -> str:
    """Return the version of the prompt that a language has, as "ko-1"."""
    return prompt_of(language).version


def _fate(error: SummaryError) -> Fate:
    match error:
        case ModelMisconfigured():
            return Fate.MISCONFIGURED
        case ModelUnavailable():
            return Fate.AWAY
        case ModelDeclined():
            return Fate.REFUSED
        case _:
            return Fate.FAILED


class _Unfit(BadAnswer):
    """An answer that was read and did not pass the checks."""

    def __init__(self, reasons: Sequence[Reason], answer: str) -> None:
        super().__init__(" ".join(reason.sentence for reason in reasons), answer=answer)
        self.reasons = tuple(reasons)


@dataclass(frozen=True)
class _Task:
    """One paper on its way."""

    model: LanguageModel
    paper: SummaryInput  # as it is sent: what is said is checked against nothing else
    prompt: Prompt
    language: str
    others: Others
    meter: Meter
    seed: int
    until: float

    def do(self) -> Written:
        messages = opening(self.prompt, self.paper)
        try:
            return Written(Fate.MADE, self._ask(messages, self.seed), used=self.meter.used)
        except BadAnswer as first:
            if first.answer is None:
                raise
            return self._again(messages, first, first.answer)

    def _again(self, messages: list[Message], first: BadAnswer, answer: str) -> Written:
        """Give an answer back with what is wrong with it, once."""
        said = _sentences(first)
        rules = tuple(reason.rule for reason in first.reasons) if isinstance(first, _Unfit) else ("form",)
        try:
            bullets = self._ask([*messages, *repairing(self.prompt, answer, said)], self.seed + 1)
        except BadAnswer as second:
            fate = Fate.REFUSED if isinstance(second, _Unfit) else Fate.FAILED
            return Written(fate, reasons=_sentences(second), rules=rules, used=self.meter.used, hint=second.hint)
        except SummaryError as error:
            reasons = (*said, f"It could not be asked to mend that: {error}.")
            return Written(_fate(error), reasons=reasons, rules=rules, used=self.meter.used, hint=error.hint)
        return Written(Fate.MADE, bullets, rules=rules, repaired=True, used=self.meter.used)

    def _ask(self, messages: Sequence[Message], seed: int) -> tuple[str, ...]:
        """Return bullets that passed; raises BadAnswer, and whatever the endpoint does."""
        reply: Reply = self.model.endpoint.ask(messages, self.meter, seed=seed, until=self.until)
        if reply.fault:
            raise reply.fault
        bullets = read_bullets(reply.content)
        verdict = checks.check(self.paper, bullets, language=self.language, others=self.others())
        if not verdict.passes:
            raise _Unfit(verdict.reasons, reply.content)
        fault = self.model.audit(self.paper, bullets) if self.model.audit else None
        if fault:
            raise _Unfit((fault,), reply.content)
        return bullets


def _sentences(error: BadAnswer) -> tuple[str, ...]:
    return tuple(reason.sentence for reason in error.reasons) if isinstance(error, _Unfit) else (str(error),)
