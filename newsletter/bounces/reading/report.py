"""What the reader of bounces finds: who is reported, what it means for them, and which mail of ours it is about."""

from dataclasses import dataclass, field
from enum import StrEnum

REASON_LIMIT = 300  # characters of the server's words that are kept


class Kind(StrEnum):
    """What a report means for the address it names."""

    HARD = "hard"  # the address is dead: a server said for good that nobody is there
    SOFT = "soft"  # the mail did not arrive, or not yet, but the next one may
    COMPLAINT = "complaint"  # the person called it spam, or asked to be left alone
    NONE = "none"  # nothing against the address: no report at all, good news, or a refusal of us


@dataclass(frozen=True, slots=True)
class Original:
    """What a report shows of the mail it is about, as it stands there: whoever acts on it must verify the tokens."""

    message_ids: tuple[str, ...] = ()  # with their angle brackets
    unsubscribe: tuple[str, ...] = ()  # the addresses of List-Unsubscribe, and what else looks like the path of one
    return_paths: tuple[str, ...] = ()  # envelope senders: where the report was sent to, and those it names
    feedback_id: str = ""
    recipients: tuple[str, ...] = ()  # whom the mail was for


@dataclass(frozen=True, slots=True)
class Report:
    """What one message says of one recipient."""

    kind: Kind
    recipient: str = ""  # as the report writes it; empty where it names none
    status: str = ""  # the enhanced code of RFC 3463, as in 5.1.1
    reason: str = ""  # the server's words on one line
    reader: str = ""  # which reader understood it; empty where none did
    action: str = ""  # as RFC 3464 names it: failed, delayed, delivered, relayed, expanded; or the Feedback-Type
    about_us: bool = False  # the refusal is of the sender, the message or the connection, whoever the recipient is
    original: Original = field(default_factory=Original)
