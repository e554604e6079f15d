"""Us and a reader's provider, who write to each other through mail servers: nothing on the way is a stand-in.

The provider keeps mailboxes and signs what its users write; the border, in front of our inbox, checks what comes.
"""

import contextlib
import imaplib
import re
import smtplib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import make_msgid
from pathlib import Path

from border import NAME, Border, guarding
from factories import Make
from installation import Installation, eventually, installed
from mail_host import MailHost, running

from newsletter.embedded.valkey import free_port
from newsletter.models import InboundMail, Subscriber, Subscription
from newsletter.wiring import sessions_of

OURS, THEIRS = "digest.example.org", "inbox.example.org"
EDITOR, OPERATOR = f"editor@{THEIRS}", f"operator@{THEIRS}"  # EDITOR reads what readers write
PATIENCE = 40.0
SETTINGS = """
[inbox]
domain = "{domain}"
port = {port}
protocol = "{protocol}"
border = ["127.0.0.1"]
authserv_id = "{name}"
"""


@dataclass(frozen=True)
class Correspondence:
    """An installation, the border before its inbox, and the provider of its readers."""

    installation: Installation
    host: MailHost
    border: Border
    port: int  # where the inbox listens

    def write(self, user: str, to: str, *, text: str = "", **fields: str) -> None:
        """Have one of the provider's users write to one of our addresses."""
        name = to if "@" in to else f"{to}@{OURS}"
        self.host.send(letter(f"{user}@{THEIRS}", name, text, **fields), sender=f"{user}@{THEIRS}", to=name)

    def intrude(self, content: bytes, to: str, *, sender: str = "mallory@elsewhere.example", port: int = 0) -> None:
        """Have a stranger hand a mail to the border, or straight to a port."""
        with smtplib.SMTP("127.0.0.1", port or self.border.port, timeout=PATIENCE) as server:
            server.sendmail(sender, [to if "@" in to else f"{to}@{OURS}"], content)

    def mails(self, user: str, count: int) -> list[EmailMessage]:
        """Wait until so many mails are in a user's mailbox, and return all, the oldest first."""
        try:
            found = self.host.mailbox(user, count=count, seconds=PATIENCE)
        except (AssertionError, imaplib.IMAP4.error) as error:
            raise AssertionError(f"{error}\n{self.border.log()}\n{self.said()}") from error
        assert len(found) == count, [message["Subject"] for message in map(parsed, found)]
        return [parsed(each) for each in found]

    def outcome(self, **equal: object) -> InboundMail:
        """Wait until the one mail to us whose columns are as given is handled, and return what became of it."""
        eventually(lambda: self._settled(equal), lambda: f"{self.border.log()}\n{self.said()}", seconds=PATIENCE)
        (found,) = self._settled(equal)
        return found

    def _settled(self, equal: dict[str, object]) -> list[InboundMail]:
        with self.tables() as make:
            return [row for row in make.all(InboundMail, **equal) if row.handled_at]

    def statuses(self, user: str) -> list[str]:
        """Return the states of a user's subscriptions."""
        with self.tables() as make:
            (subscriber,) = make.all(Subscriber, address=f"{user}@{THEIRS}")
            return [row.status.value for row in make.all(Subscription, subscriber_id=subscriber.id)]

    def say(self, *words: object) -> str:
        """Give a command that must go well, and return what it said."""
        done = self.installation.command(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def said(self) -> str:
        """Return what our processes said."""
        return "\n".join(path.read_text(errors="replace") for path in self.installation.folder.rglob("*.log"))

    @contextmanager
    def tables(self) -> Iterator[Make]:
        """Give the installation's tables."""
        sessions = sessions_of(self.installation.settings)
        try:
            yield Make(sessions)
        finally:
            sessions.engine.dispose()


@contextmanager
def corresponding(folder: Path, *, protocol: str, **settings: object) -> Iterator[Correspondence]:
    """Give an installation with an inbox, which takes mail in by "lmtp" or "smtp"; nothing of it is started yet."""
    port, inbox = free_port(), free_port()
    way = f"lmtp:inet:127.0.0.1:{inbox}" if protocol == "lmtp" else f"smtp:[127.0.0.1]:{inbox}"
    with contextlib.ExitStack() as stack:
        host = stack.enter_context(running(routes={OURS: f"smtp:[127.0.0.1]:{port}"}))
        records = host.records | {f"_dmarc.{THEIRS}": "v=DMARC1; p=none"}
        border = stack.enter_context(guarding(OURS, way, port=port, records=records))
        given = {"smtp__host": "127.0.0.1", "smtp__port": host.port, "smtp__ca_file": host.certificate}
        installation = stack.enter_context(installed(folder, **given, **settings))
        (folder / "newsletter.toml").write_text(SETTINGS.format(domain=OURS, port=inbox, protocol=protocol, name=NAME))
        yield Correspondence(installation, host, border, inbox)


def letter(sender: str, to: str, text: str = "", **fields: str) -> bytes:
    """Return a mail as a mail program makes it."""
    message = EmailMessage(policy.SMTP)
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    for name, value in ({"From": sender, "To": to, "Message-ID": make_msgid(domain=THEIRS)} | named).items():
        message[name] = value
    message.set_content(text)
    return message.as_bytes()


def parsed(content: bytes) -> EmailMessage:
    """Return a message taken apart."""
    return message_from_bytes(content, policy=policy.default)


def link(message: EmailMessage, base_url: str, prefix: str) -> str:
    """Return the path of the first link in a mail's text that begins so, as "/c/"."""
    return re.search(rf"{re.escape(base_url)}({prefix}\S+)", message.get_body(("plain",)).get_content())[1]
