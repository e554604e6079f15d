"""The editor's hand at an issue before it is frozen: order, what stays, whose words, a note; who did what when is kept.

What an editor sees of it is the desk (`desk.py`). Two at once do not undo each other's work unknowingly: whoever has not
seen the last change is refused.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, func, select, update
from sqlmodel import Session, col

from newsletter import text
from newsletter.errors import BadInput, Conflict, NotFound, Stale
from newsletter.issues import readiness
from newsletter.issues.locking import locked
from newsletter.issues.telling import chosen
from newsletter.lifecycle import IssueStatus
from newsletter.models import Issue, IssueEdit, IssuePaper, Newsletter, Summary, SummaryOrigin

NOTE_LIMIT = 2000  # characters
BULLETS = 12
BULLET_LIMIT = 600  # characters
_MARK = re.compile(r"^(?:[-*•·–—](?:\s+|$))+")  # what people begin a bullet with


@dataclass(frozen=True)
class Hand:
    """An editor's hand at an issue: whose, when, and at which version of the desk they look; None: whatever it is by now."""

    issue_id: int
    name: str
    at: datetime
    seen: int | None = None


@dataclass(frozen=True)
class Place:
    """A paper's place, as the order is reckoned from it."""

    paper_id: int
    pinned: bool = False
    dropped: bool = False


def version(session: Session, issue_id: int) -> int:
    """Return a number that grows with each change by an editor."""
    return session.scalar(select(func.max(col(IssueEdit.id))).where(col(IssueEdit.issue_id) == issue_id)) or 0


def ordered(places: Sequence[Place]) -> list[Place]:
    """Return the papers as the issue has them: the pinned first, else in their order; the dropped stay where they were."""
    kept = iter(sorted((place for place in places if not place.dropped), key=lambda place: not place.pinned))
    return [place if place.dropped else next(kept) for place in places]


def moved(places: Sequence[Place], paper_id: int, rank: int) -> list[Place]:
    """Return the papers with one of them at `rank` (from 1) among those that are kept, or as near as pins allow."""
    kept = [place for place in places if not place.dropped]
    chosen = next(place for place in kept if place.paper_id == paper_id)
    kept.remove(chosen)
    kept.insert(max(rank, 1) - 1, chosen)
    arranged = iter(kept)
    return ordered([place if place.dropped else next(arranged) for place in places])


def move(session: Session, hand: Hand, paper_id: int, rank: int) -> None:
    """Put a paper at a rank of the issue, from 1; pinned ones stay before the others.

    Raises Conflict for a paper that is dropped, and as every change for an issue that is no draft.
    """
    rows, row = _opened(session, hand, paper_id)
    if row.dropped:
        raise Conflict("A paper that is left out has no place to move to.", hint="Take it in again first.")
    before = _rank(rows, paper_id)
    _arrange(session, rows, lambda places: moved(places, paper_id, rank))
    after = _rank(_rows(session, hand.issue_id), paper_id)
    if after != before:
        _keep(session, hand, "move", paper_id, (str(before), str(after)))


def drop(session: Session, hand: Hand, paper_id: int) -> None:
    """Leave a paper out: nobody gets it, in no later issue either. Raises Conflict for the last one."""
    rows, row = _opened(session, hand, paper_id)
    if row.dropped:
        return
    if sum(not other.dropped for other in rows) == 1:
        raise Conflict("An issue without papers cannot go.", hint="Cancel it, or take another paper in first.")
    row.dropped = True
    _keep(session, hand, "drop", paper_id)


def restore(session: Session, hand: Hand, paper_id: int) -> None:
    """Take a paper that was left out in again, where it was."""
    _, row = _opened(session, hand, paper_id)
    if row.dropped:
        row.dropped = False
        session.flush()
        _arrange(session, _rows(session, hand.issue_id), ordered)
        _keep(session, hand, "restore", paper_id)


