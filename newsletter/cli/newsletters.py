"""Commands about newsletters: the publications themselves."""

from typing import Annotated

import typer

from newsletter.cli import say

group = typer.Typer(no_args_is_help=False, help="List the newsletters; add one with `newsletters add`.")


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


@group.command()
def add(
    slug: Annotated[str, typer.Argument(help="Its name in web addresses: lower case, digits and hyphens.")],
    title: Annotated[str, typer.Option(help="As readers see it.")],
    from_address: Annotated[str, typer.Option(help="The address it is sent from.")],
    language: Annotated[str, typer.Option(help="ko, en, …: of its mails and its summaries.")] = "en",
    description: Annotated[str, typer.Option(help="One sentence for the sign-up page.")] = "",
    source: Annotated[list[str], typer.Option(help="huggingface, documents:/path/to/folder, or sample; may be given again.")] = [
        "huggingface"
    ],
    from_name: Annotated[str, typer.Option(help="The sender's name; the title if not given.")] = "",
    reply_to: Annotated[str, typer.Option(help="Where replies go; the sender if not given.")] = "",
    postal_address: Annotated[
        str, typer.Option(help="Stands at the foot of every mail, as the law wants; the installation's if not given.")
    ] = "",
    zone: Annotated[str, typer.Option(help="The time zone of its readers, as Asia/Seoul.")] = "UTC",
    send_hour: Annotated[
        int | None, typer.Option(min=0, max=23, help="The hour it goes at in the reader's zone; when it is ready if not given.")
    ] = None,
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
                cadences=("daily", "weekly") if weekly else ("daily",),
            ),
            now=wiring.utcnow(),
        )
    typer.echo(f"Added {slug}. Its page: {settings.base_url}/archive/{slug}")
