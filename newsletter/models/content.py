"""Tables of what is reported: papers, their summaries, issues."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Index, UniqueConstraint, false, text
from sqlmodel import Field, SQLModel

from newsletter.lifecycle import IssueStatus
from newsletter.models.base import enum_column, json_column
from newsletter.models.readers import Cadence


class SummaryOrigin(StrEnum):
    """Who wrote a summary, the most trusted first."""

    HUMAN = "human"
    DOCUMENT = "document"  # it came with an imported document
    MODEL = "model"
    EXTRACT = "extract"  # the abstract's own sentences


class AttemptStatus(StrEnum):
    """How a try to have a summary written by a language model went."""

    RUNNING = "running"  # somebody is at it, until the lease ends
    MADE = "made"
    REFUSED = "refused"  # it wrote something that the checks did not pass
    FAILED = "failed"  # it gave no answer, or none that could be read


class CollectionStatus(StrEnum):
    """How reading a source for a day went."""

    DONE = "done"  # it answered, perhaps with nothing
    FAILED = "failed"  # it did not answer, or with something unreadable


class Emptiness(StrEnum):
    """Why an issue is empty."""

    NOT = ""  # it is not, or nobody kept why
    NOTHING = "nothing"  # its sources answered, and listed nothing
    TOLD = "told"  # all that they listed has been told already
    FAILED = "source-failed"  # one of them did not answer, and the others listed nothing
    UNREAD = "unread"  # none of them was read
    MERGED = "merged"  # its papers are in the issue of several days


class Matter(StrEnum):
    """What a reader finds wrong."""

    FACT = "fact"  # a number, a name, a claim
    PAPER = "paper"  # it tells of another one
    LANGUAGE = "language"
    OTHER = "other"


class Paper(SQLModel, table=True):
    """What we report: one paper, however many sources list it."""

    __tablename__ = "papers"
    __table_args__ = (UniqueConstraint("source", "source_id"),)

    id: int = Field(default=None, primary_key=True)
    source: str  # the id space: "arxiv" where there is an arXiv id
    source_id: str
    title: str
    url: str
    abstract: str = ""
    authors: list[str] = Field(default_factory=list, sa_column=json_column())
    more_authors: bool = False
    votes: int | None = None
    thumbnail_url: str = ""
    links: dict[str, str] = Field(default_factory=dict, sa_column=json_column())
    keywords: list[str] = Field(default_factory=list, sa_column=json_column())
    categories: list[str] = Field(default_factory=list, sa_column=json_column(server_default="[]"))  # arXiv's, the primary first
    published_at: datetime | None = None
    created_at: datetime
    updated_at: datetime


class PaperRecord(SQLModel, table=True):
    """What one source says of a paper: the paper is what its records say together."""

    __tablename__ = "paper_records"
    __table_args__ = (UniqueConstraint("paper_id", "source"),)

    id: int = Field(default=None, primary_key=True)
    paper_id: int = Field(foreign_key="papers.id", ondelete="CASCADE")
    source: str  # the source's name: "huggingface", "arxiv"
    said: dict[str, Any] = Field(default_factory=dict, sa_column=json_column())  # by column; empty: it knows none such
    seen_at: datetime


class PaperListing(SQLModel, table=True):
    """Which source listed a paper on which day, and where in its list."""

    __tablename__ = "paper_listings"
    __table_args__ = (
        UniqueConstraint("source", "day", "paper_id"),
        Index("ix_paper_listings_paper_id", "paper_id"),
    )

    id: int = Field(default=None, primary_key=True)
    source: str  # the source's name: "huggingface", "documents:/srv/daily"
    day: date
    paper_id: int = Field(foreign_key="papers.id", ondelete="CASCADE")
    position: int
    votes: int | None = None
    seen_at: datetime


class Collection(SQLModel, table=True):
    """The last reading of a source for a day: "nothing today" and "broken" are told apart here."""

    __tablename__ = "collections"
    __table_args__ = (UniqueConstraint("source", "day"),)

    id: int = Field(default=None, primary_key=True)
    source: str
    day: date
    status: CollectionStatus = Field(sa_column=enum_column(CollectionStatus, "status"))
    papers: int = 0  # listed at the last good reading
    problems: list[str] = Field(default_factory=list, sa_column=json_column())  # entries that were passed over
    error: str = ""
    collected_at: datetime  # the last try
    succeeded_at: datetime | None = None  # the last good reading
    failing_since: datetime | None = None  # none was good since
    doubtful: bool = Field(default=False, sa_column_kwargs={"server_default": false()})  # nothing on a weekday, as never before


class Summary(SQLModel, table=True):
    """Our words on a paper in one language: the cache and the record of who wrote them."""

    __tablename__ = "summaries"
    __table_args__ = (UniqueConstraint("paper_id", "language", "origin", "model", "prompt_version"),)

    id: int = Field(default=None, primary_key=True)
    paper_id: int = Field(foreign_key="papers.id", ondelete="CASCADE")
    language: str  # of the newsletter it was made for
    written_in: str  # of its sentences: an abstract's stay English
    origin: SummaryOrigin = Field(sa_column=enum_column(SummaryOrigin, "origin"))
    model: str = ""
    prompt_version: str = ""
    bullets: list[str] = Field(default_factory=list, sa_column=json_column())
    checks: dict[str, Any] = Field(default_factory=dict, sa_column=json_column())
    created_at: datetime


class SummaryAttempt(SQLModel, table=True):
    """One try to have a summary written by a language model: what came of it and what it cost."""

    __tablename__ = "summary_attempts"
    __table_args__ = (
        Index("ix_summary_attempts_paper_id_language", "paper_id", "language"),
        Index("ix_summary_attempts_began_at", "began_at"),
        # Two tasks never have the same summary written at once.
        Index(
            "uq_summary_attempts_paper_id_language",
            "paper_id",
            "language",
            unique=True,
            sqlite_where=text("status = 'running'"),
            postgresql_where=text("status = 'running'"),
        ),
    )

    id: int = Field(default=None, primary_key=True)
    paper_id: int = Field(foreign_key="papers.id", ondelete="CASCADE")
    language: str
    model: str
    prompt_version: str
    status: AttemptStatus = Field(sa_column=enum_column(AttemptStatus, "status"))
    reasons: list[str] = Field(default_factory=list, sa_column=json_column())  # what was wrong with it, in words
    calls: int = 0  # of the endpoint
    input_tokens: int = 0
    output_tokens: int = 0
    cost_micros: int = 0  # millionths of the currency that the prices are in
    began_at: datetime
    lease_until: datetime | None = None  # while it is running
    ended_at: datetime | None = None


class Issue(SQLModel, table=True):
    """One newsletter's digest of a day or a week; frozen once ready."""

    __tablename__ = "issues"
    __table_args__ = (UniqueConstraint("newsletter_id", "cadence", "first_day"),)

    id: int = Field(default=None, primary_key=True)
    newsletter_id: int = Field(foreign_key="newsletters.id")
    cadence: Cadence = Field(default=Cadence.DAILY, sa_column=enum_column(Cadence, "cadence"))
    first_day: date
    last_day: date
    status: IssueStatus = Field(sa_column=enum_column(IssueStatus, "status", index=True))
    reason: str = ""  # why it is empty or cancelled
    emptiness: Emptiness = Field(default=Emptiness.NOT, sa_column=enum_column(Emptiness, "emptiness", server_default=""))
    left_out: list[int] = Field(default_factory=list, sa_column=json_column(server_default="[]"))  # papers below a week's best
    sources: list[str] = Field(default_factory=list, sa_column=json_column(server_default="[]"))  # that it was made of
    subject: str = ""  # set when frozen
    note: str = Field(default="", sa_column_kwargs={"server_default": ""})  # the editor's, at the top
    created_at: datetime
    review_until: datetime | None = None  # a draft waits for approval until then; None: for nobody
    approved_at: datetime | None = None
    approved_by: str = Field(default="", sa_column_kwargs={"server_default": ""})  # an administrator's name
    held_at: datetime | None = None  # by an editor: no deadline lets it go, only an approval
    frozen_at: datetime | None = None
    published_at: datetime | None = None
    catch_up: bool = Field(default=False, sa_column_kwargs={"server_default": false()})  # late: comes beside another
    finished_at: datetime | None = None