def pin(session: Session, hand: Hand, paper_id: int, *, pinned: bool = True) -> None:
    """Put a paper behind those that every reader gets first, whatever their topics; or let it go from there."""
    _, row = _opened(session, hand, paper_id)
    if row.pinned != pinned:
        row.pinned = pinned
        session.flush()
        _arrange(session, _rows(session, hand.issue_id), ordered)
        _keep(session, hand, "pin" if pinned else "unpin", paper_id)


def note(session: Session, hand: Hand, words: str) -> None:
    """Put a note in plain text at the top of the issue, or none; raises BadInput for one above NOTE_LIMIT characters."""
    issue = _draft(session, hand)
    clean = text.paragraphs(words)
    if len(clean) > NOTE_LIMIT:
        raise BadInput(f"The note has {len(clean)} characters.", hint=f"It can have {NOTE_LIMIT}.")
    if clean != issue.note:
        _keep(session, hand, "note", None, (issue.note, clean))
        issue.note = clean


def bullets_of(given: str) -> tuple[str, ...]:
    """Return what somebody wrote, a bullet a line, as clean text; raises BadInput for none, too many or too long ones."""
    bullets = tuple(filter(None, (_MARK.sub("", text.one_line(line)) for line in given.splitlines())))
    if not bullets:
        raise BadInput("A summary has at least one line.", hint="To tell a paper by its title alone is no edit: drop it instead.")
    if len(bullets) > BULLETS:
        raise BadInput(f"The summary has {len(bullets)} lines.", hint=f"It can have {BULLETS}.")
    if long := [bullet for bullet in bullets if len(bullet) > BULLET_LIMIT]:
        raise BadInput(f"A line has {len(long[0])} characters: {long[0][:40]}…", hint=f"It can have {BULLET_LIMIT}.")
    return bullets


def edit_bullets(session: Session, hand: Hand, paper_id: int, given: str) -> None:
    """Tell a paper in an editor's words from now on, a bullet a line; they are kept as a person's.

    Raises BadInput as `bullets_of` does.
    """
    bullets = bullets_of(given)
    _, row = _opened(session, hand, paper_id)
    language = _language(session, hand.issue_id)
    told = chosen(session, session.get_one(Issue, hand.issue_id), language).get(paper_id)
    shown = tuple(told.bullets) if told else ()
    if bullets == shown:
        return
    row.summary_id = None  # the newest of a person's is what counts
    session.add(_in_their_words(paper_id, language, bullets, hand))
    _keep(session, hand, "edit", paper_id, ("\n".join(shown), "\n".join(bullets)))


def _in_their_words(paper_id: int, language: str, bullets: Sequence[str], hand: Hand) -> Summary:
    """Return a person's summary: one more, as issues that are out keep the words they were told in."""
    return Summary(
        paper_id=paper_id,
        language=language,
        written_in=text.language_of(" ".join(bullets)) if language == "ko" else language,
        origin=SummaryOrigin.HUMAN,
        prompt_version=hand.at.isoformat(),
        bullets=list(bullets),
        checks={"editor": hand.name},
        created_at=hand.at,
    )


def choose(session: Session, hand: Hand, paper_id: int, summary_id: int) -> None:
    """Tell a paper by another of its summaries in this issue, whoever wrote it. Raises NotFound for one that is not its own."""
    _, row = _opened(session, hand, paper_id)
    summary = session.get(Summary, summary_id)
    if summary is None or (summary.paper_id, summary.language) != (paper_id, _language(session, hand.issue_id)):
        raise NotFound(f"Paper {paper_id} has no summary {summary_id} in the newsletter's language.")
    if row.summary_id != summary_id:
        row.summary_id = summary_id
        _keep(session, hand, "choose", paper_id, ("", f"{summary.origin.value} {summary.model}".strip()))


def ask_again(session: Session, hand: Hand, paper_id: int) -> str:
    """Keep that a paper's summary is to be written again; return the language, for the worker that does it.

    What a model then writes is shown where no person's words are.
    """
    _, row = _opened(session, hand, paper_id)
    row.summary_id = None
    _keep(session, hand, "regenerate", paper_id)
    return _language(session, hand.issue_id)


