"""Commands about newsletters: the publications themselves."""

from typing import Annotated

import typer

from newsletter.cli import say
from newsletter.errors import BadInput

group = typer.Typer(
    no_args_is_help=False, help="List the newsletters; `newsletters add` adds one, `newsletters edit` changes one."
)


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.add_typer(group, name="newsletters", rich_help_panel="Newsletters and readers")


@group.callback(invoke_without_command=True)
def listing(context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False) -> None:
    """List the newsletters with their readers."""
    if context.invoked_subcommand is not None:
        return
    from newsletter import newsletters, subscribers, wiring

    with wiring.sessions_of(say.settings()).read() as session:
        rows = newsletters.listing(session)
        counts = {row.id: {status.value: n for status, n in subscribers.counts(session).get(row.id, {}).items()} for row in rows}
    if as_json:
        say.as_json([row.model_dump(mode="json") | {"subscriptions": counts[row.id]} for row in rows])
        return
    say.table(
        ("slug", "title", "language", "sources", "goes at", "active", "pending"),
        [
            (
                row.slug,
                row.title,
                row.language,
                ", ".join(row.sources),
                "when ready" if row.send_hour is None else f"{row.send_hour:02d}:00 {row.zone}",
                counts[row.id].get("active", 0),
                counts[row.id].get("pending", 0),
            )
            for row in rows
        ],
        empty="There is no newsletter yet. Add one: newsletter newsletters add --help",
    )


_TITLE = typer.Option(help="As readers see it.")
_FROM = typer.Option(help="The address it is sent from.")
_LANGUAGE = typer.Option(help="ko, en, …: of its mails and its summaries.")
_DESCRIPTION = typer.Option(help="One sentence for the sign-up page.")
_SOURCES = typer.Option(help="huggingface, documents:/path/to/folder, or sample; may be given again.")
_FROM_NAME = typer.Option(help="The sender's name; the title if not given.")
_REPLY_TO = typer.Option(help="Where replies go; the sender if not given.")
_POSTAL_ADDRESS = typer.Option(help="Stands at the foot of every mail, as the law wants; the installation's if not given.")
_ZONE = typer.Option(help="The time zone of its readers, as Asia/Seoul.")
_SEND_HOUR = typer.Option(min=0, max=23, help="The hour it goes at in the reader's zone; when it is ready if not given.")
_CUTOFF = typer.Option(min=1, max=48, help="Its issue is made so long after 00:00 UTC of its day.")
_GIVE_UP = typer.Option(min=1, max=168, help="So long after its hour a digest is no longer worth sending.")
_MAX_PAPERS = typer.Option(min=1, max=200, help="The most papers in an issue.")


@group.command()
def add(
    slug: Annotated[str, typer.Argument(help="Its name in web addresses: lower case, digits and hyphens.")],
    title: Annotated[str, _TITLE],
    from_address: Annotated[str, _FROM],
    language: Annotated[str, _LANGUAGE] = "en",
    description: Annotated[str, _DESCRIPTION] = "",
    source: Annotated[list[str], _SOURCES] = ["huggingface"],
    from_name: Annotated[str, _FROM_NAME] = "",
    reply_to: Annotated[str, _REPLY_TO] = "",
    postal_address: Annotated[str, _POSTAL_ADDRESS] = "",
    zone: Annotated[str, _ZONE] = "UTC",
    send_hour: Annotated[int | None, _SEND_HOUR] = None,
    cutoff_hours: Annotated[int, _CUTOFF] = 24,
    give_up_hours: Annotated[int, _GIVE_UP] = 12,
    max_papers: Annotated[int, _MAX_PAPERS] = 50,
    weekly: Annotated[bool, typer.Option("--weekly", help="Offer a weekly digest, too.")] = False,
) -> None:
    """Add a newsletter."""
    from newsletter import newsletters, wiring

    settings = say.settings()
    for name in source:
        wiring.source_of(settings, name)
    with wiring.sessions_of(settings).begin() as session:
        newsletters.add(
            session,
            newsletters.NewNewsletter(
                slug=slug,
                title=title,
                language=language,
                description=description,
                sources=tuple(source),
                from_name=from_name or title,
                from_address=from_address,
                reply_to=reply_to,
                postal_address=postal_address or settings.postal_address,
                zone=zone,
                send_hour=send_hour,
                cutoff_hours=cutoff_hours,
                give_up_hours=give_up_hours,
                max_papers=max_papers,
                cadences=_cadences(weekly=weekly),
            ),
            now=wiring.utcnow(),
        )
    typer.echo(f"Added {slug}. Its page: {settings.base_url}/archive/{slug}")


