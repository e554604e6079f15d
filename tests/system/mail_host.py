"""A real receiving mail host on loopback, all of it in one folder: Postfix takes mail, Dovecot keeps it, opendkim checks it.

To have one to play with: `PYTHONPATH=tests .venv/bin/python tests/system/mail_host.py`, as root on Debian.
"""

import contextlib
import imaplib
import inspect
import os
import shutil
import signal
import smtplib
import socket
import socketserver
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import mail_host_files as files
from installation import eventually
from loopback import serving
from mail_host_files import NAME, PASSWORD, Place

from newsletter.embedded.processes import Program, end, spawn
from newsletter.embedded.valkey import free_port
from newsletter.mail.dkim import Record

LOGS = ("mail.log", "postfix.log", "dovecot.log", "dovecot-start.log", "opendkim.log")
# The kernel forgets to tell who has changed user that the parent died: a shell that stays root tells them.
GUARD = ("sh", "-c", 'trap "trap : TERM; kill 0; wait" TERM; "$@" & wait', "guard")
PATIENCE = 20.0  # seconds, for what takes one on an idle machine


@dataclass(frozen=True)
class MailHost:
    """Takes mail for the users of its domains; `user+detail@` goes to `user`.

    | user | what becomes of the mail |
    |---|---|
    | any other | delivered |
    | nosuch | 550 5.1.1 at RCPT |
    | full | 552 5.2.2 at RCPT |
    | defer | 450 4.2.1 at RCPT |
    | greylist | 450 4.7.1 at RCPT the first time that a sender asks, then delivered |
    | late-nosuch | taken; then a bounce (RFC 3464) with 5.1.1 to the envelope sender |
    | quota | taken; then a bounce with 5.2.2 |
    | away | delivered, and answered by a vacation reply (RFC 5230) unless a list sent it |
    """

    place: Place

    @property
    def port(self) -> int:
        """Where it takes mail, with STARTTLS."""
        return self.place.smtp_port

    @property
    def certificate(self) -> Path:
        """What a client must trust to check its certificate, which is for 127.0.0.1."""
        return self.place.folder / "certificate.pem"

    def publish(self, records: Iterable[Record]) -> None:
        """Let it find public keys for DKIM, as if they stood in the DNS."""
        with (self.place.folder / "records").open("a") as known:
            known.writelines(f"{record.name} {record.value}\n" for record in records)

    @property
    def records(self) -> dict[str, str]:
        """What was published, its own keys included, by name."""
        lines = (self.place.folder / "records").read_text().splitlines()
        return dict(line.split(" ", 1) for line in lines)

    def send(self, message: bytes, *, sender: str, to: str) -> None:
        """Send mail as one of its users; what is for a routed domain goes there, signed if From is a user's address."""
        with smtplib.SMTP("127.0.0.1", self.port, timeout=PATIENCE) as server:
            server.sendmail(sender, [to], message)

    def mailbox(self, user: str, *, to: str = "", count: int = 0, seconds: float = PATIENCE) -> list[bytes]:
        """Return the messages in a user's inbox as IMAP gives them, the oldest first; wait until there are `count`.

        `to`: only those that were delivered to this address, as user+detail@inbox.test.
        """
        with imaplib.IMAP4("127.0.0.1", self.place.imap_port, timeout=PATIENCE) as server:
            server.login(user, PASSWORD)
            server.select(readonly=True)
            eventually(lambda: len(_numbers(server, to)) >= count, lambda: f"{user} got no mail:\n{self.log()}", seconds=seconds)
            numbers = b",".join(_numbers(server, to)).decode()
            found = server.fetch(numbers, "(BODY.PEEK[])")[1] if numbers else []
        return [part[1] for part in found if isinstance(part, tuple)]

    def log(self) -> str:
        """Return what its servers wrote to their logs."""
        texts = {name: self.place.folder / name for name in LOGS}
        return "\n".join(f"-- {name}\n{path.read_text(errors='replace')}" for name, path in texts.items() if path.exists())


def _numbers(server: imaplib.IMAP4, to: str) -> list[bytes]:
    """Return the numbers of the messages, those that came just now among them."""
    server.noop()
    wanted = ("HEADER", "Delivered-To", f'"{to}"') if to else ("ALL",)
    return server.search(None, *wanted)[1][0].split()


