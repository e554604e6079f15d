"""What handling mail needs of the installation, and what it comes to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from sqlmodel import Session

from newsletter.inbox.authentication import Author, Border, author_of
from newsletter.inbox.automatic import Ours, why_answer, why_automatic
from newsletter.inbox.letters import Letter
from newsletter.inbox.recipients import Recipient
from newsletter.models import InboundMail, InboundStatus, Newsletter
from newsletter.subscribers import Address, Policy
from newsletter.tokens import Links

# Given a report, the delivery its return path named, None where none did, and the time; returns in words what was done.
Reports: TypeAlias = Callable[[Session, bytes, "int | None", datetime], str]


def _nobody_reads(session: Session, content: bytes, delivery_id: int | None, now: datetime) -> str:
    del session, content, delivery_id, now
    return "nobody reads reports here"


@dataclass(frozen=True)
class Office:
    """The installation as the inbox sees it."""

    domain: str
    links: Links
    policy: Policy
    border: Border = field(default_factory=Border)
    bounce_domain: str = ""
    operator: str = ""  # the operator's address
    reports: Reports = _nobody_reads
    # Why a request for an address goes beyond the limits of signing up, "" if it does not; raises BrokerError to be asked later.
    over_limit: Callable[[Address], str] = lambda _: ""


@dataclass(frozen=True)
class Case:
    """A mail that is being handled, with all there is to know of it."""

    row: InboundMail
    letter: Letter
    recipient: Recipient
    newsletters: Mapping[str, Newsletter]  # by slug
    office: Office
    now: datetime

    @property
    def newsletter(self) -> Newsletter | None:
        """The newsletter it was written to; None where it was written to all."""
        return self.newsletters.get(self.recipient.slug)

    @property
    def author(self) -> Author | None:
        """Who it says it is from."""
        return author_of(self.letter, peer=self.row.peer, border=self.office.border)

    @property
    def automatic(self) -> str:
        """Why no person may have written it; "" where one may."""
        return why_automatic(self.letter, sender=self.row.sender, ours=self._ours)

    @property
    def answer(self) -> str:
        """Why it is not meant for the address it came to, which stands in a header field alone; "" where it may be."""
        return why_answer(self.letter, sender=self.row.sender, ours=self._ours)

    @property
    def came_back(self) -> bool:
        """Whether it is a mail that we have made."""
        return self._ours.made(self.letter.message_id)

    @property
    def _ours(self) -> Ours:
        addresses = frozenset(row.from_address.lower() for row in self.newsletters.values())
        domains = frozenset({self.office.domain, self.office.bounce_domain} - {""})
        return Ours(self.office.links.keyring, domains, addresses)

    def is_ours(self, address: str) -> bool:
        """Say whether mail to an address would come back here."""
        return address.rpartition("@")[2].lower() in {self.office.domain, self.office.bounce_domain}


@dataclass(frozen=True)
class Outcome:
    """What became of a mail: its purpose and what was done are kept with it in words."""

    status: InboundStatus
    purpose: str
    reason: str
    doubt: str = ""  # why it was not believed, in words of ours that the log may have
    kept: bool = False  # its content, also where nothing is left to do


def done(purpose: str, reason: str, *, doubt: str = "", kept: bool = False) -> Outcome:
    """Return that nothing is left to do."""
    return Outcome(InboundStatus.DONE, purpose, reason, doubt, kept)


def quarantined(purpose: str, reason: str) -> Outcome:
    """Return that a person must look."""
    return Outcome(InboundStatus.QUARANTINED, purpose, reason)
