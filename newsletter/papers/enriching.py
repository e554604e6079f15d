"""What a list leaves out is asked of arXiv: abstract, categories, authors, dates and links.

An answer is kept as the record "arxiv"; that arXiv knows no such paper is an empty one, looked at again for some days, for
its index may lag. A failure is said in the log and tried again; it stops no digest, and is an alarm only if it lasts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Exists, Select, and_, exists, or_, select
from sqlmodel import Session, col

from newsletter import alarms
from newsletter.db import Sessions
from newsletter.errors import SourceError
from newsletter.models import Paper, PaperListing, PaperRecord
from newsletter.papers.merging import ARXIV
from newsletter.papers.storing import keep_record
from newsletter.sources import PaperData

log = structlog.get_logger()
AT_ONCE = 100
ALARM = "enrich:arxiv"
_YOUNG = timedelta(days=14)  # since it was first listed: older papers are asked for no more
_ASK_AGAIN_AFTER = timedelta(days=1)
_ASK_AGAIN_UNTIL = timedelta(days=4)  # since it was first listed, of a paper that arXiv does not know
_LASTS = timedelta(hours=12)
_OFFLINE = "sample"  # to try everything without a network
_SAID_BY_ARXIV = (ARXIV, f"{ARXIV}:%", "arxiv-query:%")
_MOST_WAITING = 500  # that are looked at for how long they have waited

LookUp = Callable[[Sequence[str]], Sequence[PaperData]]  # arXiv ids to the papers that it knows


@dataclass(frozen=True)
class Enriched:
    """How many papers were asked for and found, and whether there are more to ask for."""

    asked: int = 0
    found: int = 0
    more: bool = False
    error: str = ""


def to_enrich(session: Session, *, now: datetime, limit: int) -> list[tuple[int, str]]:
    """Return the (id, arXiv id) of up to `limit` young papers that arXiv is to be asked for, the newest first."""
    unheard = _young(now - _YOUNG).where(~_has_record(or_(*map(col(PaperRecord.source).like, _SAID_BY_ARXIV))))
    found = [(row.id, row.source_id) for row in session.scalars(unheard.limit(limit))]
    return (found + _unknown_lately(session, now=now))[:limit]


def _unknown_lately(session: Session, *, now: datetime) -> list[tuple[int, str]]:
    """Return the papers that arXiv did not know a day ago and may know today."""
    asked = and_(col(PaperRecord.source) == ARXIV, col(PaperRecord.seen_at) <= now - _ASK_AGAIN_AFTER)
    rows = _young(now - _ASK_AGAIN_UNTIL).join(PaperRecord, and_(col(PaperRecord.paper_id) == col(Paper.id), asked))
    found = session.execute(rows.with_only_columns(col(Paper.id), col(Paper.source_id), col(PaperRecord.said)))
    return [(paper_id, number) for paper_id, number, said in found if not said]


def _young(since: datetime) -> Select[Any]:
    listed = exists().where(col(PaperListing.paper_id) == col(Paper.id), col(PaperListing.source) != _OFFLINE)
    young = select(Paper).where(col(Paper.source) == "arxiv", col(Paper.created_at) > since, listed)
    return young.order_by(col(Paper.created_at).desc(), col(Paper.id))


def _has_record(*conditions: ColumnElement[bool]) -> Exists:
    return exists().where(col(PaperRecord.paper_id) == col(Paper.id), *conditions)


def enrich(sessions: Sessions, look_up: LookUp, *, now: datetime) -> Enriched:
    """Ask for one batch of papers and keep what is said of them; a failure is in the answer, never raised.

    No transaction is open while the site is asked.
    """
    with sessions.read() as session:
        wanted = to_enrich(session, now=now, limit=AT_ONCE)
    if not wanted:
        return Enriched()
    try:
        found = {paper.source_id: paper for paper in look_up([number for _, number in wanted])}
    except SourceError as error:
        return _failed(sessions, str(error), len(wanted), now=now)
    except Exception as error:  # whatever stumbles over what a site says
        log.exception("enrich_broke")
        return _failed(sessions, f"reading its answer broke: {error!r}", len(wanted), now=now)
    with sessions.begin() as session:
        for paper_id, number in sorted(wanted, key=itemgetter(1)):  # in the order in which collecting locks them
            row = session.get(Paper, paper_id, with_for_update=True)
            if row is not None:
                keep_record(session, row, ARXIV, found.get(number), now=now)
        alarms.close(session, ALARM, now=now)
    return Enriched(len(wanted), len(found), more=len(wanted) == AT_ONCE)


def _failed(sessions: Sessions, error: str, asked: int, *, now: datetime) -> Enriched:
    """Say that nothing could be asked, and aloud where some papers have waited for long."""
    log.warning("enrich_failed", papers=asked, error=error)
    with sessions.begin() as session:
        waiting = to_enrich(session, now=now, limit=_MOST_WAITING)
        rows = session.scalars(select(Paper).where(col(Paper.id).in_([paper_id for paper_id, _ in waiting])))
        since = min((row.created_at for row in rows), default=now)
        if now - since >= _LASTS:
            detail = f"Papers wait since {since:%Y-%m-%d %H:%M} UTC for what their lists left out; digests go without it. {error}"
            alarms.raise_alarm(session, alarms.Cause(ALARM, "arXiv could not be asked", detail), now=now)
    return Enriched(asked, error=error)
