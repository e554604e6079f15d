"""Commands that run: the processes one by one, all of them, the demo, and whether they are well."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit

import typer

from newsletter.cli import say
from newsletter.errors import BrokerError, NewsletterError

if TYPE_CHECKING:  # imported where it is used: other commands start without it
    from newsletter.config import Settings, SignUpSettings
    from newsletter.web import SignUp

_PANEL = "Running it"
_PARTS = "Its parts, one by one"


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command(rich_help_panel=_PANEL)(demo)
    app.command(rich_help_panel=_PANEL)(up)
    app.command(rich_help_panel=_PARTS)(migrate)
    app.command(rich_help_panel=_PARTS)(web)
    app.command(rich_help_panel=_PARTS)(worker)
    app.command(rich_help_panel=_PARTS)(beat)
    app.command(rich_help_panel=_PARTS)(mailbox)
    app.command(rich_help_panel=_PARTS)(health)


def demo(
    once: Annotated[bool, typer.Option("--once", help="Check what came, stop, and exit 0 only if all is right.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the pages; another if it is taken.")] = 8000,
) -> None:
    """Try it: two newsletters, six subscribers and a day of papers, everything real but the mail's last mile.

    It runs a broker, a worker, a clock, the pages and a local mail server with a mailbox in the browser, all on this
    machine and in a temporary folder. Nobody outside is mailed.
    """
    from newsletter import demo as demonstration

    raise typer.Exit(demonstration.run(once=once, port=port))


def up(
    host: Annotated[str, typer.Option(help="Where the pages listen; put a proxy that speaks TLS in front.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port of the pages.")] = 8000,
) -> None:
    """Run everything on this machine until Ctrl-C: pages, worker, clock, and a broker where REDIS_URL is not set."""
    from newsletter import local

    local.run(say.settings(), host=host, port=port, say=typer.echo)


def migrate() -> None:
    """Make the tables, or bring them up to this version. Run it after every upgrade; it can be repeated."""
    from newsletter import db

    before = db.migrate(db.connect(say.settings().database))
    typer.echo(f"The tables are of version {db.head()}" + (f" (they were of {before})." if before else " (they are new)."))


def web(
    host: Annotated[str, typer.Option(help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port to listen at.")] = 8000,
    proxies: Annotated[str, typer.Option(help="Addresses of proxies whose X-Forwarded-For is believed.")] = "127.0.0.1",
) -> None:
    """Serve the pages: sign-up, confirming, leaving, the archive."""
    import uvicorn

    from newsletter import wiring
    from newsletter.web import Services, create_app

    settings = say.settings(beside_up=False)
    services = Services(
        sessions=wiring.sessions_of(settings),
        links=wiring.links_of(settings),
        policy=wiring.policy_of(settings),
        wake=wiring.waker_of(settings),
        clock=wiring.utcnow,
        throttle=wiring.throttle_of(settings),
        sign_up=_sign_up_of(settings.sign_up),
        hooks=wiring.hooks_of(settings),
        admin=wiring.admin_rules_of(settings),
        currency=settings.summaries.currency,
        operator=settings.operator_email,
        rewrite=wiring.rewriter_of(settings),
    )
    # uvicorn's own access log would write tokens down.
    uvicorn.run(
        create_app(services),
        host=host,
        port=port,
        access_log=False,
        log_level="warning",
        forwarded_allow_ips=proxies,
        server_header=False,
    )


def _sign_up_of(given: "SignUpSettings") -> "SignUp":
    """Return how the form tells people from programs."""
    from newsletter.subscribers.domains import MailDomains
    from newsletter.web import SignUp

    if given.trials:
        return SignUp(seconds=0, trials=True)
    return SignUp(given.seconds, takes_mail=MailDomains().takes_mail) if given.check_domain else SignUp(given.seconds)


def worker(
    concurrency: Annotated[
        int | None,
        typer.Option(
            min=1, help="Tasks at once; one more than the cores if not given, two with a language model.", show_default=False
        ),
    ] = None,
) -> None:
    """Run a worker: it collects, assembles and sends. Any number may run, on any number of machines."""
    settings = _ready()
    # Summaries by a language model are waited for: one child more, or the other stages would wait with it.
    number = concurrency or (os.cpu_count() or 1) + 1 + settings.summaries.on
    _become_celery("worker", "--concurrency", str(number), "--hostname", "newsletter@%h", "--without-gossip", "--without-mingle")


def beat() -> None:
    """Run the clock. A second one waits and takes over when the first is gone."""
    _ready()
    _become_celery("beat")


def _ready() -> "Settings":
    """Say what is missing before Celery says it at length; return the settings."""
    from newsletter import wiring

    settings = say.settings(beside_up=False)
    wiring.sessions_of(settings)
    _answering_broker(settings.broker)
    return settings


def _answering_broker(url: str) -> str:
    """Return the broker's URL; raises BrokerError if nobody answers there."""
    from newsletter.embedded.valkey import answers

    if not answers(url):
        place = urlsplit(url)
        raise BrokerError(
            f"No broker answers at {place.hostname}:{place.port or 6379}.", hint="Is it running, and is REDIS_URL right?"
        )
    return url


