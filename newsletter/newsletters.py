"""Newsletters: the publications of this installation."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlmodel import Session, col

from newsletter import db, i18n, schedule
from newsletter.errors import BadInput, Conflict, NotFound
from newsletter.models import Newsletter
from newsletter.subscribers.addresses import parse_address

_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
SLUG_LIMIT = 63  # it is a label of the List-Id (RFC 2919 section 2)


@dataclass(frozen=True)
class NewNewsletter:
    """What a person says to add a newsletter."""

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


def add(session: Session, wanted: NewNewsletter, *, now: datetime) -> Newsletter:
    """Add a newsletter; raises BadInput naming the field that is wrong, Conflict if the slug is taken."""
    _check(wanted)
    row = {
        "slug": wanted.slug,
        "title": wanted.title,
        "description": wanted.description,
        "language": wanted.language,
        "sources": list(wanted.sources),
        "cadences": list(wanted.cadences),
        "zone": wanted.zone,
        "send_hour": wanted.send_hour,
        "cutoff_hours": 24,
        "give_up_hours": 12,
        "max_papers": 50,
        "from_name": wanted.from_name or wanted.title,
        "from_address": parse_address(wanted.from_address).text,
        "reply_to": parse_address(wanted.reply_to).text if wanted.reply_to else "",
        "postal_address": wanted.postal_address,
        "created_at": now,
    }
    if not db.insert_new(session, Newsletter, [row]):
        raise Conflict(f"There is a newsletter {wanted.slug!r} already.", hint="Choose another slug.")
    return find(session, wanted.slug)


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
    schedule.zone(wanted.zone)


def listing(session: Session) -> Sequence[Newsletter]:
    """Return all newsletters, the oldest first."""
    return session.scalars(select(Newsletter).order_by(col(Newsletter.id))).all()


def find(session: Session, slug: str) -> Newsletter:
    """Return a newsletter by its slug; raises NotFound naming those there are."""
    row = session.scalars(select(Newsletter).where(col(Newsletter.slug) == slug)).one_or_none()
    if row is None:
        known = ", ".join(row.slug for row in listing(session))
        hint = f"There are: {known}." if known else "Add one: `newsletter newsletters add`."
        raise NotFound(f"There is no newsletter {slug!r}.", hint=hint)
    return row
