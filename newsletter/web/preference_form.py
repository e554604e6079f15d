"""The form of a reader's preferences: as it stands, what is wrong in it, and what it asks for. Pure."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TypeVar

from newsletter import i18n, schedule, text
from newsletter.errors import BadInput
from newsletter.models import Cadence
from newsletter.subscribers.counting import Counted
from newsletter.subscribers.preferences import Changes, Choice, Preferences, Wanted
from newsletter.topics import category, offered
from newsletter.web.forms import Form, first

MOST_PAPERS = 200
MOST_TOPICS, MOST_KEYWORDS, LONGEST_KEYWORD = 30, 40, 60
MATCH_FIRST = "match"  # what the field `order` says; else it is by votes
KEPT = 4000  # characters of a field that are shown again
LONGEST_PAUSE = timedelta(days=366)

Value = TypeVar("Value")


@dataclass(frozen=True)
class Part:
    """A newsletter's part of the form: what is in each field, and what is wrong with it."""

    choice: Choice
    receive: bool
    cadence: str
    hour: str  # empty: the newsletter's
    papers: str
    pause: str
    resume: bool
    ticked: tuple[str, ...]
    more_topics: str
    keywords: str
    match_first: bool
    errors: Mapping[str, str] = field(default_factory=dict)  # by field


@dataclass(frozen=True)
class Filled:
    """The form as it stands."""

    language: str
    zone: str
    parts: tuple[Part, ...]
    errors: Mapping[str, str] = field(default_factory=dict)

    @property
    def wrong(self) -> bool:
        """Whether something in it cannot be used."""
        return bool(self.problems)

    @property
    def problems(self) -> list[tuple[str, str]]:
        """What cannot be used, in the order of the page: the id of each field, and what is wrong with it."""
        found = [(_field_id(part, name), what) for part in self.parts for name, what in part.errors.items()]
        return [*found, *self.errors.items()]


def _field_id(part: Part, name: str) -> str:
    """Return the id of what is to be mended; of a choice of buttons the first."""
    first_button = f"-{part.choice.cadences[0].value}" if name == "cadence" else ""
    return f"{name}-{part.choice.slug}{first_button}"


@dataclass(frozen=True)
class Asked:
    """What the form asks for: newsletters to leave and to join, and how the others are wanted."""

    leave: tuple[Choice, ...]
    join: tuple[Choice, ...]
    changes: Changes | None  # None where something cannot be used
    wanted: Mapping[int, Wanted]  # by subscription, of those parts of the form that can be used


def filled(preferences: Preferences, today: date) -> Filled:
    """Return the form as what is stored fills it."""
    return Filled(preferences.language, preferences.zone, tuple(_stored(choice, today) for choice in preferences.choices))


def _stored(choice: Choice, today: date) -> Part:
    wanted = choice.wanted
    boxes = offered(i18n.SOURCE_LANGUAGE)
    paused = wanted.paused_until if wanted.paused_until and wanted.paused_until > today else None
    return Part(
        choice=choice,
        receive=choice.receives,
        cadence=wanted.cadence.value,
        hour="" if wanted.send_hour is None else str(wanted.send_hour),
        papers=str(wanted.max_papers or ""),
        pause=paused.isoformat() if paused else "",
        resume=False,
        ticked=tuple(topic for topic in wanted.topics if topic in boxes),
        more_topics=", ".join(topic for topic in wanted.topics if topic not in boxes),
        keywords="\n".join(wanted.keywords),
        match_first=wanted.match_first,
    )


def read(form: Form, preferences: Preferences, today: date, language: str) -> tuple[Filled, Asked]:
    """Return the form as it was sent, with what is wrong in it, and what it asks for.

    Only what the page showed as received can be left by it: a form that was cut short ends nothing.
    """
    gettext = i18n.catalogue(language).gettext
    shown, received = form.get("shown", []), form.get("receive", [])
    errors: dict[str, str] = {}
    zone = _take(errors, "zone", lambda: _zone(first(form, "zone"), preferences.zone, gettext))
    mails = _take(errors, "language", lambda: _language(first(form, "language"), preferences.language, gettext))
    parts: list[Part] = []
    wanted: dict[int, Wanted] = {}
    for choice in preferences.choices:
        part = _typed(form, choice, receive=choice.slug in received)
        if choice.receives and part.receive and choice.subscription_id is not None and f"cadence-{choice.slug}" in form:
            part, found = _read_part(part, today, gettext)
            wanted |= {choice.subscription_id: found} if found else {}
        parts.append(part)
    sent = Filled(first(form, "language")[:KEPT], first(form, "zone")[:KEPT], tuple(parts), errors)
    leave = tuple(part.choice for part in parts if part.choice.receives and part.choice.slug in shown and not part.receive)
    join = tuple(part.choice for part in parts if not part.choice.receives and part.receive and part.choice.slug not in shown)
    usable = None if sent.wrong or zone is None or mails is None else (mails, zone)
    changes = Changes(usable[0], usable[1] if usable[1] != preferences.zone else None, wanted) if usable else None
    return sent, Asked(leave, join, changes, wanted)


def _typed(form: Form, choice: Choice, *, receive: bool) -> Part:
    def given(name: str) -> str:
        return first(form, f"{name}-{choice.slug}")[:KEPT]

    return Part(
        choice=choice,
        receive=receive,
        cadence=given("cadence"),
        hour=given("hour"),
        papers=given("papers").strip(),
        pause=given("pause").strip(),
        resume=bool(given("resume")),
        ticked=tuple(topic for topic in offered(i18n.SOURCE_LANGUAGE) if topic in form.get(f"topic-{choice.slug}", [])),
        more_topics=given("topics"),
        keywords=given("keywords"),
        match_first=given("order") == MATCH_FIRST,
    )


