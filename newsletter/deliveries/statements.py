"""The statements that every exchange with the ledger makes, built once, and alike for PostgreSQL and SQLite.

A set is one parameter, whatever is in it: the text of an array on PostgreSQL, of JSON on SQLite. So a statement's
own text is always the same, and SQLAlchemy, the driver and PostgreSQL each keep what they made of it; building them anew cost
as much as running them.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Date,
    Dialect,
    Integer,
    Select,
    String,
    Subquery,
    Table,
    TableValuedAlias,
    TypeDecorator,
    Update,
    and_,
    bindparam,
    case,
    cast,
    column,
    false,
    literal,
    null,
    or_,
    select,
    text,
    true,
    tuple_,
    update,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import ReturningUpdate
from sqlalchemy.sql.functions import FunctionElement
from sqlmodel import col
from sqlmodel.sql.sqltypes import UTCDateTime

from newsletter.lifecycle import DeliveryEvent, DeliveryStatus, IssueStatus, SubscriptionStatus, advance_delivery, before
from newsletter.models import Delivery, DeliveryKind, Issue, Lane, Subscriber, Subscription, Suppression

_TABLE: Table = Delivery.__table__  # type: ignore[attr-defined]  # SQLModel does not declare it
_ROW = _TABLE.c
_STATUS = _ROW.status.type
_BEGUN = literal(advance_delivery(DeliveryStatus.CLAIMED, DeliveryEvent.BEGIN), _STATUS)
_SKIPPED = literal(advance_delivery(DeliveryStatus.CLAIMED, DeliveryEvent.SKIP), _STATUS)
# What a claim tells; by the last, and the first, it is ordered.
CLAIMED = (
    "id", "kind", "newsletter_id", "issue_id", "subscription_id", "subscriber_id", "address", "language", "values", "attempts",
    "due_at",
)  # fmt: skip
_WISHED: dict[str, ColumnElement[Any]] = {
    name: Subscription.__table__.c[name]  # type: ignore[attr-defined]  # SQLModel does not declare it
    for name in ("topics", "keywords", "max_papers", "match_first")
}
_LIMITED = or_(
    cast(col(Subscription.topics), String) != "[]",
    cast(col(Subscription.keywords), String) != "[]",
    col(Subscription.max_papers).is_not(None),
)
# Mails that only somebody subscribed is owed; the others answer what a person asked for.
_BY_SUBSCRIPTION = (DeliveryKind.DIGEST, DeliveryKind.WELCOME, DeliveryKind.ALREADY_SUBSCRIBED)
# Word for word the indexes' conditions, or they are not used.
_WAITING = text("deliveries.status IN ('queued', 'deferred')")
LEASED = text("deliveries.status IN ('claimed', 'sending')")
_NOW, _UNTIL = bindparam("now", type_=UTCDateTime()), bindparam("until", type_=UTCDateTime())
_WORKER = bindparam("worker", type_=String())


class _each(FunctionElement[int]):  # noqa: N801 -- a function of SQL
    """The numbers of a set, as rows with one column `value`."""

    inherit_cache = True


@compiles(_each, "postgresql")
def _each_of_array(element: _each, compiler: SQLCompiler, **how: Any) -> str:  # noqa: ANN401 -- SQLAlchemy's own
    return f"unnest(CAST({compiler.process(element.clauses, **how)} AS bigint[]))"


@compiles(_each, "sqlite")
def _each_of_json(element: _each, compiler: SQLCompiler, **how: Any) -> str:  # noqa: ANN401 -- SQLAlchemy's own
    return f"json_each({compiler.process(element.clauses, **how)})"


class _Ids(TypeDecorator[Collection[int]]):
    """Numbers as each database reads them from text: the drivers take longer to write them than we to send a mail's envelope."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: Collection[int] | None, dialect: Dialect) -> str:
        numbers = ",".join(map(str, value or ()))
        return f"{{{numbers}}}" if dialect.name == "postgresql" else f"[{numbers}]"


