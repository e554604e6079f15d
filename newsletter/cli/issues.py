"""Commands about issues: what became of them, stopping one, sending it again to those it did not reach."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from newsletter.cli import say

if TYPE_CHECKING:
    from newsletter.deliveries.control import Unreached
    from newsletter.issues.control import Placed, Stages, View
    from newsletter.issues.desk import Change

Slug = Annotated[str, typer.Argument(help="The newsletter.", show_default=False)]
Name = Annotated[str, typer.Argument(help="The issue: its day, as 2024-03-14, or its week, as 2024-W11.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="For scripts.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Note = Annotated[str, typer.Option(help="Why: kept with what you decide.")]

group = typer.Typer(help="List the latest issues; `issues show` tells all about one.")


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.add_typer(group, name="issues", rich_help_panel="Issues and mails")


@group.callback(invoke_without_command=True)
def listing(
    context: typer.Context,
    newsletter: Annotated[
        list[str] | None,
        typer.Option("--newsletter", "-n", help="Only this newsletter; may be given again.", show_default=False),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List the latest issues, with what became of their deliveries."""
    if context.invoked_subcommand is not None:
        return
    from newsletter.cli import steps

    rows = steps.latest_issues(steps.open_work(say.settings(), newsletter or [], or_none=True), limit)
    if as_json:
        say.as_json(rows)
        return
    say.table(
        ("newsletter", "issue", "status", "papers", "deliveries", "reason"),
        [(row["newsletter"], row["issue"], row["status"], row["papers"], row["summary"], row["reason"]) for row in rows],
        empty="There is no issue yet.",
    )


@group.command()
def show(slug: Slug, name: Name, as_json: AsJson = False) -> None:
    """Show an issue: its stages, its papers, its deliveries by state and reason, and what servers said last."""
    from newsletter import issues, newsletters, summaries, wiring
    from newsletter.issues import control

    settings = say.settings()
    with wiring.sessions_of(settings).read() as session:
        issue = issues.find(session, newsletters.find(session, slug), name)
        view = control.show(session, issue, now=wiring.utcnow())
        spent = summaries.usage(session, issue.id)
    if as_json:
        say.as_json({**vars(view), "model": spent})
        return
    _show(view)
    if spent.calls:
        used = f"{spent.calls} calls, {spent.input_tokens + spent.output_tokens:,} tokens"
        cost = say.money(spent.cost_micros, settings.summaries.currency)
        typer.echo(f"\nThe language model: {spent.made} made, {spent.refused} refused, {spent.failed} failed; {used}, {cost}")


def _show(view: "View") -> None:
    typer.echo(f"{view.newsletter} {view.issue}: {view.status}" + (f", {view.reason}" if view.reason else ""))
    if view.pause:
        until = say.moment(view.pause.until) if view.pause.until else f"newsletter issues resume {view.newsletter} {view.issue}"
        typer.echo(f"PAUSED until {until}. {view.pause.cause}")
    if view.catch_up:
        typer.echo("Catching up: it was published when the turn of the next had come, and comes beside what else a day brings.")
    if view.subject:
        typer.echo(f"Subject: {view.subject}")
    stages = view.stages
    typer.echo("")
    say.table(
        ("stage", "at"),
        [
            ("assembled", say.moment(stages.assembled_at)),
            *_review(stages),
            ("frozen", say.moment(stages.frozen_at)),
            ("published", say.moment(stages.published_at)),
            *([("due from", say.moment(stages.due_from))] if stages.due_from else []),
            ("cancelled" if view.status == "cancelled" else "all sent", say.moment(stages.finished_at)),
        ],
    )
    typer.echo("")
    say.table(("mails", "state", "why"), [(row.number, row.status, row.reason) for row in view.deliveries], empty="No mails yet.")
    if view.words:
        typer.echo("\nThe last servers that did not say yes:\n")
        rows = [(row.delivery, say.short(row.at), row.status, row.server, row.reply) for row in view.words]
        say.table(("number", "at (UTC)", "state", "server", "it said"), rows)
    typer.echo("")
    say.table(
        ("", "paper", "summary"),
        [(row.position, row.title, _telling(row)) for row in view.papers],
        empty="No papers.",
    )
    if view.edits:
        typer.echo("\nWhat editors did, the latest first:\n")
        changes = [(say.short(row.at), row.editor, row.action, row.paper, _change(row)) for row in view.edits]
        say.table(("at (UTC)", "who", "what", "paper", ""), changes)


def _review(stages: "Stages") -> list[tuple[str, str]]:
    """Return the line of an issue that waits for approval, or was approved; of one that nobody has to look at none."""
    if stages.approved_at:
        return [("approved", say.moment(stages.approved_at))]
    if stages.review_until and not stages.frozen_at:
        return [("to be approved by", say.moment(stages.review_until))]
    return []


def _telling(row: "Placed") -> str:
    if row.dropped:
        return "left out by an editor"
    return (row.summary or "none") + (", pinned" if row.pinned else "")


def _change(row: "Change") -> str:
    """Say from what to what: numbers alone, for words are too many."""
    return f"{row.before} → {row.after}" if row.action == "move" else ""


