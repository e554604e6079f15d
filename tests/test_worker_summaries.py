"""The language model and the clock's tasks, with a real worker on a real broker."""

import pytest
from factories import Make
from installation import eventually, installed
from model_server import abstract, model_server
from worker_parts import broker

from newsletter import pipeline
from newsletter.lifecycle import IssueStatus
from newsletter.models import Alarm, AttemptStatus, Issue, Paper, Summary, SummaryAttempt, SummaryOrigin
from newsletter.wiring import utcnow

__all__ = ["broker"]
PAPERS = 5


@pytest.fixture
def model():
    """Return an endpoint that is honest, but for one paper that it refuses and one it makes up."""
    scripts = {"Paper 2 on small models": ["refusal"], "Paper 1 on small models": ["fabricated"]}
    with model_server(scripts) as server:
        yield server


@pytest.fixture
def installation(tmp_path, database, broker, model):
    """Return an installation with that model, nothing of it running."""
    urls = {"DATABASE_URL": database, "REDIS_URL": broker}
    with installed(tmp_path, **urls, summaries__url=model.url, summaries__model="parrot-1") as made:
        yield made


def test_a_draft_goes_with_what_the_model_wrote_and_quotes_for_the_rest(installation, sessions, model):
    make = Make(sessions)
    now = utcnow()
    newsletter = make.newsletter(language="ko", created_at=now)
    draft = make.issue(newsletter, IssueStatus.DRAFT, numbers=range(1, PAPERS + 1), day=now.date(), now=now)
    for number in range(1, PAPERS + 1):
        make.papers(number, abstract=abstract(number), day=now.date(), seen_at=now)

    installation.start("worker", "--concurrency", "3")
    installation.ask("summarise_due")
    eventually(lambda: make.again(draft).status is not IssueStatus.DRAFT, installation.log, seconds=60)

    told = {row.paper_id: row for row in make.all(Summary) if row.origin is SummaryOrigin.MODEL}
    quoted = {row.paper_id for row in make.all(Summary, origin=SummaryOrigin.EXTRACT)}
    assert (len(told), len(quoted)) == (PAPERS - 2, 2)
    assert set(told) | quoted == {row.id for row in make.all(Paper)}
    assert model.calls["Paper 2 on small models"] == 1
    assert model.calls["Paper 1 on small models"] == 2
    assert len(make.all(SummaryAttempt, status=AttemptStatus.REFUSED)) == 2
    assert make.all(Alarm) == []
    assert make.all(Issue)[0].subject


def test_an_editor_has_a_summary_written_again(installation, sessions, model):
    make = Make(sessions)
    make.papers(3, abstract=abstract(3))
    (paper,) = make.all(Paper)

    installation.start("worker", "--concurrency", "1")
    installation.ask("write_again", paper.id, "ko")

    eventually(lambda: bool(make.all(Summary)), installation.log, seconds=60)
    assert make.all(Summary)[0].prompt_version.startswith("ko-1+")


def test_a_paper_of_which_nothing_can_be_said_is_looked_at_once_a_tick(installation, sessions):
    make = Make(sessions)
    now = utcnow()
    newsletter = make.newsletter(created_at=now)
    make.issue(newsletter, IssueStatus.DRAFT, numbers=[1], day=now.date(), now=now)
    make.papers(1, abstract="", day=now.date(), seen_at=now)

    installation.start("worker", "--concurrency", "1")
    installation.ask("summarise_due")
    eventually(lambda: bool(make.all(SummaryAttempt)), installation.log, seconds=60)
    for _ in range(4):  # each is behind what the one before it may have queued
        before = swept(sessions)
        installation.ask("sweep")
        eventually(lambda before=before: swept(sessions) != before, installation.log)

    assert installation.log().count(" summarised ") <= 2


def swept(sessions):
    with sessions.read() as session:
        return pipeline.last_tick(session, "sweep")
