"""A short version of what `make test-days` proves of sixty days, and that what is broken would be noticed."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "faults"))

from almanac import FIRST, Almanac, Listed, Trouble, almanac, at  # noqa: E402 -- the days are programs, not a package
from audience import ENGLISH, KOREAN, Audience  # noqa: E402
from book import Book  # noqa: E402
from clockwork import Clock  # noqa: E402
from made_up import UNTELLABLE, paper  # noqa: E402
from reckoning import Account  # noqa: E402
from told import reckon_issues  # noqa: E402

from newsletter.lifecycle import IssueStatus  # noqa: E402
from newsletter.models import Issue, IssuePaper, Newsletter, Paper  # noqa: E402
from newsletter.summarisers import SummaryInput, checks  # noqa: E402


def test_a_few_days_lose_no_paper_and_tell_none_twice(tmp_path):
    words = ("--days", "3", "--after", "2", "--step", "360", "--database", "sqlite", "--quiet", "--out", tmp_path / "days.json")
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    program = [sys.executable, ROOT / "faults" / "days.py", *words]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=240, check=False)

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    (figures,) = json.loads((tmp_path / "days.json").read_text())
    assert figures["haru: papers lost, told twice, foreign"] == "0, 0, 0"
    assert figures["workers killed"] == 1
    assert sum(row["got"] for row in figures["readers"]) > 10


def test_the_same_seed_makes_the_same_days():
    first, second, other = (almanac(20, seed) for seed in (1, 1, 2))

    assert first == second
    assert first.lists != other.lists


def test_a_list_grows_during_its_day_and_weekends_have_none():
    known = almanac(60, 1)
    hours = [(row.since - at(day, 0)) / timedelta(hours=1) for day, rows in known.lists.items() for row in rows]

    assert sum(each <= 6 for each in hours) / len(hours) == pytest.approx(0.54, abs=0.05)
    assert sum(each <= 12 for each in hours) / len(hours) == pytest.approx(0.9, abs=0.05)
    assert all(day.weekday() < 5 for day in known.lists)


def test_only_the_papers_that_say_nothing_cannot_be_summarised():
    made = [paper(number, FIRST, 1) for number in range(400)]

    for each in made:
        fault = checks.source_fault(SummaryInput(title=each.title, abstract=each.abstract))
        assert (fault is not None) == (each.oddity in UNTELLABLE), each


def test_a_clock_that_is_set_is_seen_by_whoever_has_the_file(tmp_path):
    ours, theirs = Clock(tmp_path / "clock"), Clock(tmp_path / "clock")
    moment = datetime(2026, 1, 5, 6, tzinfo=UTC)

    ours.set(moment)

    assert moment <= theirs.now() < moment + timedelta(seconds=10)


def found_of(placed, *, listed=(1, 2)):
    """Return what is found broken where these papers are told, one issue a day of those of the first newsletter."""
    papers = {number: Paper(id=number, source="arxiv", source_id=paper(number, FIRST, 1).number) for number in (1, 2, 3)}
    newsletters = {
        wanted.slug: Newsletter(id=number, slug=wanted.slug, language=wanted.language, cutoff_hours=24)
        for number, wanted in enumerate((KOREAN, ENGLISH), 1)
    }
    issues = {
        number: Issue(id=number, newsletter_id=1, first_day=day, last_day=day, status=IssueStatus.SENT, published_at=at(day, 24))
        for number, day in ((1, FIRST), (2, FIRST + timedelta(days=1)))
    }
    rows = [IssuePaper(issue_id=issue, paper_id=number, position=place) for place, (issue, number) in enumerate(placed)]
    book = Book(Audience(newsletters, {}), issues, rows, papers, {}, [], {}, [])
    lists = {FIRST: [Listed(paper(number, FIRST, 1), at(FIRST, 1)) for number in listed]}
    account = Account()
    reckon_issues(account, book, Almanac(1, (FIRST,), lists))
    return [words for words in account.broken if words.startswith(KOREAN.slug)]


def test_all_is_well_when_each_paper_was_told_once():
    assert found_of([(1, 1), (2, 2)]) == []


@pytest.mark.parametrize(
    ("placed", "words"),
    [
        ([(1, 1), (2, 1)], "listed and never told"),
        ([(1, 1), (1, 2), (2, 1)], "told twice"),
        ([(1, 1), (1, 2), (2, 3)], "never listed"),
        ([(1, 1), (1, 2)], "without a paper"),
    ],
)
def test_a_broken_promise_is_noticed(placed, words):
    assert any(words in broken for broken in found_of(placed))


def test_trouble_behaves_by_the_hour_as_long_as_it_lasts():
    trouble = Trouble("list", ("500", "hang"), at(FIRST, 1), at(FIRST, 4))

    assert [trouble.behaviour(at(FIRST, hour)) for hour in (0.5, 1, 2.5, 3.9, 4)] == ["", "500", "hang", "500", ""]
