"""The abstract's own sentences: never wrong, never translated, and there when nothing else is."""

import re
from itertools import accumulate, takewhile

from newsletter.errors import SummaryError
from newsletter.summarisers import SummaryDraft, SummaryInput
from newsletter.summarisers.checks.source import boilerplate
from newsletter.text import language_of, sentences

SHORTEST_ABSTRACT = 200  # characters; every invented summary we know of was made from less
MOST_SENTENCES = 3
LONGEST_SENTENCE = 450  # characters
LONGEST_SUMMARY = 900  # characters, all bullets
SHORTEST_SENTENCE = 20  # characters; less is a cry or a heading

_BOILERPLATE = re.compile(
    r"https?://|\bgithub\b|project (?:page|website)|supplementary"
    r"|^(?:(?:our|the|all|source)\b.{0,60}?\b)?(?:code|data|dataset|models?|weights|demos?|videos?)\b.{0,80}\b(?:available|released|found)\b"
    r"|^we (?:(?:will|also|have) ){0,2}(?:open-?source|release)\b|©|\bcopyright\b|^accepted (?:at|to|by)\b|\bpages?, \d+ figures",
    re.IGNORECASE,
)
_NEWS = re.compile(
    r"\b(?:we|this (?:paper|work|study|report|survey)|the authors)\b(?: \w+){0,2}? "
    r"(?:propos|introduc|present|develop|show|demonstrat|study|studies|investigat|explor|report|describ|design|analy[sz]|find|argu|stud)",
    re.IGNORECASE,
)


class Extractive:
    """Quotes up to three whole sentences as they stand: the first, and those from where the authors say what they did."""

    @property
    def name(self) -> str:
        """The name it is chosen by."""
        return "extractive"

    @property
    def version(self) -> str:
        """Changes with every change of the choice of sentences."""
        return "1"

    def summarise(self, paper: SummaryInput, *, language: str) -> SummaryDraft:  # noqa: ARG002 -- a quotation has its own language
        """Return the quotation in its own language; raises SummaryError where the abstract is too short."""
        abstract = paper.abstract.strip()
        if len(abstract) < SHORTEST_ABSTRACT:
            what = f"the abstract of {paper.title!r} has {len(abstract)} characters, {SHORTEST_ABSTRACT} are needed"
            raise SummaryError(what, hint="The paper is shown without a summary; its source may complete it later.")
        if words := boilerplate(" ".join(abstract.split())):
            raise SummaryError(
                f"the abstract of {paper.title!r} is none: “{words}”", hint="The paper is shown without a summary."
            )
        bullets = _chosen(sentences(abstract))
        if not bullets:
            raise SummaryError(
                f"the abstract of {paper.title!r} has no sentence to quote", hint="The paper is shown without a summary."
            )
        return SummaryDraft(bullets, origin="extract", language=language_of(" ".join(bullets)), prompt_version=self.version)


def _chosen(prose: list[str]) -> tuple[str, ...]:
    """Return the first sentence and, past what others have done before, those that say what is new, as far as they fit."""
    telling = [sentence for sentence in prose if _tells(sentence)]
    news = next((place for place, sentence in enumerate(telling) if _NEWS.search(sentence)), 0)
    begin = max(1, min(news, len(telling) - MOST_SENTENCES + 1))
    telling = [*telling[:1], *telling[begin:]][:MOST_SENTENCES]
    lengths = accumulate(map(len, telling))
    return tuple(telling[: len(list(takewhile(lambda length: length <= LONGEST_SUMMARY, lengths)))])


def _tells(sentence: str) -> bool:
    return SHORTEST_SENTENCE <= len(sentence) <= LONGEST_SENTENCE and not _BOILERPLATE.search(sentence)