def approve(session: Session, hand: Hand) -> None:
    """Let the draft go as the editor saw it, before its deadline; what was just done, by a button pressed twice, is done."""
    if not _is_done(session, hand, "approve"):
        _draft(session, hand)
        readiness.approve(session, hand.issue_id, by=hand.name, now=hand.at)


def hold(session: Session, hand: Hand) -> None:
    """Let the draft wait until somebody approves it, whatever its deadline says; pressed twice as above."""
    if not _is_done(session, hand, "hold"):
        readiness.hold(session, _draft(session, hand), by=hand.name, now=hand.at)


def _is_done(session: Session, hand: Hand, action: str) -> bool:
    """Say whether the last thing that was done to the issue is this, by the same editor."""
    session.execute(select(col(Issue.id)).where(col(Issue.id) == hand.issue_id).with_for_update())
    last = session.get(IssueEdit, version(session, hand.issue_id))
    return last is not None and (last.editor, last.action) == (hand.name, action)


def _draft(session: Session, hand: Hand) -> Issue:
    """Return the issue, locked; raises Conflict for one that can no longer be edited, Stale for an old look at it."""
    issue = locked(session, hand.issue_id)
    if issue.status is not IssueStatus.DRAFT:
        raise Conflict(
            f"The issue of {issue.first_day} is {issue.status.value}: it can no longer be edited.",
            hint="What readers get was fixed when it was frozen.",
        )
    if hand.seen is not None and hand.seen != version(session, hand.issue_id):
        raise Stale(
            f"The issue of {issue.first_day} was changed since this page was shown.",
            hint="Look at what is new and do it again, if you still want it.",
        )
    return issue


def _opened(session: Session, hand: Hand, paper_id: int) -> tuple[list[IssuePaper], IssuePaper]:
    """Return the places of a draft and one of them; raises NotFound for a paper that the issue does not have."""
    _draft(session, hand)
    rows = _rows(session, hand.issue_id)
    for row in rows:
        if row.paper_id == paper_id:
            return rows, row
    raise NotFound(f"The issue has no paper {paper_id}.")


def _rows(session: Session, issue_id: int) -> list[IssuePaper]:
    wanted = select(IssuePaper).where(col(IssuePaper.issue_id) == issue_id).order_by(col(IssuePaper.position))
    return list(session.scalars(wanted.execution_options(populate_existing=True)))


def _rank(rows: Sequence[IssuePaper], paper_id: int) -> int:
    return [row.paper_id for row in rows if not row.dropped].index(paper_id) + 1


def _arrange(session: Session, rows: Sequence[IssuePaper], arrange: Callable[[Sequence[Place]], list[Place]]) -> None:
    """Give the papers their new positions, in two steps: no two of them may have the same one at any moment."""
    wanted = arrange([Place(row.paper_id, row.pinned, row.dropped) for row in rows])
    positions = {place.paper_id: number for number, place in enumerate(wanted, start=1)}
    ours = update(IssuePaper).where(col(IssuePaper.issue_id) == rows[0].issue_id).execution_options(synchronize_session=False)
    session.execute(ours.values(position=-col(IssuePaper.position)))
    session.execute(ours.values(position=case(positions, value=col(IssuePaper.paper_id))))


def _language(session: Session, issue_id: int) -> str:
    owner = select(col(Issue.newsletter_id)).where(col(Issue.id) == issue_id).scalar_subquery()
    return session.scalars(select(col(Newsletter.language)).where(col(Newsletter.id) == owner)).one()


def _keep(session: Session, hand: Hand, action: str, paper_id: int | None, words: tuple[str, str] = ("", "")) -> None:
    """Keep who did what when, with the words or numbers before and after."""
    before, after = words
    edit = IssueEdit(
        issue_id=hand.issue_id, paper_id=paper_id, editor=hand.name, action=action, before=before, after=after, at=hand.at
    )
    session.add(edit)
    session.flush()
