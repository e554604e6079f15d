"""The mailbox as a folder: each message is `<id>.eml`, the bytes as received, beside `<id>.json`, its envelope.

Files are written under another name and then renamed, the envelope first: whoever sees a message sees all of
it, so any number of processes may read while one writes. Nothing is ever changed once it has its name.
"""

import json
import os
import re
import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from newsletter.errors import NotFound

_ID = re.compile(r"(\d{8})-[0-9a-f]{8}")


@dataclass(frozen=True)
class Received:
    """One message as the envelope tells it; `content` reads its bytes."""

    id: str
    mail_from: str  # the return path; empty for the null sender of RFC 5321 section 4.5.5
    recipients: tuple[str, ...]
    received_at: datetime  # aware
    size: int  # bytes
    path: Path

    def content(self) -> bytes:
        """Return the message exactly as it was received.

        Raises NotFound where somebody has deleted it since.
        """
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            raise _missing(self.id) from None


class Mailbox:
    """A folder of received messages; made if it is not there."""

    def __init__(self, folder: Path) -> None:
        """Open `folder`."""
        self.folder = folder
        self._lock = threading.Lock()
        self._last = 0
        self._known: dict[str, Received] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def save(self, content: bytes, *, mail_from: str, recipients: Sequence[str], now: datetime) -> Received:
        """Keep a message and return it; when this returns, every reader sees it.

        Raises OSError where the folder cannot be written.
        """
        identity = f"{self._next():08d}-{secrets.token_hex(4)}"
        envelope = {"mail_from": mail_from, "recipients": list(recipients), "received_at": now.isoformat()}
        self._place(f"{identity}.json", json.dumps(envelope).encode("ascii"))
        self._place(f"{identity}.eml", content)
        return self.get(identity)

    def messages(self, recipient: str | None = None) -> list[Received]:
        """Return all messages, newest first; with `recipient`, those for that address in whatever case."""
        names = (path.stem for path in self.folder.glob("*.eml"))
        found = [self._read(name) for name in sorted(names, reverse=True) if _ID.fullmatch(name)]
        kept = [message for message in found if message is not None]
        if recipient is None:
            return kept
        wanted = recipient.casefold()
        return [message for message in kept if any(wanted == address.casefold() for address in message.recipients)]

    def get(self, identity: str) -> Received:
        """Return the message of that id.

        Raises NotFound, also for what is no id at all.
        """
        message = self._read(identity) if _ID.fullmatch(identity) else None
        if message is None:
            raise _missing(identity)
        return message

    def _next(self) -> int:
        """Return the next number; the folder is counted once, and two writers differ by the random half of the id."""
        with self._lock:
            if not self._last:
                matches = (_ID.fullmatch(path.stem) for path in self.folder.glob("*.eml"))
                self._last = max((int(match[1]) for match in matches if match), default=0)
            self._last += 1
            return self._last

    def _place(self, name: str, content: bytes) -> None:
        """Write a file that is there as a whole or not at all (no fsync: this is for trying things out)."""
        draft = self.folder / f".{name}.{os.getpid()}"
        draft.write_bytes(content)
        draft.replace(self.folder / name)

    def _read(self, identity: str) -> Received | None:
        """Return the message, None where it is gone; one without a readable envelope has no sender and no recipients."""
        path = self.folder / f"{identity}.eml"
        try:
            status = path.stat()
        except FileNotFoundError:
            self._known.pop(identity, None)
            return None
        if identity not in self._known:
            mail_from, recipients, received_at = _envelope(path.with_suffix(".json"), status.st_mtime)
            self._known[identity] = Received(identity, mail_from, recipients, received_at, status.st_size, path)
        return self._known[identity]


def _envelope(path: Path, modified: float) -> tuple[str, tuple[str, ...], datetime]:
    """Return sender, recipients and time; a file that cannot be read costs no more than what it said."""
    try:
        told = json.loads(path.read_bytes())
        recipients = tuple(_text(address) for address in told["recipients"])
        return _text(told["mail_from"]), recipients, datetime.fromisoformat(told["received_at"]).astimezone(UTC)
    except (OSError, ValueError, KeyError, TypeError):
        return "", (), datetime.fromtimestamp(modified, UTC)


def _text(value: object) -> str:
    """Return text that can be written as UTF-8: an address may hold bytes that were never text."""
    return str(value).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _missing(identity: str) -> NotFound:
    return NotFound(f"There is no message {identity[:40]!r} in the mailbox.", hint="It may have been deleted: look at the list.")
