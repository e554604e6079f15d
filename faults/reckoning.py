"""What came of the days: each promise is looked at in the database, at the mail server and at the endpoint, and counted."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from almanac import Almanac
from audience import Audience
from book import Book, read_book
from post import Post
from sites import Sites
from spending import reckon_calls, reckon_usage
from told import reckon_alarms, reckon_issues, reckon_mails, reckon_summaries
from works import Works

from newsletter.db import Sessions


@dataclass
class Account:
    """Figures, tables of figures, and which promises were broken."""

    figures: dict[str, Any] = field(default_factory=dict)
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def promise(self, kept: object, words: str) -> None:
        """Note a promise that was broken, unless it was kept."""
        if not kept:
            self.broken.append(words)

    def as_json(self) -> dict[str, Any]:
        """Return everything."""
        return {**self.figures, **self.tables, "broken": self.broken}

    def table(self) -> str:
        """Return everything for a terminal."""
        lines = [f"{name:<54}{_shown(value)}" for name, value in self.figures.items()]
        for name, rows in self.tables.items():
            lines += ["", name, *_laid_out(rows)]
        return "\n".join(lines)


def reckon(sessions: Sessions, almanac: Almanac, audience: Audience, sites: Sites, post: Post, works: Works) -> Account:  # noqa: PLR0913, PLR0917 -- all that there is
    """Return what came of the days."""
    account, book = Account(), read_book(sessions, audience)
    account.figures["ticks of the clock"] = works.sent["sweep"]
    account.figures["workers killed"] = works.kills
    account.figures["requests"] = dict(sites.asked)
    reckon_issues(account, book, almanac)
    reckon_alarms(account, book, almanac, post, sites)
    reckon_mails(account, book, post, almanac)
    reckon_summaries(account, book, post)
    reckon_calls(account, book, almanac, sites)
    reckon_usage(account, book, sites, kills=works.kills)
    account.figures["seconds waited for the worker"] = {name: round(value) for name, value in works.seconds.items()}
    return account


def _shown(value: object) -> str:
    if isinstance(value, Counter | dict):
        return ", ".join(f"{name} {number}" for name, number in value.items()) or "none"
    return str(value)


def _laid_out(rows: list[dict[str, Any]]) -> list[str]:
    if not rows:
        return []
    names = list(rows[0])
    widths = {name: max(len(name), *(len(str(row[name])) for row in rows)) for name in names}
    cells = [names, *([str(row[name]) for name in names] for row in rows)]
    return ["  " + "  ".join(f"{cell:<{widths[name]}}" for name, cell in zip(names, row, strict=True)).rstrip() for row in cells]


__all__ = ["Account", "Book", "reckon"]
