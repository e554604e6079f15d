"""The addresses that mail to us comes to, and what each is for. Pure, but for reading the newsletters' names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from sqlmodel import Session

from newsletter import newsletters


class Use(StrEnum):
    """What an address of ours is for."""

    LETTER = "letter"  # a newsletter's own: replies to it, and whatever people write
    SUBSCRIBE = "subscribe"
    UNSUBSCRIBE = "unsubscribe"
    HELP = "help"
    ONE_CLICK = "one-click"  # the mailto of List-Unsubscribe: its token is the right
    BOUNCE = "bounce"  # a delivery's return path
    OPERATOR = "operator"


@dataclass(frozen=True)
class Recipient:
    """An address of ours: what it is for, and of which newsletter; "" for all of them."""

    use: Use
    slug: str = ""
    token: str = ""


COMMANDS = (Use.SUBSCRIBE, Use.UNSUBSCRIBE, Use.HELP)
_OPERATORS = ("postmaster", "abuse")  # RFC 2142: every domain that takes mail has them
_TOKENS = {"u": Use.ONE_CLICK, "b": Use.BOUNCE}


@dataclass(frozen=True)
class Directory:
    """All addresses that are ours: `domain` is the inbox's, `bounce_domain` where bounces come to, perhaps another one."""

    domain: str
    slugs: Sequence[str]
    bounce_domain: str = ""
    own: Mapping[str, str] = field(default_factory=dict)  # the From and Reply-To addresses at `domain`, with their newsletters

    def find(self, address: str) -> Recipient | None:
        """Return what an address is for; None for one that is not ours.

        Where one name could mean two things, the operator's come first, then what newsletters write as, then commands.
        """
        local, _, domain = address.lower().rpartition("@")
        name, plus, token = local.partition("+")
        if plus and name in _TOKENS and domain in {self.domain, self.bounce_domain if name == "b" else ""}:
            return Recipient(_TOKENS[name], token=token)
        if domain != self.domain:
            return None
        if local in _OPERATORS:
            return Recipient(Use.OPERATOR)
        own = self.own.get(f"{local}@{domain}")
        return Recipient(Use.LETTER, own) if own else self._of_name(local)

    def _of_name(self, local: str) -> Recipient | None:
        for use in COMMANDS:
            if local == use and (use is not Use.SUBSCRIBE or len(self.slugs) == 1):
                return Recipient(use, self.slugs[0] if len(self.slugs) == 1 else "")
            slug = local.removesuffix(f"-{use}")
            if slug != local and slug in self.slugs:
                return Recipient(use, slug)
        return Recipient(Use.LETTER, local) if local in self.slugs else None


def directory(session: Session, domain: str, bounce_domain: str = "") -> Directory:
    """Return the addresses of the newsletters as they are now."""
    rows = newsletters.listing(session)
    own = {
        address.lower(): row.slug
        for row in rows
        for address in (row.reply_to, row.from_address)
        if address.lower().endswith(f"@{domain}")
    }
    return Directory(domain, [row.slug for row in rows], bounce_domain, own)
