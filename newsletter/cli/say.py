"""What commands share: settings, tables for people, JSON for scripts."""

import getpass
import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:  # `--help` reads no settings
    from newsletter.config import Settings


def settings() -> "Settings":
    """Read the settings and set up the logs by them."""
    from newsletter import config, logs

    read = config.load()
    logs.configure(level=read.log_level, as_json=read.log_json)
    return read


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str = "There is nothing yet.") -> None:
    """Print rows as a table, or a sentence where there are none."""
    from rich.console import Console
    from rich.table import Table

    drawn = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        drawn.add_row(*(str(cell) for cell in row))
    if drawn.row_count:
        Console().print(drawn)
    else:
        typer.echo(empty)


def person() -> str:
    """Return who types: kept with what they decide."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may know no names
        return "operator"


def as_json(value: Any) -> None:  # noqa: ANN401 -- whatever JSON holds
    """Print a value for scripts."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))
