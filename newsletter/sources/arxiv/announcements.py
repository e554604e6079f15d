"""arXiv's daily list of a category or several, as Atom: `https://rss.arxiv.org/atom/cs.CL+cs.LG`.

The feed tells of one day. Any other day is asked of the API; there new means new in one of these categories first.
"""

from collections import Counter
from dataclasses import replace
from datetime import date

from newsletter.sources import Listing, PaperData, Problem, syndication
from newsletter.sources.arxiv.api import Api
from newsletter.sources.arxiv.entries import announced_as, paper_of
from newsletter.sources.arxiv.queries import announced
from newsletter.sources.http import Web
from newsletter.sources.syndication import LARGEST_FEED, Feed

URL = "https://rss.arxiv.org"


class Announcements:
    """What is new in some categories, as "cs.CL" or "cs.CL+cs.LG"."""

    def __init__(self, categories: str, feed_url: str, api: Api, web: Web) -> None:
        self._categories = tuple(categories.split("+"))
        self._url = f"{feed_url.rstrip('/')}/atom/{categories}"
        self._api = api
        self._web = replace(web, limits=replace(web.limits, size=min(web.limits.size, LARGEST_FEED)))

    @property
    def name(self) -> str:
        """The name newsletters choose it by."""
        return f"arxiv:{'+'.join(self._categories)}"

    def listing(self, day: date) -> Listing:
        """Return what is announced on `day`, nothing at weekends; raises SourceUnavailable or SourceMalformed."""
        feed = syndication.read(self._web.get(self._url, own=True))
        return _new(feed, day) if _day_of(feed) == day else self._earlier(day)

    def _earlier(self, day: date) -> Listing:
        query = " OR ".join(_asked(category) for category in self._categories)
        found = announced(self._api, query, day)
        return Listing(day, tuple(filter(self._is_first_here, found.papers)), found.problems)

    def _is_first_here(self, paper: PaperData) -> bool:
        """Tell a paper of these categories from one that is only cross-listed there."""
        primary = paper.categories[0] if paper.categories else ""
        return primary in self._categories or primary.partition(".")[0] in self._categories


def _asked(category: str) -> str:
    """Return how the API is asked for a category: an archive, as "cs", is all that it is divided into."""
    return f"cat:{category}" if "." in category else f"cat:{category} OR cat:{category}.*"


def _day_of(feed: Feed) -> date | None:
    """Return the day that a feed tells of: that of its entries, or on which an empty one was made."""
    days = Counter(at.date() for entry in feed.entries if (at := syndication.moment(entry, "published")))
    if days:
        return days.most_common(1)[0][0]
    made = syndication.moment(feed.said, "updated", "published")
    return made.date() if made else None


def _new(feed: Feed, day: date) -> Listing:
    papers: dict[str, PaperData] = {}
    problems = list(feed.problems)
    for position, entry in enumerate(feed.entries, 1):
        if announced_as(entry) not in {"new", ""}:
            continue
        paper = paper_of(entry)
        if isinstance(paper, str):
            problems.append(Problem(f"entry {position}", paper))
        else:
            papers.setdefault(paper.source_id, paper)
    return Listing(day, tuple(papers.values()), tuple(problems))
