"""Emails as data: a frozen dataclass per kind; what differs from reader to reader is a slot.

`templates/email/<kind>/{subject.txt, body.txt, body.html}` show the fields as `email`, and `slot.<name>`
where a recipient's own value goes. An email is rendered once and then spliced for everybody it is for,
so nothing that belongs to one person is a field here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import ClassVar

WAYS = ("pdf", "code", "project", "video")  # of a paper's links, those that a card shows, in their order


@dataclass(frozen=True)
class Publication:
    """The newsletter as its mails need it."""

    slug: str
    title: str
    description: str
    language: str  # BCP 47: "ko", "en"
    postal_address: str
    home_url: str  # the page where one signs up
    archive_url: str


@dataclass(frozen=True)
class PaperCard:
    """One paper as the digest shows it."""

    paper_id: int
    title: str
    url: str
    authors: tuple[str, ...]
    more_authors: bool
    votes: int | None
    thumbnail_url: str  # empty: none
    bullets: tuple[str, ...]
    origin: str  # who wrote the bullets: a SummaryOrigin value
    ways: tuple[tuple[str, str], ...] = ()  # what else there is of it: one of WAYS and where it leads
    model: str = ""  # the language model, where origin is "model"
    checked: bool = False  # whether what it wrote was compared with the abstract
    summary_language: str = ""  # where it differs from the newsletter's: an English abstract in a Korean digest
    remark_url: str = ""  # where one says that something is wrong; empty: nowhere


def ways_of(links: Mapping[str, str], url: str) -> tuple[tuple[str, str], ...]:
    """Return the ways to more of a paper that a card shows, of its links; not the one its title leads by."""
    return tuple((kind, links[kind]) for kind in WAYS if links.get(kind) and links[kind] != url)


@dataclass(frozen=True)
class Email:
    """What every kind has: the newsletter it comes from, whose language it speaks."""

    kind: ClassVar[str]
    slots: ClassVar[tuple[str, ...]]  # the names of the slots its templates may use

    publication: Publication


@dataclass(frozen=True)
class DigestEmail(Email):
    """An issue: all its papers, of which each reader gets a selection."""

    kind: ClassVar[str] = "digest"
    slots: ClassVar[tuple[str, ...]] = ("unsubscribe_url", "preferences_url", "view_url", "rank", "count", "why", "more")

    first_day: date
    last_day: date
    papers: tuple[PaperCard, ...]
    note: str = ""  # the editor's, at the top: paragraphs between empty lines


@dataclass(frozen=True)
class ConfirmEmail(Email):
    """Please confirm that you asked for this (double opt-in)."""

    kind: ClassVar[str] = "confirm"
    slots: ClassVar[tuple[str, ...]] = ("confirm_url", "requested_at", "titles", "hours")


@dataclass(frozen=True)
class WelcomeEmail(Email):
    """You are in: what comes when, the latest issue, and how to leave."""

    kind: ClassVar[str] = "welcome"
    slots: ClassVar[tuple[str, ...]] = ("unsubscribe_url", "preferences_url")

    cadence: str  # a Cadence value
    send_hour: int | None  # None: as soon as an issue is ready
    zone: str
    latest_url: str  # empty: no issue yet
    latest_title: str


@dataclass(frozen=True)
class GoodbyeEmail(Email):
    """You have left, and this is the way back."""

    kind: ClassVar[str] = "goodbye"
    slots: ClassVar[tuple[str, ...]] = ()


@dataclass(frozen=True)
class AlreadySubscribedEmail(Email):
    """Somebody signed up an address that is subscribed: said by mail, so that the page gives nothing away."""

    kind: ClassVar[str] = "already-subscribed"
    slots: ClassVar[tuple[str, ...]] = ("unsubscribe_url", "preferences_url", "requested_at")


@dataclass(frozen=True)
class PreferencesEmail(Email):
    """The link to what you have chosen, asked for at the page for it."""

    kind: ClassVar[str] = "preferences"
    slots: ClassVar[tuple[str, ...]] = ("preferences_url", "requested_at")


@dataclass(frozen=True)
class MyDataEmail(Email):
    """The link to all that is kept of you."""

    kind: ClassVar[str] = "my-data"
    slots: ClassVar[tuple[str, ...]] = ("my_data_url", "requested_at")


@dataclass(frozen=True)
class ChangeOfAddressEmail(Email):
    """To the address that is to be given up: agree, or stop it."""

    kind: ClassVar[str] = "change-of-address"
    slots: ClassVar[tuple[str, ...]] = ("change_url", "requested_at", "new_address", "hours")


@dataclass(frozen=True)
class NewAddressEmail(Email):
    """To the address that mail is to go to: agree; or, where it has subscriptions of its own, that nothing happens."""

    kind: ClassVar[str] = "new-address"
    slots: ClassVar[tuple[str, ...]] = ("open_url", "requested_at", "old_address", "hours")

    known: bool  # the address is a subscriber's


@dataclass(frozen=True)
class HelpEmail(Email):
    """The answer to a mail that asks for something: the link by which to leave, or what can be done by mail."""

    kind: ClassVar[str] = "help"
    slots: ClassVar[tuple[str, ...]] = ("unsubscribe_url", "preferences_url")

    domain: str  # of the addresses that take commands
    leaving: bool


@dataclass(frozen=True)
class ForwardEmail(Email):
    """What somebody wrote to us, passed on to a person; the letter itself is attached."""

    kind: ClassVar[str] = "forward"
    slots: ClassVar[tuple[str, ...]] = ("writer", "recipient", "subject")

    proven: bool  # that it is from the address it names


@dataclass(frozen=True)
class RemarkEmail(Email):
    """What a reader finds wrong with how a paper is told, for the operator."""

    kind: ClassVar[str] = "remark"
    slots: ClassVar[tuple[str, ...]] = ()

    issue: str  # its subject
    paper: PaperCard  # as the issue told it
    prompt_version: str  # what a language model was asked by
    matter: str  # a Matter value
    words: tuple[str, ...]  # the reader's, by paragraph
    reply_to: str  # the reader's address, "" if they gave none
    desk_url: str  # the issue behind the log-in


@dataclass(frozen=True)
class AlarmEmail(Email):
    """Something the operator must know."""

    kind: ClassVar[str] = "alarm"
    slots: ClassVar[tuple[str, ...]] = ("cause", "subject", "detail", "opened_at")
