"""The seam of webhooks, and what adapters share: JSON of which nothing is known, and what servers' words mean."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from newsletter.bounces.reading import Kind
from newsletter.bounces.reading.report import REASON_LIMIT, Report
from newsletter.bounces.reading.words import meaning_of, status_in
from newsletter.bounces.rules import Terms
from newsletter.errors import BadSignature
from newsletter.text import one_line


@dataclass(frozen=True)
class Told:
    """What a message says about one mail; `key` names the message, so that hearing it again changes nothing."""

    key: str
    reports: tuple[Report, ...] = ()


class Hook(Protocol):
    """A provider's webhook."""

    def read(self, body: bytes, headers: Mapping[str, str], *, now: datetime) -> Told:
        """Return what a request tells; raises BadSignature unless it is proved to be the provider's, unaltered and recent.

        Raises SourceError where the proof cannot be fetched now.
        """


@dataclass(frozen=True)
class Hooks:
    """The webhooks that are set, by the names in their addresses, and how what they tell is judged."""

    terms: Terms
    by_name: Mapping[str, Hook] = field(default_factory=dict)


def document(body: bytes | str) -> dict[str, Any]:
    """Return the JSON object in a body; raises BadSignature, for what is none is no provider's."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise BadSignature("It is no JSON.") from None
    return member({"": found}, "")


def member(parent: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the object at a name, an empty one if there is none."""
    found = parent.get(name)
    return found if isinstance(found, dict) else {}


def members(parent: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the objects in the list at a name."""
    found = parent.get(name)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def words(parent: Mapping[str, Any], name: str) -> str:
    """Return the text, or the number, at a name; "" if there is neither."""
    found = parent.get(name)
    return str(found) if isinstance(found, str | int | float) and not isinstance(found, bool) else ""


def failure(said: str, status: str, recipient: str, reader: str, *, sure: bool) -> Report:
    """Return what a refusal for good means: dead if the server says so; where it says nothing, if the provider is `sure`."""
    meaning = meaning_of(said, status)
    kind = meaning.kind
    if not meaning.sure:
        kind = Kind.HARD if sure else Kind.SOFT
    code = status or status_in(said)
    return Report(
        kind, recipient, code, one_line(said)[:REASON_LIMIT], reader, action="failed", about_us=meaning.about_us and meaning.sure
    )