def _read_part(part: Part, today: date, gettext: Callable[[str], str]) -> tuple[Part, Wanted | None]:
    errors: dict[str, str] = {}
    stored = part.choice.wanted
    cadence = _take(errors, "cadence", lambda: _cadence(part, gettext))
    hour = _take(errors, "hour", lambda: _number(part.hour, 0, 23, gettext("Choose an hour of the list.")))
    few = gettext("Write a number from 1 to %(most)s, or nothing.") % {"most": MOST_PAPERS}
    papers = _take(errors, "papers", lambda: _number(part.papers, 1, MOST_PAPERS, few))
    pause = _take(errors, "pause", lambda: _pause(part, today, gettext))
    topics = _take(errors, "topics", lambda: _topics(part, gettext))
    keywords = _take(errors, "keywords", lambda: _keywords(part.keywords, stored.keywords, gettext))
    known = Part(**{**vars(part), "errors": errors})
    if errors:
        return known, None
    return known, Wanted(cadence or stored.cadence, hour, topics or (), keywords or (), papers, pause, part.match_first)


def _take(errors: dict[str, str], name: str, parse: Callable[[], Value]) -> Value | None:
    """Return what a field says; what is wrong with it is kept under its name."""
    try:
        return parse()
    except BadInput as error:
        errors[name] = str(error)
        return None


def _zone(given: str, stored: str, gettext: Callable[[str], str]) -> str:
    try:
        return given if given in ("", stored) else schedule.zone(given).key
    except BadInput:
        raise BadInput(gettext("Choose a time zone of the list.")) from None


def _language(given: str, stored: str, gettext: Callable[[str], str]) -> str:
    if given not in (*i18n.languages(), stored):
        raise BadInput(gettext("Choose a language of the list."))
    return given


def _cadence(part: Part, gettext: Callable[[str], str]) -> Cadence:
    known = {cadence.value: cadence for cadence in (*part.choice.cadences, part.choice.wanted.cadence)}
    if part.cadence not in known:
        raise BadInput(gettext("Choose how often it should come."))
    return known[part.cadence]


def _number(given: str, least: int, most: int, otherwise: str) -> int | None:
    if not given:
        return None
    if not re.fullmatch("[0-9]{1,3}", given) or not least <= int(given) <= most:
        raise BadInput(otherwise)
    return int(given)


def _pause(part: Part, today: date, gettext: Callable[[str], str]) -> date | None:
    """Return the first day that brings mail again; a day that has come is no pause."""
    if part.resume or not part.pause:
        return None
    try:
        day = date.fromisoformat(part.pause)
    except ValueError:
        raise BadInput(gettext("Write a day as 2024-03-14, or nothing.")) from None
    if not today < day <= today + LONGEST_PAUSE:
        raise BadInput(gettext("Choose a day after today and within a year."))
    return day


def _topics(part: Part, gettext: Callable[[str], str]) -> tuple[str, ...]:
    """Return the categories, ticked and written; what was stored before, by an import perhaps, may stay."""
    found = dict.fromkeys(part.ticked)
    for word in re.split(r"[\s,;]+", text.one_line(part.more_topics)):
        topic = word if word in part.choice.wanted.topics else category(word)
        if word and not topic:
            wrong = gettext("“%(word)s” is no category of arXiv. Categories are written as cs.CL or stat.ML.")
            raise BadInput(wrong % {"word": word[:40]})
        found |= {topic: None} if topic else {}
    if len(found) > max(MOST_TOPICS, len(part.choice.wanted.topics)):
        raise BadInput(gettext("These are more than %(most)s topics.") % {"most": MOST_TOPICS})
    return tuple(found)


def _keywords(given: str, stored: tuple[str, ...], gettext: Callable[[str], str]) -> tuple[str, ...]:
    """Return the words, one a line or parted by commas, each once whatever its case; what was stored before may stay."""
    words = (text.one_line(word) for word in re.split(r"[,;\n]", given))
    found = tuple({word.casefold(): word for word in words if word}.values())
    if found == stored:
        return found
    if len(found) > MOST_KEYWORDS:
        raise BadInput(gettext("These are more than %(most)s keywords.") % {"most": MOST_KEYWORDS})
    if any(len(word) > LONGEST_KEYWORD for word in found):
        raise BadInput(gettext("A keyword may have %(most)s characters at most.") % {"most": LONGEST_KEYWORD})
    return found


def said_of(counted: Counted, choice: Choice, language: str) -> str:
    """Return in words how many papers of the last issue match, and what it means where none does."""
    catalogue = i18n.catalogue(language)
    gettext, ngettext = catalogue.gettext, catalogue.ngettext
    told = {"num": counted.found, "all": counted.papers, "day": i18n.medium_date(counted.day, language)}
    if counted.found:
        return (
            ngettext(
                "%(num)s of the %(all)s paper of the last issue (%(day)s) matches.",
                "%(num)s of the %(all)s papers of the last issue (%(day)s) match.",
                counted.papers,
            )
            % told
        )
    none = gettext("None of the %(all)s papers of the last issue (%(day)s) matches.") % told
    short = gettext("On such a day a short mail comes, with one line for each paper.")
    then = short if choice.short else gettext("On such a day no mail comes.")
    return f"{none} {then}"
