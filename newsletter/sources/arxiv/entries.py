"""From arXiv's Atom entries to papers; the same for the API and the daily list."""

import re
from typing import Any

from newsletter.sources import PaperData, facts, syndication
from newsletter.sources.syndication import Entry
from newsletter.text import one_line, paragraphs, safe_link, tex_to_unicode

_LONGEST_TITLE, _LONGEST_ABSTRACT, _MOST_AUTHORS = 500, 50_000, 3000
_WITHOUT_HTML = "2312"  # ids before are older than arXiv's HTML pages (December 2023)
_ABSTRACT_PREFIX = re.compile(r"\s*arXiv:\S+\s+Announce\s+Type:\s*(?P<type>[\w-]+)\s+(?:Abstract:\s*)?", re.IGNORECASE)
_IN_BRACKETS = re.compile(r"\s*\([^()]*\)")


def paper_of(entry: Entry) -> PaperData | str:
    """Return the paper that an entry tells of, or why it tells of none."""
    source, number = facts.identify_any(syndication.text(entry, "link"), syndication.text(entry, "id"))
    if source != "arxiv":
        source, number = facts.identify(syndication.text(entry, "id"))
    if source != "arxiv":
        return f"has no arXiv id: {syndication.text(entry, 'id')[:60]!r}"
    name = one_line(tex_to_unicode(syndication.text(entry, "title")))
    if not name:
        return f"{number} has no title"
    abstract = paragraphs(tex_to_unicode(_ABSTRACT_PREFIX.sub("", syndication.text(entry, "summary"), count=1)))
    comment = syndication.text(entry, "arxiv_comment")
    return PaperData(
        "arxiv",
        number,
        name[:_LONGEST_TITLE],
        f"https://arxiv.org/abs/{number}",
        abstract=abstract[:_LONGEST_ABSTRACT],
        authors=authors(entry),
        categories=categories(entry),
        links=_links(entry, number) | facts.code_and_project(f"{abstract}\n{comment}"),
    )


def announced_as(entry: Entry) -> str:
    """Return how the daily list announces a paper: "new", "cross", "replace", "replace-cross"; "" where it does not say."""
    said = syndication.text(entry, "arxiv_announce_type")
    found = _ABSTRACT_PREFIX.match(syndication.text(entry, "summary"))
    return one_line(said or (found["type"] if found else "")).lower()


def authors(entry: Entry) -> tuple[str, ...]:
    """Return the authors' names: an element each in the API, one line with commas in the daily list."""
    listed = syndication.names(entry)
    if len(listed) == 1:
        listed = tuple(_IN_BRACKETS.sub("", listed[0]).split(","))
    names = (one_line(tex_to_unicode(name)) for name in listed[:_MOST_AUTHORS])
    return tuple(dict.fromkeys(name for name in names if name))


def categories(entry: Entry) -> tuple[str, ...]:
    """Return the categories, the primary first; what is none of arXiv's (MSC and ACM classes) is left out."""
    primary: Any = entry.get("arxiv_primary_category") or {}
    tags: list[Any] = entry.get("tags") or []
    terms = [primary.get("term") if isinstance(primary, dict) else "", *(tag.get("term") for tag in tags)]
    return tuple(dict.fromkeys(str(term) for term in terms if term and facts.CATEGORY.fullmatch(str(term))))


def _links(entry: Entry, number: str) -> dict[str, str]:
    links = {"pdf": f"https://arxiv.org/pdf/{number}"}
    if "/" not in number and number >= _WITHOUT_HTML:
        links["html"] = f"https://arxiv.org/html/{number}"
    doi = safe_link(f"https://doi.org/{syndication.text(entry, 'arxiv_doi')}") if entry.get("arxiv_doi") else ""
    return links | ({"doi": doi} if doi else {})
