"""Newsletters: the publications of this installation."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import select
from sqlmodel import Session, col

from newsletter import db, i18n, schedule
from newsletter.errors import BadInput, Conflict, NotFound
from newsletter.models import CatchUp, Newsletter, NoMatch, Review
from newsletter.sources import names
from newsletter.subscribers.addresses import parse_address

_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
SLUG_LIMIT = 63  # it is a label of the List-Id (RFC 2919 section 2)


@dataclass(frozen=True)
class NewNewsletter:
    """What a person says of a newsletter, to add or change one."""

    slug: str
    title: str
    language: str
    from_address: str
    postal_address: str
    description: str = ""
    sources: tuple[str, ...] = ("huggingface",)
    from_name: str = ""
    reply_to: str = ""
    zone: str = "UTC"
    send_hour: int | None = None
    cadences: tuple[str, ...] = ("daily",)
    cutoff_hours: int = 24
    give_up_hours: int = 12
    max_papers: int = 50
    weekly_papers: int = 20
    patience_hours: int = 6
    catch_up: str = CatchUp.EACH
    review: str = Review.AUTOMATIC
    review_hours: int = 6
    no_match: str = NoMatch.SKIP


_LIMITS = {
    "send_hour": (0, 23),
    "cutoff_hours": (1, 48),
    "give_up_hours": (1, 168),
    "max_papers": (1, 200),
    "weekly_papers": (1, 200),
    "patience_hours": (0, 72),
    "review_hours": (1, 72),
}
_CHOICES: dict[str, type[StrEnum]] = {"catch_up": CatchUp, "review": Review, "no_match": NoMatch}


def add(session: Session, wanted: NewNewsletter, *, now: datetime) -> Newsletter:
    """Add a newsletter; raises BadInput naming the field that is wrong, Conflict if the slug is taken."""
    row = _checked(wanted) | {"created_at": now}
    if not db.insert_new(session, Newsletter, [row]):
        raise Conflict(f"There is a newsletter {wanted.slug!r} already.", hint="Choose another slug.")
    return find(session, wanted.slug)


def edit(session: Session, slug: str, changes: Mapping[str, Any]) -> Newsletter:
    """Change a newsletter's fields, its slug excepted: mails already sent name it. Issues that are frozen stay as they are.

    Raises NotFound, and BadInput naming the field that is wrong, as `add` does.
    """
    row = find(session, slug)
    session.refresh(row, with_for_update=True)
    known = {field.name: getattr(row, field.name) for field in fields(NewNewsletter)}
    known |= {name: tuple(known[name]) for name in ("sources", "cadences")}
    if row.from_name == row.title:
        known["from_name"] = ""  # it follows the title
    for name, value in _checked(NewNewsletter(**(known | dict(changes)))).items():
        setattr(row, name, value)
    session.flush()
    return row


def _checked(wanted: NewNewsletter) -> dict[str, Any]:
    """Return the columns of a newsletter; raises BadInput naming the field that is wrong."""
    _check(wanted)
    return {
        **{field.name: getattr(wanted, field.name) for field in fields(wanted)},
        "sources": list(wanted.sources),
        "cadences": list(wanted.cadences),
        "from_name": wanted.from_name or wanted.title,
        "from_address": parse_address(wanted.from_address).text,
        "reply_to": parse_address(wanted.reply_to).text if wanted.reply_to else "",
        **{name: choices(getattr(wanted, name)) for name, choices in _CHOICES.items()},
    }


def _check_sources(given: Sequence[str]) -> None:
    if not given:
        raise BadInput("sources: there is none.", hint=f"The sources are: {', '.join(names.KNOWN)}.")
    for name in given:
        names.split(name)  # refuses what is none


def _check(wanted: NewNewsletter) -> None:
    if not _SLUG.fullmatch(wanted.slug) or len(wanted.slug) > SLUG_LIMIT:
        raise BadInput(f"slug: {wanted.slug!r} will not do.", hint="Lower case letters, digits and hyphens, as daily-papers.")
    if not wanted.title.strip():
        raise BadInput("title: it is empty.", hint="Readers see it in every mail.")
    if wanted.language.partition("-")[0] not in i18n.languages():
        raise BadInput(
            f"language: mails cannot speak {wanted.language!r}.",
            hint=f"They speak {', '.join(i18n.languages())}; a further catalogue in newsletter/locale/ makes a further language.",
        )
    if not wanted.postal_address.strip():
        raise BadInput(
            "postal_address: it is empty.",
            hint="The law wants one at the foot of every mail (CAN-SPAM, 15 USC 7704(a)(5)): set NEWSLETTER_POSTAL_ADDRESS.",
        )
    _check_sources(wanted.sources)
    for name, (least, most) in _LIMITS.items():
        value = getattr(wanted, name)
        if value is not None and not least <= value <= most:
            raise BadInput(f"{name}: {value} will not do.", hint=f"From {least} to {most}.")
    for name, choices in _CHOICES.items():
        if getattr(wanted, name) not in [choice.value for choice in choices]:
            raise BadInput(f"{name}: {getattr(wanted, name)!r} will not do.", hint=f"One of: {', '.join(choices)}.")
    schedule.zone(wanted.zone)


def listing(session: Session) -> Sequence[Newsletter]:
    """Return all newsletters, the oldest first."""
    return session.scalars(select(Newsletter).order_by(col(Newsletter.id))).all()


def find(session: Session, slug: str) -> Newsletter:
    """Return a newsletter by its slug; raises NotFound naming those there are."""
    named = select(Newsletter).where(col(Newsletter.slug) == slug)
    row = session.scalars(named).one_or_none() if "\0" not in slug else None  # PostgreSQL cannot even compare that
    if row is None:
        known = ", ".join(row.slug for row in listing(session))
        hint = f"There are: {known}." if known else "Add one: `newsletter newsletters add`."
        raise NotFound(f"There is no newsletter {slug!r}.", hint=hint)
    return row
