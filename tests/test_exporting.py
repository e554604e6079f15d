import csv
import io
import json
from datetime import date

import pytest
from factories import LONG_AGO, NOW, Make
from import_parts import bring_in, outcomes

from newsletter import db
from newsletter.lifecycle import SubscriptionStatus
from newsletter.models import Cadence, Newsletter, SuppressionReason
from newsletter.subscribers import exporting
from newsletter.subscribers.wishes import OWN_COLUMNS

HOW_WE_KNOW = {"consent_source", "consent_wording"}  # an import says who states it, and keeps what was said within


@pytest.fixture
def elsewhere(make_database, migrated, database_kind):
    """Return transactions on another empty installation."""
    opened = db.connect(make_database(template=migrated(database_kind)))
    yield opened
    opened.engine.dispose()


def _exported(sessions, **which):
    file = io.StringIO()
    exporting.write_csv(exporting.export(sessions, **which), file)
    return file.getvalue()


def _rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def _furnish(make):
    daily, weekly = make.newsletter(slug="daily"), make.newsletter(slug="weekly", cadences=["weekly"])
    make.subscriber("=cmd@example.org", language="ko")
    make.reader("=cmd@example.org", daily, send_hour=7, topics=["cs.CL", "a;b, c"], keywords=["-x"], zone="Asia/Seoul")
    wishes = {"cadence": Cadence.WEEKLY, "max_papers": 9, "paused_until": date(2024, 5, 1)}
    make.reader("bora", weekly, **wishes)
    make.reader("bora", daily, status=SubscriptionStatus.UNSUBSCRIBED, unsubscribed_at=NOW, unsubscribed_by="one-click")
    make.reader("chan", daily, status=SubscriptionStatus.PENDING, confirmed_at=None)
    make.reader("dana", daily)
    make.suppression("dana", SuppressionReason.COMPLAINT)


def test_what_is_exported_comes_back_the_same_elsewhere(sessions, make, elsewhere, tmp_path):
    _furnish(make)
    there = Make(elsewhere)
    there.newsletter(slug="daily")
    there.newsletter(slug="weekly", cadences=["weekly"])
    (tmp_path / "all.csv").write_text(text := _exported(sessions), newline="")

    told = bring_in(elsewhere, tmp_path / "all.csv", consent="moved from our old machine", now=NOW)

    assert outcomes(told) == ["add active", "add active", "add unsubscribed", "add pending", "suppress"]
    before, after = _rows(text), _rows(_exported(elsewhere))
    assert [_without(row, HOW_WE_KNOW) for row in after] == [_plain(row) for row in before]
    assert all("page: I want it." in row["consent_wording"] for row in after)
    assert {row["consent_source"] for row in after} == {"import"}


def _without(row, names):
    return {name: cell for name, cell in row.items() if name not in names}


def _plain(row):
    """Return what a row becomes elsewhere: who waits has confirmed nothing."""
    waits = {"consent_confirmed_at": "", "consent_confirmed_ip": ""} if row["status"] == "pending" else {}
    return _without(row | waits, HOW_WE_KNOW)


def test_cells_are_no_formulas(sessions, make):
    _furnish(make)

    first = _rows(_exported(sessions))[0]

    assert first["address"] == "'=cmd@example.org"
    assert json.loads(first["topics"]) == ["cs.CL", "a;b, c"]


def test_a_newsletter_or_a_state_alone_is_exported(sessions, make):
    _furnish(make)
    (weekly,) = (row.id for row in make.all(Newsletter, slug="weekly"))

    assert [row["address"] for row in _rows(_exported(sessions, newsletter_id=weekly))] == ["bora@example.org"]
    left = _rows(_exported(sessions, status=SubscriptionStatus.UNSUBSCRIBED))
    assert [(row["address"], row["unsubscribed_by"]) for row in left] == [("bora@example.org", "one-click")]


def test_pages_leave_nobody_out(sessions, make, monkeypatch):
    monkeypatch.setattr(exporting, "PAGE", 2)
    daily = make.newsletter()
    for number in range(5):
        make.reader(f"reader{number}", daily)

    assert len(_rows(_exported(sessions))) == 5


def test_scripts_get_an_object_a_line(sessions, make):
    make.reader("ari", make.newsletter(slug="daily"))
    file = io.StringIO()

    assert exporting.write_json(exporting.export(sessions), file) == 1

    found = json.loads(file.getvalue())
    assert tuple(found) == OWN_COLUMNS
    assert (found["address"], found["status"], found["confirmed_at"]) == ("ari@example.org", "active", LONG_AGO.isoformat())
