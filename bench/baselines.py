"""What newsletters usually do for each recipient, on our own templates: what the send path is compared with.

`naive`: render, inline, build, sign with dkimpy, connect, send and quit, for each. `once`: rendered and inlined once; for
each the links are put in, the message is built and signed with dkimpy, and sent over a kept connection.
"""

import smtplib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path

import dkim

from bench import corpus
from bench.publisher import DOMAIN, LINKS
from newsletter.mail import emails
from newsletter.mail.pieces import HEAD, Rendered
from newsletter.mail.render import render

SIGNED = (
    "from",
    "to",
    "subject",
    "date",
    "message-id",
    "mime-version",
    "content-type",
    "list-unsubscribe",
    "list-unsubscribe-post",
)


@dataclass(frozen=True)
class Words:
    """A digest in words, slots still open."""

    subject: str
    text: str
    html: str


def digest(papers: int) -> emails.DigestEmail:
    """Return the day's issue as an email."""
    home = LINKS.home()
    publication = emails.Publication(
        "daily", "오늘의 논문", "", "ko", "7 Example Road, 04524 Seoul", home, LINKS.archive("daily")
    )
    cards = tuple(
        emails.PaperCard(
            paper_id=number,
            title=paper.title,
            url=paper.url,
            authors=paper.authors,
            more_authors=False,
            votes=paper.votes,
            thumbnail_url="",
            bullets=paper.summaries[0].bullets,
            origin="document",
        )
        for number, paper in enumerate(corpus.listing(papers).papers, start=1)
    )
    return emails.DigestEmail(publication, first_day=corpus.DAY, last_day=corpus.DAY, papers=cards)


def words(email: emails.DigestEmail) -> Words:
    """Render and inline an email, whatever was rendered before, and fill in all papers' ranks."""
    rendered: Rendered = render.__wrapped__(email)
    count = str(len(email.papers))
    parts = []
    for pieces in (rendered.text, rendered.html):
        cards = [piece.content for piece in pieces if piece.name.startswith("card:")]
        ends = {piece.name: piece.content for piece in pieces}
        ranked = [card.replace("\x01rank\x02", str(rank)) for rank, card in enumerate(cards, start=1)]
        parts.append("".join([ends[HEAD], *ranked, ends["foot"]]).replace("\x01count\x02", count))
    return Words(rendered.subject.replace("\x01count\x02", count), *parts)


def message(found: Words, number: int, pem: bytes) -> tuple[str, bytes]:
    """Build and sign one recipient's message; return the address and the bytes."""
    address = f"reader{number}@inbox{number % 97}.example.net"
    leave = LINKS.unsubscribe(number)
    view = LINKS.issue("daily", corpus.DAY.isoformat())
    slots = {"unsubscribe_url": leave, "preferences_url": LINKS.preferences(number), "view_url": view}
    mail = EmailMessage(policy=SMTP)
    mail["From"] = f"오늘의 논문 <news@{DOMAIN}>"
    mail["To"] = address
    mail["Subject"] = _filled(found.subject, slots)
    mail["Date"] = format_datetime(datetime.now(UTC))
    mail["Message-ID"] = LINKS.message_id(number, DOMAIN)
    mail["List-Unsubscribe"] = f"<{leave}>"
    mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    mail.set_content(_filled(found.text, slots), cte="base64")
    mail.add_alternative(_filled(found.html, slots), subtype="html", cte="base64")
    content = mail.as_bytes()
    names = [name.encode() for name in SIGNED]
    signature: bytes = dkim.sign(
        content, b"bench", DOMAIN.encode(), pem, canonicalize=(b"relaxed", b"simple"), include_headers=names
    )
    return address, signature + content


def _filled(marked: str, slots: Mapping[str, str]) -> str:
    for name, value in slots.items():
        marked = marked.replace(f"\x01{name}\x02", value)
    return marked


def naive(port: int, number: int, papers: int, key: Path) -> None:
    """Send to so many recipients, doing everything anew for each."""
    email, pem = digest(papers), key.read_bytes()
    for recipient in range(1, number + 1):
        address, content = message(words(email), recipient, pem)
        with smtplib.SMTP("127.0.0.1", port, "bench.example.org") as server:
            server.sendmail(f"news@{DOMAIN}", [address], content)


def once(port: int, number: int, papers: int, key: Path) -> None:
    """Send to so many recipients, rendering once and keeping the connection."""
    found, pem = words(digest(papers)), key.read_bytes()
    server = smtplib.SMTP("127.0.0.1", port, "bench.example.org")
    for recipient in range(1, number + 1):
        address, content = message(found, recipient, pem)
        server.sendmail(f"news@{DOMAIN}", [address], content)
    with suppress(smtplib.SMTPServerDisconnected):
        server.quit()
