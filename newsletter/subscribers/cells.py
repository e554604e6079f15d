"""Cells of a row, read strictly where the file is ours to be right, and leniently where another program wrote it. Pure."""

import ipaddress
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

from newsletter import i18n, schedule
from newsletter.errors import BadInput
from newsletter.models import Cadence
from newsletter.subscribers.csv_files import fuse

Word = TypeVar("Word", bound=StrEnum)
# ISO 8601, and how Go writes a time: "2024-03-01 09:30:00.12 +0000 UTC".
_MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d(?::\d\d(?:\.\d+)?)?)\s?(Z|[+-]\d\d:?\d\d)?(?: [A-Z]{1,5}| [+-]\d\d)?)?", re.ASCII
)
_MOST_WORDS, _LONGEST_WORD = 100, 80


@dataclass(frozen=True)
class Cells:
    """A row by the names of its columns; what is not there is empty."""

    by_name: Mapping[str, str]
    titles: Mapping[str, str]  # what the file calls the columns

    @classmethod
    def of(cls, columns: Sequence[str], row: Sequence[str], titles: Mapping[str, str]) -> "Cells":
        """Name the cells of a row; of two columns with one name the first counts."""
        pairs = zip(reversed(columns[: len(row)]), reversed(row[: len(columns)]), strict=True)
        return cls({name: fuse(cell).replace("\0", "") for name, cell in pairs}, titles)

    def __getitem__(self, column: str) -> str:
        """Return a cell without what is blank around it, "" where there is none."""
        return self.by_name.get(column, "").strip()

    def title(self, column: str) -> str:
        """Return what the file calls a column."""
        return self.titles.get(column, column)

    def as_written(self, column: str) -> str:
        """Return a cell to the letter: somebody's own words."""
        return self.by_name.get(column, "")


def one_of(given: Cells, column: str, words: type[Word]) -> Word | None:
    """Return which of the words a cell holds, None where it is empty."""
    if not given[column]:
        return None
    try:
        return words(given[column].lower())
    except ValueError:
        raise _wrong(given, column, f"is none of {', '.join(words)}.") from None


def cadence(given: Cells, column: str) -> Cadence | None:
    """Return how often somebody wants an issue."""
    return one_of(given, column, Cadence)


def number(given: Cells, column: str, least: int, most: int) -> int | None:
    """Return a whole number within its limits, None where the cell is empty."""
    if not given[column]:
        return None
    if not re.fullmatch(r"[0-9]{1,4}", given[column]) or not least <= int(given[column]) <= most:
        raise _wrong(given, column, f"is no number from {least} to {most}.")
    return int(given[column])


def flag(given: Cells, column: str) -> bool | None:
    """Return whether a cell says yes, None where it is empty."""
    found = one_of(given, column, _Flag)
    return None if found is None else found in (_Flag.TRUE, _Flag.YES, _Flag.ONE)


class _Flag(StrEnum):
    TRUE = "true"
    YES = "yes"
    ONE = "1"
    FALSE = "false"
    NO = "no"
    ZERO = "0"


def zone(given: Cells, column: str) -> str:
    """Return a time zone that there is, or ""."""
    try:
        return given[column] and schedule.zone(given[column]).key
    except BadInput as error:
        raise BadInput(f"column {given.title(column)}: {error}", hint=error.hint) from None


def known_zone(name: str) -> str:
    """Return the zone another program guessed, "" where there is none of that name."""
    try:
        return name and schedule.zone(name).key
    except BadInput:
        return ""


def language(given: Cells, column: str) -> str:
    """Return a language that mails speak, or ""."""
    if given[column] and not spoken(given[column]):
        raise _wrong(given, column, "is no language that mails speak.", hint=f"They speak {', '.join(i18n.languages())}.")
    return spoken(given[column])


def spoken(tag: str) -> str:
    """Return the language of a tag such as "ko-KR" where mails speak it, else ""."""
    base = re.split("[-_]", tag, maxsplit=1)[0].lower()
    return base if base in i18n.languages() else ""


def words(text: str) -> list[str]:
    """Return the words of a list, as JSON or parted by commas or semicolons."""
    try:
        found = json.loads(text) if text.startswith("[") else re.split("[;,]", text)
    except ValueError:
        found = re.split("[;,]", text.strip("[]"))
    printable = ("".join(letter for letter in str(word) if letter.isprintable()) for word in found)
    trimmed = (word.strip(" \"'")[:_LONGEST_WORD] for word in printable)
    return [word for word in trimmed if word][:_MOST_WORDS]


def moment(given: Cells, column: str) -> datetime | None:
    """Return a time, UTC where it names no other zone; None where the cell is empty."""
    if not given[column]:
        return None
    found = perhaps(given[column])
    if found is None:
        raise _wrong(given, column, "is no time.", hint="Write 2024-03-14 or 2024-03-14T09:30:00+09:00.")
    return found


def perhaps(text: str) -> datetime | None:
    """Return a time, None for what is none: another program's time is evidence where it can be read, and no reason to refuse."""
    match = _MOMENT.fullmatch(text)
    if match is None:
        return None
    day, clock, offset = match.groups()
    try:
        found = datetime.fromisoformat(f"{day}T{clock or '00:00'}{offset or '+00:00'}")
        return found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def ip(text: str) -> str:
    """Return an IP address, "" for what is none."""
    try:
        return str(ipaddress.ip_address(text)) if text else ""
    except ValueError:
        return ""


def attributes(given: Cells, column: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what free attributes (JSON) say of the person and of the subscription, under the names usual for it."""
    try:
        found = json.loads(given[column]) if given[column] else {}
    except ValueError:
        raise _wrong(given, column, "is no JSON.", hint="Export the file again, or leave the column out.") from None
    known = {str(name).lower(): value for name, value in found.items()} if isinstance(found, dict) else {}

    def first(*names: str) -> str:
        return next((str(known[name]) for name in names if isinstance(known.get(name), str | int)), "")

    hour, often = first("send_hour", "hour"), first("cadence", "frequency").lower()
    topics = known.get("topics")
    wanted = {
        "send_hour": int(hour) if re.fullmatch("[0-9]|1[0-9]|2[0-3]", hour) else None,
        "cadence": Cadence(often) if often in set(Cadence) else None,
        "topics": words(json.dumps(topics) if isinstance(topics, list) else str(topics or "")),
    }
    return {"language": spoken(first("language", "lang")), "zone": known_zone(first("zone", "timezone", "tz"))}, wanted


def _wrong(given: Cells, column: str, what: str, *, hint: str = "") -> BadInput:
    return BadInput(f"column {given.title(column)}: {given[column][:80]!r} {what}", hint=hint)