class _Greylist(socketserver.ThreadingUnixStreamServer):
    """Tells Postfix to send away who comes for the first time (its policy protocol, SMTPD_POLICY_README)."""

    daemon_threads = True

    def __init__(self, path: Path, tries: int) -> None:
        super().__init__(str(path), _Question)
        path.chmod(0o666)
        self.tries, self.seen = tries, Counter[tuple[str, str]]()

    def judge(self, asked: Mapping[str, str]) -> str:
        """Return the action for an attempt."""
        pair = asked["sender"], asked["recipient"]
        self.seen[pair] += 1
        return "DUNNO" if self.seen[pair] > self.tries else "450 4.7.1 Greylisted, come back in 300 seconds"


class _Question(socketserver.StreamRequestHandler):
    """A connection from an smtpd: any number of questions, each ends in an empty line."""

    server: _Greylist

    def handle(self) -> None:
        asked: dict[str, str] = {}
        for line in self.rfile:
            name, _, value = line.decode().rstrip("\n").partition("=")
            if name:
                asked[name] = value
                continue
            self.wfile.write(f"action={self.server.judge(asked)}\n\n".encode())
            asked = {}


@contextlib.contextmanager
def running(*, routes: Mapping[str, str] | None = None, greylist_tries: int = 1) -> Iterator[MailHost]:
    """Start a host, and leave nothing of it behind; wants root. Call it from the main thread.

    `routes` are Postfix's transports by domain, as {"digest.test": "smtp:[127.0.0.1]:2525"} or "lmtp:inet:127.0.0.1:2525":
    there goes what it sends by itself, bounces and vacation replies, and what its users send. Nothing else leaves the house.
    """
    if os.geteuid() != 0:
        raise PermissionError("Postfix and Dovecot can only be started by root: run this as root, in a container for instance.")
    folder = Path(tempfile.mkdtemp(prefix="newsletter-mail-host-", dir="/tmp"))  # a socket's path must be short
    host = MailHost(Place(folder, free_port(), free_port()))
    with contextlib.ExitStack() as stack:
        stack.callback(eventually, lambda: removed(folder), lambda: f"{folder} could not be removed")
        files.write(host.place, routes or {})
        stack.enter_context(serving(_Greylist(folder / "greylist", greylist_tries)))
        for program in _programs(folder):
            stack.callback(end, spawn(program), grace=program.grace)
        eventually(lambda: _ready(host), lambda: f"the mail host did not start:\n{host.log()}", seconds=PATIENCE)
        yield host


def _programs(folder: Path) -> Iterator[Program]:
    """Return the servers, in the foreground each; the last one to start is the one that lets mail in."""
    opendkim = ("opendkim", "-f", "-x", str(folder / "opendkim.conf"))
    dovecot = ("dovecot", "-F", "-c", str(folder / "dovecot.conf"))
    postfix = (files.postfix_master(), "-c", str(folder / "etc"), "-d")
    yield Program("opendkim", (*GUARD, *opendkim), folder / "opendkim.log", grace=0.0)
    yield Program("dovecot", (*GUARD, *dovecot), folder / "dovecot-start.log")
    yield Program("postfix", (*GUARD, *postfix), folder / "postfix.log")


def removed(folder: Path) -> bool:
    """Remove a folder, and say whether it is gone."""
    shutil.rmtree(folder, ignore_errors=True)  # a server that was killed just now may be writing its last file
    return not folder.exists()


def _ready(host: MailHost) -> bool:
    folder = host.place.folder
    greetings = {host.place.smtp_port: b"220", host.place.imap_port: b"* OK"}
    return all((folder / name).exists() for name in ("lmtp", "milter/socket")) and all(
        greets(port, word) for port, word in greetings.items()
    )


def greets(port: int, word: bytes) -> bool:
    """Say whether a server at a port of loopback greets with a word."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        return connection.recv(512).startswith(word)
    return False


def main() -> None:
    """Run a host until Ctrl-C; each argument is a route, as digest.test=smtp:[127.0.0.1]:2525."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    routes = dict(word.split("=", 1) for word in sys.argv[1:])
    with contextlib.suppress(KeyboardInterrupt), running(routes=routes) as host:
        place = host.place
        sys.stdout.write(
            f"SMTP  127.0.0.1:{place.smtp_port}, STARTTLS with {host.certificate}, for {' '.join(files.local(routes))}\n"
            f"IMAP  127.0.0.1:{place.imap_port}, any user, password {PASSWORD!r}\n"
            f"Logs  {place.folder}/*.log; {NAME} finds DKIM keys in {place.folder}/records, a line each: name value\n"
            f"{inspect.getdoc(MailHost)}\n\nCtrl-C ends it.\n"
        )
        sys.stdout.flush()
        signal.pause()


if __name__ == "__main__":
    main()
