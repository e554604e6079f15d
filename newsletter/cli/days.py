"""Commands about days and issues: every stage by hand, and all of them at once."""

from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

from newsletter.cli import say
from newsletter.errors import BadInput

Day = Annotated[datetime, typer.Argument(formats=["%Y-%m-%d"], help="As 2024-03-14.", show_default=False)]
Slugs = Annotated[
    list[str] | None, typer.Option("--newsletter", "-n", help="Only this newsletter; may be given again.", show_default=False)
]
Weekly = Annotated[bool, typer.Option("--weekly", help="The week that holds DAY, for a weekly digest.")]
Now = Annotated[bool, typer.Option("--now", help="Make its mails due at once, whatever hour they are for.")]
_PANEL = "The day, step by step"


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    for command in (run, collect, assemble, publish, send):
        app.command(rich_help_panel=_PANEL)(command)
    app.command("import", rich_help_panel="Documents")(import_)
    app.command(rich_help_panel="Documents")(export)
    app.command(rich_help_panel="Documents")(preview)


def _begun(day: datetime) -> date:
    """Return the day; raises BadInput for one to come: its empty issue would stand where the real one belongs."""
    from newsletter.wiring import utcnow

    if day.date() > utcnow().date():
        raise BadInput(f"{day.date()} is still to come.", hint=f"Days are UTC's, and there it is {utcnow().date()}.")
    return day.date()


def run(day: Day, newsletter: Slugs = None, weekly: Weekly = False, now: Now = False) -> None:
    """Do the whole DAY: collect, summarise, assemble, publish, and send what is due."""
    from newsletter.cli import steps

    steps.run(say.settings(), _begun(day), newsletter or [], weekly=weekly, at_once=now)


def collect(day: Day, newsletter: Slugs = None) -> None:
    """Read what the sources list on DAY. Reading again adds what is new."""
    from newsletter.cli import steps

    steps.collect(steps.open_work(say.settings(), newsletter or []), _begun(day))


def assemble(day: Day, newsletter: Slugs = None, weekly: Weekly = False) -> None:
    """Choose and order DAY's papers, summarise them, and render the issue."""
    from newsletter.cli import steps

    work = steps.of_cadence(steps.open_work(say.settings(), newsletter or []), weekly=weekly)
    steps.conclude(steps.assemble(work, _begun(day), weekly=weekly))


def publish(day: Day, newsletter: Slugs = None, weekly: Weekly = False, now: Now = False) -> None:
    """Queue DAY's issue for every subscriber who has not got it yet."""
    from newsletter.cli import steps

    work = steps.of_cadence(steps.open_work(say.settings(), newsletter or []), weekly=weekly)
    work = steps.publish(work, day.date(), weekly=weekly, at_once=now)
    say.wake(work.settings)
    steps.conclude(work)


def send() -> None:
    """Send what is due, until nothing is. Ctrl-C stops after the mail at hand."""
    from newsletter.cli import steps

    steps.send(steps.open_work(say.settings(), [], or_none=True))


def export(
    day: Day,
    newsletter: Annotated[str, typer.Option("--newsletter", "-n", help="Whose issue.", show_default=False)],
    to: Annotated[Path | None, typer.Option(help="The file to write; standard output if not given.")] = None,
) -> None:
    """Write DAY's issue as a daily document in Markdown."""
    from newsletter import issues as issue_records
    from newsletter import newsletters, wiring

    with wiring.sessions_of(say.settings()).read() as session:
        publication = newsletters.find(session, newsletter)
        document = issue_records.export(session, issue_records.find(session, publication, day.date().isoformat()))
    if to is None:
        typer.echo(document, nl=False)
    else:
        to.write_text(document, encoding="utf-8")
        typer.echo(f"Wrote {to}.")


def import_(
    files: Annotated[list[Path], typer.Argument(help="Daily documents, as 2024-03-14.md or 2024-03-14.ko.md.")],
    newsletter: Annotated[str, typer.Option("--newsletter", "-n", help="For which newsletter.", show_default=False)],
) -> None:
    """Read daily documents in Markdown into a newsletter's papers, their summaries with them."""
    from newsletter.cli import steps

    steps.import_documents(steps.open_work(say.settings(), [newsletter]), files)


def preview(
    source: Annotated[str, typer.Argument(help="A daily document (.md), a captured list (.json), or the word: sample.")],
    to: Annotated[Path, typer.Option(help="The folder to write digest.html, digest.txt and digest.eml into.")],
    language: Annotated[str, typer.Option(help="Of the digest; the document's own if not given.")] = "",
    day: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Of a captured list, where its name does not tell.")
    ] = None,
) -> None:
    """Write the digest of a document or a list as files: no database, no network."""
    from newsletter.cli import previewing

    made = previewing.preview(source, to, language=language, day=day.date() if day else None)
    for problem in made.problems:
        typer.secho(f"passed over: {problem}", fg=typer.colors.YELLOW, err=True)
    typer.echo(f"Wrote {made.papers} papers of {made.day}: " + ", ".join(str(path) for path in made.files))
