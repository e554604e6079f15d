"""Commands about what readers find wrong."""

from typing import Annotated

import typer

from newsletter.cli import say
from newsletter.cli.issues import AsJson

SHOWN = 60  # characters of what somebody wrote, in the list

group = typer.Typer(help="List what readers find wrong; `remarks close` is done with one.")


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.add_typer(group, name="remarks", rich_help_panel="Issues and mails")


@group.callback(invoke_without_command=True)
def listing(context: typer.Context, as_json: AsJson = False) -> None:
    """List what readers find wrong and nobody looked at yet, the oldest first; with --json in full."""
    if context.invoked_subcommand is not None:
        return
    from newsletter import remarks, wiring

    with wiring.sessions_of(say.settings()).read() as session:
        rows = remarks.open_remarks(session)
    if as_json:
        say.as_json(rows)
        return
    say.table(
        ("number", "made (UTC)", "issue", "paper", "wrong is", "in their words", "summary", "answer to"),
        [
            (
                row.id,
                say.short(row.made_at),
                f"{row.newsletter} {row.issue}",
                row.title,
                row.matter,
                _cut(row.content),
                " ".join(filter(None, (row.origin, row.model))) or "none",
                row.reply_to,
            )
            for row in rows
        ],
        empty="No reader found anything wrong.",
    )


def _cut(words: str) -> str:
    line = " ".join(words.split())
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}…"


@group.command()
def close(numbers: Annotated[list[int], typer.Argument(help="Their numbers, as `remarks` shows them.")]) -> None:
    """Be done with remarks: somebody looked at them."""
    from newsletter import remarks, wiring

    with wiring.sessions_of(say.settings()).begin() as session:
        for number in numbers:
            remarks.close(session, number, by=say.person(), now=wiring.utcnow())
    typer.echo("Closed 1 remark." if len(numbers) == 1 else f"Closed {len(numbers)} remarks.")