class IssuePaper(SQLModel, table=True):
    """A paper's place in an issue, with the summary it is told by."""

    __tablename__ = "issue_papers"
    __table_args__ = (
        UniqueConstraint("issue_id", "paper_id"),
        UniqueConstraint("issue_id", "position"),
        # Never twice in a newsletter; a cancelled issue releases its papers by `released`.
        Index(
            "uq_issue_papers_newsletter_id_cadence_paper_id",
            "newsletter_id",
            "cadence",
            "paper_id",
            unique=True,
            sqlite_where=text("NOT released"),
            postgresql_where=text("NOT released"),
        ),
    )

    id: int = Field(default=None, primary_key=True)
    issue_id: int = Field(foreign_key="issues.id", ondelete="CASCADE")
    paper_id: int = Field(foreign_key="papers.id")
    summary_id: int | None = Field(default=None, foreign_key="summaries.id")
    newsletter_id: int = Field(foreign_key="newsletters.id")
    cadence: Cadence = Field(default=Cadence.DAILY, sa_column=enum_column(Cadence, "cadence"))
    position: int  # from 1
    released: bool = False
    pinned: bool = Field(default=False, sa_column_kwargs={"server_default": false()})  # by an editor: all get it, first
    dropped: bool = Field(default=False, sa_column_kwargs={"server_default": false()})  # by an editor: nobody gets it


