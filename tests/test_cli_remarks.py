import json
import os

import pytest
from cli_parts import installed_terminal, terminal
from factories import DAY, LINKS, NOW, Make

from newsletter import db, remarks
from newsletter.lifecycle import IssueStatus
from newsletter.models import Paper, Remark
from newsletter.remarks import Office, Words

__all__ = ["installed_terminal", "terminal"]


@pytest.fixture
def make(installed_terminal):
    made = Make(db.connect(os.environ["DATABASE_URL"]))
    made.issue(made.newsletter(slug="nightly"), IssueStatus.PUBLISHED)
    with made.sessions.begin() as session:
        about = remarks.told(session, "nightly", DAY.isoformat(), made.all(Paper)[0].id)
        for content in ("It says 2.\n\nNot 3.", "x" * 200):
            remarks.make(session, about, Words(content=content), Office("", LINKS), now=NOW)
    return made


def test_remarks_are_listed_until_they_are_closed(installed_terminal, make):
    listed = installed_terminal.ok("remarks")
    assert "It says 2." in " ".join(listed.split())
    assert "x" * 100 not in "".join(listed.split())

    told = json.loads(installed_terminal.ok("remarks", "--json"))
    assert [(row["newsletter"], row["issue"], row["matter"]) for row in told] == [("nightly", "2024-03-14", "other")] * 2
    assert told[1]["content"] == "x" * 200

    assert "Closed 2 remarks." in installed_terminal.ok("remarks", "close", told[0]["id"], told[1]["id"])
    assert "No reader found anything wrong." in installed_terminal.ok("remarks")
    assert all(row.closed_by for row in make.all(Remark))


def test_what_is_closed_or_was_never_made_is_refused(installed_terminal, make):
    installed_terminal.ok("remarks", "close", "1")

    assert "was closed at" in installed_terminal.refused("remarks", "close", "1")
    assert "There is no remark 9." in installed_terminal.refused("remarks", "close", "9")
