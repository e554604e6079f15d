"""What servers mean by their words: for the address, for the mailbox behind it, or for us.

The words come first, for they say more than codes do: `550 5.1.1` is also used for full mailboxes and for blocked senders.
Where they leave it open, the enhanced code decides (RFC 3463), then the basic one. A doubt is never hard: whom we stop
mailing by mistake misses every issue, whom we mail once too often bounces again. What is refused because of us (our
reputation, our set-up, what we wrote) is not held against the reader: every 5.7.x, and whatever speaks of spam or policy.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from newsletter.bounces.reading import phrases
from newsletter.bounces.reading.report import Kind

WORDS_LIMIT = 20_000  # characters of an explanation that are looked at


_DEAD = frozenset({"1.0", "1.1", "1.2", "1.3", "1.6", "1.10", "2.1"})
_OURS = frozenset({"1.7", "1.8", "1.9", "2.3", "3.4", "3.3", "5.1", "5.2", "5.4", "5.5"})
_CODE = re.compile(r"(?<![\d.#:/-])([245]\d\d)(?=[ \t<:-])(?!-\d)")
_ENHANCED = re.compile(r"(?<![\d.])([245])\.(\d{1,2})\.(\d{1,3})(?![\d]|\.\d)")
_ASK_AGAIN = re.compile(r"try again|temporar|timed? ?out|transient")
_NOT_LET_IN = re.compile(r"recipient address rejected: access denied")  # Microsoft's words for nobody of that name
_AFTER_DATA = re.compile(r"(in reply to|after|response to) (the )?(end of data|end-of-data|data)|\bdata\b.{0,20}<<<")


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an explanation says."""

    kind: Kind
    about_us: bool = False
    sure: bool = True  # False: nothing in it told; it is what remains


HARD, SOFT, US = Meaning(Kind.HARD), Meaning(Kind.SOFT), Meaning(Kind.NONE, about_us=True)
_OPEN = Meaning(Kind.SOFT, sure=False)


def status_in(text: str) -> str:
    """Return the enhanced code in a text that says most: the first whose detail is not zero; "" if there is none."""
    codes = [f"{found[1]}.{int(found[2])}.{int(found[3])}" for found in _ENHANCED.finditer(text[:WORDS_LIMIT])]
    return next((code for code in codes if not code.endswith(".0.0")), next(iter(codes), ""))


def code_in(text: str) -> str:
    """Return the basic code of the last refusal in a text, as in 550; "" if there is none."""
    codes = [found[1] for found in _CODE.finditer(text[:WORDS_LIMIT]) if found[1][0] != "2"]
    return codes[-1] if codes else ""


@lru_cache(maxsize=64)  # a notice that names a hundred people is explained once
def meaning_of(text: str, status: str = "", *, tried_again: bool = False) -> Meaning:
    """Return what servers mean by a text and the enhanced code beside it; `tried_again`: it is still being delivered."""
    said = " ".join(text[:WORDS_LIMIT].lower().replace("’", "'").split())
    code = code_in(said)
    if tried_again or status.startswith("4") or (code.startswith("4") and not _refused_for_good(said)):
        return _not_yet(said, status)
    return _for_good(said, status, code)


def _refused_for_good(said: str) -> bool:
    return any(found[1][0] == "5" for found in _CODE.finditer(said))


def _not_yet(said: str, status: str) -> Meaning:
    """Return what a refusal for now means: about us where the server says so, but greylisting is about nobody."""
    if phrases.FULL.search(said) or "greylist" in said or "graylist" in said:
        return SOFT
    blamed = status.startswith("4.7.") or (status[2:] in {"", "0.0"} and phrases.ABOUT_US.search(said))
    return US if blamed and phrases.ABOUT_US.search(said) else SOFT


def _for_good(said: str, status: str, code: str) -> Meaning:
    detail = status[2:]
    gone, blamed = phrases.GONE.search(said) or phrases.NO_DOMAIN.search(said), phrases.ABOUT_US.search(said)
    if phrases.FULL.search(said) or detail == "2.2":
        return SOFT
    if detail.startswith("7."):
        return SOFT if gone and not blamed else US
    if detail in _OURS or (phrases.TOO_BIG.search(said) and not (gone and detail in _DEAD)):
        return US
    if gone:
        return _gone(said, detail, blamed=bool(blamed))
    return _unnamed(said, detail, code, blamed=bool(blamed))


def _gone(said: str, detail: str, *, blamed: bool) -> Meaning:
    """Return what it means that somebody is not there, which servers also say when they mean us, or later."""
    if blamed and detail not in _DEAD and not _NOT_LET_IN.search(said):
        return SOFT
    return SOFT if _ASK_AGAIN.search(said) and not phrases.GONE.search(said) else HARD


def _unnamed(said: str, detail: str, code: str, *, blamed: bool) -> Meaning:
    """Return what a refusal means that does not say that nobody is there."""
    disabled, later = phrases.DISABLED.search(said), phrases.LATER.search(said)
    if disabled and not blamed:
        return SOFT if "temporar" in said else HARD
    if blamed or detail.startswith("6."):
        return US
    if detail in _DEAD:
        return SOFT if later else HARD
    if later or detail.startswith(("1.", "2.", "3.", "4.")):
        return SOFT
    if code in {"550", "551", "553"}:
        return US if _AFTER_DATA.search(said) else HARD
    return SOFT if code else _OPEN
