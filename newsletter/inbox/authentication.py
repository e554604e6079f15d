"""Who speaks in a mail, and whether that is proven. Pure.

Anybody can write anybody's address into a From field. It is believed only where our own border, the mail server that hands
us the mail, has checked it by DMARC and written so; what a field of the same name says that came with the mail counts for
nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from email.headerregistry import Address as Mailbox
from email.policy import default
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

from newsletter.errors import BadAddress
from newsletter.inbox import results
from newsletter.inbox.letters import Letter
from newsletter.inbox.results import Result
from newsletter.mail.headers import wire_address
from newsletter.subscribers import Address, parse_address

FROM_LIMIT = 1000  # characters of a From field


@dataclass(frozen=True)
class Border:
    """The mail servers whose word is believed, and the name they write it under; none of them, nobody's."""

    networks: Sequence[IPv4Network | IPv6Network] = ()
    authserv_id: str = ""

    def has(self, peer: str) -> bool:
        """Say whether a connection from this address came from the border."""
        try:
            address = ip_address(peer.partition("%")[0])
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return any(address in network for network in self.networks)


@dataclass(frozen=True)
class Author:
    """Whom a mail says it is from; `doubt` is why that is not proven, "" where it is."""

    address: Address
    doubt: str = ""

    @property
    def proven(self) -> bool:
        """Whether our border vouches for the address."""
        return not self.doubt


def author_of(letter: Letter, *, peer: str, border: Border) -> Author | None:
    """Return who a mail is from; None where its From field does not name exactly one mailbox that can be written to.

    `peer` is the IP address that the mail came from.
    """
    stated = letter.fields.every("from")
    mailbox = _mailbox(stated[0]) if len(stated) == 1 else ""
    try:
        address = parse_address(mailbox)
    except BadAddress:
        return None
    return Author(address, _doubt(letter, mailbox, peer, border))


def _mailbox(value: str) -> str:
    """Return the one address in a From field; "" for several, for a group, and for anything two readers could see two ways.

    "victim@a <evil@b>" is of b for DMARC, and of a for a careless reader.
    """
    if len(value) > FROM_LIMIT:
        return ""
    try:
        parsed = default.header_factory("From", value)
        addresses: Sequence[Mailbox] = parsed.addresses
        named = [group for group in parsed.groups if group.display_name is not None]
        if parsed.defects or named or len(addresses) != 1:
            return ""
        return addresses[0].addr_spec
    except Exception:  # noqa: BLE001 -- the standard library's parser raises what it likes on odd fields
        return ""


def _doubt(letter: Letter, mailbox: str, peer: str, border: Border) -> str:
    """Return why it is not proven that the mailbox wrote the letter."""
    if not border.networks or not border.authserv_id:
        return "no border is set whose word would be believed"
    if not border.has(peer):
        return "it did not come from the border"
    if not letter.sound or not mailbox.isascii():
        return "its header could be read in two ways"
    said = results.parse(letter.fields.get("authentication-results"))
    if said is None or said.authserv_id != border.authserv_id.lower():
        return "the border says nothing of it"
    return _doubt_by(said.only("dmarc"), mailbox)


def _doubt_by(dmarc: Result | None, mailbox: str) -> str:
    if dmarc is None:
        return "the border says nothing of DMARC"
    if dmarc.result != "pass":
        return f"dmarc={dmarc.result[:20]}"
    return "" if _same_domain(dmarc.only("header.from"), mailbox) else "the border speaks of another domain"


def _same_domain(stated: str, mailbox: str) -> bool:
    """Say whether the domain that DMARC looked at is the mailbox's."""
    try:
        checked = wire_address(f"a@{stated.rpartition('@')[2].rstrip('.')}")
    except BadAddress:
        return False
    return checked.rpartition("@")[2].lower() == mailbox.rpartition("@")[2].lower()
