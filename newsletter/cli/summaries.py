"""Commands about summaries: what those by a language model cost, and what it makes of one paper."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from newsletter.cli import checking, say
from newsletter.cli.issues import AsJson
from newsletter.errors import NotFound, SettingsError

if TYPE_CHECKING:
    from newsletter.db import Sessions
    from newsletter.models import Paper
    from newsletter.summarisers.model import Written

_BAR = 30  # columns

group = typer.Typer(no_args_is_help=True, help="The summaries of papers: what they cost, and how good they are.")


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    group.command("check")(checking.check)
    app.add_typer(group, name="summaries", rich_help_panel="Issues and mails")


@group.command()
def usage(
    days: Annotated[int, typer.Option(min=1, max=366, help="How many days back (UTC), today included.")] = 14,
    as_json: AsJson = False,
) -> None:
    """Show what the language model was asked each day, what came of it, and what it cost."""
    from newsletter import summaries, wiring

    settings = say.settings()
    with wiring.sessions_of(settings).read() as session:
        by_day = summaries.usage_by_day(session, days, now=wiring.utcnow())
    if as_json:
        say.as_json([{"day": day, **asdict(spent)} for day, spent in by_day.items()])
        return
    most = max(spent.input_tokens + spent.output_tokens for spent in by_day.values()) or 1
    rows = []
    for day, spent in by_day.items():
        tokens = spent.input_tokens + spent.output_tokens
        cost = say.money(spent.cost_micros, settings.summaries.currency)
        bar = "█" * -(-tokens * _BAR // most)
        rows.append((day, spent.made, spent.refused, spent.failed, spent.calls, f"{tokens:,}", cost, bar))
    say.table(("day (UTC)", "made", "refused", "failed", "calls", "tokens", "cost", ""), rows)


@group.command("try")
def try_(
    paper: Annotated[str, typer.Argument(help="A stored paper: its arXiv id, as 2403.09611.", show_default=False)],
    language: Annotated[str, typer.Option(help="In which language.")] = "ko",
    as_json: AsJson = False,
) -> None:
    """Show what the language model that is set makes of one paper, and what the checks say; nothing is kept or counted."""
    from newsletter import wiring
    from newsletter.summarisers import SummaryInput

    settings = say.settings()
    model = wiring.model_of(settings)
    if model is None:
        raise SettingsError("No language model is set.", hint="Set summaries.url and summaries.model.")
    found = _find(wiring.sessions_of(settings), paper)
    written = model.write(SummaryInput(found.title, found.abstract), language=language)
    cost = wiring.summary_terms_of(settings).micros(written.used)
    if as_json:
        say.as_json({"paper": paper, "title": found.title, **asdict(written), "cost_micros": cost})
    else:
        _show(found, written, say.money(cost, settings.summaries.currency))
    if not written.bullets:
        raise typer.Exit(1)


def _find(sessions: "Sessions", paper: str) -> "Paper":
    from sqlalchemy import select
    from sqlmodel import col

    from newsletter.models import Paper

    with sessions.read() as session:
        found = session.scalars(select(Paper).where(col(Paper.source_id) == paper).order_by(col(Paper.id)).limit(1)).first()
    if found is None:
        raise NotFound(f"No paper {paper} is stored.", hint="`newsletter collect DAY` reads the papers of a day.")
    return found


def _show(paper: "Paper", written: "Written", cost: str) -> None:
    typer.echo(paper.title)
    for bullet in written.bullets:
        typer.echo(f"- {bullet}")
    typer.echo("")
    typer.echo(written.fate.value + (" after one repair" if written.repaired else ""))
    for reason in written.reasons:
        typer.echo(f"  {reason}")
    if written.rules:
        typer.echo(f"  The first answer failed: {', '.join(written.rules)}")
    if written.hint:
        typer.echo(f"  {written.hint}")
    used = written.used
    typer.echo(f"{used.calls} calls, {used.input_tokens:,} + {used.output_tokens:,} tokens, {cost}")
