"""What a paper is, from what its sources say of it. Pure.

For each field some sources know better than others: arXiv its abstract, authors, categories and dates; Hugging Face the
votes, the picture, keywords and code. Among sources of one rank the one read last counts. Nothing known is ever replaced
by nothing, and a list of authors that was cut short never by a shorter one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from newsletter.models import PaperRecord
from newsletter.sources import PaperData

Said = Mapping[str, Any]  # by column, as JSON holds it

ARXIV = "arxiv"  # the record of what its API says
ARXIV_KINDS = (ARXIV, "arxiv-query")
FORMER = "former"  # the record of what was known before records were kept

_BY_ARXIV = (ARXIV, "arxiv-query", "huggingface")
_BY_HUGGING_FACE = ("huggingface",)
_LAST = ("sample", "feed", FORMER)  # whoever else says something knows better
_RANKS = {
    **dict.fromkeys(("title", "url", "abstract", "authors", "categories", "published_at"), _BY_ARXIV),
    **dict.fromkeys(("votes", "thumbnail_url", "keywords"), _BY_HUGGING_FACE),
}
_LINK_RANKS = {
    **dict.fromkeys(("pdf", "html", "doi"), _BY_ARXIV),
    **dict.fromkeys(("code", "project", "video"), _BY_HUGGING_FACE),
}
_UNKNOWN: tuple[Any, ...] = (None, "", [], {})
_EMPTY: dict[str, Any] = {
    "title": "",
    "url": "",
    "abstract": "",
    "votes": None,
    "thumbnail_url": "",
    "keywords": [],
    "categories": [],
    "published_at": None,
}


@dataclass(frozen=True)
class Record:
    """What one source says of a paper, and when it said so last."""

    source: str
    said: Said
    seen_at: datetime


def said_of(paper: PaperData) -> dict[str, Any]:
    """Return what a source says of a paper, as a record keeps it: what it does not know is left out."""
    published = paper.published_at.astimezone(UTC).isoformat() if paper.published_at else None
    told: dict[str, Any] = {
        "title": paper.title,
        "url": paper.url,
        "abstract": paper.abstract,
        "authors": list(paper.authors),
        "votes": paper.votes,
        "thumbnail_url": paper.thumbnail_url,
        "links": dict(paper.links),
        "keywords": list(paper.keywords),
        "categories": list(paper.categories),
        "published_at": published,
    }
    known = {name: value for name, value in told.items() if value not in _UNKNOWN}
    return known | ({"more_authors": True} if paper.authors and paper.more_authors else {})


def amended(before: Said, after: Said) -> dict[str, Any]:
    """Return what a source says after it was read again."""
    said = {**before, **after, "links": {**before.get("links", {}), **after.get("links", {})}}
    if "authors" in after:
        whole = not after.get("more_authors") or "authors" not in before
        chosen = after if whole else before
        said["authors"] = chosen["authors"]
        said["more_authors"] = bool(chosen.get("more_authors"))
    return {name: value for name, value in said.items() if value not in _UNKNOWN and value is not False}


def merge(records: Sequence[Record]) -> dict[str, Any]:
    """Return the columns of a paper of which these are all records, at least one of them with a title and an address."""
    found = {name: _first(records, name, _RANKS.get(name, ())) for name in _EMPTY}
    columns = {name: found[name] if found[name] not in _UNKNOWN else _EMPTY[name] for name in _EMPTY}
    columns["published_at"] = datetime.fromisoformat(columns["published_at"]) if columns["published_at"] else None
    return columns | _authors(records) | {"links": _links(records)}


def _first(records: Sequence[Record], name: str, ranks: tuple[str, ...]) -> Any:  # noqa: ANN401 -- whatever JSON holds
    for record in _ranked(records, ranks):
        value = record.said.get(name)
        if value not in _UNKNOWN:
            return value
    return None


def _ranked(records: Sequence[Record], ranks: tuple[str, ...]) -> list[Record]:
    """Return the records, whoever knows best first, the newest among equals."""
    rank = _rank_among(ranks)
    return sorted(sorted(records, key=lambda record: record.seen_at, reverse=True), key=rank)


def _rank_among(ranks: tuple[str, ...]) -> Callable[[Record], int]:
    def rank(record: Record) -> int:
        kind = record.source.partition(":")[0]
        if kind in ranks:
            return ranks.index(kind)
        return len(ranks) + (1 + _LAST.index(kind) if kind in _LAST else 0)

    return rank


def _authors(records: Sequence[Record]) -> dict[str, Any]:
    """Return the best list that is whole, else the best one cut short."""
    ranked = [record.said for record in _ranked(records, _RANKS["authors"]) if record.said.get("authors")]
    whole = [said for said in ranked if not said.get("more_authors")]
    for said in (*whole, *ranked):
        return {"authors": list(said["authors"]), "more_authors": bool(said.get("more_authors"))}
    return {"authors": [], "more_authors": False}


def _links(records: Sequence[Record]) -> dict[str, str]:
    names = dict.fromkeys(name for record in records for name in record.said.get("links", {}))
    found = {}
    for name in names:
        told = (record.said.get("links", {}).get(name) for record in _ranked(records, _LINK_RANKS.get(name, ())))
        found[name] = next(url for url in told if url)
    return found


def record_of(row: PaperRecord) -> Record:
    """Return a row as what it says."""
    return Record(row.source, row.said, row.seen_at)
