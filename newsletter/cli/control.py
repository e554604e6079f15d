"""Commands for the operator at three in the morning: is it well, what is wrong, what does an issue look like."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from newsletter.cli import say
from newsletter.cli.issues import AsJson, Name, Slug

if TYPE_CHECKING:
    from newsletter.models import Alarm
    from newsletter.overview import Ended, Overview, Publication, Reading

_ALARM = ("id", "cause", "subject", "detail", "times", "opened_at", "raised_at", "closed_at")

stopped = typer.Typer(help="List what is paused: relays, domains, issues; `pauses resume` lets one go on.")
group = typer.Typer(help="List the open alarms; `alarms close` closes one by hand.")


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command(rich_help_panel="Is it well?")(status)
    app.add_typer(group, name="alarms", rich_help_panel="Is it well?")
    app.add_typer(stopped, name="pauses", rich_help_panel="Is it well?")
    app.command("send-test", rich_help_panel="Issues and mails")(send_test)


def send_test(
    slug: Slug,
    name: Name,
    email: Annotated[str, typer.Argument(help="Whose inbox to look into.", show_default=False)],
    reader: Annotated[str, typer.Option("--as", help="With the papers that this reader's topics and keywords choose.")] = "",
) -> None:
    """Send an issue to one address, marked as a test. Nobody else gets it, and it is no reader's digest."""
    from newsletter import issues, newsletters, subscribers, wiring
    from newsletter.issues import control

    settings = say.settings()
    address, policy = subscribers.parse_address(email), wiring.policy_of(settings)
    with wiring.sessions_of(settings).begin() as session:
        issue = issues.find(session, newsletters.find(session, slug), name)
        shown = subscribers.parse_address(reader) if reader else None
        is_new = control.send_test(session, issue, address, policy, reader=shown, now=wiring.utcnow())
    say.wake(settings)
    if is_new:
        typer.echo(f"A test of {slug} {name} goes to {address.text}. The workers send it, or: newsletter send")
    else:
        typer.echo(f"Nothing changed: a test of {slug} {name} was queued for {address.text} within this minute.")


