"""Commands about DKIM keys: made, published, made active; the old key signs until the new one can be checked."""

from typing import TYPE_CHECKING, Annotated

import typer

from newsletter.cli import say
from newsletter.errors import Conflict, NewsletterError, NotFound

if TYPE_CHECKING:
    from newsletter.mail.dkim import SigningKey
    from newsletter.mail.keys import StoredKey
    from newsletter.mail.published import Standing

_WAIT = "Publish the record as shown above; a change may take an hour to be seen. Then: newsletter dkim check"
Domain = Annotated[str, typer.Argument(help="What follows the @ in the address that mail is sent from: example.org")]
Resolver = Annotated[str, typer.Option(metavar="ADDRESS[:PORT]", help="The name server to ask; this machine's if not given.")]

group = typer.Typer(
    no_args_is_help=True,
    help="Sign mail with keys of your own: `create`, publish the record, `check`, `activate`. A key is replaced in the same way.",
)


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.add_typer(group, name="dkim", rich_help_panel="Its parts, one by one")


@group.command()
def create(
    domain: Domain,
    selector: Annotated[str, typer.Option(help="The key's name in the DNS; by month if not given, as in s202611a.")] = "",
    ed25519: Annotated[bool, typer.Option("--ed25519", help="Make an Ed25519 key, too, for a second, short signature.")] = False,
) -> None:
    """Make a key, and show the record to publish; mail is signed with it once it is made active."""
    from newsletter import wiring
    from newsletter.mail import keys

    key = keys.create(say.settings().dkim_folder, domain, selector, ed25519=ed25519, now=wiring.utcnow())
    typer.echo(f"Made the key {key.selector} of {key.domain}: {key.path}\n")
    for half in key.keys:
        _show_record(half)
    typer.echo("Then, when the record is published:\n")
    typer.echo(f"newsletter dkim check {key.domain}")
    typer.echo(f"newsletter dkim activate {key.domain} {key.selector}")


@group.command("list")
def listing(as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False) -> None:
    """List the keys; the active one of each domain signs its mail."""
    from newsletter.mail import keys
    from newsletter.mail.dkim import record

    found = keys.listing(say.settings().dkim_folder)
    if as_json:
        say.as_json(
            [
                {
                    "domain": key.domain,
                    "selector": key.selector,
                    "active": key.active,
                    "file": str(key.path),
                    "records": [{"name": record(half).name, "value": record(half).value} for half in key.keys],
                }
                for key in found
            ]
        )
        return
    say.table(
        ("domain", "selector", "algorithms", "state"),
        [(key.domain, key.selector, _algorithms(key), "active" if key.active else "") for key in found],
        empty="There is no key; mail goes unsigned. Make one: newsletter dkim create --help",
    )


@group.command()
def check(domain: Domain, resolver: Resolver = "") -> None:
    """Ask the DNS whether the keys are published: the active one must be, or, where none is active yet, one of them."""
    from newsletter.mail import keys
    from newsletter.mail.published import Standing

    found = keys.listing(say.settings().dkim_folder, domain)
    if not found:
        raise NotFound(f"{domain} has no key.", hint=f"Make one: newsletter dkim create {domain}")
    standings = {key.selector: _look_up(key, resolver) for key in found}
    if any(Standing.UNASKED in answers for answers in standings.values()):
        raise NewsletterError(
            f"{domain}: no name server could be asked, so this says nothing about the keys.",
            hint="Name another with --resolver, or ask from another machine.",
        )
    active = [key.selector for key in found if key.active]
    if any(standings[selector] != {Standing.PUBLISHED} for selector in active):
        raise NewsletterError(f"{domain}: what is signed with {active[0]} fails the check of everyone who gets it.", hint=_WAIT)
    if {Standing.PUBLISHED} not in standings.values():
        raise NewsletterError(f"{domain}: no key is published yet.", hint=_WAIT)


@group.command()
def activate(
    domain: Domain,
    selector: Annotated[str, typer.Argument(help="As `newsletter dkim list` shows it.")],
    resolver: Resolver = "",
    unchecked: Annotated[bool, typer.Option("--unchecked", help="Ask no name server whether the key is published.")] = False,
) -> None:
    """Sign with this key from now on; workers see it at once, and nothing needs to be restarted."""
    from newsletter.mail import keys
    from newsletter.mail.published import Standing

    folder = say.settings().dkim_folder
    key = keys.find(folder, domain, selector)
    before = [other for other in keys.listing(folder, domain) if other.active and other.selector != selector]
    if not unchecked and _look_up(key, resolver) & {Standing.MISSING, Standing.WRONG}:
        raise Conflict(f"{key.domain}: {selector} was not made active, for nobody could check its signatures.", hint=_WAIT)
    keys.activate(folder, domain, selector)
    typer.echo(f"Mail from {key.domain} is signed with {selector} now.")
    for old in before:
        typer.echo(f"Mail signed with {old.selector} is still on its way: leave its record published for two weeks.")
        typer.echo(f"Then remove the record and {old.path}.")


def _look_up(key: "StoredKey", resolver: str) -> "set[Standing]":
    """Say how the keys of a selector stand in the DNS, and show again what is to be published; return the standings."""
    from newsletter.mail import published
    from newsletter.mail.dkim import record

    standings = set()
    for half in key.keys:
        finding = published.look_up(half, server=resolver)
        typer.echo(f"{record(half).name} ({half.algorithm}{', active' if key.active else ''}): {finding.standing.value}")
        if finding.why:
            typer.echo(f"  {finding.why}")
        if finding.standing in {published.Standing.MISSING, published.Standing.WRONG}:
            _show_record(half)
        standings.add(finding.standing)
    return standings


def _show_record(key: "SigningKey") -> None:
    """Print a record so that each part can be copied as a line of its own."""
    from newsletter.mail.dkim import record

    made = record(key)
    typer.echo(f"Publish this TXT record. Its name (many forms want it without .{key.domain} at the end):\n\n{made.name}\n")
    typer.echo(f"Its value, in one line:\n\n{made.value}\n")
    typer.echo(f"Or both as a line of a zone file:\n\n{made.zone_line}\n")


def _algorithms(key: "StoredKey") -> str:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    sizes = {half.algorithm: half.private.key_size for half in key.keys if isinstance(half.private, RSAPrivateKey)}
    return ", ".join(f"{half.algorithm} {sizes.get(half.algorithm, '')}".strip() for half in key.keys)
