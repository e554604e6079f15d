"""Commands about single mails: what became of each, in the server's words, and settling what nobody knows."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from newsletter.cli import say
from newsletter.cli.issues import AsJson, Note, Yes
from newsletter.errors import BadInput
from newsletter.lifecycle import ENDED, DeliveryStatus

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlmodel import Session

    from newsletter.config import Settings
    from newsletter.models import Attempt, Delivery, Issue

OfIssue = Annotated[str, typer.Option("--issue", metavar="SLUG/NAME", help="Of this issue, as daily-papers/2024-03-14.")]
_SHOWN = ("id", "kind", "status", "address", "reason", "attempts", "created_at", "due_at", "give_up_at", "updated_at", "sent_at")
_WORDS = {
    "status": "state",
    "address": "to",
    "reason": "why",
    "created_at": "queued",
    "due_at": "due",
    "give_up_at": "given up after",
    "updated_at": "last change",
    "sent_at": "sent",
    "message_id": "Message-ID",
    "sent_again_after_loss": "sent again after a loss",
    "worker": "by worker",
}
_REPORTED = {"at": "received_at", "kind": "kind", "status": "status", "reason": "reason", "action": "action"}
_SAID = {
    "server": "the server",
    "phase": "answered at",
    "code": "with code",
    "enhanced": "enhanced code",
    "text": "and the words",
}

group = typer.Typer(no_args_is_help=True, help="Every mail, what became of it, and settling what nobody knows.")


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.add_typer(group, name="deliveries", rich_help_panel="Issues and mails")


@group.command("list")
def listing(
    issue: OfIssue = "",
    status: Annotated[list[DeliveryStatus] | None, typer.Option(help="In this state; may be given again.")] = None,
    address: Annotated[str, typer.Option(help="To this address.")] = "",
    before: Annotated[int | None, typer.Option(help="Go on before this number, the last of the page before.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List mails of every kind, the newest first, a page at a time."""
    from newsletter import subscribers, wiring
    from newsletter.deliveries import control

    with wiring.sessions_of(say.settings()).read() as session:
        to = subscribers.parse_address(address) if address else None
        wanted = control.Wanted(
            issue_id=_issue(session, issue).id if issue else None,
            statuses=tuple(status or ()),
            address=to.text if to else "",
            address_key=to.key if to else "",
        )
        rows = control.listing(session, wanted, before_id=before, limit=limit)
    if as_json:
        say.as_json([_plain(row) for row in rows])
        return
    say.table(
        ("number", "mail", "to", "state", "at (UTC)", "why"),
        [(row.id, _kind(row), row.address, row.status.value, say.short(row.updated_at), _why(row)) for row in rows],
        empty="There are no such mails.",
    )
    if len(rows) == limit:
        typer.echo(f"More: --before {rows[-1].id}")


def _issue(session: "Session", given: str) -> "Issue":
    from newsletter import issues, newsletters

    slug, slash, name = given.partition("/")
    if not slash:
        raise BadInput(f"{given!r} is no issue.", hint="Name it as daily-papers/2024-03-14.")
    return issues.find(session, newsletters.find(session, slug), name)


def _kind(row: "Delivery") -> str:
    return "test" if row.kind == "digest" and row.issue_id is None else row.kind.value


def _why(row: "Delivery") -> str:
    return row.reason or ("" if row.status is DeliveryStatus.SENT else _said(row))


def _said(row: "Delivery") -> str:
    return " ".join(word for word in (str(row.reply_code or ""), row.reply_enhanced, row.reply_text) if word)


def _plain(row: "Delivery") -> dict[str, Any]:
    reply = {name: getattr(row, f"reply_{name}") for name in _SAID}
    return {name: getattr(row, name) for name in _SHOWN} | {"reply": reply if row.reply_phase else None}


