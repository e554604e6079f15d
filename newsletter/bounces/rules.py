"""What follows from reports: pure judgements over what a report says and over how many there are of an address."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from newsletter.bounces.reading import Kind, Report
from newsletter.errors import BadAddress
from newsletter.lifecycle import DeliveryStatus
from newsletter.mail.headers import wire_address
from newsletter.models import BounceKind, DeliveryKind
from newsletter.tokens import Links

REPORTED_WITHIN = timedelta(days=30)  # after a mail went: what comes later is about no mail of ours that anybody remembers
WATCHED_RATE, WORST_RATE = 0.001, 0.003  # of an issue's mails called spam: what Gmail asks to stay below, and never to reach
FEWEST_COMPLAINTS = 2  # one person's word is no rate
_OPT_OUTS = frozenset({"opt-out", "opt-out-list", "unsubscribe"})  # asks to be left alone, and does not say spam
_NOT_THE_READERS = (DeliveryKind.ALARM, DeliveryKind.FORWARD, DeliveryKind.REMARK)  # go to the operator, whom nothing suppresses


@dataclass(frozen=True)
class Threshold:
    """So many reports of a kind, each about another mail, within so many days suppress an address; 0: never."""

    count: int
    days: int = 30

    def is_met(self, number: int) -> bool:
        """Say whether so many are enough."""
        return 0 < self.count <= number


@dataclass(frozen=True)
class Rules:
    """From when on an address is suppressed."""

    hard: Threshold = Threshold(1)
    soft: Threshold = Threshold(5)
    complaint: Threshold = Threshold(1)

    def of(self, kind: BounceKind) -> Threshold:
        """Return the threshold of a kind."""
        return {BounceKind.HARD: self.hard, BounceKind.SOFT: self.soft, BounceKind.COMPLAINT: self.complaint}[kind]


@dataclass(frozen=True)
class Terms:
    """What the installation says about reports: the links by whose tokens its mails are known, and the rules."""

    links: Links
    secret: bytes  # of the suppression hash; never rotates
    rules: Rules = Rules()


class Step(StrEnum):
    """What a report asks for by itself."""

    COUNT = "count"  # it is held against the address
    LEAVE = "leave"  # the person wants no more of it: their subscriptions end, and nothing is suppressed
    ALARM = "alarm"  # it is about us: the operator hears of it, and it is never held against the reader
    WAIT = "wait"  # the mail is still on its way
    NOTHING = "nothing"


def step_of(report: Report) -> Step:
    """Return what a report asks for; a `delayed` (RFC 3464 section 2.3.3) is no failure, and "not spam" no complaint."""
    if report.about_us:
        return Step.ALARM
    if report.kind is Kind.NONE:
        return Step.NOTHING
    if report.kind is Kind.COMPLAINT:
        return Step.LEAVE if report.action in _OPT_OUTS else Step.COUNT
    return Step.WAIT if report.action == "delayed" else Step.COUNT


@dataclass(frozen=True)
class Subject:
    """The mail that a report is about, and how the report named it."""

    kind: DeliveryKind
    status: DeliveryStatus
    address: str
    has_reader: bool  # whose mail it was: False for a test, and once the person is erased
    went_at: datetime  # when it was sent, or last tried
    tried: bool
    by_return_path: bool  # it came back to the address that this mail alone was sent from


def why_ignored(report: Report, subject: Subject, *, now: datetime) -> str:
    """Return why a report changes nothing, "" if it counts.

    A report to the mail's own return path is about its reader even where it names another address: one to which they have
    their mail forwarded. Without that path a bounce that names another address may be about anybody.
    """
    if subject.kind in _NOT_THE_READERS or not subject.has_reader:
        return "the mail was no reader's"
    if not subject.tried:
        return "the mail was never sent"
    if now - subject.went_at > REPORTED_WITHIN:
        return "it comes too late"
    if names_another(report, subject.address) and not subject.by_return_path and report.kind is not Kind.COMPLAINT:
        return "it is about another recipient"
    return ""


def names_another(report: Report, address: str) -> bool:
    """Say whether a report is about another address than the one the mail was sent to; one without an address is not."""
    return bool(report.recipient) and _on_the_wire(report.recipient) != _on_the_wire(address)


def _on_the_wire(address: str) -> str:
    """Return an address as servers tell it: its domain in ASCII, whatever its case."""
    try:
        return wire_address(address).casefold()
    except BadAddress:
        return address.casefold()


def own(reports: Collection[Report], address: str) -> list[Report]:
    """Return those of the reports about one mail that name its address; all where none does.

    A mail to a list of somebody's own may fail for one of its members and reach the reader.
    """
    return [report for report in reports if report.recipient and not names_another(report, address)] or list(reports)


def is_watched(complaints: int, sent: int) -> bool:
    """Say whether more of an issue's mails were called spam than large providers put up with for long."""
    return complaints >= FEWEST_COMPLAINTS and complaints > WATCHED_RATE * sent


def is_worst(complaints: int, sent: int) -> bool:
    """Say whether so many were called spam that large providers turn away all mail from us."""
    return complaints >= FEWEST_COMPLAINTS and complaints > WORST_RATE * sent
