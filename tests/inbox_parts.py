"""Mails to us, invented, and what handles them in tests."""

import asyncio
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_network
from threading import Thread

from factories import LINKS, NOW, POLICY

from newsletter import inbox
from newsletter.inbox import Border, Incoming, Office, server
from newsletter.inbox.server import Door
from newsletter.local import until
from newsletter.models import InboundMail, InboundStatus

DOMAIN = "news.example.net"
BORDER = Border((ip_network("192.0.2.0/24"),), "mx.example.net")
OFFICE = Office(DOMAIN, LINKS, POLICY, border=BORDER, operator="operator@example.com")
PEER = "192.0.2.25"
DOOR = Door("127.0.0.1", 0, 200_000, "mx.news.example.net")
PASSED = "mx.example.net; dkim=pass header.d=example.org; dmarc=pass (p=none) header.from=example.org"


def letter(*, name="ari", subject="", text="", proof=PASSED, **fields):
    """Return a mail as the border hands it on; `proof` is the Authentication-Results it wrote, `fields` are further ones."""
    given = {
        "Authentication-Results": proof,
        "Received": "from mail.example.org by mx.example.net; Fri, 15 Mar 2024 00:05:00 +0000",
        "From": f"{name}@example.org",
        "To": f"daily@{DOMAIN}",
        "Subject": subject,
        "Message-ID": "<letter.1@mail.example.org>",
        "MIME-Version": "1.0",
        "Content-Type": "text/plain; charset=utf-8",
    } | {known.replace("_", "-"): value for known, value in fields.items()}
    head = "".join(f"{known}: {value}\r\n" for known, value in given.items() if value is not None)
    return f"{head}\r\n{text}\r\n".replace("\r\n", "\n").replace("\n", "\r\n").encode()


def come(sessions, content, *, to="daily", sender="ari@example.org", office=OFFICE, peer=PEER, now=NOW):
    """Receive a mail and handle it; return its row."""
    recipient = to if "@" in to else f"{to}@{DOMAIN}"
    inbox.receive(sessions, Incoming(peer, sender, (recipient,), content), now=now)
    inbox.sweep(sessions, office, now=now)
    with sessions.read() as session:
        return inbox.listing(session)[0]


def office(**changes):
    """Return the office of the tests with changes."""
    return replace(OFFICE, **changes)


def mails(make):
    """Return all mail to us, in the order it came."""
    return make.all(InboundMail)


def handled(make):
    """Wait until no mail to us waits any more, and say whether that is so."""
    return until(lambda: all(row.status is not InboundStatus.RECEIVED for row in mails(make)), patience=20)


@contextmanager
def running(sessions, door=DOOR, office=OFFICE):
    """Give the port of a server that runs in a thread of its own."""
    loop, ports = asyncio.new_event_loop(), []
    stopping = asyncio.Event()
    serving = server.serve(sessions, office, door, clock=lambda: datetime.now(UTC), listening=ports.append, stopping=stopping)

    def work():
        """Run all of the loop in its thread: in the main one a browser's may run."""
        for each in (serving, loop.shutdown_asyncgens(), loop.shutdown_default_executor()):
            loop.run_until_complete(each)
        loop.close()

    thread = Thread(target=work)
    thread.start()
    try:
        assert until(lambda: ports or not thread.is_alive())
        yield ports[0]
    finally:
        if thread.is_alive():
            loop.call_soon_threadsafe(stopping.set)
        thread.join()
