"""From a row of anybody's file to a wish: what it says of one person, in our words. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from newsletter.errors import BadInput
from newsletter.lifecycle import SubscriptionStatus
from newsletter.models import SuppressionReason
from newsletter.subscribers import cells
from newsletter.subscribers.addresses import Address, parse_address
from newsletter.subscribers.cells import Cells

# The columns of our own files, as they are exported; only the address is needed.
OWN_COLUMNS = (
    "address",
    "newsletter",
    "status",
    "language",
    "zone",
    "since",
    "subscription_zone",
    "cadence",
    "send_hour",
    "topics",
    "keywords",
    "max_papers",
    "match_first",
    "paused_until",
    "subscribed_at",
    "confirmed_at",
    "unsubscribed_at",
    "unsubscribed_by",
    "consent_source",
    "consent_wording",
    "consent_version",
    "consent_requested_at",
    "consent_requested_ip",
    "consent_confirmed_at",
    "consent_confirmed_ip",
    "suppressed",
    "suppressed_at",
    "suppressed_because",
)
_ALSO_CALLED = {
    "email": "address",
    "e-mail": "address",
    "email address": "address",
    "email_address": "address",
    "이메일": "address",
    "lang": "language",
    "timezone": "zone",
    "time zone": "zone",
    "hour": "send_hour",
    "frequency": "cadence",
    "tags": "topics",
}


@dataclass(frozen=True)
class Evidence:
    """What the file knows of how a person agreed: there, not here."""

    source: str = ""
    wording: str = ""
    version: str = ""
    requested_at: datetime | None = None
    requested_ip: str = ""
    confirmed_at: datetime | None = None
    confirmed_ip: str = ""


@dataclass(frozen=True)
class Wish:
    """What a row says of one person; what it does not say is None or absent, and leaves what is here as it is."""

    address: Address
    status: SubscriptionStatus | None  # in their system; None: nothing is said of a subscription
    suppressed: SuppressionReason | None = None  # there, and so here
    suppressed_because: str = ""
    suppressed_at: datetime | None = None
    newsletter: str = ""  # the slug; empty: whichever the operator names
    person: dict[str, Any] = field(default_factory=dict)  # columns of the subscriber that the row states
    wanted: dict[str, Any] = field(default_factory=dict)  # columns of the subscription that the row states
    since: datetime | None = None
    subscribed_at: datetime | None = None
    confirmed_at: datetime | None = None
    left_at: datetime | None = None
    left_by: str = "import"
    evidence: Evidence = Evidence()

    @property
    def leaves(self) -> bool:
        """Whether it takes mail away from somebody: that is believed of any row, also of a second one."""
        return self.suppressed is not None or self.status is SubscriptionStatus.UNSUBSCRIBED


@dataclass(frozen=True)
class Format:
    """A kind of file, known by its columns."""

    name: str
    columns: tuple[str, ...]  # of the file, in the words of the format
    titles: Mapping[str, str]  # what the file calls them
    used: frozenset[str]
    read: Callable[[Cells], Wish]

    def wish(self, row: Sequence[str]) -> Wish:
        """Return what a row says; raises BadInput naming column and value."""
        if extra := [cell for cell in row[len(self.columns) :] if cell.strip()]:
            raise BadInput(
                f"{len(row)} cells where there are {len(self.columns)} columns: {extra[0][:40]!r} stands under no name.",
                hint="A cell that holds the delimiter needs quotation marks around it.",
            )
        return self.read(Cells.of(self.columns, row, self.titles))

    def ignored(self) -> tuple[str, ...]:
        """Return the columns that say nothing to us."""
        return tuple(self.titles[name] for name in self.columns if name and name not in self.used)


def recognise(columns: Sequence[str], path: Path) -> Format:
    """Return the format of a file with these columns; raises BadInput where no column holds addresses."""
    lowered = tuple(name.lower() for name in columns)
    titles = dict(zip(lowered, columns, strict=True))
    if {"email", "attributes"} <= set(lowered):  # it takes in what has these two, and gives out more
        return Format("listmonk", lowered, titles, _LISTMONK, _of_listmonk)
    if "email address" in lowered and {"member_rating", "optin_time", "confirm_time", "leid"} & set(lowered):
        return _mailchimp(lowered, titles, path)
    own = tuple(_ALSO_CALLED.get(name, name) for name in lowered)
    if "address" in own:
        name = "our own" if "consent_requested_at" in own else "a plain list"
        return Format(name, own, dict(zip(own, columns, strict=True)), frozenset(OWN_COLUMNS), _of_own)
    if any("@" in name for name in columns):
        raise BadInput(f"{path}:1: an address stands where the names of the columns should.", hint="Put a line `email` above it.")
    known = ", ".join(name for name in columns if name)[:200]
    raise BadInput(f"{path}:1: no column is called email; there are: {known}.", hint="Call the column of the addresses email.")


def _address(given: Cells, column: str) -> Address:
    try:
        return parse_address(given[column])
    except BadInput as error:
        raise BadInput(f"column {given.title(column)}: {error}", hint=error.hint) from None


# What other programs call the states of a subscriber.
_STATUS_ELSEWHERE = {
    **dict.fromkeys(("subscribed", "confirmed", "enabled", "opted-in", "opted in"), SubscriptionStatus.ACTIVE),
    **dict.fromkeys(("disabled", "inactive", "opted-out", "opted out", "left"), SubscriptionStatus.UNSUBSCRIBED),
    **dict.fromkeys(("unconfirmed", "unactivated", "waiting"), SubscriptionStatus.PENDING),
}
_SUPPRESSED_ELSEWHERE = {
    **dict.fromkeys(("bounced", "cleaned", "undeliverable"), SuppressionReason.BOUNCE),
    **dict.fromkeys(("complained", "spam", "junk"), SuppressionReason.COMPLAINT),
    **dict.fromkeys(("blocklisted", "blacklisted", "blocked", "suppressed"), SuppressionReason.OPERATOR),
}


def _of_own(given: Cells) -> Wish:
    word = given["status"].lower()
    reason = _SUPPRESSED_ELSEWHERE.get(word) or cells.one_of(given, "suppressed", SuppressionReason)
    known = word in _SUPPRESSED_ELSEWHERE
    status = None if known else _STATUS_ELSEWHERE.get(word) or cells.one_of(given, "status", SubscriptionStatus)
    stated = {
        "zone": cells.zone(given, "subscription_zone"),
        "cadence": cells.cadence(given, "cadence"),
        "send_hour": cells.number(given, "send_hour", 0, 23),
        "topics": cells.words(given["topics"]),
        "keywords": cells.words(given["keywords"]),
        "max_papers": cells.number(given, "max_papers", 1, 200),
        "match_first": cells.flag(given, "match_first"),
        "paused_until": _day(given, "paused_until"),
    }
    person = {"language": cells.language(given, "language"), "zone": cells.zone(given, "zone")}
    return Wish(
        address=_address(given, "address"),
        status=status or (None if reason else SubscriptionStatus.ACTIVE),
        suppressed=reason,
        suppressed_because=given.as_written("suppressed_because") or (f"{word} in the file" if known else ""),
        suppressed_at=cells.moment(given, "suppressed_at"),
        newsletter=given["newsletter"],
        person=_stated(person),
        wanted=_stated(stated),
        since=cells.moment(given, "since"),
        subscribed_at=cells.moment(given, "subscribed_at"),
        confirmed_at=cells.moment(given, "confirmed_at"),
        left_at=cells.moment(given, "unsubscribed_at"),
        left_by=given["unsubscribed_by"] or "import",
        evidence=Evidence(
            source=given["consent_source"],
            wording=given.as_written("consent_wording"),
            version=given["consent_version"],
            requested_at=cells.moment(given, "consent_requested_at"),
            requested_ip=cells.ip(given["consent_requested_ip"]),
            confirmed_at=cells.moment(given, "consent_confirmed_at"),
            confirmed_ip=cells.ip(given["consent_confirmed_ip"]),
        ),
    )


def _stated(columns: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in columns.items() if value not in (None, "", [])}


def _day(given: Cells, column: str) -> date | None:
    found = cells.moment(given, column)
    return found.date() if found else None


_LISTMONK = frozenset({"email", "attributes", "status", "subscription_status", "created_at"})


def _of_listmonk(given: Cells) -> Wish:
    """Read a row of listmonk: `status` is the person's (enabled, disabled, blocklisted), not that of a list."""
    blocked = given["status"].lower() == "blocklisted"
    off = given["status"].lower() == "disabled" or given["subscription_status"].lower() == "unsubscribed"
    unsure = given["subscription_status"].lower() == "unconfirmed"
    person, wanted = cells.attributes(given, "attributes")
    status = SubscriptionStatus.UNSUBSCRIBED if off else SubscriptionStatus.PENDING if unsure else SubscriptionStatus.ACTIVE
    return Wish(
        address=_address(given, "email"),
        status=None if blocked else status,
        suppressed=SuppressionReason.OPERATOR if blocked else None,
        suppressed_because="blocklisted in listmonk" if blocked else "",
        person=_stated(person),
        wanted=_stated(wanted),
        evidence=Evidence(source="listmonk", requested_at=cells.perhaps(given["created_at"])),
    )


