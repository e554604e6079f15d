"""What a mail server's answer means: for the delivery, for whoever is to blame, and for what should go slower.

The phase decides first (up to MAIL a server speaks about us and the relay), then the enhanced code (RFC 3463 and the
IANA registry that continues it), then the basic one. Nothing here knows the time or a database: thresholds are pure
judgements over `Window`s that the caller keeps.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum

from newsletter.errors import Reply
from newsletter.lifecycle import DeliveryEvent


class Blame(StrEnum):
    """Whose fault it is; only ADDRESS ever leads to a suppression, MAILBOX after several times over days."""

    NOBODY = "nobody"
    ADDRESS = "address"  # it does not exist: a hard bounce
    MAILBOX = "mailbox"  # it is full, or cannot be reached now: a soft one
    US = "us"  # our sender address, our domain's set-up, our commands
    MESSAGE = "message"  # what the issue says, or its size
    DOMAIN = "domain"  # the policy of the recipient's domain towards us
    RELAY = "relay"


class Scope(StrEnum):
    """What else is to go slower or stop."""

    NONE = "none"
    RELAY = "relay"  # everything over this relay
    DOMAIN = "domain"  # over this relay, everything to the recipient's domain
    ISSUE = "issue"  # every delivery of this issue


class Brake(StrEnum):
    """How it is to go slower or stop."""

    NONE = "none"
    SLOW = "slow"  # fewer connections, fewer messages a second; faster again as answers are good
    PAUSE = "pause"  # at once, for as long as the delivery waits, and the operator hears of it
    COUNT = "count"  # towards a threshold: `pauses_domain`, `stops_issue`


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows from an answer."""

    event: DeliveryEvent  # ACCEPT, REFUSE, PUT_OFF or LOSE
    reason: str  # in a few words, for the operator; the server's own stand beside it
    blame: Blame = Blame.NOBODY
    scope: Scope = Scope.NONE
    brake: Brake = Brake.NONE
    again_in: timedelta = timedelta()  # after PUT_OFF


# Minutes before the next try, by earlier attempts. RFC 5321 section 4.5.4.1 asks for half an hour where nothing tells more.
_AWAY = (1, 2, 5, 10, 20, 30)  # nobody's message was refused
_SHUT = (15, 30, 60, 120)  # somebody has to do something first
_MAYBE_GREYLISTED = (6, 15, 30, 60, 120, 240)  # greylisting wants 5 at the least
_LATER = (30, 60, 120, 240)
_SLOWER = (15, 30, 60, 120, 240)
_FULL = (60, 120, 240, 480)

_EVENT = DeliveryEvent
ACCEPTED = Verdict(_EVENT.ACCEPT, "")
LOST = Verdict(_EVENT.LOSE, "no answer came: it may have arrived")

_NO_ADDRESS = Verdict(_EVENT.REFUSE, "the address does not exist", Blame.ADDRESS)
_MAILBOX = Verdict(_EVENT.REFUSE, "the mailbox cannot be reached", Blame.MAILBOX)
_NO_ROOM = Verdict(_EVENT.REFUSE, "the mailbox is full", Blame.MAILBOX)
_SENDER = Verdict(_EVENT.REFUSE, "our sender address was refused", Blame.US, Scope.DOMAIN, Brake.COUNT)
_COMMANDS = Verdict(_EVENT.REFUSE, "the server did not understand us", Blame.US, Scope.DOMAIN, Brake.COUNT)
_POLICY = Verdict(_EVENT.REFUSE, "the domain refuses mail from us", Blame.DOMAIN, Scope.DOMAIN, Brake.COUNT)
_CONTENT = Verdict(_EVENT.REFUSE, "the content was refused", Blame.MESSAGE, Scope.ISSUE, Brake.COUNT)
_TOO_BIG = Verdict(_EVENT.REFUSE, "the message is too big", Blame.MESSAGE, Scope.ISSUE, Brake.COUNT)
_SYSTEM = Verdict(_EVENT.REFUSE, "the server could not take it", Blame.RELAY)
_UNMAILABLE = Verdict(_EVENT.REFUSE, "the address is not ASCII, and the server takes no other")  # RFC 6531

_AWAY_NOW = Verdict(_EVENT.PUT_OFF, "the relay could not be talked to", Blame.RELAY, Scope.RELAY, Brake.PAUSE)
_BUSY = Verdict(_EVENT.PUT_OFF, "the relay is busy or hung up", Blame.RELAY, Scope.RELAY, Brake.SLOW)
_TURNED_AWAY = Verdict(_EVENT.PUT_OFF, "the relay turned us away", Blame.RELAY, Scope.RELAY, Brake.PAUSE)
_NONSENSE = Verdict(_EVENT.PUT_OFF, "the answer made no sense", Blame.RELAY, Scope.RELAY, Brake.SLOW)
_HUNG_UP = Verdict(_EVENT.PUT_OFF, "the connection was lost before the message was handed over")
_TEMPORARY = Verdict(_EVENT.PUT_OFF, "the server said later")
_GREYLISTED = Verdict(_EVENT.PUT_OFF, "the server wants to see us come again")
_MAILBOX_LATER = Verdict(_EVENT.PUT_OFF, "the mailbox cannot be reached now", Blame.MAILBOX)
_FULL_NOW = Verdict(_EVENT.PUT_OFF, "the mailbox is full", Blame.MAILBOX)
_TOO_FAST = Verdict(_EVENT.PUT_OFF, "the server wants less from us", Blame.DOMAIN, Scope.DOMAIN, Brake.SLOW)