class IssueEdit(SQLModel, table=True):
    """What an editor did to an issue, who and when."""

    __tablename__ = "issue_edits"

    id: int = Field(default=None, primary_key=True)
    issue_id: int = Field(foreign_key="issues.id", index=True, ondelete="CASCADE")
    paper_id: int | None = Field(default=None, foreign_key="papers.id")
    editor: str  # an administrator's name
    action: str  # "move", "drop", "restore", "pin", "unpin", "edit", "choose", "regenerate", "note", "approve", "hold" …
    before: str = ""
    after: str = ""
    at: datetime


class Remark(SQLModel, table=True):
    """What a reader finds wrong with how a paper is told."""

    __tablename__ = "remarks"
    __table_args__ = (Index("ix_remarks_closed_at_id", "closed_at", "id"),)

    id: int = Field(default=None, primary_key=True)
    issue_id: int = Field(foreign_key="issues.id", ondelete="CASCADE")
    paper_id: int = Field(foreign_key="papers.id", ondelete="CASCADE")
    summary_id: int | None = Field(default=None, foreign_key="summaries.id", ondelete="SET NULL")
    matter: Matter = Field(default=Matter.OTHER, sa_column=enum_column(Matter, "matter", server_default="other"))
    content: str
    reply_to: str = ""  # an address to answer to, if they gave one
    ip: str = ""
    made_at: datetime
    closed_at: datetime | None = None
    closed_by: str = ""


class IssuePiece(SQLModel, table=True):
    """A part of a frozen issue's text or HTML: head, a paper's card or line, foot; or its web page, whole."""

    __tablename__ = "issue_pieces"
    __table_args__ = (UniqueConstraint("issue_id", "part", "position"),)

    id: int = Field(default=None, primary_key=True)
    issue_id: int = Field(foreign_key="issues.id", ondelete="CASCADE")
    part: str  # "text", "html" or "page"
    position: int
    name: str  # "head", "card:<paper id>", "lines", "line:<paper id>", "foot"
    content: str


class DueTime(SQLModel, table=True):
    """When an issue is due for a zone and local hour: reckoned in Python once, joined by the fan-out.

    It is so for those whose last issue was due from `last_since` on and before `last_before`: it leaves them the day free.
    """

    __tablename__ = "due_times"
    __table_args__ = (UniqueConstraint("issue_id", "zone", "send_hour", "last_since"),)

    id: int = Field(default=None, primary_key=True)
    issue_id: int = Field(foreign_key="issues.id", ondelete="CASCADE")
    zone: str
    send_hour: int  # -1: as soon as the issue is ready
    due_at: datetime
    give_up_at: datetime
    last_since: datetime
    last_before: datetime
