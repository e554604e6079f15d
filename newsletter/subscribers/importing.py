"""Bringing readers in from a file: a chunk of rows is one transaction of a dozen statements, and repeating it changes nothing."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from itertools import islice

from sqlmodel import Session

from newsletter.db import Sessions
from newsletter.errors import BadInput
from newsletter.models import Newsletter
from newsletter.subscribers import import_queries as queries
from newsletter.subscribers.csv_files import Row, Sheet
from newsletter.subscribers.deciding import NOBODY, Decision, Known, Outcome, decide
from newsletter.subscribers.import_queries import Item, Plan
from newsletter.subscribers.joining import Policy
from newsletter.subscribers.wishes import Format, Wish
from newsletter.tokens import suppression_key

CHUNK = 2_000  # rows in one transaction: SQLite's other writers wait for about a quarter of a second


@dataclass(frozen=True)
class Told:
    """What became of one row, or would."""

    row: Row
    address: str  # "" where the row holds none
    newsletter: str
    outcome: Outcome
    words: str


def run(  # noqa: PLR0913 -- from where, as what, to where
    sessions: Sessions, sheet: Sheet, form: Format, plan: Plan, policy: Policy, *, now: datetime, chunk: int = CHUNK
) -> Iterator[list[Told]]:
    """Import the rows of a sheet and yield what became of them, a chunk at a time, each after its commit.

    Broken off anywhere, it may be begun again. Raises BadInput for a file that ends in the middle of a row.
    """
    seen = _Seen()
    while rows := list(islice(sheet.rows, chunk)):
        told, items = _read(rows, form, plan, policy, seen)
        with _transaction(sessions, plan) as session:
            told += _work(session, items, plan, policy, now=now)
        yield sorted(told, key=lambda each: each.row.line)


def _transaction(sessions: Sessions, plan: Plan) -> AbstractContextManager[Session]:
    return sessions.read() if plan.dry_run else sessions.begin()


def _read(rows: Sequence[Row], form: Format, plan: Plan, policy: Policy, seen: "_Seen") -> tuple[list[Told], list[Item]]:
    """Return the rows that come to nothing, and the others as what there is to do."""
    told, items = [], []
    for row in rows:
        try:
            wish = form.wish(row.cells)
            newsletter = _newsletter(wish, plan)
        except BadInput as error:
            told.append(Told(row, "", "", Outcome.REFUSED, f"{error} {error.hint}".strip()))
            continue
        first = seen.first(f"{wish.address.key} {newsletter.slug}", row.line)
        if first is not None and not wish.leaves:
            told.append(Told(row, wish.address.text, newsletter.slug, Outcome.DUPLICATE, f"the same reader as on line {first}"))
        else:
            items.append(Item(row, wish, newsletter, suppression_key(policy.secret, wish.address.key)))
    return told, items


def _newsletter(wish: Wish, plan: Plan) -> Newsletter:
    """Return which newsletter a row is about: who agreed to one has not agreed to another."""
    slug = wish.newsletter or plan.newsletter
    found = plan.newsletters.get(slug)
    if found is None:
        raise BadInput(f"column newsletter: there is no newsletter {slug!r}.", hint="Add it, or give --newsletter.")
    if plan.newsletter and slug != plan.newsletter:
        raise BadInput(
            f"column newsletter: the row is of {slug!r}, not of {plan.newsletter!r}.", hint="Leave --newsletter out to take all."
        )
    often = wish.wanted.get("cadence")
    if often is not None and often not in found.cadences:
        raise BadInput(f"column cadence: {found.slug} is not sent {often}.", hint=f"It comes {', '.join(found.cadences)}.")
    return found


def _work(session: Session, items: list[Item], plan: Plan, policy: Policy, *, now: datetime) -> list[Told]:
    """Do what there is to do for each reader once, then what further rows take away from the same readers."""
    told: list[Told] = []
    while items:
        wave = list({item.key: item for item in reversed(items)}.values())[::-1]
        told += _wave(session, wave, plan, policy, now=now)
        done = {id(item) for item in wave}
        items = [item for item in items if id(item) not in done]
    return told


def _wave(session: Session, items: Sequence[Item], plan: Plan, policy: Policy, *, now: datetime) -> list[Told]:
    suppressed = queries.suppressed(session, [item.suppression_key for item in items])
    if not plan.dry_run:
        welcome = [item for item in items if item.wish.status is not None and item.suppression_key not in suppressed]
        queries.add_people(session, welcome, now=now)
    known = queries.known(session, items, suppressed, lock=not plan.dry_run)
    decisions = [(item, _known(known, item), _decision(item, known, plan)) for item in items]
    if not plan.dry_run:
        queries.write(session, decisions, plan, policy, now=now)
    return [
        Told(item.row, item.wish.address.text, item.newsletter.slug, decision.outcome, decision.words)
        for item, _, decision in decisions
    ]


def _known(known: Mapping[tuple[str, int], Known], item: Item) -> Known:
    return known.get(item.key, NOBODY)


def _decision(item: Item, known: Mapping[tuple[str, int], Known], plan: Plan) -> Decision:
    return decide(item.wish, _known(known, item), recorded=bool(plan.consent))


class _Seen:
    """On which line each reader stood first, in a temporary file of SQLite's own: a million take no memory to speak of."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("PRAGMA journal_mode=OFF")
        self._database.execute("CREATE TABLE seen (reader BLOB PRIMARY KEY, line INTEGER) WITHOUT ROWID")

    def __del__(self) -> None:
        """Close it: the file is gone with it."""
        self._database.close()

    def first(self, reader: str, line: int) -> int | None:
        """Return the line that a reader stood on before, None for the first time."""
        key = blake2b(reader.encode(), digest_size=16).digest()
        if self._database.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (key, line)).rowcount:
            return None
        return int(self._database.execute("SELECT line FROM seen WHERE reader = ?", (key,)).fetchone()[0])