# Refusals by enhanced code without its class; then by its subject, the first of the two numbers; then by basic code.
_SAID_ANYWHERE = {"1.1": _NO_ADDRESS, "1.10": _NO_ADDRESS, "1.7": _SENDER, "1.8": _SENDER, "3.4": _TOO_BIG, "6.7": _UNMAILABLE}
_PROTOCOL = dict.fromkeys(("500", "501", "502", "503", "504", "555"), _COMMANDS)
_AT_RCPT = {
    **_SAID_ANYWHERE,
    "2.1": _NO_ADDRESS,
    "2.2": _NO_ROOM,
    "3": _SYSTEM,
    "5": _COMMANDS,
    "6": _CONTENT,
    "7": _POLICY,
    **_PROTOCOL,
    "550": _NO_ADDRESS,
    "552": _NO_ROOM,
    "554": _POLICY,
}
# Who we are was not proved (SPF, DKIM, DMARC, PTR, TLS): many servers say so only once they have seen the header.
_UNPROVED = ("20", "21", "22", "23", "24", "25", "26", "27", "29", "30", "31", "32", "40", "509", "515")
_WITH_CONTENT = {
    **_SAID_ANYWHERE,
    **{f"7.{detail}": _POLICY for detail in _UNPROVED},
    "2.2": _NO_ROOM,
    "1": _MAILBOX,
    "2": _MAILBOX,
    "3": _SYSTEM,
    "4": _SYSTEM,
    "5": _COMMANDS,
    "6": _CONTENT,
    "7": _CONTENT,
    **_PROTOCOL,
    "552": _TOO_BIG,
}
_DOOR = frozenset({"connect", "greeting", "helo", "tls", "auth", "mail", "rset"})
_CLOSING = 421  # may be the answer to anything (RFC 5321 section 3.8)
_FULL_CODE, _TOO_BIG_CODE = 452, 552


def judge(reply: Reply, *, attempts: int = 0) -> Verdict:
    """Return what an answer means after this many earlier attempts; every reply has a verdict.

    A reply of code 0 is silence: the connection was lost or the time was up at that phase. Before the dot it may also be
    our own finding that the server cannot take the message, with the enhanced code (5.x.x) that says why.
    """
    if reply.phase == "dot":
        return _after_the_dot(reply, attempts)
    if reply.phase in {"rcpt", "data"}:
        return _before_the_dot(reply, attempts)
    if reply.phase in _DOOR:
        return _at_the_door(reply, attempts)
    return LOST  # nobody knows what was answered


def _after_the_dot(reply: Reply, attempts: int) -> Verdict:
    kind = reply.code // 100
    if kind == 2:  # noqa: PLR2004 -- the class of a code, as RFC 5321 section 4.2.1 numbers them
        return ACCEPTED
    if kind == 4:  # noqa: PLR2004
        return _later(reply, attempts, _LATER)
    return _refused(reply, _WITH_CONTENT, _CONTENT) if kind == 5 else LOST  # noqa: PLR2004


def _before_the_dot(reply: Reply, attempts: int) -> Verdict:
    kind, at_rcpt = reply.code // 100, reply.phase == "rcpt"
    if kind == 5 or _is_our_own_finding(reply):  # noqa: PLR2004
        return _refused(reply, _AT_RCPT, _MAILBOX) if at_rcpt else _refused(reply, _WITH_CONTENT, _CONTENT)
    if kind == 4:  # noqa: PLR2004
        return _later(reply, attempts, _MAYBE_GREYLISTED if at_rcpt else _LATER)
    return _after(_NONSENSE if reply.code else _HUNG_UP, _MAYBE_GREYLISTED, attempts)