def _become_celery(*words: str) -> None:
    """Replace this process by Celery's, so that signals reach it directly."""
    level = say.settings().log_level
    os.execv(sys.executable, [sys.executable, "-m", "celery", "--app", "worker", "--quiet", *words, "--loglevel", level])  # noqa: S606 -- our own interpreter


def mailbox(
    folder: Annotated[
        Path | None, typer.Option(help="Where the mail is kept; `mailbox` in the data folder if not given.", show_default=False)
    ] = None,
    host: Annotated[str, typer.Option(help="The address to listen at; it is for this machine alone.")] = "127.0.0.1",
    smtp_port: Annotated[int, typer.Option(min=0, max=65535, help="Mail comes in here.")] = 1025,
    port: Annotated[int, typer.Option(min=0, max=65535, help="And is read here, in a browser.")] = 8025,
) -> None:
    """Run a mail server that delivers to nobody and shows every mail in a browser."""
    import uvicorn

    from newsletter.mailbox.smtp import serve_smtp
    from newsletter.mailbox.store import Mailbox
    from newsletter.mailbox.web import create_mailbox_app

    folder = folder or say.settings().data_dir / "mailbox"
    box = Mailbox(folder)
    with serve_smtp(box, host, smtp_port):
        typer.echo(f"Mail to {host}:{smtp_port} is kept in {folder}; read it at http://{host}:{port}/mailbox")
        uvicorn.run(create_mailbox_app(box), host=host, port=port, access_log=False, log_level="warning")


def health(part: Annotated[Literal["web", "worker", "beat", "inbox"], typer.Argument(help="Which of the processes.")]) -> None:
    """Tell whether a process is well: exit code 0 if it is, else 1 and why."""
    checks = {"web": _web_is_well, "worker": _worker_is_well, "beat": _beat_is_well, "inbox": _inbox_is_well}
    checks[part]()
    typer.echo(f"{part} is well.")


def _web_is_well() -> None:
    from urllib.request import urlopen

    url = f"http://{_pages()}/readyz"
    try:
        with urlopen(url, timeout=5) as answer:
            answer.read()
    except OSError as error:
        raise NewsletterError(
            f"{url}: {error}", hint="Is `newsletter up`, or `newsletter web`, running? NEWSLETTER_WEB_PORT names another port."
        ) from None


def _pages() -> str:
    """Return where the pages answer: at the port that is named, else where `up` put them, else at the usual one."""
    from newsletter.embedded import presence

    named = os.environ.get("NEWSLETTER_WEB_PORT")
    running = None if named else presence.find(say.settings().data_dir)
    return (running and running.pages) or f"127.0.0.1:{named or 8000}"


def _worker_is_well() -> None:
    import socket

    from celery import Celery

    name = f"newsletter@{socket.gethostname()}"
    with Celery(broker=_answering_broker(say.settings().broker), set_as_current=False) as app:
        if not app.control.ping(destination=[name], timeout=5):
            raise NewsletterError(
                f"{name} does not answer.", hint="Is `newsletter up`, or `newsletter worker`, running on this machine?"
            )


def _beat_is_well() -> None:
    from redis import Redis

    with Redis.from_url(_answering_broker(say.settings().broker), socket_timeout=5) as client:
        if not client.exists("newsletter:beat::lock"):
            raise NewsletterError("No clock ticks.", hint="Is `newsletter up`, or `newsletter beat`, running?")


def _inbox_is_well() -> None:
    import socket

    from newsletter import local

    given = say.settings().inbox
    host = local.reached_at(given.host, given.port).rpartition(":")[0].strip("[]")
    try:
        with socket.create_connection((host, given.port), timeout=5) as connection:
            greeting = connection.recv(3)
    except OSError as error:
        raise NewsletterError(
            f"{host}:{given.port}: {error}.", hint="Is `newsletter up`, or `newsletter inbox run`, running?"
        ) from None
    if greeting != b"220":
        raise NewsletterError(f"{host}:{given.port}: it greets with {greeting!r}.", hint="Are there too many connections?")
