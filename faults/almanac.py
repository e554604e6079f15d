"""What happens on which day: lists that grow as they do in the wild, and everything that goes wrong. Pure, by seed."""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from made_up import FEED, MadeUp, paper

from newsletter import schedule

FIRST = date(2026, 1, 5)  # a Monday
HOUR = timedelta(hours=1)
_SATURDAY = 5
_MOST = 50  # papers of a list
_FULL = 31  # which weekday has as many
_HOLIDAYS = (8, 34)  # which weekdays have none
_GROWTH = ((0.0, 0.0, 6.0, 0.54), (6.0, 0.54, 12.0, 0.9), (12.0, 0.9, 23.9, 1.0))  # from an hour and share to an hour and share
_AFTERWARDS = 0.02  # of the papers come when the day is over


@dataclass(frozen=True)
class Listed:
    """A paper's place in a day's list, and since when it is there."""

    paper: MadeUp
    since: datetime


@dataclass(frozen=True)
class Trouble:
    """Something that is broken from one moment to another: `what` is list, arxiv, model or all; `how` names the behaviour."""

    what: str
    how: tuple[str, ...]  # a new one each hour, in turn
    begins: datetime
    ends: datetime

    def behaviour(self, now: datetime) -> str:
        """Return how it behaves now, "" before and after."""
        if not self.begins <= now < self.ends:
            return ""
        return self.how[int((now - self.begins) / HOUR) % len(self.how)]


@dataclass
class Almanac:
    """All of it."""

    seed: int
    days: tuple[date, ...]
    lists: dict[date, list[Listed]] = field(default_factory=dict)
    feeds: dict[date, list[MadeUp]] = field(default_factory=dict)  # of arXiv
    torn: dict[date, bytes] = field(default_factory=dict)  # captures that are no list
    holidays: set[date] = field(default_factory=set)
    troubles: list[Trouble] = field(default_factory=list)
    kills: set[datetime] = field(default_factory=set)  # hours in which the worker is killed

    def behaviour(self, what: str, now: datetime) -> str:
        """Return how a part behaves now, "" if as it should."""
        return next((how for each in self.troubles if each.what == what and (how := each.behaviour(now))), "")

    def papers(self) -> Iterator[MadeUp]:
        """Return every paper once."""
        told = [each.paper for rows in self.lists.values() for each in rows]
        told += [each for rows in self.feeds.values() for each in rows]
        yield from {each.number: each for each in told}.values()


def at(day: date, hours: float) -> datetime:
    """Return the moment so many hours after the day began (UTC)."""
    return datetime.combine(day, time(), UTC) + timedelta(hours=hours)


