"""What a query of arXiv's finds, by the day that it was announced on."""

from datetime import date, datetime

from newsletter.sources import Listing
from newsletter.sources.arxiv.api import Api, Found
from newsletter.sources.arxiv.calendar import submitted_for


def announced(api: Api, query: str, day: date) -> Found:
    """Return what a query finds of the papers announced on a day; nothing at a weekend."""
    bounds = submitted_for(day)
    if bounds is None:
        return Found()
    first, last = bounds
    found = api.search(f"({query}) AND submittedDate:[{_minute(first)} TO {_minute(last)}]")
    papers = (paper for paper in found.papers if paper.published_at is None or first <= paper.published_at < last)
    return Found(tuple(papers), found.problems, found.total)


def _minute(moment: datetime) -> str:
    return f"{moment:%Y%m%d%H%M}"


class Query:
    """A question to arXiv, in the words of its API, as `ti:transformer AND cat:cs.CL`."""

    def __init__(self, query: str, api: Api) -> None:
        self._query = query
        self._api = api

    @property
    def name(self) -> str:
        """The name newsletters choose it by, question and all."""
        return f"arxiv-query:{self._query}"

    def listing(self, day: date) -> Listing:
        """Return what it finds of the papers announced on `day`; raises SourceUnavailable or SourceMalformed."""
        found = announced(self._api, self._query, day)
        return Listing(day, found.papers, found.problems)