_MAILCHIMP = frozenset(
    {
        "email address",
        "optin_time",
        "optin_ip",
        "confirm_time",
        "confirm_ip",
        "timezone",
        "language",
        "unsub_time",
        "unsub_reason",
        "clean_time",
        "clean_campaign_title",
    }
)
_COMPLAINTS = ("spam", "abuse", "complain")


def _mailchimp(columns: tuple[str, ...], titles: Mapping[str, str], path: Path) -> Format:
    """Return which of Mailchimp's four files it is: they differ in columns, but for those who never joined."""
    if {"clean_time", "clean_campaign_title"} & set(columns):
        return Format("Mailchimp, cleaned", columns, titles, _MAILCHIMP, _cleaned)
    if {"unsub_time", "unsub_reason"} & set(columns):
        return Format("Mailchimp, unsubscribed", columns, titles, _MAILCHIMP, _left)
    if path.name.lower().startswith(("nonsubscribed", "non-subscribed", "non_subscribed")):
        return Format("Mailchimp, never subscribed", columns, titles, _MAILCHIMP, _never_joined)
    return Format("Mailchimp, subscribed", columns, titles, _MAILCHIMP, _joined)


def _never_joined(given: Cells) -> Wish:
    raise BadInput(f"{given['email address'][:80]!r} never subscribed in Mailchimp: there is no consent.")


