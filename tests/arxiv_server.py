"""A small arXiv on the loopback: its API and its daily lists, of papers by the day they are announced on; with faults."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

from sources_server import Answer, Site, site

from newsletter.sources.arxiv.calendar import submitted_for

ATOM = (("Content-Type", "application/atom+xml"),)
FAULTS = {
    "busy": Answer(b"Rate exceeded.", 429, (("Retry-After", "3600"),)),
    "error": Answer(b"sorry", 500),
    "empty": Answer(b""),
    "html": Answer(b"<!doctype html><html><title>Log in</title></html>", headers=(("Content-Type", "text/html"),)),
    "hang": Answer(b"<feed>", drip=0.5),
}
_RANGE = re.compile(r"submittedDate:\[(\d{12}) TO (\d{12})\]")
_CATEGORY = re.compile(r"cat:([\w.*-]+)")


@dataclass(frozen=True)
class Told:
    """A paper as this arXiv knows it; `announced` is one of the types of the daily list."""

    number: str
    day: date
    title: str = "A paper"
    abstract: str = "We show how to test what others only claim. It takes little time and no network."
    authors: tuple[str, ...] = ("Ari Kim", "Bora Lee")
    categories: tuple[str, ...] = ("cs.CL",)
    announced: str = "new"

    @property
    def submitted(self) -> datetime:
        """An hour before the deadline of its day's list; noon of a day that has none."""
        bounds = submitted_for(self.day)
        return bounds[1] - timedelta(hours=1) if bounds else datetime.combine(self.day, time(12), tzinfo=UTC)


@dataclass
class Arxiv:
    """What it knows and how it behaves; `fault` is one of FAULTS or an answer of one's own, "refuse" an error entry, "" none.

    `today` is the day of its lists; requests are counted in `api_asked` and `feeds_asked`.
    """

    today: date
    papers: list[Told] = field(default_factory=list)
    fault: str | Answer = ""
    refused_status: int = 400  # of an error entry: it has been 200 as well
    lag: timedelta = timedelta(0)  # papers submitted so shortly before the end of today are not in the index yet
    api_asked: list[dict[str, str]] = field(default_factory=list)
    feeds_asked: list[str] = field(default_factory=list)
    site: Site = field(default_factory=lambda: Site(""))

    @property
    def url(self) -> str:
        """The address of its API, and of its lists."""
        return self.site.url

    def answer(self, path: str) -> Answer:
        """Answer a request."""
        parts = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        is_api = parts.path.endswith("/api/query")
        (self.api_asked if is_api else self.feeds_asked).append(query if is_api else parts.path)
        if isinstance(self.fault, Answer) or self.fault in FAULTS:
            return self.fault if isinstance(self.fault, Answer) else FAULTS[self.fault]
        return self._api(query) if is_api else self._daily(parts.path.rpartition("/")[2].split("+"))

    def _api(self, query: dict[str, str]) -> Answer:
        wanted = [number for number in query.get("id_list", "").split(",") if number]
        wrong = [number for number in wanted if not re.fullmatch(r"\d{4}\.\d{4,5}", number)]
        if wrong or self.fault == "refuse":
            return Answer(_error(wrong[0] if wrong else "the question"), self.refused_status, ATOM)
        found = [
            paper for paper in self.papers if self._indexed(paper) and _matches(paper, wanted, query.get("search_query", ""))
        ]
        found.sort(key=lambda paper: paper.submitted, reverse=True)
        start, most = int(query.get("start", 0)), int(query.get("max_results", 10))
        return Answer(_feed("".join(map(_entry, found[start : start + most])), total=len(found)), headers=ATOM)

    def _indexed(self, paper: Told) -> bool:
        return paper.submitted <= datetime.combine(self.today, time.max, tzinfo=UTC) - self.lag

    def _daily(self, categories: list[str]) -> Answer:
        listed = [paper for paper in self.papers if paper.day == self.today and set(paper.categories) & set(categories)]
        made = f"{self.today}T04:00:19+00:00"
        return Answer(_feed("".join(map(_announcement, listed)), made=made), headers=ATOM)


def _matches(paper: Told, wanted: list[str], search: str) -> bool:
    if wanted:
        return paper.number in wanted
    between, asked = _RANGE.search(search), _CATEGORY.findall(search)
    in_time = not between or between[1] <= f"{paper.submitted:%Y%m%d%H%M}" <= between[2]
    return in_time and (not asked or any(_is_in(paper, category) for category in asked))


def _is_in(paper: Told, category: str) -> bool:
    if category.endswith(".*"):
        return any(own.startswith(category[:-1]) for own in paper.categories)
    return category in paper.categories


def _feed(entries: str, *, total: int = 0, made: str = "2024-01-01T00:00:00Z") -> bytes:
    names = 'xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/" xmlns:dc="http://purl.org/dc/elements/1.1/"'
    head = f"<id>http://arxiv.example/feed</id><title>arXiv</title><updated>{made}</updated>"
    counted = f"<opensearch:totalResults>{total}</opensearch:totalResults>"
    return (
        f'<feed {names} xmlns:arxiv="http://arxiv.org/schemas/atom" xmlns="http://www.w3.org/2005/Atom">'
        f"{head}{counted}{entries}</feed>"
    ).encode()


def _entry(paper: Told) -> str:
    authors = "".join(f"<author><name>{escape(name)}</name></author>" for name in paper.authors)
    return (
        f"<entry><id>http://arxiv.org/abs/{paper.number}v1</id><title>{escape(paper.title)}</title>"
        f"<published>{paper.submitted:%Y-%m-%dT%H:%M:%SZ}</published><summary>{escape(paper.abstract)}</summary>{authors}"
        f'{_terms(paper)}<arxiv:primary_category term="{paper.categories[0]}"/></entry>'
    )


def _announcement(paper: Told) -> str:
    return (
        f"<entry><id>oai:arXiv.org:{paper.number}v1</id><title>{escape(paper.title)}</title>"
        f'<link href="https://arxiv.org/abs/{paper.number}" rel="alternate" type="text/html"/>'
        f"<summary>arXiv:{paper.number}v1 Announce Type: {paper.announced} \nAbstract: {escape(paper.abstract)}</summary>"
        f"{_terms(paper)}<published>{paper.day}T00:00:00-04:00</published>"
        f"<arxiv:announce_type>{paper.announced}</arxiv:announce_type>"
        f"<dc:creator>{escape(', '.join(paper.authors))}</dc:creator></entry>"
    )


def _terms(paper: Told) -> str:
    return "".join(f'<category term="{category}"/>' for category in paper.categories)


def _error(what: str) -> bytes:
    anchor = f"https://arxiv.org/api/errors#incorrect_id_format_for_{what}"
    summary = f"incorrect id format for {what}"
    return _feed(f"<entry><id>{escape(anchor)}</id><title>Error</title><summary>{escape(summary)}</summary></entry>", total=1)


@contextmanager
def arxiv(today: date, *papers: Told) -> Iterator[Arxiv]:
    """Serve until the block ends."""
    told = Arxiv(today, list(papers))
    with site(told.answer) as served:
        told.site = served
        yield told