@group.command()
def form(slug: Annotated[str, typer.Argument(help="Which newsletter.")]) -> None:
    """Print the sign-up form for another site, as HTML."""
    from newsletter import newsletters, wiring
    from newsletter.web.embedding import snippet

    settings = say.settings()
    with wiring.sessions_of(settings).read() as session:
        typer.echo(snippet(newsletters.find(session, slug), settings.base_url))


@group.command()
def edit(
    slug: Annotated[str, typer.Argument(help="Which newsletter. Its slug stays: mails already sent name it.")],
    title: Annotated[str | None, _TITLE] = None,
    from_address: Annotated[str | None, _FROM] = None,
    language: Annotated[str | None, _LANGUAGE] = None,
    description: Annotated[str | None, _DESCRIPTION] = None,
    source: Annotated[list[str] | None, _SOURCES] = None,
    from_name: Annotated[str | None, _FROM_NAME] = None,
    reply_to: Annotated[str | None, _REPLY_TO] = None,
    postal_address: Annotated[str | None, typer.Option(help="Stands at the foot of every mail, as the law wants.")] = None,
    zone: Annotated[str | None, _ZONE] = None,
    send_hour: Annotated[
        str | None, typer.Option(metavar="HOUR|ready", help="The hour it goes at in the reader's zone, or: ready.")
    ] = None,
    cutoff_hours: Annotated[int | None, _CUTOFF] = None,
    give_up_hours: Annotated[int | None, _GIVE_UP] = None,
    max_papers: Annotated[int | None, _MAX_PAPERS] = None,
    weekly: Annotated[bool | None, typer.Option("--weekly/--no-weekly", help="Offer a weekly digest, too.")] = None,
) -> None:
    """Change what is given of a newsletter. It holds from the next issue on; frozen ones stay as they are."""
    from newsletter import newsletters, wiring

    settings = say.settings()
    for name in source or []:
        wiring.source_of(settings, name)
    given: dict[str, object] = {
        "title": title,
        "from_address": from_address,
        "language": language,
        "description": description,
        "sources": tuple(source) if source else None,
        "from_name": from_name,
        "reply_to": reply_to,
        "postal_address": postal_address,
        "zone": zone,
        "cutoff_hours": cutoff_hours,
        "give_up_hours": give_up_hours,
        "max_papers": max_papers,
        "cadences": None if weekly is None else _cadences(weekly=weekly),
    }
    changes = {name: value for name, value in given.items() if value is not None}
    if send_hour is not None:
        changes["send_hour"] = _hour(send_hour)
    if not changes:
        raise BadInput("Nothing is given that could be changed.", hint="`newsletter newsletters edit --help` lists what can be.")
    with wiring.sessions_of(settings).begin() as session:
        newsletters.edit(session, slug, changes)
    typer.echo(f"Changed {slug}: {', '.join(sorted(changes))}.")


def _cadences(*, weekly: bool) -> tuple[str, ...]:
    return ("daily", "weekly") if weekly else ("daily",)


def _hour(given: str) -> int | None:
    if given == "ready":
        return None
    if not given.isdecimal():
        raise BadInput(f"send_hour: {given!r} will not do.", hint="From 0 to 23, or the word: ready.")
    return int(given)
