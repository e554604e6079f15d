import json
import os

import pytest
from cli_parts import installed_terminal, terminal
from factories import Make
from model_server import abstract, model_server

from newsletter import db

__all__ = ["installed_terminal", "terminal"]


@pytest.fixture
def papers(installed_terminal):
    """Return what fills the terminal's database."""
    sessions = db.connect(os.environ["DATABASE_URL"])
    make = Make(sessions)
    make.papers(1, abstract=abstract(1))
    yield make
    sessions.engine.dispose()


def use(terminal, server):
    """Set the language model."""
    settings = {"URL": server.url, "MODEL": "parrot-1", "INPUT_PRICE": 1.0, "OUTPUT_PRICE": 2.0, "CURRENCY": "EUR"}
    for name, value in settings.items():
        terminal.set(f"NEWSLETTER_SUMMARIES__{name}", value)


def test_trying_a_paper_shows_what_the_model_makes_of_it_and_keeps_nothing(installed_terminal, papers):
    with model_server() as server:
        use(installed_terminal, server)
        said = installed_terminal.ok("summaries", "try", "2403.00001", "--language", "en")

    assert "- Shelf1 removes the noise" in said
    assert "made" in said
    assert "1 calls, 700 + 150 tokens, 0.0010 EUR" in said
    assert not any(day["calls"] for day in json.loads(installed_terminal.ok("summaries", "usage", "--json")))


def test_trying_a_paper_that_fails_says_why(installed_terminal, papers):
    with model_server(default="401") as server:
        use(installed_terminal, server)
        answer = installed_terminal("summaries", "try", "2403.00001")

    assert answer.code == 1
    assert "HTTP 401" in answer.out
    assert "Check summaries.key" in answer.out


def test_trying_needs_a_model_and_a_paper(installed_terminal, papers):
    assert "Set summaries.url" in installed_terminal.refused("summaries", "try", "2403.00001")
    with model_server() as server:
        use(installed_terminal, server)
        assert "No paper 1 is stored" in installed_terminal.refused("summaries", "try", "1")


def test_usage_of_each_day_is_a_table_with_bars(installed_terminal, papers):
    said = installed_terminal.ok("summaries", "usage", "--days", "3")

    assert len(said.splitlines()) == 4
    assert "0.0000 USD" in said
