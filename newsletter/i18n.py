"""The languages of pages and mails: gettext catalogues read from `locale/<language>.po`; English is the source text.

A further language is a further file: nothing else names the languages.
"""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from functools import cache
from gettext import GNUTranslations, NullTranslations
from io import BytesIO

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_skeleton, format_time, format_timedelta, get_time_format
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from newsletter import paths

SOURCE_LANGUAGE = "en"


@cache
def languages() -> tuple[str, ...]:
    """Return the languages that pages and mails can speak, English first."""
    return (SOURCE_LANGUAGE, *sorted(path.stem for path in paths.catalogues().glob("*.po")))


@cache
def catalogue(language: str) -> NullTranslations:
    """Return the translations into `language`; its base language's, or English, where there are none."""
    for name in (language, language.partition("-")[0]):
        path = paths.catalogues() / f"{name}.po"
        if path.is_file():
            compiled = BytesIO()
            with path.open("rb") as source:
                write_mo(compiled, read_po(source, locale=name))
            compiled.seek(0)
            return GNUTranslations(compiled)
    return NullTranslations()


def negotiate(wanted: Iterable[str]) -> str:
    """Return the first of the `wanted` languages that we speak, else English."""
    for tag in wanted:
        base = tag.partition("-")[0].lower()
        if base in languages():
            return base
    return SOURCE_LANGUAGE


def accepted(header: str) -> tuple[str, ...]:
    """Return the languages of an Accept-Language header, most wanted first (RFC 9110 section 12.5.4)."""
    ranked: list[tuple[float, int, str]] = []
    for position, entry in enumerate(header[:1000].split(",")):
        tag, _, parameters = entry.strip().partition(";")
        _, _, quality = parameters.replace(" ", "").partition("q=")
        try:
            weight = float(quality) if quality else 1.0
        except ValueError:
            weight = 0.0
        if tag and tag != "*" and weight > 0:
            ranked.append((-weight, position, tag.strip()))
    return tuple(tag for _, _, tag in sorted(ranked))


@cache
def locale_of(language: str) -> Locale:
    """Return the locale for dates and numbers; English where the language is unknown."""
    try:
        return Locale.parse(language, sep="-")
    except (UnknownLocaleError, ValueError):
        return Locale.parse(SOURCE_LANGUAGE)


def long_date(day: date, language: str) -> str:
    """Return the day in words: "Thursday, March 14, 2024", "2024년 3월 14일 목요일"."""
    return format_date(day, format="full", locale=locale_of(language))


def medium_date(day: date, language: str) -> str:
    """Return the day, short: "Mar 14, 2024", "2024. 3. 14."."""
    return format_date(day, format="medium", locale=locale_of(language))


def near(at: datetime, language: str, *, now: datetime) -> str:
    """Return an aware time to the minute in its own zone, with the day where that is not the one of `now`: "Mar 14, 7:46 PM"."""
    locale = locale_of(language)
    time = format_time(at, _time_pattern(locale), locale=locale)
    if at.date() == now.astimezone(at.tzinfo).date():
        return time
    return f"{format_skeleton('MMMd', at, locale=locale)}{', ' if language == SOURCE_LANGUAGE else ' '}{time}"


def _time_pattern(locale: Locale) -> str:
    return str(get_time_format("short", locale).pattern).replace("a", "aaaa")  # the short form of 오후 is "PM"


def moment(at: datetime, language: str) -> str:
    """Return an aware time to the minute, with its zone, halves of the day in words: "2026. 11. 22. 오후 7:46 (UTC)"."""
    locale = locale_of(language)
    parts = {"{1}": format_date(at, "medium", locale), "{0}": format_time(at, _time_pattern(locale), locale=locale)}
    glued = str(locale.datetime_formats["medium"])
    for place, part in parts.items():
        glued = glued.replace(place, part)
    return f"{glued} ({at.tzname()})"


def from_now(ahead: timedelta, language: str) -> str:
    """Return a time to come, or past, in words: "in 3 hours", "3시간 후", "5 minutes ago"."""
    return format_timedelta(ahead, granularity="minute", add_direction=True, locale=locale_of(language))
