"""The daily list of Hugging Face: `GET /api/daily_papers?date=D&limit=100&p=N`.

The site adds fields every other month and has renamed some, so a field that is missing or of another type is
as good as none; only a paper without an id or a title is passed over. Asked for without a date, the list
is the newest fifty only: we always ask by day, and page until a page is not full.
"""

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import quote

from newsletter.errors import SourceMalformed
from newsletter.sources import Listing, PaperData, Problem, facts
from newsletter.sources.http import Web
from newsletter.text import one_line, paragraphs, safe_link, tex_to_unicode

_PAGE = 100  # the most it gives at once
_MOST_PAGES = 20
_MOST_AUTHORS, _MOST_KEYWORDS, _MOST_VOTES = 2000, 20, 1_000_000_000
_LONGEST_TITLE = 500  # characters
_OLDEST = datetime(1990, 1, 1, tzinfo=UTC)  # arXiv opened in 1991
_HINT = "The site may have changed its answers; look for a newer version of this program."


class HuggingFace:
    """The daily papers as Hugging Face lists them."""

    def __init__(self, base_url: str = facts.HUGGING_FACE, web: Web | None = None) -> None:
        self._endpoint = base_url.rstrip("/") + "/api/daily_papers"
        self._web = web or Web()

    @property
    def name(self) -> str:
        """The name newsletters choose it by."""
        return "huggingface"

    def listing(self, day: date) -> Listing:
        """Return the list of `day`, all its pages; raises SourceUnavailable or SourceMalformed."""
        papers: dict[tuple[str, str], PaperData] = {}
        problems: list[Problem] = []
        for number in range(_MOST_PAGES):
            items, page = self._page(day, number)
            new = {_key(paper): paper for paper in page.papers if _key(paper) not in papers}
            papers |= new
            problems += page.problems
            if len(items) < _PAGE or not new:  # nothing new: a server that ignores `p`
                break
        else:
            problems.append(Problem(f"page {_MOST_PAGES}", "is still full; what comes after it was not read"))
        return Listing(day, tuple(papers.values()), tuple(dict.fromkeys(problems)))

    def _page(self, day: date, number: int) -> tuple[list[Any], Listing]:
        query = {"date": day.isoformat(), "limit": str(_PAGE), "p": str(number)}
        payload = self._web.get(self._endpoint, params=query, own=True).body
        where = f"{self._endpoint}?date={day}&p={number}"
        items = _items(payload, where)
        return items, _listing(items, day, where)


def parse(payload: bytes, *, day: date, where: str) -> Listing:
    """Return what one answer lists; `where` names the file or address in errors.

    Raises SourceMalformed where it is no list, or where none of its items is a paper.
    """
    return _listing(_items(payload, where), day, where)


def _items(payload: bytes, where: str) -> list[Any]:
    try:
        answer = json.loads(payload)
    except (ValueError, RecursionError) as error:
        begins = one_line(payload[:60].decode(errors="replace"))
        raise SourceMalformed(f"{where}: is no JSON ({error}); it begins with {begins!r}", hint=_HINT) from error
    if not isinstance(answer, list):
        raise SourceMalformed(f"{where}: is {_kind(answer)}, not a list", hint=_HINT)
    return answer


def _kind(value: object) -> str:
    """Name the type of a JSON value for an error sentence."""
    if isinstance(value, dict):
        keys = ", ".join(repr(one_line(key)[:30]) for key in list(value)[:8])
        return f"an object with keys {keys}" if keys else "an empty object"
    names = {str: "a string", list: "a list", bool: "true or false", int: "a number", float: "a number", type(None): "null"}
    return names[type(value)]


