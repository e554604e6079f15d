"""Commands about one reader, and the list of them."""

from typing import Annotated, Any

import typer

from newsletter.cli import people_files, say
from newsletter.errors import BadInput

group = typer.Typer(
    no_args_is_help=True, help="Add, show, list, unsubscribe, suppress and erase readers; bring them in from files."
)


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    people_files.register(group)
    app.add_typer(group, name="subscribers", rich_help_panel="Newsletters and readers")


@group.command()
def add(
    email: Annotated[str, typer.Argument(help="The reader's address.")],
    newsletter: Annotated[list[str], typer.Option("--newsletter", "-n", help="May be given again.", show_default=False)],
    language: Annotated[str, typer.Option(help="Of the pages and mails about the subscription.")] = "en",
    zone: Annotated[str, typer.Option(help="The reader's time zone, as Asia/Seoul; the newsletter's if not given.")] = "",
    consent: Annotated[
        str,
        typer.Option(help="Where and how they agreed, if you have it on record: makes it active without a confirmation mail."),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="What came of it, for scripts.")] = False,
) -> None:
    """Add a subscriber: they get a mail to confirm, unless you state the consent you have on record.

    Whoever has left, or is suppressed, comes back only by confirming it themselves.
    """
    from newsletter import i18n, newsletters, schedule, subscribers, wiring

    settings = say.settings()
    if zone:
        schedule.zone(zone)
    if language not in i18n.languages():
        raise BadInput(f"language: mails cannot speak {language!r}.", hint=f"They speak {', '.join(i18n.languages())}.")
    with wiring.sessions_of(settings).begin() as session:
        ids = tuple(newsletters.find(session, slug).id for slug in newsletter)
        asked = subscribers.Request(
            address=subscribers.parse_address(email),
            newsletter_ids=ids,
            language=language,
            source="operator",
            wording=consent or "added by the operator, confirmed by mail",
            zone=zone,
        )
        policy, now = wiring.policy_of(settings), wiring.utcnow()
        added: list[str] = []
        if consent:
            added = subscribers.add_recorded(session, asked, policy, now=now)
        else:
            subscribers.request(session, asked, policy, now=now)
    if as_json:
        say.as_json({"address": asked.address.text, "subscribed": added, "asked_to_confirm": not consent})
    elif not consent:
        typer.echo(f"{asked.address.text} gets a mail to confirm; it is sent by the workers, or by `newsletter send`.")
    elif added:
        typer.echo(f"{asked.address.text} is subscribed to {', '.join(added)}.")
    else:
        typer.echo("Nothing changed: they are known already, have left, or are suppressed. They can sign up themselves.")


