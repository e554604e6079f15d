"""Mails that went out, and reports about them: what the tests of bounces begin with."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from bounce_samples import arf, dsn, failed
from factories import LINKS, NOW, SECRET, Make, asking

from newsletter import bounces, subscribers
from newsletter.bounces import Followed, Rules, Terms
from newsletter.lifecycle import DeliveryStatus
from newsletter.models import Bounce, Consent, Delivery, DeliveryKind, Lane, Subscriber, Subscription, Suppression
from newsletter.tokens import Links

DOMAIN = "news.example.com"
TERMS = Terms(LINKS, SECRET)
SENT_AT = NOW - timedelta(hours=2)
GONE = "550 5.1.1 no such user here"


@dataclass
class Post:
    """What went out and what is said of it; `now` is when a report comes in."""

    make: Make
    terms: Terms = TERMS
    now: datetime = NOW
    newsletter: object = None
    subscriptions: dict[str, Subscription] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Add the newsletter."""
        self.newsletter = self.make.newsletter()

    def ruled(self, **rules: object) -> None:
        """Set thresholds."""
        self.terms = replace(self.terms, rules=Rules(**rules))

    def mail(self, name: str = "ari", *, issue_id: int | None = None, **changes: object) -> Delivery:
        """Return a digest that was sent to a reader two hours ago."""
        if name not in self.subscriptions:
            self.subscriptions[name] = self.make.reader(name, self.newsletter)
        row = self.subscriptions[name]
        given = {
            "newsletter_id": self.newsletter.id,
            "kind": DeliveryKind.DIGEST,
            "lane": Lane.LIST.value,
            "subscriber_id": row.subscriber_id,
            "subscription_id": row.id,
            "issue_id": issue_id,
            "address": name if "@" in name else f"{name}@example.org",
            "status": DeliveryStatus.SENT,
            "attempts": 1,
            "created_at": SENT_AT,
            "updated_at": SENT_AT,
            "sent_at": SENT_AT,
        }
        return self.make.delivery(name, **(given | changes))

    def take(self, content: bytes, *, delivery_id: int | None = None, source: str = "inbox") -> str:
        """Take a report in, and return what was done."""
        with self.make.sessions.begin() as session:
            return bounces.take(session, content, self.terms, delivery_id=delivery_id, source=source, now=self.now)

    def follow(self) -> Followed:
        """Do what follows from the reports."""
        with self.make.sessions.begin() as session:
            return bounces.follow(session, self.terms, now=self.now)

    def bounced(self, mail: Delivery, status: str = "5.1.1", said: str = GONE, **more: str) -> bytes:
        """Return a report of a failure to the return path of a mail."""
        return dsn(failed(status, said, **({"recipient": mail.address} | more)), original=header(mail))

    def complaint(self, mail: Delivery, kind: str = "abuse", *fields: str) -> bytes:
        """Return a complaint about a mail, in which the reader's address was taken out."""
        return arf(kind, *fields, original=header(mail, path=False))

    def actions(self) -> list[str]:
        """Return what was done about each report."""
        return [row.action for row in self.make.all(Bounce)]

    def suppressed(self) -> list[tuple[str, str]]:
        """Return whose addresses are suppressed, by their names, and why."""
        names = {row.suppression_key: row.address.partition("@")[0] for row in self.make.all(Subscriber)}
        return [(names[row.suppression_key], row.reason.value) for row in self.make.all(Suppression)]

    def status(self, name: str = "ari") -> str:
        """Return whether a reader still has their subscription."""
        return self.make.again(self.subscriptions[name]).status.value

    def confirm_again(self, name: str, now: datetime) -> None:
        """Let somebody sign up anew."""
        with self.make.sessions.begin() as session:
            subscribers.request(session, asking(name, self.newsletter), subscribers.Policy(SECRET), now=now)
        consent = self.make.all(Consent)[-1]
        with self.make.sessions.begin() as session:
            subscribers.confirm(session, consent.id, LINKS, now=now)


def header(mail: Delivery, *, links: Links = LINKS, path: bool = True) -> str:
    """Return the header of a mail as reports enclose it."""
    return (
        (f"Return-Path: <{links.return_path(mail.id, DOMAIN)}>\n" if path else "")
        + f"Message-ID: {links.message_id(mail.id, 'example.org')}\n"
        + (f"List-Unsubscribe: <{links.unsubscribe(mail.subscription_id)}>\n" if mail.subscription_id else "")
        + "From: Papers <papers@example.org>\nSubject: Papers of the day\n"
    )
