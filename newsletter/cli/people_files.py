"""Commands that bring readers in from files, write them to files, and forget them."""

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from newsletter.cli import say
from newsletter.errors import BadInput
from newsletter.lifecycle import SubscriptionStatus

if TYPE_CHECKING:  # `--help` reads no file
    from newsletter.config import Settings
    from newsletter.subscribers.csv_files import RefusedRows, Sheet
    from newsletter.subscribers.import_queries import Plan
    from newsletter.subscribers.importing import Told
    from newsletter.subscribers.wishes import Format

SHOWN = 20  # rows of a dry run
_SAY_EVERY = 10.0  # seconds, where nobody sees a line change


def register(group: typer.Typer) -> None:
    """Add the commands to those about readers."""
    group.command("import")(import_file)
    group.command("export")(export_file)
    group.command("erase")(erase)


def import_file(
    file: Annotated[Path, typer.Argument(help="CSV: ours, listmonk's, Mailchimp's, or any with a column email.", dir_okay=False)],
    newsletter: Annotated[str, typer.Option("--newsletter", "-n", help="Which one; needed unless each row names its own.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen, row by row; change nothing.")] = False,
    consent_recorded: Annotated[
        str, typer.Option(help="Where and how they agreed, as you have it on record: who is subscribed there is active here.")
    ] = "",
    send_confirmations: Annotated[
        bool, typer.Option("--send-confirmations", help="Mail those who wait, once each, to confirm.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option(help="Where the rows that are not taken go; FILE.refused.csv if not given.", show_default=False)
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say what becomes of every row.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a row, for scripts.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before mailing.")] = False,
) -> None:
    """Bring readers in from a file. What it takes away is believed; what it gives waits for their confirmation.

    Nobody who left or is suppressed comes back by it. It can be repeated, and begun again where it was broken off.
    """
    from newsletter import wiring
    from newsletter.subscribers import importing
    from newsletter.subscribers.csv_files import RefusedRows, open_sheet
    from newsletter.subscribers.wishes import recognise

    settings = say.settings()
    with open_sheet(file) as sheet:
        form = recognise(sheet.columns, file)
        plan = _plan(settings, form, file, newsletter, consent_recorded, confirmations=send_confirmations, dry_run=dry_run)
        _introduce(sheet, form)
        if send_confirmations and not (dry_run or yes):
            typer.confirm(f"Everybody in {file.name} who waits gets a mail to confirm. Go on?", abort=True, err=True)
        refused = RefusedRows(_beside(file, report), sheet.columns)
        run = importing.run(wiring.sessions_of(settings), sheet, form, plan, wiring.policy_of(settings), now=wiring.utcnow())
        with closing(refused):
            counts = _follow(
                run,
                sheet,
                None if dry_run and report is None else refused,
                _teller(dry_run=dry_run, verbose=verbose, as_json=as_json),
            )
    _sum_up(counts, refused, plan)


def _beside(file: Path, report: Path | None) -> Path:
    """Return where the rows go that are not taken: never over the file they come from."""
    if report is not None and report.resolve() == file.resolve():
        raise BadInput(f"{report}: this is the file that is read.", hint="Give --report another name.")
    return report or file.with_name(f"{file.name}.refused.csv")


def _plan(
    settings: "Settings", form: "Format", file: Path, newsletter: str, consent: str, *, confirmations: bool, dry_run: bool
) -> "Plan":
    from newsletter import newsletters, wiring
    from newsletter.subscribers.import_queries import Plan

    with wiring.sessions_of(settings).read() as session:
        known = {row.slug: row for row in newsletters.listing(session)}
        if newsletter:
            newsletters.find(session, newsletter)
        elif "newsletter" not in form.columns:
            raise BadInput("Which newsletter is it?", hint=f"Add --newsletter; there are: {', '.join(known)}.")
    return Plan(known, file.name, newsletter, consent.strip(), confirmations, dry_run)


def _introduce(sheet: "Sheet", form: "Format") -> None:
    ignored = ", ".join(form.ignored())
    not_used = f" Not used: {ignored}." if ignored else ""
    typer.echo(f"{sheet.path}: {form.name}; {sheet.encoding}, parted by {sheet.delimiter}.{not_used}", err=True)


def _teller(*, dry_run: bool, verbose: bool, as_json: bool) -> "Callable[[Told], None]":
    """Return what says what becomes of a row: of all, of the first, or of none."""
    left = SHOWN if dry_run and not (verbose or as_json) else 0

    def tell(told: "Told") -> None:
        nonlocal left
        if as_json:
            typer.echo(json.dumps(_as_json(told), ensure_ascii=False))
        elif verbose or left:
            left -= 1
            words = f": {told.words}" if told.words else ""
            typer.echo(f"{told.row.line:>7}  {told.address or '–'}  {told.outcome}{words}")

    return tell


def _as_json(told: "Told") -> dict[str, object]:
    return {
        "line": told.row.line,
        "address": told.address,
        "newsletter": told.newsletter,
        "outcome": told.outcome.value,
        "words": told.words,
    }


def _follow(
    run: "Iterator[list[Told]]", sheet: "Sheet", refused: "RefusedRows | None", tell: "Callable[[Told], None]"
) -> Counter[str]:
    """Work through an import, say how it goes, and return how many rows came to what."""
    from newsletter.subscribers.deciding import Outcome

    counts: Counter[str] = Counter()
    progress = _Progress(sheet)
    for chunk in run:
        for told in chunk:
            counts[told.outcome.value] += 1
            tell(told)
            if refused is not None and told.outcome in {Outcome.REFUSED, Outcome.DUPLICATE}:
                refused.add(told.row, told.words)
        progress.say(counts.total())
    progress.end()
    return counts


class _Progress:
    """How far an import is, on the error output: one line that changes on a terminal, a line now and then in a log."""

    def __init__(self, sheet: "Sheet") -> None:
        self._sheet = sheet
        self._started = self._said = time.monotonic()
        self._is_terminal = sys.stderr.isatty()

    def say(self, rows: int) -> None:
        """Say how many rows are done, how fast, and how long the rest takes at this rate."""
        now = time.monotonic()
        if not self._is_terminal and now - self._said < _SAY_EVERY:
            return
        self._said, took = now, max(now - self._started, 0.001)
        left = took * (self._sheet.size / max(self._sheet.read, 1) - 1)
        line = f"{rows:,} rows, {rows / took:,.0f} a second, {left:,.0f} s left"
        typer.echo(f"\r{line:<60}" if self._is_terminal else line, nl=not self._is_terminal, err=True)

    def end(self) -> None:
        """Leave the line that changed."""
        if self._is_terminal:
            typer.echo("", err=True)


def _sum_up(counts: Counter[str], refused: "RefusedRows", plan: "Plan") -> None:
    """Say what came of the whole file, on the error output: the other is the rows'."""
    parts = ", ".join(f"{number:,} {outcome}" for outcome, number in counts.most_common())
    typer.echo(f"{counts.total():,} rows{' would be' if plan.dry_run else ''}: {parts or 'nothing'}.", err=True)
    if refused.number:
        typer.echo(f"The {refused.number:,} that were not taken, each with its reason: {refused.path}", err=True)
    if plan.dry_run:
        typer.echo("Nothing was changed.", err=True)
    elif counts["add pending"] and not plan.confirmations:
        hint = "--send-confirmations asks them; --consent-recorded is for consent you have on record."
        typer.echo(f"{counts['add pending']:,} wait to be confirmed, and nobody was mailed. {hint}", err=True)


def export_file(
    newsletter: Annotated[str, typer.Option("--newsletter", "-n", help="Only of this one.")] = "",
    status: Annotated[SubscriptionStatus | None, typer.Option(help="Only these.", show_default=False)] = None,
    to: Annotated[str, typer.Option(help="The file; - for standard output.")] = "-",
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a line instead of CSV.")] = False,
) -> None:
    """Write all subscriptions with their evidence, as an import takes them back; docs/operating.md tells the columns."""
    from newsletter import newsletters, wiring
    from newsletter.subscribers import exporting
    from newsletter.subscribers.csv_files import private_file

    sessions = wiring.sessions_of(say.settings())
    with sessions.read() as session:
        newsletter_id = newsletters.find(session, newsletter).id if newsletter else None
    rows = exporting.export(sessions, newsletter_id=newsletter_id, status=status)
    with nullcontext(sys.stdout) if to == "-" else private_file(Path(to)) as file:
        number = exporting.write_json(rows, file) if as_json else exporting.write_csv(rows, file)
    typer.echo(f"{number:,} subscriptions" + ("." if to == "-" else f" are in {to}."), err=True)


def erase(
    email: Annotated[str, typer.Argument(help="The address; it need be no reader's.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="What was erased, for scripts.")] = False,
) -> None:
    """Forget a person for good: all but a keyed hash, so that no file brings the address back, and the count of mails."""
    from newsletter import subscribers, wiring

    settings, address = say.settings(), subscribers.parse_address(email)
    if not yes:
        typer.confirm(f"All that is known of {address.text} is erased, and cannot be brought back. Go on?", abort=True, err=True)
    with wiring.sessions_of(settings).begin() as session:
        erased = subscribers.erase(session, address, wiring.policy_of(settings), now=wiring.utcnow())
    if as_json:
        say.as_json(erased)
        return
    known = f"{erased.subscriptions} subscriptions" if erased.subscriber else "they were no subscriber"
    typer.echo(
        f"{address.text} is erased: {known}, {erased.letters} letters; {erased.deliveries} mails have no address any more."
    )
    if erased.stopped:
        typer.echo(f"{say.mails(erased.stopped)} that waited will not be sent.")
    typer.echo("Backups, and what was already delivered, still name them.")