@group.command()
def approve(slug: Slug, name: Name) -> None:
    """Let an issue go that waits for approval; the clock sends it within a minute."""
    from newsletter import issues, newsletters, wiring

    with wiring.sessions_of(say.settings()).begin() as session:
        issue = issues.find(session, newsletters.find(session, slug), name)
        issue = issues.approve(session, issue.id, by=say.person(), now=wiring.utcnow())
        by = issue.approved_by
    typer.echo(
        f"{slug} {name} is approved by {by}. The clock sends it; without the clock: newsletter run {issue.last_day} -n {slug}"
    )


@group.command()
def cancel(
    slug: Slug, name: Name, reason: Annotated[str, typer.Option(help="Why: shown wherever the issue is.", show_default=False)]
) -> None:
    """Stop an issue for good: what has not begun is skipped at once, and its papers come with the next issue."""
    from newsletter import issues, newsletters, wiring
    from newsletter.issues import control

    with wiring.sessions_of(say.settings()).begin() as session:
        issue = issues.find(session, newsletters.find(session, slug), name)
        ended = control.call_off(session, issue.id, reason=reason, now=wiring.utcnow())
    typer.echo(f"{slug} {name} is cancelled. Skipped: {say.mails(ended.skipped)}; sent before: {ended.sent}.")


@group.command()
def pause(
    slug: Slug,
    name: Name,
    until: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"], help="In UTC; until you resume it if not given."),
    ] = None,
    note: Note = "",
) -> None:
    """Let an issue wait: nothing of it begins any more within seconds. What comes too late by then is not sent."""
    from newsletter import issues, newsletters, wiring
    from newsletter.deliveries import control

    end = until.replace(tzinfo=UTC) if until else None
    with wiring.sessions_of(say.settings()).begin() as session:
        issue = issues.find(session, newsletters.find(session, slug), name)
        control.pause(session, issue.id, control.Decision(say.person(), note), until=end, now=wiring.utcnow())
    how = f"until {say.moment(end)}" if end else f"until: newsletter issues resume {slug} {name}"
    typer.echo(f"{slug} {name} is paused {how}")


@group.command()
def resume(slug: Slug, name: Name) -> None:
    """Let a paused issue go on: what waited is due at once."""
    from newsletter import issues, newsletters, wiring
    from newsletter.deliveries import control

    settings = say.settings()
    with wiring.sessions_of(settings).begin() as session:
        issue = issues.find(session, newsletters.find(session, slug), name)
        was_paused = control.go_on(session, issue.id, now=wiring.utcnow())
    say.wake(settings)
    typer.echo(f"{slug} {name} goes on." if was_paused else f"Nothing changed: {slug} {name} is not paused.")


@group.command()
def resend(
    slug: Slug,
    name: Name,
    reason: Annotated[
        list[str] | None,
        typer.Option(help="Only those whose reason contains this; may be given again. Also the hopeless, if it names them."),
    ] = None,
    held: Annotated[
        bool, typer.Option("--held", help="Also those who may have got it, as the held: they may get it twice.")
    ] = False,
    note: Note = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show who was not reached.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Only show who was not reached, for scripts.")] = False,
    yes: Yes = False,
) -> None:
    """Send an issue again to those it did not reach. Nobody who got it is among them, nor who has left since."""
    from newsletter import issues, newsletters, wiring
    from newsletter.deliveries import control

    settings = say.settings()
    sessions = wiring.sessions_of(settings)
    with sessions.read() as session:
        issue = issues.find(session, newsletters.find(session, slug), name)
        found = control.unreached(session, issue.id)
    chosen = [row for row in found if _is_chosen(row, reason or [], held=held)]
    if as_json:
        say.as_json([_row(row, again=row in chosen) for row in found])
        return
    _show_unreached(found, chosen)
    number = sum(row.number for row in chosen)
    if dry_run or not number:
        return
    if not yes:
        typer.confirm(f"\nSend {say.mails(number)} again?", abort=True)
    with sessions.begin() as session:
        decision = control.Decision(say.person(), note)
        queued = control.resend(session, issue.id, chosen, decision, now=wiring.utcnow())
    say.wake(settings)
    typer.echo(f"Queued {say.mails(queued)} of {slug} {name} again. The workers send them, or: newsletter send")


def _is_chosen(row: "Unreached", reasons: Sequence[str], *, held: bool) -> bool:
    """Say whether a group is sent again: the doubtful only where they were asked for."""
    if row.may_have_arrived:
        return held and _is_named(row, reasons)
    return _is_named(row, reasons) and (bool(reasons) or not row.doubt)


def _is_named(row: "Unreached", reasons: Sequence[str]) -> bool:
    return not reasons or any(words.casefold() in row.reason.casefold() for words in reasons)


def _row(row: "Unreached", *, again: bool) -> dict[str, Any]:
    shown = {name: getattr(row, name) for name in ("status", "reason", "number", "gone", "doubt")}
    return {**shown, "again": again}


def _show_unreached(found: Sequence["Unreached"], chosen: Sequence["Unreached"]) -> None:
    say.table(
        ("again", "mails", "left since", "state", "why", ""),
        [
            (say.good("yes") if row in chosen else "no", row.number, row.gone or "", row.status, row.reason, _advice(row, chosen))
            for row in found
        ],
        empty="Nobody is left to be reached: no mail of it failed or is held.",
    )


def _advice(row: "Unreached", chosen: Sequence["Unreached"]) -> str:
    if row in chosen or not row.doubt:
        return ""
    return f"{row.doubt}: --held" if row.may_have_arrived else f"{row.doubt}: --reason"
