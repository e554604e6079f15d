"""Commands about newsletters: the publications themselves."""

from typing import Annotated, Any

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
        ("slug", "title", "language", "sources", "goes at", "review", "active", "pending"),
        [
            (
                row.slug,
                row.title,
                row.language,
                ", ".join(row.sources),
                "when ready" if row.send_hour is None else f"{row.send_hour:02d}:00 {row.zone}",
                row.review.value,
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
_SOURCES = typer.Option(
    help="huggingface, arxiv:cs.CL, arxiv-query:…, feed:https://…, documents:/folder, sample; may be given again."
)
_FROM_NAME = typer.Option(help="The sender's name; the title if not given.")
_REPLY_TO = typer.Option(help="Where replies go; the sender if not given.")
_POSTAL_ADDRESS = typer.Option(help="Stands at the foot of every mail, as the law wants; the installation's if not given.")
_ZONE = typer.Option(help="The time zone of its readers, as Asia/Seoul.")
_SEND_HOUR = typer.Option(min=0, max=23, help="The hour it goes at in the reader's zone; when it is ready if not given.")
_CUTOFF = typer.Option(min=1, max=48, help="Its issue is made so long after 00:00 UTC of its day.")
_GIVE_UP = typer.Option(min=1, max=168, help="So long after its hour a digest is no longer worth sending.")
_MAX_PAPERS = typer.Option(min=1, max=200, help="The most papers that a mail tells in full; the others are one line each.")
_WEEKLY_PAPERS = typer.Option(min=1, max=200, help="The most papers in a weekly issue: the best of the week by votes.")
_PATIENCE = typer.Option(min=0, max=72, help="So long after the cut-off an issue waits for a source that fails.")
_CATCH_UP = typer.Option(metavar="each|merged", help="After an outage of days: an issue for each of them, or one for all.")
_REVIEW = typer.Option(
    metavar="automatic|then-send|then-hold",
    help="Whether an issue waits for your approval; what nobody approves in time is sent, or held.",
)
_REVIEW_HOURS = typer.Option(min=1, max=72, help="How long it waits for approval.")
_NO_MATCH = typer.Option(
    metavar="skip|short", help="What readers get of an issue without a paper of their topics: no mail, or a line a paper."
)


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
    weekly_papers: Annotated[int, _WEEKLY_PAPERS] = 20,
    patience_hours: Annotated[int, _PATIENCE] = 6,
    catch_up: Annotated[str, _CATCH_UP] = "each",
    review: Annotated[str, _REVIEW] = "automatic",
    review_hours: Annotated[int, _REVIEW_HOURS] = 6,
    no_match: Annotated[str, _NO_MATCH] = "skip",
    weekly: Annotated[bool, typer.Option("--weekly", help="Offer a weekly digest, too.")] = False,
) -> None:
    """Add a newsletter."""
    given = locals()
    from newsletter import newsletters, wiring

    settings = say.settings()
    for name in source:
        wiring.source_of(settings, name)
    wanted = _fields(given) | {"from_name": from_name or title, "postal_address": postal_address or settings.postal_address}
    with wiring.sessions_of(settings).begin() as session:
        newsletters.add(session, newsletters.NewNewsletter(**wanted), now=wiring.utcnow())
    typer.echo(f"Added {slug}. Its page: {settings.base_url}/archive/{slug}")


@group.command()
def show(
    slug: Annotated[str, typer.Argument(help="Which newsletter.")],
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Show all that is given of a newsletter, each as the option of `edit` that changes it."""
    from newsletter import newsletters, wiring

    with wiring.sessions_of(say.settings()).read() as session:
        found = newsletters.find(session, slug)
        given = found.model_dump(mode="json")
        row = {name: given[name] for name in type(found).model_fields}  # once expired, a row is dumped in any order
    if as_json:
        say.as_json(row)
        return
    said = {name: ", ".join(value) if isinstance(value, list) else value for name, value in row.items() if name != "id"}
    shown = ((name.replace("_", "-"), "" if value is None else str(value)) for name, value in said.items())
    say.table(("setting", "value"), list(shown))


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
    weekly_papers: Annotated[int | None, _WEEKLY_PAPERS] = None,
    patience_hours: Annotated[int | None, _PATIENCE] = None,
    catch_up: Annotated[str | None, _CATCH_UP] = None,
    review: Annotated[str | None, _REVIEW] = None,
    review_hours: Annotated[int | None, _REVIEW_HOURS] = None,
    no_match: Annotated[str | None, _NO_MATCH] = None,
    weekly: Annotated[bool | None, typer.Option("--weekly/--no-weekly", help="Offer a weekly digest, too.")] = None,
) -> None:
    """Change what is given of a newsletter. It holds from the next issue on; frozen ones stay as they are."""
    given = locals()
    from newsletter import newsletters, wiring

    settings = say.settings()
    for name in source or []:
        wiring.source_of(settings, name)
    changes = _fields(given)
    del changes["slug"]
    if send_hour is not None:
        changes["send_hour"] = _hour(send_hour)
    if not changes:
        raise BadInput("Nothing is given that could be changed.", hint="`newsletter newsletters edit --help` lists what can be.")
    with wiring.sessions_of(settings).begin() as session:
        newsletters.edit(session, slug, changes)
    typer.echo(f"Changed {slug}: {', '.join(sorted(changes))}.")


def _fields(options: dict[str, Any]) -> dict[str, Any]:
    """Return what the options that are given say of a newsletter."""
    given = {name: value for name, value in options.items() if value is not None}
    if source := given.pop("source", None):
        given["sources"] = tuple(source)
    weekly = given.pop("weekly", None)
    return given if weekly is None else given | {"cadences": _cadences(weekly=weekly)}


def _cadences(*, weekly: bool) -> tuple[str, ...]:
    return ("daily", "weekly") if weekly else ("daily",)


def _hour(given: str) -> int | None:
    if given == "ready":
        return None
    if not given.isdecimal():
        raise BadInput(f"send_hour: {given!r} will not do.", hint="From 0 to 23, or the word: ready.")
    return int(given)