def _joined(given: Cells) -> Wish:
    asked, confirmed = (cells.perhaps(given[name]) for name in ("optin_time", "confirm_time"))
    person = {"language": cells.spoken(given["language"]), "zone": cells.known_zone(given["timezone"])}
    return Wish(
        address=_address(given, "email address"),
        status=SubscriptionStatus.ACTIVE,
        person=_stated(person),
        evidence=Evidence(
            source="Mailchimp",
            requested_at=asked or confirmed,
            requested_ip=cells.ip(given["optin_ip"]),
            confirmed_at=confirmed or asked,
            confirmed_ip=cells.ip(given["confirm_ip"]),
        ),
    )


def _left(given: Cells) -> Wish:
    why, joined = given["unsub_reason"], _joined(given)
    complained = any(word in why.lower() for word in _COMPLAINTS)
    return Wish(
        address=joined.address,
        status=SubscriptionStatus.UNSUBSCRIBED,
        suppressed=SuppressionReason.COMPLAINT if complained else None,
        suppressed_because=f"in Mailchimp: {why}" if complained else "",
        person=joined.person,
        left_at=cells.perhaps(given["unsub_time"]),
        evidence=joined.evidence,
    )


def _cleaned(given: Cells) -> Wish:
    return Wish(
        address=_address(given, "email address"),
        status=None,
        suppressed=SuppressionReason.BOUNCE,
        suppressed_because="cleaned in Mailchimp",
        suppressed_at=cells.perhaps(given["clean_time"]),
    )
