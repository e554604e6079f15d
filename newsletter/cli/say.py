"""What commands share: settings, tables for people, JSON for scripts."""

import getpass
import json
from collections.abc import Iterable, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import typer

if TYPE_CHECKING:  # `--help` reads no settings and draws no table
    from rich.text import Text

    from newsletter.config import Settings


def settings(*, beside_up: bool = True) -> "Settings":
    """Read the settings and set up the logs by them.

    Where no broker is set, it is that of the `newsletter up` which runs on the data folder; not for what outlives it.
    """
    from newsletter import config, logs
    from newsletter.embedded import presence

    read = config.load()
    logs.configure(level=read.log_level, as_json=read.log_json)
    running = presence.find(read.data_dir) if beside_up and not read.redis_url else None
    return read.model_copy(update={"redis_url": running.redis_url}) if running else read


def wake(settings: "Settings") -> None:
    """Have the workers send at once what was queued, where there is a broker to ask them by."""
    from newsletter import wiring

    if settings.redis_url:
        wiring.waker_of(settings)()


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str = "There is nothing yet.") -> None:
    """Print rows as a table, or a sentence where there are none. Cells are plain text, or `good` and `bad` words."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        drawn.add_column(column, overflow="fold")  # an address cut short is of no use
    for row in rows:
        drawn.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in row))
    if drawn.row_count:
        Console(highlight=False).print(drawn)
    else:
        typer.echo(empty)


def good(words: str) -> "Text":
    """Return words in green; they must say so without the colour, too."""
    from rich.text import Text

    return Text(words, style="green")


def bad(words: str) -> "Text":
    """Return words in red; they must say so without the colour, too."""
    from rich.text import Text

    return Text(words, style="bold red")


def moment(when: datetime | None, *, zone: str = "UTC") -> str:
    """Return a time to the minute with its zone, "–" for none."""
    if when is None:
        return "–"
    return f"{when.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} {zone}"


def short(when: datetime | None) -> str:
    """Return a time in UTC for a column that says so, to the minute."""
    return f"{when.astimezone(UTC):%m-%d %H:%M}" if when else "–"


def mails(number: int) -> str:
    """Return how many mails, in words."""
    return "1 mail" if number == 1 else f"{number} mails"


def money(micros: int, currency: str) -> str:
    """Return millionths of a currency as an amount, to as many places as small ones need."""
    return f"{micros / 1_000_000:.4f} {currency}"


def person() -> str:
    """Return who types: kept with what they decide."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may know no names
        return "operator"


def as_json(value: Any) -> None:  # noqa: ANN401 -- whatever JSON holds, and dataclasses of it
    """Print a value for scripts: times as ISO 8601, words of enumerations, fields of dataclasses."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2, default=_plain))


def _plain(value: object) -> object:
    if isinstance(value, date):
        return value.isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    raise TypeError(f"{value!r} is nothing for scripts")
