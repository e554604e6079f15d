"""Whoever changes an issue locks it first, and looks at it as it is then."""

from sqlalchemy import select
from sqlmodel import Session, col

from newsletter.errors import NotFound
from newsletter.models import Issue


def locked(session: Session, issue_id: int) -> Issue:
    """Return an issue, locked and read anew; raises NotFound."""
    wanted = select(Issue).where(col(Issue.id) == issue_id).with_for_update().execution_options(populate_existing=True)
    issue = session.scalars(wanted).one_or_none()
    if issue is None:
        raise NotFound(f"There is no issue {issue_id}.")
    return issue
