"""What every transport takes and does."""

from dataclasses import dataclass
from typing import Protocol, Self

from newsletter.errors import Reply


@dataclass(frozen=True)
class OutgoingMessage:
    """A finished message and its envelope; the empty sender is the null sender (RFC 5321 section 4.5.5)."""

    sender: str
    recipient: str
    content: bytes  # lines end in CRLF


class Transport(Protocol):
    """Takes finished messages away, one at a time."""

    def send(self, message: OutgoingMessage) -> Reply:
        """Hand the message over and return the reply that took it.

        Raises RelayUnavailable, Deferred, Refused or AnswerLost; BadInput where the bytes are no message.
        """

    def close(self) -> None:
        """End the conversation; nothing that was answered changes by it."""

    def __enter__(self) -> Self:
        """Return the transport, to be closed at the end of the block."""

    def __exit__(self, *_: object) -> None:
        """Close it."""