@group.command()
def unsubscribe(
    email: Annotated[str, typer.Argument(help="The reader's address.")],
    newsletter: Annotated[
        list[str] | None, typer.Option("--newsletter", "-n", help="Only from this one; may be given again.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="What it ended, for scripts.")] = False,
) -> None:
    """Take a reader off, at once and also for mails already queued. They get a mail that says so, with the way back."""
    from newsletter import newsletters, subscribers, wiring

    with wiring.sessions_of(say.settings()).begin() as session:
        ids = [newsletters.find(session, slug).id for slug in newsletter or ()]
        address = subscribers.parse_address(email)
        ended = subscribers.unsubscribe_address(session, address, ids, by="operator", now=wiring.utcnow())
    if as_json:
        say.as_json({"address": address.text, "ended": [row.slug for row in ended]})
    elif ended:
        typer.echo(f"{address.text} is unsubscribed from {', '.join(row.title for row in ended)}.")
    else:
        typer.echo(f"Nothing changed: {address.text} gets none of these.")


@group.command()
def suppress(
    email: Annotated[str, typer.Argument(help="The address; it need be no reader's.")],
    reason: Annotated[str, typer.Option(help="Why, and on what evidence: kept with it.")],
    as_json: Annotated[bool, typer.Option("--json", help="The suppression that holds, for scripts.")] = False,
) -> None:
    """Never mail an address again, not even what is queued. Only its person can undo that, by signing up anew."""
    from newsletter import subscribers, wiring
    from newsletter.models import SuppressionReason

    settings = say.settings()
    address, policy = subscribers.parse_address(email), wiring.policy_of(settings)
    if not reason.strip():
        raise BadInput("reason: it is empty.", hint="Say who asked, when and how: nobody else will remember.")
    with wiring.sessions_of(settings).begin() as session:
        evidence, operator = f"{say.person()}: {reason.strip()}", SuppressionReason.OPERATOR
        is_new = subscribers.suppress(session, address, policy, operator, evidence=evidence, now=wiring.utcnow())
        known = subscribers.suppression_of(session, address, policy)
    if as_json and known is not None:
        say.as_json({"address": address.text, "is_new": is_new, **subscribers.show_suppression(known)})
    elif is_new or known is None:
        typer.echo(f"{address.text} is suppressed: it gets no mail any more.")
    else:
        why = ", ".join(word for word in (known.reason.value, known.evidence) if word)
        typer.echo(f"Nothing changed: {address.text} is suppressed since {known.created_at:%Y-%m-%d} ({why}).")


@group.command()
def show(
    email: Annotated[str, typer.Argument(help="The reader's address.")],
    as_json: Annotated[bool, typer.Option("--json", help="All that is known, for scripts.")] = False,
) -> None:
    """Show a subscriber: each subscription's state and evidence, what became of the last mails, and whether it is suppressed."""
    from newsletter import subscribers, wiring
    from newsletter.errors import NotFound

    settings, address = say.settings(), subscribers.parse_address(email)
    with wiring.sessions_of(settings).read() as session:
        try:
            known = subscribers.show(session, address)
        except NotFound:
            suppression = subscribers.suppression_of(session, address, wiring.policy_of(settings))
            if suppression is None:
                raise
            known = {"address": address.text, "subscriptions": [], "deliveries": [], "bounces": []}
            known |= {"suppressed": suppression.reason.value, "suppression": subscribers.show_suppression(suppression)}
    if as_json:
        say.as_json(known)
    else:
        _show(known)


def _show(known: dict[str, Any]) -> None:
    since = f" ({known['language']}), since {known['since'][:10]}" if "since" in known else " is no subscriber"
    typer.echo(f"{known['address']}{since}{_suppressed(known['suppression'])}")
    if "since" not in known:
        return
    typer.echo("")
    say.table(("newsletter", "status", "cadence", "confirmed", "left"), [_subscription(row) for row in known["subscriptions"]])
    typer.echo("")
    say.table(("evidence for", "source", "words", "asked", "confirmed"), [_evidence(row) for row in known["subscriptions"]])
    typer.echo("")
    say.table(("mail", "status", "reason", "the server said", "when"), [_delivery(row) for row in known["deliveries"]])
    if known["bounces"]:
        typer.echo("")
        say.table(("reported", "of mail", "by", "action", "why", "when"), [_bounce(row) for row in known["bounces"]])


def _suppressed(suppression: dict[str, Any] | None) -> str:
    if suppression is None:
        return ""
    why = ", ".join(word for word in (suppression["reason"], suppression["evidence"]) if word)
    return f", suppressed: {why}; since {suppression['since'][:10]}"


def _evidence(row: dict[str, Any]) -> tuple[str, ...]:
    consent = row["consent"]
    asked, confirmed = (
        " from ".join(word for word in ((consent[f"{what}_at"] or "")[:16], consent[f"{what}_ip"]) if word)
        for what in ("requested", "confirmed")
    )
    return (row["newsletter"], consent["source"], consent["wording"], asked, confirmed)


def _subscription(row: dict[str, Any]) -> tuple[str, ...]:
    left = f"{row['unsubscribed_at'][:16]} by {row['unsubscribed_by']}" if row["unsubscribed_at"] else ""
    return (row["newsletter"], row["status"], row["cadence"], (row["confirmed_at"] or "")[:16], left)


def _delivery(row: dict[str, Any]) -> tuple[str, ...]:
    return (row["kind"], row["status"], row["reason"], row["reply"][:60], row["updated_at"][:19])


def _bounce(row: dict[str, Any]) -> tuple[object, ...]:
    why = " ".join(word for word in (row["status"], row["reason"]) if word)[:60]
    return (
        row["kind"],
        row["delivery"] or "–",
        row["source"],
        row["action"] or "not looked at yet",
        why,
        row["received_at"][:19],
    )


@group.command("list")
def listing(
    newsletter: Annotated[str, typer.Option("--newsletter", "-n", help="Only of this one.")] = "",
    after: Annotated[int, typer.Option(help="Go on after this number, the last of the page before.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """List subscribers, a page at a time."""
    from newsletter import newsletters, subscribers, wiring

    with wiring.sessions_of(say.settings()).read() as session:
        newsletter_id = newsletters.find(session, newsletter).id if newsletter else None
        rows = subscribers.listing(session, newsletter_id=newsletter_id, after=after, limit=limit)
    if as_json:
        say.as_json([{"number": row.id, "address": row.address, "language": row.language} for row in rows])
        return
    say.table(
        ("number", "address", "language", "since"),
        [(row.id, row.address, row.language, row.created_at.date()) for row in rows],
        empty="There are no subscribers.",
    )
    if len(rows) == limit:
        typer.echo(f"More: --after {rows[-1].id}")
