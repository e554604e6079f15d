from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from factories import NOW

from newsletter import summaries
from newsletter.errors import SummaryError
from newsletter.models import Paper, Summary, SummaryOrigin
from newsletter.summarisers import SummaryDraft


@dataclass
class Scribe:
    """A summariser that writes down whom it was asked about; it has nothing to say of the papers in `mute`."""

    name: str = "scribe"
    version: str = "1"
    error: Exception = field(default_factory=lambda: SummaryError("nothing true to say"))
    mute: tuple = ()
    asked: list = field(default_factory=list)

    def summarise(self, paper, *, language):
        """Note who was asked about, then say who wrote it, or nothing."""
        self.asked.append(paper.title)
        if any(title in paper.title for title in self.mute):
            raise self.error
        return SummaryDraft((f"{self.name} in {language}",), "model", language, "model-1", "p1")


@pytest.fixture
def papers(make):
    """Return the ids of three papers."""
    make.papers(1, 2, 3)
    return [row.id for row in make.all(Paper)]


def _fill(sessions, papers, *summarisers, language="en"):
    return summaries.fill(sessions, papers, language, summarisers, now=NOW)


def _best(sessions, papers, language="en"):
    with sessions.read() as session:
        return {paper_id: row.bullets for paper_id, row in summaries.best(session, papers, language).items()}


def test_a_summary_is_made_once_and_kept(sessions, papers):
    scribe = Scribe()

    first, second = _fill(sessions, papers, scribe), _fill(sessions, papers, scribe)

    assert (first.made, first.ready, second.made, second.ready) == (3, 0, 0, 3)
    assert len(scribe.asked) == 3


def test_each_language_has_its_own(sessions, papers):
    _fill(sessions, papers, Scribe())
    _fill(sessions, papers, Scribe(), language="ko")

    assert _best(sessions, papers[:1], "ko") == {papers[0]: ["scribe in ko"]}


@pytest.mark.parametrize("error", [SummaryError("nothing true to say"), ZeroDivisionError("a bug")])
def test_a_paper_that_cannot_be_summarised_is_alone_in_it(sessions, papers, error):
    filled = _fill(sessions, papers, Scribe(mute=("Paper 2 ",), error=error))

    assert filled.made == 2
    assert str(error) in filled.failed[papers[1]]
    assert set(_best(sessions, papers)) == {papers[0], papers[2]}


def test_the_next_summariser_takes_what_the_first_cannot(sessions, papers):
    filled = _fill(sessions, papers, Scribe("model", mute=("Paper 1 ",)), Scribe("fallback"))

    assert filled.made == 3
    assert _best(sessions, papers)[papers[0]] == ["fallback in en"]


def test_all_reasons_are_on_record_where_nobody_could(sessions, papers):
    filled = _fill(sessions, papers[:1], Scribe("one", mute=("Paper",)), Scribe("two", mute=("Paper",)))

    assert filled.failed == {papers[0]: "one: nothing true to say; two: nothing true to say"}
    assert _fill(sessions, papers[:1]).failed == {papers[0]: "no summariser is set"}


def test_the_most_trusted_summary_is_told_and_the_newest_among_equals(sessions, papers, make):
    (paper_id, *_) = papers
    ranks = [SummaryOrigin.EXTRACT, SummaryOrigin.MODEL, SummaryOrigin.DOCUMENT, SummaryOrigin.HUMAN]
    for origin in ranks:
        make.summary(paper_id, origin.value, origin=origin)
        assert _best(sessions, papers) == {paper_id: [origin.value]}
    make.summary(paper_id, "corrected", model="2", created_at=NOW + timedelta(seconds=1))
    make.summary(paper_id, "newest of all", model="3", origin=SummaryOrigin.MODEL, created_at=NOW + timedelta(days=1))

    assert _best(sessions, papers) == {paper_id: ["corrected"]}


def test_nothing_is_open_while_a_summariser_works(sessions, papers, make):
    class Writer(Scribe):
        def summarise(self, paper, *, language):
            make.summary(papers[0], "meanwhile", origin=SummaryOrigin.DOCUMENT)  # would wait for ever for its own caller
            return super().summarise(paper, language=language)

    assert _fill(sessions, papers[:1], Writer()).made == 1
    assert len(make.all(Summary)) == 2


def test_no_papers_need_no_summaries(sessions):
    assert _fill(sessions, []) == summaries.Filled()
