"""RSS and Atom, read within bounds: what any feed holds becomes entries, and what is none is said in one sentence."""

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from time import struct_time
from typing import Any

import feedparser

from newsletter.errors import SourceMalformed
from newsletter.sources import Problem
from newsletter.sources.http import Page
from newsletter.text import one_line

LARGEST_FEED = 8_000_000  # bytes
_MOST_TAGS = 200_000  # a day of all arXiv has a fifth of it; reading takes 15 microseconds for each
_OWN_ENTITIES = re.compile(rb"<\0?!\0?D\0?O\0?C\0?T\0?Y\0?P\0?E[^>]{0,1000}\[", re.IGNORECASE)
_OLDEST = datetime(1990, 1, 1, tzinfo=UTC)
_HINT = "Open the address in a browser: it must show RSS or Atom."

Entry = Mapping[str, Any]  # as feedparser gives it


@dataclass(frozen=True)
class Feed:
    """What a feed holds; `said` are its own properties."""

    entries: tuple[Entry, ...]
    said: Entry
    problems: tuple[Problem, ...] = ()


def read(page: Page) -> Feed:
    """Return the entries of a feed; one that is broken somewhere is read as far as it goes, with a `Problem`.

    Raises SourceMalformed where there is no feed at all, or one that would cost too much to read.
    """
    _check(page)
    headers = {"content-type": page.content_type, "content-location": page.url}
    try:
        # A stream: given bytes, the library would fetch an address and open a file that they name.
        found = feedparser.parse(io.BytesIO(page.body), response_headers=headers)
    except Exception as error:
        raise _malformed(page, f"cannot be read as a feed ({type(error).__name__})") from error
    why = one_line(str(found.get("bozo_exception", "")))[:200]
    if not found.entries and (_is_broken(found) or not found.get("version")):
        raise _malformed(page, f"is neither RSS nor Atom{f' ({why})' if why else ''}; it begins with {_beginning(page)!r}")
    problems = (Problem(page.url, f"is not well-formed ({why}); read as far as it goes"),) if _is_broken(found) else ()
    return Feed(tuple(found.entries), found.feed, problems)


def _check(page: Page) -> None:
    if len(page.body) > LARGEST_FEED:
        raise _malformed(page, f"is larger than {LARGEST_FEED:,} bytes")
    if page.body.count(b"<") + page.body.count(b"&lt;") > _MOST_TAGS:
        raise _malformed(page, f"holds more than {_MOST_TAGS:,} tags")
    if _OWN_ENTITIES.search(page.body):
        raise _malformed(page, "declares entities of its own, as no feed needs to")


def _is_broken(found: Mapping[str, Any]) -> bool:
    """Whether something is wrong beyond what a server says of the encoding and the type."""
    told = (feedparser.CharacterEncodingOverride, feedparser.NonXMLContentType)
    return bool(found["bozo"]) and not isinstance(found.get("bozo_exception"), told)


def _malformed(page: Page, what: str) -> SourceMalformed:
    return SourceMalformed(f"{page.url[:200]}: {what}", hint=_HINT)


def _beginning(page: Page) -> str:
    return one_line(page.body[:60].decode(errors="replace"))


def text(entry: Entry, name: str) -> str:
    """Return a field as it stands, "" where there is none or it is no text."""
    value = entry.get(name)
    return value if isinstance(value, str) else ""


def is_html(entry: Entry, name: str) -> bool:
    """Whether a field holds HTML, as far as the feed says or its reader guessed."""
    return "html" in str((entry.get(f"{name}_detail") or {}).get("type", ""))


def moment(entry: Entry, *names: str) -> datetime | None:
    """Return the first of these fields that is a time, in UTC; None where none is, or none to believe."""
    for name in names:
        parsed = entry.get(f"{name}_parsed")
        if not isinstance(parsed, struct_time):
            continue
        try:
            found = datetime(*parsed[:5], min(parsed[5], 59), tzinfo=UTC)
        except (ValueError, TypeError):
            continue
        if found >= _OLDEST:
            return found
    return None


def names(entry: Entry) -> tuple[str, ...]:
    """Return the authors as they are listed, each a line."""
    people = entry.get("authors") or []
    found = (one_line(str(person.get("name", ""))) for person in people if isinstance(person, Mapping))
    return tuple(dict.fromkeys(name for name in found if name))