def _set(name: str) -> TableValuedAlias:
    """Return a parameter that is a set of ids, as a table."""
    # PostgreSQL calls the one column of the set as the set is called, SQLite calls it `value` whatever the set is called.
    return _each(bindparam(name, type_=_Ids())).table_valued(column("value", BigInteger()), name="value")


_IDS, _UNMATCHED, _TAKEN = _set("ids"), _set("unmatched"), _set("taken")
NO_MATCH = "no paper matches"  # why a digest is skipped of which its reader wishes for nothing


def _unreckoned(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return the condition in a form of which PostgreSQL has no statistics.

    Those are of a while ago, when our worker held nothing: it would expect next to no row of ours and go through all that are
    leased, or all there are, for every id.
    """
    return case((condition, true()), else_=false())


def _claim(*, beginning: bool) -> ReturningUpdate[Any]:
    """Take :most due deliveries of :which_lane, the longest due first, none before (:since_due, :since_id).

    In a long queue most of what stands at its beginning was sent since PostgreSQL last tidied up the index: to go through it
    for every few deliveries would cost more than to send them.
    """
    since = tuple_(bindparam("since_due", type_=UTCDateTime()), bindparam("since_id", type_=BigInteger()))
    due = (
        select(_ROW.id)
        .where(_WAITING, _ROW.lane == bindparam("which_lane"), _ROW.due_at <= _NOW, _ROW.give_up_at > _NOW)
        .where(tuple_(_ROW.due_at, _ROW.id) >= since)
        .order_by(_ROW.due_at, _ROW.id)
        .limit(bindparam("most", type_=Integer()))
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    values = {"status": DeliveryStatus.CLAIMED, "claimed_by": _WORKER, "lease_until": _UNTIL, "updated_at": _NOW}
    told: dict[str, ColumnElement[Any]] = {name: _ROW[name] for name in CLAIMED}
    if beginning:
        values |= {"status": _BEGUN, "attempts": _ROW.attempts + 1, "reason": ""}
        told["attempts"] = _ROW.attempts - 1  # before this one
    return update(_TABLE).where(_ROW.id.in_(select(due.c.id))).values(values).returning(*told.values())


def _begin() -> ReturningUpdate[Any]:
    """Move those of :ids that are still owed into the window, or keep them there, and skip the rest; tell which is which.

    :taken are those of them that were moved there in this transaction: for what is skipped of them, that was no attempt.
    """
    look = _last_look()
    owed = look.c.reason == ""
    first = and_(owed, _ROW.status == DeliveryStatus.CLAIMED)
    too_soon = and_(~owed, _ROW.id.in_(select(_TAKEN.c.value)))
    return (
        update(_TABLE)
        .where(_ROW.id == look.c.id, _unreckoned(and_(LEASED, _ROW.claimed_by == _WORKER, _ROW.lease_until > _NOW)))
        .values(
            status=case((owed, _BEGUN), else_=_SKIPPED),
            reason=look.c.reason,
            attempts=_ROW.attempts + case((first, 1), (too_soon, -1), else_=0),
            lease_until=case((owed, _UNTIL), else_=null()),
            updated_at=_NOW,
        )
        .returning(_ROW.id, _ROW.status)
    )


def _last_look(**more: ColumnElement[Any]) -> Subquery:
    """Select the id of each of :ids, why it is not owed any more, "" if it is, and what more is asked."""
    kind, unsubscribed = col(Delivery.kind), col(Subscription.status).is_distinct_from(SubscriptionStatus.ACTIVE)
    is_digest = kind == DeliveryKind.DIGEST
    is_test = and_(is_digest, col(Delivery.lane) == Lane.PERSON)  # sent by hand, to whoever was named
    until = col(Subscription.paused_until)
    why = case(
        # A confirmation goes even to the suppressed: they asked just now, and it is their own way back.
        (or_(kind == DeliveryKind.ALARM, kind == DeliveryKind.CONFIRM), ""),
        (col(Suppression.reason).is_not(None), "suppressed: " + cast(col(Suppression.reason), String)),
        (and_(kind.in_(_BY_SUBSCRIPTION), ~is_test, unsubscribed), "unsubscribed"),
        (col(Issue.status) == IssueStatus.CANCELLED, "issue cancelled"),
        (and_(is_digest, until > bindparam("today", type_=Date())), "paused until " + cast(until, String)),
        (col(Delivery.id).in_(select(_UNMATCHED.c.value)), NO_MATCH),
        else_="",
    )
    return (
        select(col(Delivery.id).label("id"), why.label("reason"), *(column.label(name) for name, column in more.items()))
        .select_from(_IDS)
        .join(Delivery, col(Delivery.id) == _IDS.c.value)
        .outerjoin(Subscription, col(Subscription.id) == col(Delivery.subscription_id))
        .outerjoin(Subscriber, col(Subscriber.id) == col(Delivery.subscriber_id))
        .outerjoin(Suppression, col(Suppression.suppression_key) == col(Subscriber.suppression_key))
        .outerjoin(Issue, col(Issue.id) == col(Delivery.issue_id))
        .subquery("look")
    )


def _look() -> Select[Any]:
    """Select of :ids what is not owed any more, and why, and what is wished for by those that do not take everything."""
    look = _last_look(**_WISHED, limited=and_(col(Delivery.kind) == DeliveryKind.DIGEST, _LIMITED))
    told = (look.c.id, look.c.reason, look.c.limited, *(look.c[name] for name in _WISHED))
    return select(*told).where(or_(look.c.reason != "", look.c.limited))


def _of_ids(status: DeliveryStatus, values: Mapping[str, Any]) -> Update:
    """Change those of :ids that the :worker holds in a state."""
    mine = _unreckoned(and_(_ROW.status == status, _ROW.claimed_by == _WORKER))
    return update(_TABLE).where(_ROW.id.in_(select(_IDS.c.value)), mine).values(values)


def _wishes() -> Select[Any]:
    """Select what of an issue is wished for by those of the subscriptions :ids that do not take everything."""
    wanted = select(col(Subscription.id), *_WISHED.values())
    return wanted.join(_IDS, col(Subscription.id) == _IDS.c.value).where(_LIMITED)


CLAIM = _claim(beginning=False)
TAKE = _claim(beginning=True)
LOOK = _look()
WISHES = _wishes()
BEGIN = _begin()
GIVE_BACK = _of_ids(
    DeliveryStatus.CLAIMED,
    {
        "status": advance_delivery(DeliveryStatus.CLAIMED, DeliveryEvent.GIVE_BACK),
        "claimed_by": "",
        "lease_until": null(),
        "updated_at": _NOW,
    },
)
RENEW = _of_ids(DeliveryStatus.SENDING, {"lease_until": _UNTIL})

# The columns of an outcome as it is recorded, with their types on PostgreSQL.
_RECORDED = {
    "row_id": "bigint",
    "event": "text",
    "after": "text",
    "again_at": "timestamptz",
    "reason": "text",
    "reply_code": "integer",
    "reply_enhanced": "text",
    "reply_text": "text",
    "reply_phase": "text",
    "reply_server": "text",
}
_ROWS_OWN = ("row_id", "reply_text")  # in which the outcomes of accepted mails differ from each other
_SAID = ", ".join(f"{name} = {{0}}{name}" for name in list(_RECORDED)[4:])
_LEFT_TO_DOUBTS = {(DeliveryEvent.GIVE_BACK, status) for status in (DeliveryStatus.UNKNOWN, DeliveryStatus.HELD)}
# Which (event, state) pairs end as the event ends what is being sent; any other pair leaves the row as it is.
_MOVES = sorted(
    (
        f"{event} {status}"
        for event in DeliveryEvent
        for status in before(event, advance_delivery(DeliveryStatus.SENDING, event))
        if (event, status) not in _LEFT_TO_DOUBTS
    ),
    key=lambda move: move != f"{DeliveryEvent.ACCEPT} {DeliveryStatus.SENDING}",  # nearly all are this, and looked for in turn
)
# Both statements are made of the names above and of states alone. The CASE of the first is there for what `_unreckoned` says.
# What a worker lets go of, nobody holds, and it counts as no attempt; an unknown keeps its worker, whose late answer counts.
_RECORD_ALL = (
    "UPDATE deliveries AS d SET status = m.after, updated_at = :now, lease_until = NULL,"  # noqa: S608
    " claimed_by = CASE WHEN m.after = 'queued' THEN '' ELSE d.claimed_by END,"
    " attempts = d.attempts - CASE WHEN m.after = 'queued' AND d.status <> 'claimed' THEN 1 ELSE 0 END,"
    " due_at = coalesce(m.again_at, d.due_at), sent_at = CASE WHEN m.after = 'sent' THEN :now END,"
    f" {_SAID.format('m.')} FROM {{outcomes}}"
    " WHERE d.id = m.row_id AND CASE WHEN d.claimed_by = :worker THEN m.event || ' ' || d.status = ANY(:moves) ELSE false END"
)


def _unnested(columns: Mapping[str, str]) -> str:
    return "unnest(" + ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in columns.items()) + ")"


_RECORD_DIFFERENT = text(_RECORD_ALL.format(outcomes=f"{_unnested(_RECORDED)} AS m({', '.join(_RECORDED)})"))
# What is the same in all of them is told once: half of what the arrays of it would cost.
_RECORD_ALIKE = text(
    _RECORD_ALL.format(
        outcomes="(SELECT "  # noqa: S608 -- of the names above
        + ", ".join(name if name in _ROWS_OWN else f"CAST(:{name} AS {kind}) AS {name}" for name, kind in _RECORDED.items())
        + f" FROM {_unnested({name: _RECORDED[name] for name in _ROWS_OWN})} AS each({', '.join(_ROWS_OWN)})) AS m"
    )
).bindparams(bindparam("row_id", type_=_Ids()))
_RECORD_EACH = text(
    "UPDATE deliveries SET status = :after, updated_at = :now, lease_until = NULL,"  # noqa: S608
    " claimed_by = CASE WHEN :after = 'queued' THEN '' ELSE claimed_by END,"
    " attempts = attempts - CASE WHEN :after = 'queued' AND status <> 'claimed' THEN 1 ELSE 0 END,"
    " due_at = coalesce(:again_at, due_at), sent_at = CASE WHEN :after = 'sent' THEN :now END,"
    f" {_SAID.format(':')}"
    " WHERE id = :row_id AND claimed_by = :worker AND :event || ' ' || status IN ("
    + ", ".join(f"'{move}'" for move in _MOVES)
    + ")"
).bindparams(*(bindparam(name, type_=UTCDateTime()) for name in ("now", "again_at")))


def record(connection: Connection, rows: Sequence[Mapping[str, Any]], *, worker: str, now: datetime) -> None:
    """Write down outcomes, each with all the columns: one statement on PostgreSQL, one for each on SQLite, which is no slower."""
    if connection.dialect.name == "postgresql":
        columns = {name: [row[name] for row in rows] for name in _RECORDED}
        connection.execute(_RECORD_DIFFERENT, {**columns, "worker": worker, "now": now, "moves": _MOVES})
    else:
        connection.execute(_RECORD_EACH, [{**row, "worker": worker, "now": now} for row in rows])


def record_alike(  # noqa: PLR0913 -- what is alike, and in what they differ
    connection: Connection, row: Mapping[str, Any], ids: Sequence[int], texts: Sequence[str], *, worker: str, now: datetime
) -> None:
    """Write down outcomes that are as `row` but for these ids and replies, on PostgreSQL in one statement."""
    if connection.dialect.name == "postgresql":
        given = {**row, "row_id": ids, "reply_text": _array(texts)}
        connection.execute(_RECORD_ALIKE, {**given, "worker": worker, "now": now, "moves": _MOVES})
    else:
        rows = [{**row, "row_id": number, "reply_text": text} for number, text in zip(ids, texts, strict=True)]
        record(connection, rows, worker=worker, now=now)


def _array(texts: Iterable[str]) -> str:
    """Return texts as PostgreSQL reads an array of them: https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO."""
    return "{" + ",".join('"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' for text in texts) + "}"