@group.callback(invoke_without_command=True)
def listing(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Also those that are closed, the newest first.")] = False,
    before: Annotated[int | None, typer.Option(help="With --all: go on before this number.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="With --all: how many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List the open alarms."""
    if context.invoked_subcommand is not None:
        return
    from newsletter import alarms, wiring

    with wiring.sessions_of(say.settings()).read() as session:
        rows = alarms.listing(session, before_id=before, limit=limit) if every else alarms.open_alarms(session)
    if as_json:
        say.as_json([{name: getattr(row, name) for name in _ALARM} for row in rows])
        return
    say.table(
        ("number", "since (UTC)", "times", "state", "what"),
        [(row.id, say.short(row.opened_at), row.times, _state(row), f"{row.subject}: {row.detail}") for row in rows],
        empty="There is no alarm." if every else "No alarm is open.",
    )
    if every and len(rows) == limit:
        typer.echo(f"More: --before {rows[-1].id}")


def _state(row: "Alarm") -> str:
    return f"closed {say.short(row.closed_at)}" if row.closed_at else "open"


@group.command()
def close(number: Annotated[int, typer.Argument(help="Its number, as `alarms` shows it.", show_default=False)]) -> None:
    """Close an alarm by hand; most close by themselves when the trouble is over. If it comes again, it is a new one."""
    from newsletter import alarms, wiring

    with wiring.sessions_of(say.settings()).begin() as session:
        alarm = alarms.dismiss(session, number, now=wiring.utcnow())
    typer.echo(f"Closed: {alarm.subject}.")


@stopped.callback(invoke_without_command=True)
def pauses(context: typer.Context, as_json: AsJson = False) -> None:
    """List what is paused: relays and domains that turned us away, issues that were stopped."""
    if context.invoked_subcommand is not None:
        return
    from newsletter import overview, wiring

    with wiring.sessions_of(say.settings()).read() as session:
        rows = overview.stopped(session, now=wiring.utcnow())
    if as_json:
        say.as_json(rows)
        return
    say.table(
        ("number", "what", "until", "why"),
        [(row.id, row.what, say.moment(row.until) if row.until else "it is resumed", row.cause) for row in rows],
        empty="Nothing is paused.",
    )


@stopped.command("resume")
def lift(number: Annotated[int, typer.Argument(help="Its number, as `pauses` shows it.", show_default=False)]) -> None:
    """Let something that is paused go on: what waited is due at once. If it is refused again, it is paused again."""
    from newsletter import wiring
    from newsletter.deliveries import control

    settings = say.settings()
    with wiring.sessions_of(settings).begin() as session:
        control.lift(session, number, now=wiring.utcnow())
    say.wake(settings)
    typer.echo(f"Pause {number} is over.")


def status(as_json: AsJson = False) -> None:
    """Tell at one glance whether all is well: exit code 0 if it is, 1 if something needs a person."""
    from newsletter import overview, wiring

    with wiring.sessions_of(say.settings()).read() as session:
        seen = overview.look(session, now=wiring.utcnow())
    if as_json:
        say.as_json(seen)
    else:
        _show(seen)
    raise typer.Exit(0 if seen.well else 1)


def _show(seen: "Overview") -> None:
    from rich.console import Console

    console = Console(highlight=False)
    if seen.well:
        console.print(say.good(f"All is well at {say.moment(seen.at)}."))
    else:
        things = "1 thing needs" if len(seen.needs) == 1 else f"{len(seen.needs)} things need"
        console.print(say.bad(f"{things} you, at {say.moment(seen.at)}:"))
        for need in seen.needs:
            console.print(say.bad(f"- {need.what}"), markup=False)
            console.print(f"  {need.do}", markup=False)
    typer.echo(f"\nThe clock last ticked: {_ago(seen.last_tick, seen.at)}\n")
    say.table(
        ("latest issue", "stage since (UTC)", "next (UTC)", "24 hours"),
        _publications(seen),
        empty="There is no newsletter yet. Add one: newsletter newsletters add --help",
    )
    typer.echo("")
    say.table(
        ("waiting", "due now", "later", "oldest due"),
        [(row.lane, row.due, row.later, _ago(row.oldest_due_at, seen.at)) for row in seen.queue],
    )
    if seen.pauses:
        typer.echo("\nPaused:")
        for row in seen.pauses:
            typer.echo(f"- {row.what} until {say.moment(row.until) if row.until else 'it is resumed'}: {row.cause}")
    typer.echo("")
    say.table(("source", "read (UTC)", "of", "answer"), [_reading(row) for row in seen.readings], empty="There is no source.")


def _publications(seen: "Overview") -> list[tuple[object, ...]]:
    """Return the rows of the issues; the mails of a newsletter stand beside the first of its issues."""
    rows, before = [], ""
    for row in seen.publications:
        rows.append(_publication(row, "" if row.newsletter == before else _mails(row.ended)))
        before = row.newsletter
    return rows


def _publication(row: "Publication", mails: object) -> tuple[object, ...]:
    stage = f"{row.status} {say.short(row.status_since)}" if row.status else "none yet"
    coloured = {"cancelled": say.bad, "sent": say.good}.get(row.status, str)(stage)
    issue = f"{row.newsletter} {row.issue or f'({row.cadence})'}"
    coming = f"mails {say.short(row.due_from)}" if row.due_from else f"issue {say.short(row.next_at)}"
    return (issue, coloured, coming, mails)


def _mails(ended: "Ended") -> object:
    words = [f"{number} {state}" for state, number in (("failed", ended.failed), ("held", ended.held)) if number]
    said = ", ".join([f"{ended.sent} sent", *words])
    return say.bad(said) if words else said


def _reading(row: "Reading") -> tuple[object, ...]:
    answer = {
        "done": say.good(f"done, {row.papers} papers"),
        "never": "never read",
        "failed": say.bad(f"FAILED: {row.error}"),
    }[row.status]
    return (row.source, say.short(row.at), row.day or "–", answer)


def _ago(moment: datetime | None, now: datetime) -> str:
    """Return a time with how long ago it was."""
    if moment is None:
        return "–"
    seconds = int((now - moment).total_seconds())
    minutes, hours = seconds // 60, seconds // 3600
    ago = f"{seconds} s" if seconds < 120 else f"{minutes} min" if hours < 2 else f"{hours} h"  # noqa: PLR2004 -- readable
    return f"{say.moment(moment)}, {ago} ago"
