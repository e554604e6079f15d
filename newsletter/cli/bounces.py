"""Commands about bounces and complaints."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Literal

import typer

from newsletter.cli import say
from newsletter.cli.issues import AsJson, Yes
from newsletter.errors import BadInput

if TYPE_CHECKING:
    from newsletter.bounces.control import Listed

STDIN = "-"

group = typer.Typer(no_args_is_help=True, help="What other servers report about the mail we sent, and what followed.")


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.add_typer(group, name="bounces", rich_help_panel="Its parts, one by one")


@group.command("list")
def listing(
    kind: Annotated[Literal["hard", "soft", "complaint"] | None, typer.Option(help="Only of this kind.")] = None,
    before: Annotated[int | None, typer.Option(help="Go on before this number, the last of the page before.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List bounces and complaints and what was done about each, the newest first, a page at a time."""
    from newsletter import wiring
    from newsletter.bounces import control
    from newsletter.models import BounceKind

    wanted = BounceKind(kind) if kind else None
    with wiring.sessions_of(say.settings()).read() as session:
        rows = control.listing(session, kind=wanted, before_id=before, limit=limit)
    if as_json:
        say.as_json([_plain(row) for row in rows])
        return
    say.table(
        ("number", "at (UTC)", "kind", "address", "mail", "told by", "action", "why"),
        [_row(row) for row in rows],
        empty="There are no such reports.",
    )
    if len(rows) == limit:
        typer.echo(f"More: --before {rows[-1].bounce.id}")


def _row(row: "Listed") -> tuple[object, ...]:
    report = row.bounce
    why = " ".join(word for word in (report.status, report.reason) if word)[:80]
    action = report.action or "not looked at yet"
    about = (row.address or "–", report.delivery_id or "–")
    return (report.id, say.short(report.received_at), report.kind.value, *about, report.source, action, why)


def _plain(row: "Listed") -> dict[str, Any]:
    shown = ("id", "kind", "delivery_id", "status", "reason", "source", "action", "received_at")
    return {name: getattr(row.bounce, name) for name in shown} | {"address": row.address or None}


@group.command("apply")
def apply_held_back(
    drop: Annotated[bool, typer.Option("--drop", help="They are not to be believed: hold them against nobody.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show whom they are about.")] = False,
    yes: Yes = False,
) -> None:
    """Say what becomes of reports that were held back, because suddenly many readers were said not to exist.

    Shows first how many readers they are about; then they are suppressed, or with --drop go on as if nothing had come.
    """
    from newsletter import wiring
    from newsletter.bounces import control

    sessions, now = wiring.sessions_of(say.settings()), wiring.utcnow()
    with sessions.read() as session:
        found = control.held_back(session)
    say.table(("domain", "readers"), found.domains, empty="Nothing is held back.")
    if dry_run or not found.readers:
        return
    if not yes:
        typer.confirm(f"\n{'Believe none of it' if drop else 'Suppress them all'} ({found.readers})?", abort=True)
    with sessions.begin() as session:
        settle = control.drop_held_back if drop else control.apply_held_back
        number = settle(session, by=say.person(), now=now)
    typer.echo(f"Held against nobody: {number}." if drop else f"Suppressed: {number}.")


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
