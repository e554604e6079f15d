from datetime import UTC, datetime, timedelta

import pytest
from factories import DAY, NOW
from web_parts import Site

from newsletter import issues, papers
from newsletter.errors import SourceUnavailable
from newsletter.issues import Quiet
from newsletter.lifecycle import IssueStatus
from newsletter.models import Cadence, Newsletter
from newsletter.sources import Listing

ONE = timedelta(days=1)
SUNDAY = datetime(2024, 3, 18, 0, 5, tzinfo=UTC)  # the night after it


class Silent:
    """A source that has nothing, or does not answer on these days."""

    name = "sample"

    def __init__(self, *broken):
        self.broken = broken

    def listing(self, day):
        """Return nothing."""
        if day in self.broken:
            raise SourceUnavailable("sample: it did not answer")
        return Listing(day)


def _pass(sessions, newsletter, *broken):
    """Let the days until Monday go by as the clock does: each read, and its issue made when it may be."""
    for day in [DAY + number * ONE for number in range(1, 4)]:
        papers.collect(sessions, Silent(*broken), day, now=SUNDAY)
    with sessions.begin() as session:
        row = session.get(Newsletter, newsletter.id)
        for period in issues.due_periods(session, row, Cadence.DAILY, now=SUNDAY):
            issues.assemble(session, row, Cadence.DAILY, period.first_day, now=SUNDAY)


def _quiet(sessions, newsletter, now=SUNDAY):
    with sessions.read() as session:
        return issues.quiet_days(session, newsletter, now=now)


@pytest.fixture
def newsletter(make):
    """Return a newsletter whose first issue is out."""
    row = make.newsletter(created_at=NOW - ONE)
    make.issue(row, IssueStatus.PUBLISHED)
    return row


def test_days_without_papers_are_one_row_and_days_that_are_broken_another(sessions, newsletter):
    _pass(sessions, newsletter, DAY + ONE)

    assert _quiet(sessions, newsletter) == [
        Quiet(DAY + 2 * ONE, DAY + 3 * ONE, delayed=False),
        Quiet(DAY + ONE, DAY + ONE, delayed=True),
    ]


def test_days_before_the_latest_issue_are_told_no_more(sessions, make, newsletter):
    _pass(sessions, newsletter)
    make.issue(newsletter, IssueStatus.PUBLISHED, numbers=(7,), day=DAY + 4 * ONE, now=SUNDAY + ONE)

    assert _quiet(sessions, newsletter, SUNDAY + ONE) == []


def test_a_day_that_is_not_over_is_neither_empty_nor_late(sessions, newsletter):
    papers.collect(sessions, Silent(DAY + ONE), DAY + ONE, now=NOW + timedelta(hours=2))

    assert _quiet(sessions, newsletter, NOW + timedelta(hours=2)) == []


def test_a_weekly_newsletter_has_no_quiet_days(sessions, make):
    newsletter = make.newsletter(cadences=["weekly"])
    papers.collect(sessions, Silent(DAY), DAY, now=SUNDAY)

    assert _quiet(sessions, newsletter) == []


@pytest.mark.parametrize(
    ("language", "words"),
    [
        (
            "en",
            ("Saturday, March 16, 2024 to Sunday, March 17, 2024: no new papers", "Friday, March 15, 2024: the issue is delayed"),
        ),
        (
            "ko",
            ("2024년 3월 16일 토요일 ~ 2024년 3월 17일 일요일: 새로 올라온 논문이 없어", "2024년 3월 15일 금요일: 논문 목록을"),
        ),
    ],
)
def test_the_archive_says_why_no_mail_came(sessions, make, language, words):
    site = Site(make)
    site.publish()
    _pass(sessions, site.newsletter, DAY + ONE)
    site.now = SUNDAY

    page = site.visitor().get(f"/archive/daily-papers?lang={language}").text

    assert all(word in page for word in words)