def _listing(items: list[Any], day: date, where: str) -> Listing:
    papers: dict[tuple[str, str], PaperData] = {}
    problems = []
    for position, item in enumerate(items, 1):
        paper = _paper(item)
        if isinstance(paper, str):
            problems.append(Problem(f"item {position}{_id_in_brackets(item)}", paper))
        elif _key(paper) in papers:
            problems.append(Problem(f"item {position} ({paper.source_id})", "is listed twice; the first one counts"))
        else:
            papers[_key(paper)] = paper
    if items and not papers:
        raise SourceMalformed(f"{where}: {problems[0]}; none of the {len(items)} items is a paper", hint=_HINT)
    return Listing(day, tuple(papers.values()), tuple(problems))


def _key(paper: PaperData) -> tuple[str, str]:
    return paper.source, paper.source_id


def _id_in_brackets(item: object) -> str:
    identifier = _text(_object(_object(item).get("paper")).get("id"))[:40]
    return f" ({identifier})" if identifier else ""


def _paper(item: object) -> PaperData | str:
    """Return the paper an item tells of, or why it is none."""
    if not isinstance(item, dict):
        return f"is {_kind(item)}, not an object"
    inner = item.get("paper")
    if not isinstance(inner, dict):
        return f"its 'paper' is {_kind(inner)}, not an object" if "paper" in item else "has no 'paper'"
    identifier = _text(inner.get("id"))
    title = one_line(tex_to_unicode(_text(inner.get("title")) or _text(item.get("title"))))
    if not identifier or not title:
        return "has no id" if not identifier else "has no title"
    return replace(
        _identified(identifier, title[:_LONGEST_TITLE]),
        abstract=paragraphs(tex_to_unicode(_long_text(inner.get("summary")) or _long_text(item.get("summary")))),
        authors=_authors(inner.get("authors")),
        votes=_votes(inner.get("upvotes")),
        thumbnail_url=next(filter(None, map(facts.picture, _media(item))), ""),
        published_at=_moment(inner.get("publishedAt")),  # the outer one is the hour of submission, or wrong
        keywords=_keywords(inner.get("ai_keywords")),
        links=_links(item, inner),
    )


def _identified(identifier: str, title: str) -> PaperData:
    number = facts.arxiv_id(identifier)
    if number:
        return PaperData("arxiv", number, title, f"https://arxiv.org/abs/{number}")
    identifier = identifier[:100]
    return PaperData("huggingface", identifier, title, f"{facts.HUGGING_FACE}/papers/{quote(identifier, safe='')}")


def _text(value: object) -> str:
    return one_line(value) if isinstance(value, str) else ""


def _long_text(value: object) -> str:
    return value[:50_000] if isinstance(value, str) else ""


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _authors(value: object) -> tuple[str, ...]:
    """Return the names in their order, without those who are hidden and without repetitions."""
    people = (_object(person) for person in _list(value)[:_MOST_AUTHORS])
    return _unique(_text(person.get("name")) for person in people if person.get("hidden") is not True)


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name))


def _votes(value: object) -> int | None:
    return value if type(value) is int and 0 <= value <= _MOST_VOTES else None


def _keywords(value: object) -> tuple[str, ...]:
    return _unique(map(_text, _list(value)))[:_MOST_KEYWORDS]


def _media(item: dict[str, Any]) -> list[str]:
    """Return the addresses of pictures and videos, the site's own thumbnail first."""
    inner = item["paper"]
    several = [*_list(item.get("mediaUrls")), *_list(inner.get("mediaUrls"))]
    return [_text(url) for url in (item.get("thumbnail"), inner.get("thumbnail"), item.get("mediaUrl"), *several)]


def _links(item: dict[str, Any], inner: dict[str, Any]) -> dict[str, str]:
    links = {
        "code": safe_link(_text(inner.get("githubRepo"))),
        "project": safe_link(_text(inner.get("projectPage"))),
        "video": next(filter(None, map(facts.video, _media(item))), ""),
    }
    return {name: url for name, url in links.items() if url}


def _moment(value: object) -> datetime | None:
    """Return an aware time, UTC where no zone is said; None where there is none, or none to believe."""
    try:
        moment = datetime.fromisoformat(_text(value))
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC) if moment >= _OLDEST else None
    except (ValueError, OverflowError):
        return None
