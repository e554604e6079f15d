"""Importing as tests do it: lines of text in, what became of each out."""

from collections.abc import Sequence
from pathlib import Path

from factories import NOW, POLICY
from sqlalchemy import select

from newsletter.db import Sessions
from newsletter.models import Newsletter
from newsletter.subscribers import importing
from newsletter.subscribers.csv_files import open_sheet
from newsletter.subscribers.import_queries import Plan
from newsletter.subscribers.importing import Told
from newsletter.subscribers.wishes import recognise


def written(folder: Path, *lines: str, name: str = "readers.csv", encoding: str = "utf-8") -> Path:
    """Write a file of these lines."""
    path = folder / name
    path.write_bytes("\r\n".join((*lines, "")).encode(encoding))
    return path


def bring_in(sessions: Sessions, path: Path, newsletter: str = "", *, now=NOW, chunk: int = 2_000, **plan) -> list[Told]:
    """Import a file and return what became of its rows."""
    with sessions.read() as session:
        known = {row.slug: row for row in session.scalars(select(Newsletter))}
    with open_sheet(path) as sheet:
        form = recognise(sheet.columns, path)
        wanted = Plan(known, path.name, newsletter, **plan)
        found = importing.run(sessions, sheet, form, wanted, POLICY, now=now, chunk=chunk)
        return [told for chunk in found for told in chunk]


def outcomes(told: Sequence[Told]) -> list[str]:
    """Return what became of the rows, in words."""
    return [each.outcome.value for each in told]