def almanac(number: int, seed: int, corpus: Path | None = None) -> Almanac:
    """Return what happens on so many days."""
    dice = random.Random(seed)
    found = Almanac(seed, tuple(FIRST + timedelta(days=each) for each in range(number)))
    weekdays = [day for day in found.days if day.weekday() < _SATURDAY]
    found.holidays = {weekdays[each] for each in _HOLIDAYS if each < len(weekdays)}
    captures = list(_captures(corpus)) if corpus else []
    order = 0
    for place, day in enumerate(weekdays):
        made, fed = _sizes(place, day in found.holidays, dice)
        papers = [paper(order + each, day, seed) for each in range(made)]
        if papers and captures and place != _FULL and day.weekday() % 2:
            capture = captures.pop(0)
            if isinstance(capture, bytes):
                found.torn[day] = capture
            else:
                papers = capture
        found.lists[day] = _growing(papers, day, found.days[-1], dice)
        found.feeds[day] = [paper(order + made + each, day, seed, category=FEED) for each in range(fed)]
        order += made + fed
    _list_some_again(found, dice)
    found.troubles = list(_troubles(found.days, dice))
    found.kills = {at(day, dice.randrange(24)) for day in dice.sample(found.days, max(1, number // 5))}
    return found


def _sizes(place: int, holiday: bool, dice: random.Random) -> tuple[int, int]:  # noqa: FBT001 -- it is one or it is not
    """Return how many papers the list of a weekday has, and arXiv's own."""
    if holiday:
        return 0, 0
    return _MOST if place == _FULL else min(_MOST, max(1, round(dice.gauss(24, 10)))), dice.randrange(3)


def _growing(papers: Sequence[MadeUp], day: date, last: date, dice: random.Random) -> list[Listed]:
    """Return when each is there: 54 % after 6 hours, 90 % after 12, all after 24 but for one in fifty, which is later still.

    That is seen when the lists of a week are read again at its end; of a week that does not end here there is none such.
    """
    ends_here = schedule.week_of(day).last_day <= last
    rows = []
    for each in papers:
        share, stays_away = dice.random(), dice.random() < _AFTERWARDS and each.name and ends_here
        begins, least, ends, most = next(part for part in _GROWTH if share < part[-1])
        hours = begins + (ends - begins) * (share - least) / (most - least)
        rows.append(Listed(each, at(day, dice.uniform(26, 40) if stays_away else hours)))
    return rows


def _list_some_again(found: Almanac, dice: random.Random) -> None:
    """List one paper in thirty once more, some days later."""
    days = [day for day in found.lists if found.lists[day]]
    for place, day in enumerate(days[:-3]):
        for row in list(found.lists[day]):
            if dice.random() < 1 / 30:
                again = days[min(len(days) - 1, place + dice.randrange(1, 6))]
                found.lists[again].append(Listed(row.paper, at(again, dice.uniform(1, 20))))


def _troubles(days: Sequence[date], dice: random.Random) -> Iterator[Trouble]:
    """Return what goes wrong, as far as there is room for it: (day, hour, hours, what, how)."""
    every = ("500", "hang", "truncated", "wrong type", "html")
    plan = [
        (1, 20, 7, "list", ("500",)),
        (2, 3, 13, "arxiv", ("busy",)),
        (3, 5, 6, "model", ("500",)),
        (5, 12, 24, "list", ("html",)),
        (11, 6, 24, "model", ("500",)),
        (14, 2, 96, "list", every),
        (21, 1, 24, "arxiv", ("busy",)),
        (24, 9, 1, "model", ("429",)),
        (28, 4, 72, "all", ("off",)),
        (35, 22, 5, "list", ("truncated",)),
        (37, 21, 4, "list", ("wrong type",)),
        (39, 23, 4, "list", ("hang",)),
        (46, 13, 3, "model", ("html",)),
        (49, 15, 3, "model", ("401",)),
        (52, 0, 12, "arxiv", ("error", "hang", "html", "empty")),
    ]
    for day, hour, hours, what, how in plan:
        if day < len(days) - 1:
            begins = at(days[day], hour + dice.randrange(-1, 2))
            yield Trouble(what, how, begins, begins + timedelta(hours=hours))


def _captures(folder: Path) -> Iterator[list[MadeUp] | bytes]:
    """Return the lists that a folder holds, and the answers that are none, as they stand."""
    for path in sorted(folder.glob("*.json")):
        content = path.read_bytes()
        items = json.loads(content)
        if isinstance(items, list) and items and all(isinstance(each, dict) and "paper" in each for each in items):
            yield [_captured(each) for each in items]
        else:
            yield content


def _captured(item: dict[str, Any]) -> MadeUp:
    told = item["paper"]
    return MadeUp(
        number=str(told["id"]),
        name="",
        title=str(told["title"]),
        abstract=str(told.get("summary", "")),
        authors=tuple(str(each.get("name", "")) for each in told.get("authors", ()) if not each.get("hidden")),
        categories=("cs.CL",) if int(str(told["id"]).rpartition(".")[2] or 0) % 2 else ("cs.CV", "cs.LG"),
        final_votes=int(told.get("upvotes", 0)),
        given=item,
    )