def _at_the_door(reply: Reply, attempts: int) -> Verdict:
    if reply.phase == "mail" and _is_about_the_message(reply):
        return _refused(reply, _WITH_CONTENT, _TOO_BIG)
    if reply.code == _CLOSING or (not reply.code and reply.phase not in {"connect", "tls", "auth"}):
        return _after(_BUSY, _AWAY, attempts)
    if not reply.code:
        return _after(_AWAY_NOW, _AWAY, attempts)
    return _after(_TURNED_AWAY, _SHUT if reply.code // 100 == 5 else _AWAY, attempts)  # noqa: PLR2004


def _is_about_the_message(reply: Reply) -> bool:
    """Say whether a refusal of MAIL is about what we announced there: its size (RFC 1870), or an address that is not ASCII."""
    never = reply.code // 100 == 5  # noqa: PLR2004
    return _is_our_own_finding(reply) or (never and (reply.code == _TOO_BIG_CODE or _detail(reply) in {"3.4", "6.7"}))


def _is_our_own_finding(reply: Reply) -> bool:
    return not reply.code and reply.enhanced.startswith("5.")


def _detail(reply: Reply) -> str:
    """Return the enhanced code without its class; "" if there is none, "?" if it contradicts the basic one."""
    kind, _, detail = reply.enhanced.partition(".")
    return detail if not reply.enhanced or kind == str(reply.code // 100 or 5) else "?"


def _refused(reply: Reply, meanings: Mapping[str, Verdict], otherwise: Verdict) -> Verdict:
    detail = _detail(reply)
    if not detail:
        return meanings.get(str(reply.code), otherwise)
    return meanings.get(detail) or meanings.get(detail.partition(".")[0], otherwise)


def _later(reply: Reply, attempts: int, usually: tuple[int, ...]) -> Verdict:
    detail = _detail(reply)
    if detail == "2.2" or (reply.code == _FULL_CODE and not detail):
        return _after(_FULL_NOW, _FULL, attempts)
    if any(word in reply.text.lower() for word in ("greylist", "graylist")):
        return _after(_GREYLISTED, _MAYBE_GREYLISTED, attempts)  # often 4.7.1, but no reason to slow down
    if reply.code == _CLOSING or detail.startswith("7."):
        return _after(_TOO_FAST, _SLOWER, attempts)
    return _after(_MAILBOX_LATER if detail.startswith("2.") else _TEMPORARY, usually, attempts)


def _after(verdict: Verdict, minutes: tuple[int, ...], attempts: int) -> Verdict:
    return replace(verdict, again_in=timedelta(minutes=minutes[min(max(attempts, 0), len(minutes) - 1)]))


@dataclass(slots=True)
class Window:
    """The last `last` outcomes of one kind, a bit each, the newest lowest: two numbers to keep wherever one likes."""

    last: int
    bits: int = 0  # 1: it went wrong
    seen: int = 0  # how many there are, at most `last`

    def add(self, *, wrong: bool) -> None:
        """Note an outcome and forget the oldest where there are too many."""
        self.bits = (self.bits << 1 | wrong) & ((1 << self.last) - 1)
        self.seen = min(self.seen + 1, self.last)

    @property
    def wrong(self) -> int:
        """How many of them went wrong."""
        return self.bits.bit_count()


@dataclass(slots=True)
class Tally:
    """A window for each key (a domain, a relay and a domain …), made when first needed."""

    last: int
    windows: dict[str, Window] = field(default_factory=dict)

    def add(self, key: str, *, wrong: bool) -> Window:
        """Note an outcome of a key and return its window."""
        window = self.windows.get(key)
        if window is None:
            window = self.windows[key] = Window(self.last)
        window.add(wrong=wrong)
        return window


@dataclass(frozen=True)
class Limits:
    """From when on many refusals mean more than each of them."""

    recipients: int = 200  # of everybody, and of each domain, that the breaker looks back at
    hard_share: float = 0.05  # of so many recipients
    domain_hard_share: float = 0.20  # of one domain's
    domain_recipients: int = 20  # fewer of one domain tell nothing
    domain_outcomes: int = 20  # of a relay and domain that a pause looks back at
    domain_refusals: int = 5  # among them
    agreeing_domains: int = 3  # that make it a matter of the whole relay, or of the issue
    issue_refusals: int = 10


LIMITS = Limits()


def breaks(hard: Window, limits: Limits = LIMITS) -> bool:
    """Say whether too many of all recipients turn hard: suppress none of them, hold what is queued, raise an alarm."""
    return hard.wrong > limits.hard_share * limits.recipients


def breaks_for_domain(hard: Window, limits: Limits = LIMITS) -> bool:
    """Say whether too many of one domain's recipients turn hard: the same for that domain alone."""
    return hard.seen >= limits.domain_recipients and hard.wrong > limits.domain_hard_share * hard.seen


def pauses_domain(refusals: Window, limits: Limits = LIMITS) -> bool:
    """Say whether a relay and domain have refused us (Scope.DOMAIN, Brake.COUNT) too often of late."""
    return refusals.wrong >= limits.domain_refusals


def pauses_relay(paused_domains: int, limits: Limits = LIMITS) -> bool:
    """Say whether so many domains refuse us that everything over this relay had better wait."""
    return paused_domains >= limits.agreeing_domains


def stops_issue(refusals: Mapping[str, int], limits: Limits = LIMITS) -> bool:
    """Say whether an issue was refused (Scope.ISSUE, Brake.COUNT; how often by each domain) too often, and by several."""
    by_domain = [count for count in refusals.values() if count]
    return sum(by_domain) >= limits.issue_refusals and len(by_domain) >= limits.agreeing_domains
