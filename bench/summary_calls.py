"""How often a model is asked for papers whose source says nothing: the real flow, with a database and an endpoint that counts."""

from collections.abc import Sequence
from datetime import UTC, datetime
from tempfile import TemporaryDirectory

from bench import summary_days, summary_faults
from newsletter import db, summaries
from newsletter.db import Sessions
from newsletter.models import Paper
from newsletter.summaries import Terms
from tests.model_server import ModelServer, model_of, model_server


def calls_made() -> tuple[int, int]:
    """Return how often an endpoint was asked for sources that say nothing, and for one honest abstract, as workers do it."""
    with TemporaryDirectory() as folder, model_server() as server:
        sessions = db.connect(f"sqlite:///{folder}/bench.db")
        db.migrate(sessions)
        (paper, *_) = summary_days.own()
        _summarise(sessions, server, [("Nothing to say", text) for text in summary_faults.SOURCES])
        empty = len(server.asked)
        _summarise(sessions, server, [(paper.paper.title, paper.paper.abstract)])
        sessions.close()
        return empty, len(server.asked) - empty


def _summarise(sessions: Sessions, server: ModelServer, texts: Sequence[tuple[str, str]]) -> None:
    now = datetime(2024, 3, 14, tzinfo=UTC)
    with sessions.begin() as session:
        papers = [
            Paper(source="bench", source_id=f"{title} {n}", title=title, url="", abstract=text, created_at=now, updated_at=now)
            for n, (title, text) in enumerate(texts)
        ]
        session.add_all(papers)
        session.flush()
        chosen = [paper.id for paper in papers]
    summaries.write(sessions, chosen, "en", model_of(server), Terms(model="parrot-1"), clock=lambda: now)
