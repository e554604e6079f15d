"""arXiv's API: https://info.arxiv.org/help/api/user-manual.html.

It says "no such paper" in two ways, an answer 400 and an answer 200 with an entry that is an error; of a number that nobody
has it says nothing at all. Its index may lag behind the announcements by a day.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from newsletter.errors import SourceMalformed, SourceUnavailable
from newsletter.sources import PaperData, Problem, facts, syndication
from newsletter.sources.arxiv.entries import paper_of
from newsletter.sources.http import Web
from newsletter.sources.syndication import Feed
from newsletter.text import one_line

URL = "https://export.arxiv.org"
MOST_IDS = 100  # at once
PAGE = 200
MOST_PAPERS = 2000  # of one query
_BAD_REQUEST = 400
_ERROR = "/api/errors"


@dataclass(frozen=True)
class Found:
    """What the API knows: papers in its order, entries that could not be read, and how many there are in all."""

    papers: tuple[PaperData, ...] = ()
    problems: tuple[Problem, ...] = ()
    total: int = 0


class Api:
    """The API at an address, or a mirror of it."""

    def __init__(self, base_url: str, web: Web, *, most: int = MOST_PAPERS) -> None:
        self._endpoint = base_url.rstrip("/") + "/api/query"
        self._web = web
        self._most = most

    def by_ids(self, numbers: Sequence[str]) -> Found:
        """Return the papers of at most MOST_IDS arXiv ids; those it does not know are not among them.

        One id that it calls wrong costs no other. Raises SourceUnavailable or SourceMalformed.
        """
        wanted = [number for number in numbers[:MOST_IDS] if facts.arxiv_id(number)]
        problems: list[Problem] = []
        while wanted:
            feed = self._feed({"id_list": ",".join(wanted), "start": "0", "max_results": str(MOST_IDS)})
            error = _error_of(feed)
            if not error:
                found = _found(feed)
                return replace(found, problems=(*problems, *found.problems))
            named = [number for number in wanted if error.endswith(number)]
            if not named:
                raise self._refused(error)
            problems.append(Problem(named[0], error))
            wanted.remove(named[0])
        return Found(problems=tuple(problems))

    def search(self, query: str) -> Found:
        """Return what a query finds, the newest first, at most `most` of it; raises as `by_ids` does."""
        papers: list[PaperData] = []
        problems: list[Problem] = []
        total, start = 0, 0
        while start == 0 or start < min(total, self._most):
            page = self._page(query, start)
            papers += page.papers
            problems += page.problems
            total, start = page.total, start + PAGE
        if total > self._most:
            problems.append(Problem(query[:100], f"finds {total} papers; the newest {start} were read"))
        return Found(tuple(papers), tuple(problems), total)

    def _page(self, query: str, start: int) -> Found:
        order = {"sortBy": "submittedDate", "sortOrder": "descending"}
        feed = self._feed({"search_query": query, "start": str(start), "max_results": str(PAGE)} | order)
        if error := _error_of(feed):
            raise self._refused(error)
        found = _found(feed)
        if found.total > start and not feed.entries:  # it does that when it is busy
            raise SourceUnavailable(
                f"{self._endpoint}: says that there are {found.total} papers and gives none from {start} on",
                hint="Nothing to do: it is asked again at the next collection.",
            )
        return found

    def _feed(self, params: Mapping[str, str]) -> Feed:
        return syndication.read(self._web.get(self._endpoint, params=params, own=True, accept={_BAD_REQUEST}))

    def _refused(self, error: str) -> SourceMalformed:
        return SourceMalformed(f"{self._endpoint}: refuses the question: {error}", hint="Correct the source of the newsletter.")


def _error_of(feed: Feed) -> str:
    """Return what the API finds wrong with the question, "" where it answers it: the status does not tell."""
    for entry in feed.entries:
        if _ERROR in syndication.text(entry, "id"):
            return one_line(syndication.text(entry, "summary"))[:200] or "it does not say why"
    return ""


def _found(feed: Feed) -> Found:
    papers: dict[str, PaperData] = {}
    problems = list(feed.problems)
    for position, entry in enumerate(feed.entries, 1):
        paper = paper_of(entry)
        if isinstance(paper, str):
            problems.append(Problem(f"entry {position}", paper))
        else:
            papers.setdefault(paper.source_id, replace(paper, published_at=syndication.moment(entry, "published")))
    said = syndication.text(feed.said, "opensearch_totalresults")
    total = int(said[:9]) if said[:9].isdecimal() else len(papers)
    return Found(tuple(papers.values()), tuple(problems), total)