@group.command()
def show(
    number: Annotated[int, typer.Argument(help="Its number, as `deliveries list` shows it.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Show all that is known of a mail; its Message-ID is what to look for in the relay's log."""
    from newsletter import wiring
    from newsletter.deliveries import control

    settings = say.settings()
    with wiring.sessions_of(settings).read() as session:
        row = control.find(session, number)
        known = _plain(row) | _context(session, settings, row)
    if as_json:
        say.as_json(known)
        return
    reply = known.pop("reply")
    reports, history, _ = known.pop("reports"), known.pop("history"), [known.pop(name) for name in ("id", "kind", "test")]
    said = {_SAID[name]: value for name, value in (reply or {}).items()}
    shown = {_WORDS.get(name, name): value for name, value in (known | said).items() if value}
    say.table((f"mail {number}", _kind(row)), [(words, _cell(value)) for words, value in shown.items()])
    if history:
        typer.echo("\nWhat each attempt came to:\n")
        lines = [(each["attempt"], say.short(each["at"]), each["status"], each["server"], _words(each)) for each in history]
        say.table(("attempt", "at (UTC)", "state", "the server", "why, and its words"), lines)
    if reports:
        typer.echo("\nReported later:\n")
        told = [(say.short(row["at"]), row["kind"], row["action"] or "not looked at yet", row["reason"]) for row in reports]
        say.table(("at (UTC)", "kind", "action", "why"), told)


def _context(session: "Session", settings: "Settings", row: "Delivery") -> dict[str, Any]:
    """Return what a mail belongs to, and the names it goes by elsewhere."""
    from newsletter import schedule, wiring
    from newsletter.deliveries import attempts, control
    from newsletter.deliveries.mailer import TEST_OF
    from newsletter.models import Issue, Newsletter

    newsletter = session.get(Newsletter, row.newsletter_id) if row.newsletter_id else None
    issue_id = row.issue_id or row.values.get(TEST_OF)
    issue = session.get(Issue, issue_id) if issue_id else None
    sender = newsletter.from_address if newsletter else settings.operator_email
    return {
        "newsletter": newsletter.slug if newsletter else None,
        "issue": schedule.name_of(issue.cadence, issue.first_day) if issue else None,
        "test": row.issue_id is None and issue is not None,
        "message_id": wiring.links_of(settings).message_id(row.id, sender.rpartition("@")[2]),
        "sent_again_after_loss": row.resends,
        "worker": row.claimed_by,
        "history": _history(row, attempts.of(session, row.id)),
        "reports": [
            {name: getattr(report, column) for name, column in _REPORTED.items()} for report in control.reports(session, row.id)
        ],
    }


def _history(row: "Delivery", before: "Sequence[Attempt]") -> list[dict[str, Any]]:
    """Return what each attempt came to, the oldest first, and how the mail ended after them."""
    history = [_attempt(each, each.number, each.at) for each in before]
    ended = [_attempt(row, row.attempts, row.sent_at or row.updated_at)] if row.status in ENDED else []
    if history and ended and (history[-1]["status"], history[-1]["reason"]) != (row.status, row.reason):
        history += ended
    return history or ended


def _attempt(row: "Delivery | Attempt", number: int, at: "datetime") -> dict[str, Any]:
    reply = {name: getattr(row, f"reply_{name}") for name in _SAID}
    return {"attempt": number, "at": at, "status": row.status, "reason": row.reason, **reply}


def _words(each: dict[str, Any]) -> str:
    said = " ".join(str(each[name]) for name in ("code", "enhanced", "text") if each[name])
    return ": ".join(words for words in (each["reason"], said) if words)


def _cell(value: object) -> str:
    from datetime import datetime

    return say.moment(value) if isinstance(value, datetime) else str(value)


@group.command()
def resolve(
    as_: Annotated[
        Literal["sent", "failed", "resend"],
        typer.Option("--as", help="What you found out: it was sent, it failed; or: send it again.", show_default=False),
    ],
    numbers: Annotated[list[int] | None, typer.Argument(help="The mails' numbers, as `deliveries list` shows them.")] = None,
    issue: OfIssue = "",
    note: Note = "",
    yes: Yes = False,
) -> None:
    """Settle mails that are held or unknown, by their numbers or a whole issue's; a failed one can be sent again."""
    from newsletter import wiring
    from newsletter.deliveries import control

    if bool(numbers) == bool(issue):
        raise BadInput("Which mails is not said.", hint="Give their numbers, or --issue SLUG/NAME for all of an issue.")
    settled, decision = control.Settled(as_), control.Decision(say.person(), note)
    if issue and settled is control.Settled.RESEND and not yes:
        typer.confirm("Those who got it already will get it twice. Send them again?", abort=True)
    with wiring.sessions_of(say.settings()).begin() as session:
        now = wiring.utcnow()
        for number in numbers or ():
            control.resolve(session, number, settled, decision, now=now)
        done = (
            control.resolve_issue(session, _issue(session, issue).id, settled, decision, now=now) if issue else len(numbers or ())
        )
    how = {"sent": "as sent", "failed": "as failed", "resend": "by sending again: the workers do, or: newsletter send"}[as_]
    typer.echo(f"Settled {say.mails(done)} {how}.")
