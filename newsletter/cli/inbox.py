"""Commands about mail that is sent to us: taking it in, and the operator's look at what nobody understood."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from newsletter.cli import say
from newsletter.cli.issues import AsJson
from newsletter.errors import Conflict, SettingsError

if TYPE_CHECKING:
    import ssl

    from newsletter.config import InboxSettings
    from newsletter.models import InboundMail

Number = Annotated[int, typer.Argument(help="Its number, as `inbox list` shows it.", show_default=False)]
_SHOWN = ("id", "status", "purpose", "reason", "sender", "recipient", "subject", "peer", "size", "received_at", "handled_at")

group = typer.Typer(no_args_is_help=True, help="The mail that is sent to us: commands, bounces, letters.")


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.add_typer(group, name="inbox", rich_help_panel="Its parts, one by one")


@group.command()
def run(
    host: Annotated[str, typer.Option(help="The address to listen at; `inbox.host` if not given.", show_default=False)] = "",
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="The port; `inbox.port` if not given.", show_default=False)
    ] = None,
) -> None:
    """Take in the mail to `inbox.domain`, by SMTP or LMTP, and handle it. Put it behind a mail server that checks DMARC."""
    import asyncio

    from newsletter import wiring
    from newsletter.config import Protocol
    from newsletter.inbox import server

    settings = say.settings(beside_up=False)
    given = settings.inbox
    if not given.domain:
        raise SettingsError(
            "inbox.domain is not set.", hint="Set NEWSLETTER_INBOX__DOMAIN to the domain that mail to us goes to."
        )
    door = server.Door(
        host=host or given.host,
        port=given.port if port is None else port,
        max_bytes=given.max_bytes,
        max_kept_bytes=given.max_kept_bytes,
        name=given.domain,
        lmtp=given.protocol is Protocol.LMTP,
        tls=_tls(given),
    )
    running = server.run(
        wiring.sessions_of(settings),
        wiring.office_of(settings),
        door,
        clock=wiring.utcnow,
        listening=lambda at: typer.echo(f"Taking in mail to {given.domain} at {door.host}:{at}, by {given.protocol.upper()}."),
        wake=wiring.waker_of(settings),
    )
    asyncio.run(running)


def _tls(given: "InboxSettings") -> "ssl.SSLContext | None":
    """Return what STARTTLS is spoken with; raises SettingsError for a certificate that cannot be used."""
    import ssl

    if given.certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(given.certificate, given.private_key)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            f"inbox.certificate: {given.certificate}: {error.strerror or error}.",
            hint="It must be a PEM file with the chain, inbox.private_key one with its key.",
        ) from None
    return context


@group.command("list")
def listing(
    status: Annotated[
        Literal["received", "done", "forwarded", "quarantined"] | None, typer.Option(help="In this state.", show_default=False)
    ] = None,
    before: Annotated[int | None, typer.Option(help="Go on before this number, the last of the page before.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List the mail that was sent to us and what became of it, the newest first."""
    from newsletter import inbox, wiring
    from newsletter.models import InboundStatus

    with wiring.sessions_of(say.settings()).read() as session:
        rows = inbox.listing(session, InboundStatus(status) if status else None, before_id=before, limit=limit)
    if as_json:
        say.as_json([_plain(row) for row in rows])
        return
    say.table(
        ("number", "came (UTC)", "from", "to", "subject", "state", "what it was", "what was done"),
        [
            (
                row.id,
                say.short(row.received_at),
                row.sender or "<>",
                row.recipient,
                row.subject,
                row.status,
                row.purpose,
                row.reason,
            )
            for row in rows
        ],
        empty="There is no such mail.",
    )


def _plain(row: "InboundMail") -> dict[str, Any]:
    return {name: getattr(row, name) for name in _SHOWN}


@group.command()
def show(number: Number, as_json: AsJson = False) -> None:
    """Show a mail: what became of it, its header, and its text where it is still kept."""
    from newsletter import inbox, wiring
    from newsletter.mailbox import letters

    with wiring.sessions_of(say.settings()).read() as session:
        row = inbox.find(session, number)
    if as_json:
        say.as_json(_plain(row))
        return
    say.table(
        (f"mail {number}", row.status.value), [(name, value) for name, value in _plain(row).items() if value not in {"", None}]
    )
    if row.content is None:
        typer.echo("\nIts content is no longer kept.")
        return
    letter = letters.read(row.content)
    typer.echo(f"\nFrom: {letter.headers.sender}\nTo: {letter.headers.to}\nSubject: {letter.headers.subject}\n")
    typer.echo("".join(each if each.isprintable() or each == "\n" else " " for each in letter.text or "(no text)"))


@group.command()
def save(
    number: Number,
    file: Annotated[Path, typer.Argument(help="Where to write it; must not be there yet.", show_default=False)],
) -> None:
    """Write a mail to a file, byte for byte, for a mail program to open."""
    from newsletter import inbox, wiring

    with wiring.sessions_of(say.settings()).read() as session:
        content = inbox.find(session, number).content
    if content is None:
        raise Conflict(f"The content of mail {number} is no longer kept.", hint="It is kept while somebody may still need it.")
    with file.open("xb") as target:
        target.write(content)
    typer.echo(f"Wrote {file}.")


@group.command()
def retry(numbers: Annotated[list[int], typer.Argument(help="Their numbers, as `inbox list` shows them.")]) -> None:
    """Handle mail in quarantine anew: after a setting was mended, or an upgrade."""
    from newsletter import inbox, wiring

    settings = say.settings()
    sessions, office = wiring.sessions_of(settings), wiring.office_of(settings)
    for number in numbers:
        with sessions.begin() as session:
            inbox.retry(session, number, now=wiring.utcnow())
        outcome = inbox.handle(sessions, number, office, now=wiring.utcnow())
        typer.echo(f"{number}: {outcome.status}: {outcome.reason}" if outcome else f"{number}: another process handles it")
    say.wake(settings)


@group.command()
def drop(numbers: Annotated[list[int], typer.Argument(help="Their numbers, as `inbox list` shows them.")]) -> None:
    """Be done with mail in quarantine, and forget its content."""
    from newsletter import inbox, wiring

    with wiring.sessions_of(say.settings()).begin() as session:
        for number in numbers:
            inbox.drop(session, number, by=say.person(), now=wiring.utcnow())
    typer.echo(f"Dropped {say.mails(len(numbers))}.")
