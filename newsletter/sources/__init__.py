"""Where papers come from: one protocol, one adapter per site.

An adapter turns what a site says into `PaperData` and never touches the database. What it cannot
read is a `Problem` beside the papers that it could, so that one bad entry never costs the rest.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Protocol


@dataclass(frozen=True)
class SummaryData:
    """A summary that came with a paper: plain-text bullets in one language (BCP 47)."""

    language: str
    bullets: tuple[str, ...]
    quoted_in: str = ""  # the language of the abstract whose own sentences these are; empty: somebody's words


@dataclass(frozen=True)
class PaperData:
    """One paper as a source told it: clean text (no markup, no control characters, one line where one is meant)."""

    source: str  # the id space: "arxiv" where there is an arXiv id
    source_id: str  # "2403.08295"; unique within `source`
    title: str
    url: str  # http(s) only
    abstract: str = ""
    authors: tuple[str, ...] = ()
    more_authors: bool = False  # the source cut the list short
    votes: int | None = None  # None: the source has no votes
    thumbnail_url: str = ""  # an image; never a video, an SVG or the submitter's face
    published_at: datetime | None = None  # aware
    keywords: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()  # arXiv's, as "cs.CL", the primary first
    links: Mapping[str, str] = field(default_factory=dict)  # "code", "project", "pdf", "video" -> http(s) URL
    summaries: tuple[SummaryData, ...] = ()


@dataclass(frozen=True)
class Problem:
    """Something in an answer or a file that was passed over: where ("day.md:17", "item 3 (2403.08295)") and what."""

    where: str
    what: str

    def __str__(self) -> str:
        """One line for logs and terminals."""
        return f"{self.where}: {self.what}"


@dataclass(frozen=True)
class Listing:
    """What a source says of one day: papers in the order it gave them, and what could not be read."""

    day: date
    papers: tuple[PaperData, ...] = ()
    problems: tuple[Problem, ...] = ()
    undated: tuple[PaperData, ...] = ()  # it says no day of them: they are listed on the day they are first seen


class Source(Protocol):
    """Somewhere papers are listed by day."""

    @property
    def name(self) -> str:
        """The name newsletters choose it by, as "huggingface"."""

    def listing(self, day: date) -> Listing:
        """Return what is listed on `day`; no papers is a good answer.

        Raises SourceUnavailable (try again later) or SourceMalformed (tell the operator).
        """
