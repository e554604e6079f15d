"""The world outside, on the loopback: the daily list, arXiv and a language model, which behave as the almanac says."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zlib import crc32

from almanac import Almanac, Listed, at
from arxiv_server import Arxiv, Told
from clockwork import Clock
from made_up import MadeUp
from model_server import ModelServer, model_server
from sources_server import Answer, site

TORN_HOURS = 10  # that a capture which is no list is shown, from 8 o'clock on
_STRAINED = {
    "500": Answer(b"sorry", 500),
    "429": Answer(b"slow down", 429, (("Retry-After", "3600"),)),
    "html": Answer(b"<!doctype html><html><title>Maintenance</title></html>", headers=(("Content-Type", "text/html"),)),
    "wrong type": Answer(b'{"status": "ok", "count": 2, "data": ["[1]", "[2]"]}'),
    "hang": Answer(b"[", drip=0.1),
}
# What the endpoint does with a paper, call after call; the last one stays.
BEHAVIOURS: dict[str, tuple[str, ...]] = {
    "429 twice": ("429 soon", "429 soon", "ok"),
    "500 twice": ("500", "500", "ok"),
    "400 response_format": ("400 response_format",),
    "length": ("length",),
    "refusal": ("refusal",),
    "content_filter": ("content_filter",),
    "fence": ("fence",),
    "think": ("think",),
    "in parts": ("in parts",),
    "empty": ("empty",),
    "nothing": ("nothing",),
    "html": ("html",),
    "empty choices": ("empty choices",),
    "error 200": ("error 200",),
    "nested": ("nested",),
    "truncated": ("truncated",),
    "fabricated": ("fabricated",),
    "wrong number": ("wrong number",),
    "wrong number once": ("wrong number", "ok"),
    "control": ("control",),
    "uncounted": ("uncounted",),
    "hang": ("hang",),
}
# Of these a summary by the model may come; of the others never.
HARMLESS = frozenset(
    {"ok", "429 twice", "500 twice", "400 response_format", "fence", "think", "in parts", "wrong number once", "uncounted"}
)
# In which the answer has a text of its own, and says what it used.
USED = (700, 150)  # tokens, in and out
_SILENT = frozenset(
    {"429 soon", "429", "500", "401", "400 response_format", "nothing", "html", "empty choices", "error 200", "hang", "uncounted"}
)


def behaviour_of(title: str, number: int) -> str:
    """Return how the endpoint treats a paper: two of three well."""
    turn = number or crc32(title.encode())
    return "ok" if turn % 3 else list(BEHAVIOURS)[turn // 3 % len(BEHAVIOURS)]


@dataclass
class Call:
    """One call of the endpoint."""

    at: datetime
    title: str
    behaviour: str  # of this call


@dataclass
class Sites:
    """The world outside."""

    almanac: Almanac
    clock: Clock
    list_url: str = ""
    arxiv_url: str = ""
    model: ModelServer = field(default_factory=lambda: ModelServer(""))
    calls: list[Call] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)  # requests, by site
    lock: threading.Lock = field(default_factory=threading.Lock)
    turns: Counter[str] = field(default_factory=Counter)

    def list_answer(self, path: str) -> Answer:
        """Answer `GET /api/daily_papers?date=D&limit=L&p=N`."""
        self.asked["list"] += 1
        now = self.clock.now()
        how = self.almanac.behaviour("list", now)
        query = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        day, size, page = date.fromisoformat(query["date"]), int(query.get("limit", 50)), int(query.get("p", 0))
        torn = self.almanac.torn.get(day)
        if torn is not None and at(day, 8) <= now < at(day, 8 + TORN_HOURS):
            return Answer(torn)
        if how in _STRAINED:
            return _STRAINED[how]
        rows = [row for row in self.almanac.lists.get(day, []) if row.since <= now]
        items = sorted((_item(row, now) for row in rows), key=lambda item: -item["paper"]["upvotes"])
        content = json.dumps(items[page * size : (page + 1) * size]).encode()
        return Answer(content[: len(content) // 2] + b"..." if how == "truncated" else content)

    def arxiv_of(self) -> Callable[[str], Answer]:
        """Return what answers for arXiv."""
        told = Arxiv(self.clock.now().date(), list(_announced(self.almanac)))

        def answer(path: str) -> Answer:
            self.asked["arxiv"] += 1
            told.today, told.fault = self.clock.now().date(), self.almanac.behaviour("arxiv", self.clock.now())
            return told.answer(path)

        return answer


class Scripts(dict[str, list[str]]):
    """What the endpoint does next with a paper, told by its title; each call is noted."""

    def __init__(self, sites: Sites) -> None:
        super().__init__()
        self.sites = sites

    def get(self, title: str, default: Any = None) -> Any:  # noqa: ANN401 -- as a dictionary does
        """Return the behaviour of this call alone."""
        del default
        sites, now = self.sites, self.sites.clock.now()
        away = sites.almanac.behaviour("model", now)
        name = name_of(title)
        script = BEHAVIOURS.get(behaviour_of(name, order_of(name)), ("ok",))
        turn = sites.turns[name]
        sites.turns[name] += not away
        behaviour = away or script[min(turn, len(script) - 1)]
        sites.calls.append(Call(now, name, behaviour))
        return [behaviour]


def name_of(title: str) -> str:
    """Return the word that a made-up title begins with, a captured one whole."""
    first = title.partition(":")[0]
    return first if order_of(first) else title


def order_of(name: str) -> int:
    """Return the number in a made-up name, 0 for any other word."""
    digits = name.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
    return int(digits) if digits.isdecimal() and digits != name else 0


def says_usage(call: Call) -> bool:
    """Whether the answer to a call said how many tokens it used."""
    return call.behaviour not in _SILENT


def _item(row: Listed, now: datetime) -> dict[str, Any]:
    paper, share = row.paper, min(1.0, (now - row.since) / timedelta(days=3))
    if paper.given:
        return paper.given
    authors = [{"_id": str(place), "name": name, "hidden": False} for place, name in enumerate(paper.authors)]
    authors += [{"_id": "h", "name": name, "hidden": True} for name in paper.hidden]
    told = {
        "id": paper.number,
        "title": paper.title,
        "authors": authors,
        "publishedAt": f"{row.since - timedelta(days=2):%Y-%m-%dT%H:%M:%S.000Z}",
        "upvotes": int(paper.final_votes * share),
        "ai_keywords": list(paper.keywords),
    }
    if paper.oddity not in {"missing", "mended"}:
        told["summary"] = paper.abstract
    thumbnail = f"https://cdn-thumbnails.huggingface.co/social-thumbnails/papers/{paper.number}.png"
    return {"paper": told, "title": paper.title, "thumbnail": thumbnail, "numComments": 0, "publishedAt": told["publishedAt"]}


def _announced(almanac: Almanac) -> Iterator[Told]:
    """Return what arXiv knows: the list's papers, announced two days before, and its own."""
    for day, rows in almanac.lists.items():
        for row in rows:
            if row.paper.number.replace(".", "").isdecimal():
                yield _told(row.paper, day - timedelta(days=2))
    for day, papers in almanac.feeds.items():
        yield from (_told(each, day) for each in papers)


def _told(paper: MadeUp, day: date) -> Told:
    abstract = "".join(each for each in paper.abstract if each.isprintable())
    return Told(paper.number, day, " ".join(paper.title.split()), abstract, paper.authors, paper.categories)


@contextmanager
def sites_of(almanac: Almanac, clock: Clock) -> Iterator[Sites]:
    """Serve all three until the block ends."""
    sites = Sites(almanac, clock)
    with ExitStack() as stack:
        sites.list_url = stack.enter_context(site(sites.list_answer)).url
        sites.arxiv_url = stack.enter_context(site(sites.arxiv_of())).url
        sites.model = stack.enter_context(model_server())
        sites.model.scripts = Scripts(sites)
        yield sites
