"""Parts of the system that keep what they are given, so that a test can look."""

from dataclasses import dataclass, field
from typing import Self

from newsletter.errors import Reply
from newsletter.mail.transports import OutgoingMessage


@dataclass
class Outbox:
    """A transport that keeps what it is given; `errors` are raised first, one a message."""

    sent: list[OutgoingMessage] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    closed: bool = False

    def send(self, message: OutgoingMessage) -> Reply:
        """Raise the next error, or keep the message."""
        if self.errors:
            raise self.errors.pop(0)
        self.sent.append(message)
        return Reply(250, "2.0.0", "kept", "outbox", "dot")

    def close(self) -> None:
        """Note that it was closed."""
        self.closed = True

    def __enter__(self) -> Self:
        """Return the outbox itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()
