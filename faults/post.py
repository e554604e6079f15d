"""The mail server of the days: it takes everything and keeps of each mail what is counted."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage

from smtp_sink import Sink, running

_UNSUBSCRIBE = re.compile(r"https://news\.example\.com/u/[\w-]+")
_CARD = re.compile(r"https://news\.example\.com/w/[\w-]+/[\w-]+/(\d+)")


@dataclass(frozen=True)
class Mail:
    """What is counted of a mail."""

    recipient: str
    message_id: str
    subject: str
    html_bytes: int = 0
    can_leave: bool = False  # there is a link to unsubscribe by in both parts
    cards: tuple[int, ...] = ()  # the papers that are told in full
    text: str = field(default="", repr=False)


@dataclass
class Post:
    """All that came."""

    sink: Sink
    mails: list[Mail] = field(default_factory=list)

    @classmethod
    @contextmanager
    def open(cls) -> Iterator["Post"]:
        """Serve until the block ends."""
        with running() as sink:
            post = cls(sink)
            sink.on_message = post.take
            yield post

    @property
    def port(self) -> int:
        """The server's."""
        return int(self.sink.port)

    def take(self, sink: Sink) -> None:
        """Count the mail that came last; a mail has some hundred kilobytes, of which little is kept."""
        taken = sink.taken.pop()
        message = message_from_bytes(taken.content, policy=policy.default)
        html, text = (_part(message, kind) for kind in ("html", "plain"))
        self.mails.append(
            Mail(
                taken.recipient,
                taken.message_id,
                str(message["Subject"]),
                len(html.encode()),
                bool(_UNSUBSCRIBE.search(html) and _UNSUBSCRIBE.search(text)),
                tuple(dict.fromkeys(int(number) for number in _CARD.findall(html))),
                text,
            )
        )


def _part(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    return str(part.get_content()) if part is not None else ""
