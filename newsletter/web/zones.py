"""Time zones to choose from, in the reader's words and with the time that the clocks there show now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib import resources

from babel.dates import get_timezone_location

from newsletter import i18n, schedule


@dataclass(frozen=True)
class Zone:
    """A zone as a list shows it: "Asia/Seoul", "Seoul", "15:04"."""

    key: str
    city: str
    clock: str


@cache
def names() -> tuple[str, ...]:
    """Return the zones of the IANA list that people live in, one a region and city; other spellings are left out."""
    table = (resources.files("tzdata") / "zoneinfo" / "zone.tab").read_text(encoding="utf-8")
    return tuple(sorted(line.split("\t")[2] for line in table.splitlines() if line and not line.startswith("#")))


@cache
def _cities(language: str) -> Mapping[str, str]:
    locale = i18n.locale_of(language)
    return {name: get_timezone_location(name, locale=locale, return_city=True) for name in names()}


def listing(now: datetime, language: str, chosen: str) -> Sequence[tuple[str, Sequence[Zone]]]:
    """Return the zones by region, each region's by city, named in a language; `chosen` is among them, however it is spelled."""
    cities = dict(_cities(language))
    if chosen:
        cities.setdefault(chosen, chosen)
    regions: dict[str, list[Zone]] = {}
    for key, city in cities.items():
        regions.setdefault(key.partition("/")[0], []).append(Zone(key, city, clock(now, key)))
    named = {_region(region, language): found for region, found in regions.items()}
    return [(region, sorted(found, key=lambda zone: zone.city)) for region, found in sorted(named.items())]


def _region(name: str, language: str) -> str:
    """Return a region of the IANA list in a language; what is none of them as it is: "UTC"."""
    gettext = i18n.catalogue(language).gettext
    words = {
        "Africa": gettext("Africa"),
        "America": gettext("America"),
        "Antarctica": gettext("Antarctica"),
        "Arctic": gettext("Arctic"),
        "Asia": gettext("Asia"),
        "Atlantic": gettext("Atlantic"),
        "Australia": gettext("Australia"),
        "Europe": gettext("Europe"),
        "Indian": gettext("Indian Ocean"),
        "Pacific": gettext("Pacific"),
    }
    return words.get(name, name)


def clock(now: datetime, zone: str) -> str:
    """Return what the clocks in a zone show: "15:04"."""
    return f"{now.astimezone(schedule.zone(zone)):%H:%M}"
