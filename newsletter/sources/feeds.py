"""Any RSS or Atom feed: the entries of a day are its papers.

An entry's day is that of its publication, or of its last change where it names no other, in UTC. One without a date is
listed on the day it is first seen. Where its link or id shows an arXiv id it is that paper, else the link is its identity.
"""

from dataclasses import replace
from datetime import date
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from newsletter.errors import SourceMalformed
from newsletter.sources import Listing, PaperData, Problem, facts, markup, syndication
from newsletter.sources.http import Web
from newsletter.sources.syndication import Entry
from newsletter.text import one_line, safe_link

_LONGEST_TITLE, _LONGEST_ABSTRACT, _LONGEST_NAME = 500, 50_000, 200  # characters
_MOST_AUTHORS, _MOST_KEYWORDS = 2000, 20


class Feed:
    """The feed at an address."""

    def __init__(self, url: str, web: Web) -> None:
        self._url = url
        self._web = replace(web, limits=replace(web.limits, size=min(web.limits.size, syndication.LARGEST_FEED)))

    @property
    def name(self) -> str:
        """The name newsletters choose it by, address and all."""
        return f"feed:{self._url}"

    def listing(self, day: date) -> Listing:
        """Return the entries of `day`, and those without a date; raises SourceUnavailable or SourceMalformed."""
        feed = syndication.read(self._web.get(self._url))
        of_day, undated, problems = {}, {}, list(feed.problems)
        known: set[tuple[str, str]] = set()
        for position, entry in enumerate(feed.entries, 1):
            paper = paper_of(entry, self._url)
            if isinstance(paper, str):
                problems.append(Problem(f"entry {position}", paper))
                continue
            at, key = syndication.moment(entry, "published", "updated"), (paper.source, paper.source_id)
            if key in known:
                continue  # an entry that was changed is often there twice, the newest first
            known.add(key)
            if at is None:
                undated[key] = paper
            elif at.date() == day:
                of_day[key] = paper
        if feed.problems and not known:
            raise SourceMalformed(f"{feed.problems[0]}; no entry could be read", hint="Open the address in a browser.")
        problems += self._gone(feed.entries, day)
        return Listing(day, tuple(of_day.values()), tuple(problems), undated=tuple(undated.values()))

    def _gone(self, entries: tuple[Entry, ...], day: date) -> list[Problem]:
        """Tell where the feed begins after the day: what was listed on it can no longer be known."""
        times = [at for entry in entries if (at := syndication.moment(entry, "published", "updated"))]
        if not times or len(times) < len(entries) or min(times).date() <= day:
            return []
        return [Problem(self._url, f"goes back to {min(times).date()} only; what was listed on {day} is no longer in it")]


def paper_of(entry: Entry, feed_url: str) -> PaperData | str:
    """Return the paper that an entry tells of, or why it tells of none."""
    link = _link(entry, feed_url)
    name = markup.title(syndication.text(entry, "title"), is_html=syndication.is_html(entry, "title"))
    if not name:
        return "has no title"
    if not link:
        return f"has no link that can be followed: {name[:60]!r}"
    source, source_id = facts.identify_any(link, syndication.text(entry, "id"))
    return PaperData(
        source,
        source_id,
        name[:_LONGEST_TITLE],
        f"https://arxiv.org/abs/{source_id}" if source == "arxiv" else link,
        abstract=_abstract(entry),
        authors=tuple(name[:_LONGEST_NAME] for name in syndication.names(entry)[:_MOST_AUTHORS]),
        thumbnail_url=next(filter(None, map(facts.picture, _pictures(entry))), ""),
        published_at=syndication.moment(entry, "published", "updated"),
        keywords=_terms(entry),
    )


def _link(entry: Entry, feed_url: str) -> str:
    """Return the entry's page without what only counts visitors; its id where that is an address, and the page is not.

    An empty link, taken as one beside the feed, is the feed's own address.
    """
    for url in (syndication.text(entry, "link"), syndication.text(entry, "id")):
        if (found := safe_link(url.strip())) and found != feed_url:
            parts = urlsplit(found)
            query = "&".join(piece for piece in parts.query.split("&") if not piece.startswith("utm_"))
            return urlunsplit(parts._replace(query=query, fragment=""))
    return ""


def _abstract(entry: Entry) -> str:
    whole: list[Any] = entry.get("content") or []
    told = [(syndication.text(entry, "summary"), syndication.is_html(entry, "summary"))]
    told += [(str(part.get("value", "")), "html" in str(part.get("type", ""))) for part in whole[:1]]
    texts = (markup.prose(value, is_html=is_html) for value, is_html in told)
    return next(filter(None, texts), "")[:_LONGEST_ABSTRACT]


def _pictures(entry: Entry) -> list[str]:
    media: list[Any] = [*(entry.get("media_thumbnail") or []), *(entry.get("media_content") or [])]
    return [str(each.get("url", "")) for each in media if "video" not in str(each.get("type", ""))]


def _terms(entry: Entry) -> tuple[str, ...]:
    tags: list[Any] = entry.get("tags") or []
    found = (one_line(str(tag.get("label") or tag.get("term") or ""))[:100] for tag in tags)
    return tuple(dict.fromkeys(term for term in found if term))[:_MOST_KEYWORDS]
