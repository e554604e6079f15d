"""Mails to us, invented, and what handles them in tests."""

from dataclasses import replace
from ipaddress import ip_network

from factories import LINKS, NOW, POLICY

from newsletter import inbox
from newsletter.inbox import Border, Incoming, Office
from newsletter.models import InboundMail

DOMAIN = "news.example.net"
BORDER = Border((ip_network("192.0.2.0/24"),), "mx.example.net")
OFFICE = Office(DOMAIN, LINKS, POLICY, border=BORDER, operator="operator@example.com")
PEER = "192.0.2.25"
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
