"""Mail that no person wrote, or that must not be answered (RFC 3834 section 2). Pure."""

import re
from dataclasses import dataclass

from newsletter.bounces.reading.fields import main_value
from newsletter.errors import BadToken
from newsletter.inbox.letters import Letter
from newsletter.tokens import Keyring, Purpose

_LIST_FIELDS = ("list-id", "list-post", "list-unsubscribe", "list-help", "list-archive", "list-subscribe", "list-owner")
_ANSWER_FIELDS = ("x-autoreply", "x-autorespond", "x-autoresponder", "x-vacation")
_BULK = frozenset({"bulk", "list", "junk", "auto_reply"})
_MACHINES = re.compile(
    r"(?:mailer-daemon|postmaster|mail-daemon|no-?reply|do-?not-?reply|owner-.+|.+-(?:request|bounces?|owner))"
)
_HARMLESS = frozenset({"", "none", "dr", "ndr", "rn", "nrn"})  # in X-Auto-Response-Suppress: none of them is an answer of ours


@dataclass(frozen=True)
class Ours:
    """What mail of our own is known by when it comes back."""

    keyring: Keyring
    domains: frozenset[str]  # of envelope senders that are ours alone
    addresses: frozenset[str]  # that newsletters come from, in lower case

    def is_sender(self, address: str) -> bool:
        """Say whether an address is one that our own mail comes from."""
        return address.lower() in self.addresses or address.rpartition("@")[2].lower() in self.domains

    def made(self, message_id: str) -> bool:
        """Say whether we made a Message-ID: others write mail in the same domain."""
        try:
            self.keyring.unsign_local_part(message_id.strip("<>").rpartition("@")[0], Purpose.MESSAGE_ID)
        except BadToken:
            return False
        return True


def why_automatic(letter: Letter, *, sender: str, ours: Ours) -> str:
    """Return why a mail is neither acted on nor answered; "" for one that a person may have written.

    `sender` is the envelope's, empty for the null one.
    """
    return _by_envelope(sender) or _by_fields(letter) or ("it is our own" if _is_ours(letter, sender, ours) else "")


def why_answer(letter: Letter, *, sender: str, ours: Ours) -> str:
    """Return why a mail answers another or was sent to many; "" for one that may be meant for the address it came to.

    A provider that unsubscribes for its user may write by a program (auto-generated) and with no way back (the null sender).
    """
    return _by_fields(letter, meant="auto-generated") or ("it is our own" if _is_ours(letter, sender, ours) else "")


def _by_envelope(sender: str) -> str:
    if not sender:
        return "its sender is the null one"
    local = sender.rpartition("@")[0].lower()
    return f"its sender is a machine's: {local.partition('+')[0]}@" if _MACHINES.fullmatch(local) else ""


def _by_fields(letter: Letter, *, meant: str = "no") -> str:
    fields = letter.fields
    if (stated := main_value(fields.get("auto-submitted"))) not in {"", "no", meant}:
        return f"Auto-Submitted: {stated[:40]}"
    if (precedence := main_value(fields.get("precedence"))) in _BULK:
        return f"Precedence: {precedence}"
    for name in (*_LIST_FIELDS, *_ANSWER_FIELDS):
        if fields.get(name):
            return f"it has a field {name}"
    suppressed = fields.get("x-auto-response-suppress").lower().replace(" ", "")
    if not set(suppressed.split(",")) <= _HARMLESS:
        return f"X-Auto-Response-Suppress: {suppressed[:40]}"
    return "it is a report" if letter.type == "multipart/report" else ""


def _is_ours(letter: Letter, sender: str, ours: Ours) -> bool:
    """Say whether it is our own mail come back: a loop."""
    return ours.is_sender(sender) or ours.made(letter.message_id)
