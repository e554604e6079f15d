"""What an SMTP connection asks for, and what it answers: the contract with whoever has messages to send."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple, Protocol

from newsletter.errors import Reply


class Kind(Enum):
    """How a parcel ended."""

    ACCEPTED = auto()  # the answer to its dot was 2xx: the server is responsible for it (RFC 5321 section 6.1)
    REFUSED = auto()  # never: about this message or its recipient; code 0 where we did not even ask
    DEFERRED = auto()  # later: 4xx about this message, or the server went silent (code 0) on being told its recipient
    RELAY = auto()  # the server refused us, not the message: nobody's address is to blame
    LOST = auto()  # the content left and no answer came: it may have arrived
    RETURNED = auto()  # its content never left, and it is not to blame: give it back


@dataclass(slots=True, eq=False)
class Parcel:
    """One message on its way to one address: the envelope; the content is asked for when the server wants it."""

    id: int
    sender: str  # empty: the null sender (RFC 5321 section 4.5.5)
    recipient: str
    size: int = 0  # bytes; 0: unknown
    about: int = 0  # bytes, an estimate where the size is unknown
    needs_utf8: bool = False  # an address or a header field is not ASCII (RFC 6531)
    domain: str = ""  # the recipient's, for whoever counts by domain
    clean: bool = False  # content known to be 7-bit lines that end in CRLF, the last too, and never begin with a dot


class Answer(NamedTuple):
    """How a parcel ended, and the words that say so: the server's, or ours with code 0."""

    kind: Kind
    reply: Reply


class Feed(Protocol):
    """Where the parcels come from. Its methods are called from the event loop and must not wait."""

    def next(self) -> Parcel | None:
        """Return another parcel for the connection that asks, or None: nothing now."""

    def begin(self, parcel: Parcel) -> bytes | None:
        """Return the content, which leaves at once; None to send nothing after all (the parcel ends RETURNED)."""

    def ended(self, parcel: Parcel, answer: Answer) -> None:
        """Take the answer: exactly one for each parcel that `next` returned."""
