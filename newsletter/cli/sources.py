"""Commands about sources: where papers come from, how that goes, and who said what."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from newsletter.cli import say

if TYPE_CHECKING:  # `--help` needs no database
    from newsletter.models import Collection, Paper, PaperRecord
    from newsletter.sources import Listing

group = typer.Typer(
    no_args_is_help=False, help="List the sources and how they answered; `sources try` reads one and keeps nothing of it."
)
_SHOWN_PROBLEMS = 20


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.add_typer(group, name="sources", rich_help_panel="Newsletters and readers")


@group.callback(invoke_without_command=True)
def listing(context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False) -> None:
    """List the sources of all newsletters with their last reading."""
    if context.invoked_subcommand is not None:
        return
    from newsletter import newsletters, papers, wiring

    with wiring.sessions_of(say.settings()).read() as session:
        read_by: dict[str, list[str]] = {}
        for row in newsletters.listing(session):
            for name in row.sources:
                read_by.setdefault(name, []).append(row.slug)
        last = papers.latest(session, read_by)
    if as_json:
        say.as_json([_for_scripts(name, slugs, last.get(name)) for name, slugs in sorted(read_by.items())])
        return
    say.table(
        ("source", "for", "read (UTC)", "of", "answer", "passed over"),
        [_row(name, slugs, last.get(name)) for name, slugs in sorted(read_by.items())],
        empty="There is no source: no newsletter reads one.",
    )


def _for_scripts(name: str, slugs: Sequence[str], last: "Collection | None") -> dict[str, object]:
    given = (
        {
            "day": last.day,
            "status": last.status.value,
            "papers": last.papers,
            "error": last.error,
            "problems": last.problems,
            "read_at": last.collected_at,
            "succeeded_at": last.succeeded_at,
        }
        if last
        else {"status": "never"}
    )
    return {"source": name, "newsletters": list(slugs), **given}


def _row(name: str, slugs: Sequence[str], last: "Collection | None") -> tuple[object, ...]:
    if last is None:
        return (name, ", ".join(slugs), "–", "–", "never read", "")
    return (name, ", ".join(slugs), say.short(last.collected_at), last.day, _answer(last), len(last.problems) or "")


def _answer(last: "Collection") -> object:
    """Say how a reading went: nothing that day and broken are different words."""
    if last.status.value == "failed":
        since = f"; good at {say.short(last.succeeded_at)}" if last.succeeded_at else ""
        return say.bad(f"BROKEN: {last.error}{since}")
    return say.good("nothing that day" if not last.papers else f"{last.papers} papers")


@group.command("try")
def try_(
    name: Annotated[str, typer.Argument(help="As newsletters name it: arxiv:cs.CL, feed:https://…", show_default=False)],
    day: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="As 2024-03-14; today in UTC if not given.")] = None,
) -> None:
    """Read a source now, print what it lists and what is wrong with it, and keep nothing."""
    from newsletter import wiring

    settings = say.settings()
    wanted = day.date() if day else wiring.utcnow().date()
    _show(name, wiring.source_of(settings, name).listing(wanted))


def _show(name: str, found: "Listing") -> None:
    for number, paper in enumerate(found.papers, 1):
        typer.echo(f"{number:4} {paper.title}\n     {paper.url}")
    for paper in found.undated:
        typer.echo(f"   – {paper.title}\n     {paper.url} (without a date: listed on the day it is first seen)")
    for problem in found.problems[:_SHOWN_PROBLEMS]:
        typer.secho(f"passed over: {problem}", fg=typer.colors.YELLOW, err=True)
    if len(found.problems) > _SHOWN_PROBLEMS:
        typer.secho(f"… and {len(found.problems) - _SHOWN_PROBLEMS} more.", fg=typer.colors.YELLOW, err=True)
    listed = len(found.papers)
    if listed:
        typer.echo(f"{name} lists {'1 paper' if listed == 1 else f'{listed} papers'} on {found.day}.")
    else:
        typer.echo(f"{name} answered, and lists nothing on {found.day}.")


@group.command()
def said(
    paper: Annotated[str, typer.Argument(help="Its arXiv id, as 2403.08295, or its link.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Show which source said what of a paper, and what became of it."""
    from newsletter import papers, wiring

    with wiring.sessions_of(say.settings()).read() as session:
        row, records = papers.records_of(session, paper)
    if as_json:
        told = [{"source": record.source, "seen_at": record.seen_at, "said": record.said} for record in records]
        say.as_json({"paper": row.model_dump(mode="json"), "records": told})
        return
    typer.echo(f"{row.title}\n{row.url}\n")
    say.table(("of", "says", "what"), _told(row, records), empty="It was stored before it was kept who says what.")


def _told(row: "Paper", records: "Sequence[PaperRecord]") -> list[tuple[object, ...]]:
    """Return a line for each field and source, the fields together; the one that counts is marked."""
    names = dict.fromkeys(name for record in records for name in record.said)
    plain = row.model_dump(mode="json")
    rows: list[tuple[object, ...]] = []
    for name in names:
        for record in records:
            if name in record.said:
                value = record.said[name]
                shown = f"{value}"[:200]
                rows.append((name, record.source, say.good(shown) if value == plain.get(name) else shown))
    silent = [record.source for record in records if not record.said]
    return [*rows, *(("–", source, "it knows no such paper") for source in silent)]
