"""The command line: every operation an operator needs. Commands parse, call and say; the work is below."""

import sys

import typer

from newsletter import __version__
from newsletter.cli import (
    admin,
    bounces,
    control,
    days,
    deliveries,
    dkim,
    inbox,
    issues,
    newsletters,
    people,
    remarks,
    running,
    sources,
    summaries,
)
from newsletter.errors import DatabaseError, NewsletterError

app = typer.Typer(
    name="newsletter",
    help="A daily digest of AI papers, to every subscriber exactly once.\n\n"
    "Try it: [bold]newsletter demo[/]. Run it: [bold]newsletter up[/]. Settings come from the environment (NEWSLETTER_…) "
    "and from newsletter.toml; docs/operating.md lists them.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
running.register(app)
newsletters.register(app)
sources.register(app)
days.register(app)
issues.register(app)
remarks.register(app)
summaries.register(app)
deliveries.register(app)
control.register(app)
people.register(app)
dkim.register(app)
bounces.register(app)
inbox.register(app)
admin.register(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
) -> None:
    """Set what holds for every command."""
    del version


def main() -> None:
    """Run the command line; what a person can act on is said in two lines, and the exit code is 1."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        known = _known(error)
        if known is None:
            raise
        typer.secho(f"error: {known}", fg=typer.colors.RED, err=True)
        if known.hint:
            typer.echo(f"       {known.hint}", err=True)
        sys.exit(1)


def _known(error: Exception) -> NewsletterError | None:
    """Return an error as one of ours; None for a fault in the program, which is shown with all it says."""
    if isinstance(error, NewsletterError):
        return error
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return NewsletterError(f"{place}{error.strerror or error}.", hint="Name a file, folder or port that can be used.")
    databases = sys.modules.get("sqlalchemy.exc")  # not imported for this alone: it takes longer than `--help`
    if databases is not None and isinstance(error, databases.OperationalError):
        return DatabaseError(f"The database failed: {error.orig}.", hint="What was done before is kept. Run the command again.")
    return None
