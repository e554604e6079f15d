"""Who says in a few lines what a paper is about: one protocol, one module per way.

A summariser is given only what it may use, the title and the abstract, and never touches the database.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

Origin = Literal["extract", "model"]  # the abstract's own sentences, or a language model's words


@dataclass(frozen=True)
class SummaryInput:
    """What a summary may be made from: clean text."""

    title: str
    abstract: str


@dataclass(frozen=True)
class SummaryDraft:
    """A summary as a summariser wrote it: plain-text bullets, and how they came about."""

    bullets: tuple[str, ...]
    origin: Origin
    language: str  # of the bullets (BCP 47): not always the one asked for
    model: str = ""  # the language model, where one wrote it
    prompt_version: str = ""


class Summariser(Protocol):
    """A way to summarise papers."""

    @property
    def name(self) -> str:
        """The name it is chosen by, as "extractive"."""

    @property
    def version(self) -> str:
        """Changes with every change of what it would write, so that what was kept of the old one can be told apart."""

    def summarise(self, paper: SummaryInput, *, language: str) -> SummaryDraft:
        """Return a summary, in `language` if it can; raises SummaryError where there is nothing true to say."""
