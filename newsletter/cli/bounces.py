"""Commands about bounces and complaints."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from newsletter.errors import BadInput

STDIN = "-"

group = typer.Typer(no_args_is_help=True, help="Read what other servers report about the mail we sent.")


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.add_typer(group, name="bounces", rich_help_panel="Its parts, one by one")


@group.callback()
def _group() -> None:
    """Keep `read` a command of its own, however many others there are."""


@group.command()
def read(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Messages, mbox files, Maildir folders, or - for stdin.")],
) -> None:
    """Say what messages report: a line of JSON for each recipient, kind `none` where a message reports nothing.

    Nothing is looked up and nobody is suppressed. The exit code is 1 if a file could not be read; the others are read all the
    same.
    """
    failed = [name for name in files if not _read(name)]
    if failed:
        raise typer.Exit(1)


def _read(name: str) -> bool:
    """Print what the messages of a file, folder or stream report; False, and the reason on stderr, if it cannot be read."""
    from newsletter.bounces.reading import stored

    try:
        paths = [Path(name)] if name == STDIN else stored.files(Path(name))
    except (BadInput, OSError) as error:
        return _say_unread(name, error)
    failed = [path for path in paths if not _read_file(str(path))]
    return not failed


def _read_file(name: str) -> bool:
    from newsletter.bounces.reading import stored

    try:
        with _opened(name) as stream:
            for number, message in enumerate(stored.messages(stream), start=1):
                _print(name, number, message)
    except OSError as error:
        return _say_unread(name, error)
    return True


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    if name == STDIN:
        yield sys.stdin.buffer
        return
    with Path(name).open("rb") as stream:
        yield stream


def _print(name: str, number: int, message: bytes) -> None:
    from newsletter.bounces import reading

    for report in reading.read(message):
        typer.echo(json.dumps({"file": name, "message": number, **asdict(report)}, ensure_ascii=False))


def _say_unread(name: str, error: Exception) -> bool:
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    typer.secho(f"error: {why}" if name in why else f"error: {name}: {why}.", fg=typer.colors.RED, err=True)
    return False
