"""How many papers of the last issue are about what somebody wishes for: shown while they choose."""

from dataclasses import dataclass, field
from datetime import date

from sqlalchemy import select
from sqlmodel import Session, col

from newsletter.deliveries.frozen import paper_facts
from newsletter.lifecycle import IssueStatus
from newsletter.mail.matching import Index
from newsletter.mail.selecting import Wish, matches
from newsletter.models import Issue
from newsletter.subscribers.preferences import Wanted

_KEPT = 16  # issues whose papers are at hand


@dataclass(frozen=True)
class Counted:
    """What a wish would have found in the last issue of a newsletter."""

    found: int
    papers: int  # in all
    day: date  # the issue's first


@dataclass(frozen=True)
class LastIssues:
    """The newest issues, indexed: a published issue does not change, so each is read once."""

    _kept: dict[int, Index] = field(default_factory=dict)

    def count(self, session: Session, newsletter_id: int, wanted: Wanted) -> Counted | None:
        """Return what would have been found; None where nothing is chosen by, or there was no issue yet."""
        wish = Wish(wanted.topics, wanted.keywords)
        out = col(Issue.status).in_((IssueStatus.PUBLISHED, IssueStatus.SENT))
        last = select(col(Issue.id), col(Issue.first_day)).where(col(Issue.newsletter_id) == newsletter_id, out)
        last = last.where(col(Issue.cadence) == wanted.cadence).order_by(col(Issue.first_day).desc()).limit(1)
        newest = session.execute(last).one_or_none() if wish.chooses else None
        if newest is None:
            return None
        issue_id, day = newest
        index = self._index(session, issue_id)
        return Counted(matches(index, wish), len(index.ids), day)

    def _index(self, session: Session, issue_id: int) -> Index:
        index = self._kept.get(issue_id)
        if index is None:
            index = self._kept[issue_id] = Index(paper_facts(session, issue_id))
            for old in sorted(self._kept)[:-_KEPT]:
                self._kept.pop(old, None)
        return index
