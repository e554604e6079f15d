"""Commands for who may log in to the pages at /admin."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from newsletter.cli import say
from newsletter.cli.issues import AsJson
from newsletter.errors import BadInput

group = typer.Typer(no_args_is_help=True, help="Say who may log in to the pages at /admin.")

Name = Annotated[str, typer.Argument(help="What they log in as.", show_default=False)]
PasswordFile = Annotated[
    Path | None,
    typer.Option(help="A file whose first line is the password; - for standard input. Else it is asked for.", show_default=False),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.add_typer(group, name="admin", rich_help_panel="Set up and run")


def _password(file: Path | None) -> str:
    """Return the password: typed twice without being shown, or read."""
    if file is None:
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt="Once more"))
    try:
        given = sys.stdin.readline() if str(file) == "-" else file.read_text(encoding="utf-8").partition("\n")[0]
    except UnicodeDecodeError:
        raise BadInput(f"{file}: it is no text in UTF-8.", hint="The first line is the password, alone.") from None
    if not given.strip():
        raise BadInput(f"{file}: there is no password in its first line.", hint="The first line is the password, alone.")
    return given.rstrip("\r\n")


@group.command()
def create(name: Name, password_file: PasswordFile = None) -> None:
    """Add somebody who may log in; the password is asked for."""
    from newsletter import admins, wiring

    settings = say.settings()
    sessions, password = wiring.sessions_of(settings), _password(password_file)
    with sessions.begin() as session:
        kept = admins.create(session, name, password, now=wiring.utcnow())
    typer.echo(f"{kept} can log in at {settings.base_url}/admin")


@group.command("list")
def listing(as_json: AsJson = False) -> None:
    """List who may log in."""
    from newsletter import admins, wiring

    with wiring.sessions_of(say.settings()).read() as session:
        rows = admins.listing(session)
    if as_json:
        say.as_json([{name: getattr(row, name) for name in ("id", "name", "created_at", "logged_in_at")} for row in rows])
        return
    say.table(
        ("name", "since (UTC)", "last log-in (UTC)"),
        [(row.name, say.moment(row.created_at), say.moment(row.logged_in_at)) for row in rows],
        empty="There is nobody yet. Add somebody: newsletter admin create NAME",
    )


@group.command()
def password(name: Name, password_file: PasswordFile = None) -> None:
    """Give somebody another password; they are logged out everywhere."""
    from newsletter import admins, wiring

    sessions, given = wiring.sessions_of(say.settings()), _password(password_file)
    with sessions.begin() as session:
        admins.set_password(session, name, given)
    typer.echo(f"{name} has another password, and is logged out everywhere.")


@group.command()
def remove(name: Name) -> None:
    """Let somebody log in no more; they are logged out at once. What they did stays under their name."""
    from newsletter import admins, wiring

    with wiring.sessions_of(say.settings()).begin() as session:
        admins.remove(session, name)
    typer.echo(f"{name} cannot log in any more.")
