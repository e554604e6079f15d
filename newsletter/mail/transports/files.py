"""Messages as files in a folder."""

import re
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Self

from newsletter.errors import RelayUnavailable, Reply
from newsletter.mail.transports.base import OutgoingMessage

_MESSAGE_ID = re.compile(rb"^message-id:\s*<([^>]*)>", re.IGNORECASE | re.MULTILINE)


class Files:
    """Writes each message to a folder as an `.eml` file, for trying things without a mail server."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> Self:
        """Return the transport itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open between messages."""

    def close(self) -> None:
        """Nothing is open between messages."""

    def send(self, message: OutgoingMessage) -> Reply:
        """Write the message, whole or not at all; the same message sent again takes its own place."""
        path = self._folder / _name(message)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile(dir=self._folder, prefix=".", suffix=".part", delete=False) as part:
                part.write(message.content)
            Path(part.name).replace(path)
        except OSError as error:
            reply = Reply(0, "", str(error), str(self._folder), "connect")
            raise RelayUnavailable(reply, hint="Give the folder room, and make it writable.") from None
        return Reply(250, "2.0.0", f"written as {path.name}", str(self._folder), "dot")


def _name(message: OutgoingMessage) -> str:
    """Return a file name out of the Message-ID's harmless characters, and of the recipient without naming them."""
    found = _MESSAGE_ID.search(message.content.partition(b"\r\n\r\n")[0])
    identity = found[1].decode("utf-8", "replace") if found else sha256(message.content).hexdigest()[:16]
    safe = re.sub(r"[^A-Za-z0-9@_-]+", ".", identity).strip(".")[:150]
    return f"{safe}-{sha256(message.recipient.encode()).hexdigest()[:8]}.eml"
