"""Taking reports in: from a mail that came back, or from a provider that tells us, to a row that the rules look at.

Only a mail of ours names the reader (`naming`); what is forged, too late or about somebody else changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256

import structlog
from sqlalchemy import select
from sqlmodel import Session, col

from newsletter import alarms, db
from newsletter.alarms import Cause
from newsletter.bounces import following, naming, rules
from newsletter.bounces.reading import Report, read
from newsletter.bounces.rules import Step, Subject, Terms
from newsletter.deliveries.brakes import domain_of
from newsletter.models import Bounce, Delivery
from newsletter.text import one_line

log = structlog.get_logger()

NOBODY = "names no mail of ours"
IGNORED = f"ignored: {NOBODY}"
FORWARDED = "of another address, to which their mail goes on: "
_REASON_LIMIT = 500


@dataclass(frozen=True)
class Origin:
    """How a report came: "inbox", "ses", "mailgun", "operator"; `key` names the message, whatever it says, if it has a name."""

    source: str
    key: str = ""
    number: int = 0  # of the report in its message


def take(  # noqa: PLR0913 -- what came, how, and by what it is judged
    session: Session, content: bytes, terms: Terms, *, delivery_id: int | None = None, source: str = "inbox", now: datetime
) -> str:
    """Take a mail that may report bounces or complaints, and return in words what was done.

    `delivery_id` is what the token of the return path named that the mail came to, None where it came elsewhere. Never raises
    for what is in the mail; to take it twice changes nothing more.
    """
    return take_reports(session, read(content), terms, Origin(source), delivery_id=delivery_id, now=now)


def take_reports(  # noqa: PLR0913 -- as `take`
    session: Session, reports: Sequence[Report], terms: Terms, origin: Origin, *, delivery_id: int | None = None, now: datetime
) -> str:
    """Take all reports of one message and return in words what was done: they are about the same mail."""
    if not reports:
        return Step.NOTHING.value
    found = naming.find(session, reports[0].original, terms.links, delivery_id=delivery_id)
    if found is None:
        if any(report.kind != "none" for report in reports):
            log.info("report_ignored", source=origin.source, why=NOBODY)
        return IGNORED
    own = rules.own(reports, found.delivery.address)
    done = [
        record(session, report, terms, replace(origin, number=number), found=found, now=now) for number, report in enumerate(own)
    ]
    return "; ".join(dict.fromkeys(done))


def record(  # noqa: PLR0913 -- as `take`
    session: Session, report: Report, terms: Terms, origin: Origin, *, found: naming.Found, now: datetime
) -> str:
    """Record what is reported of one mail, and return in words what follows.

    Bounces are counted within the minute (`following.follow`), together: a wave of them must be seen as one. A person's own
    word, a complaint or a wish to leave, is followed at once.
    """
    delivery, step = found.delivery, rules.step_of(report)
    if step is Step.NOTHING:
        return "nothing: " + (report.reason or "it reports no failure")
    why = rules.why_ignored(report, _subject(found), now=now)
    if step is Step.ALARM and not why:
        return _alarm(session, report, delivery, now=now)
    if step is Step.ALARM or delivery.subscriber_id is None:  # of an erased person nothing is kept that may quote them
        return _say_ignored(why, delivery, origin)
    key = following.keys_of(session, [delivery], terms.secret)[delivery.id]
    why = why or ("" if key else "the mail's address is gone") or ("still being tried" if step is Step.WAIT else "")
    row = _row(report, found, origin, now=now) | {"suppression_key": key, "action": f"ignored: {why}" if why else ""}
    is_new = bool(db.insert_new(session, Bounce, [row]))
    if why:
        return _say_ignored(why, delivery, origin)
    if not is_new:
        return "known already"
    return _follow(session, terms, step, row, now=now)


def _follow(session: Session, terms: Terms, step: Step, row: dict[str, object], *, now: datetime) -> str:
    kind = str(row["kind"])
    if step is Step.LEAVE:
        return f"{kind}: {following.leave(session, str(row['report_key']), now=now)}"
    if kind == "complaint":
        number = session.scalars(select(col(Bounce.id)).where(col(Bounce.report_key) == row["report_key"])).one()
        following.follow(session, terms, now=now, only=[number])
        return f"{kind}: {session.get_one(Bounce, number, populate_existing=True).action}"
    return f"{kind}: counted"


def _say_ignored(why: str, delivery: Delivery, origin: Origin) -> str:
    log.info("report_ignored", source=origin.source, delivery=delivery.id, why=why)
    return f"ignored: {why}"


def _subject(found: naming.Found) -> Subject:
    delivery = found.delivery
    return Subject(
        kind=delivery.kind,
        status=delivery.status,
        address=delivery.address,
        has_reader=delivery.subscriber_id is not None,
        went_at=delivery.sent_at or delivery.updated_at,
        tried=delivery.attempts > 0,
        by_return_path=found.by_return_path,
    )


def _row(report: Report, found: naming.Found, origin: Origin, *, now: datetime) -> dict[str, object]:
    delivery = found.delivery
    forwarded = FORWARDED if rules.names_another(report, delivery.address) else ""
    return {
        "delivery_id": delivery.id,
        "kind": report.kind.value,
        "status": _storable(report.status)[:20],
        "reason": _storable(f"{forwarded}{report.reason}"),
        "reader": report.reader,
        "source": origin.source,
        "report_key": f"{origin.source}:{_digest(report, delivery, origin)}",
        "received_at": now,
    }


def _storable(words: str) -> str:
    """Return what servers said as any database takes it: neither NUL nor half a character is."""
    return one_line(words.encode("utf-8", "replace").decode("utf-8"))[:_REASON_LIMIT]


def _digest(report: Report, delivery: Delivery, origin: Origin) -> str:
    """Return what tells one report from another: its message's name, or what it says where that has none."""
    said = (str(delivery.id), report.kind, report.recipient.casefold(), report.status, report.action)
    told = (origin.key, str(origin.number)) if origin.key else said
    return sha256("\n".join(told).encode("utf-8", "replace")).hexdigest()[:40]


def _alarm(session: Session, report: Report, delivery: Delivery, *, now: datetime) -> str:
    """Tell the operator that a domain refuses our mail because of us: once for each domain and code."""
    domain, status = domain_of(delivery.address), _storable(report.status)[:20]
    cause = Cause(
        f"bounces:us:{domain}:{status}",
        f"{domain} sends our mail back because of us ({status or 'no code'})",
        _storable(report.reason),
    )
    alarms.raise_alarm(session, cause, now=now)
    return "about us: the operator is told"
