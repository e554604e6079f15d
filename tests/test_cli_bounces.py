import json
import os
from datetime import timedelta

import pytest
from cli_parts import installed_terminal, terminal
from sqlmodel import select

from newsletter import db
from newsletter.lifecycle import DeliveryStatus
from newsletter.models import Bounce, BounceKind, Delivery, DeliveryKind, Lane, Suppression
from newsletter.wiring import utcnow

__all__ = ["installed_terminal", "terminal"]

HELD = "held back: 11 of the last 30 recipients are said not to exist"


@pytest.fixture
def database(installed_terminal):
    """Return the installation's database."""
    return db.connect(os.environ["DATABASE_URL"])


@pytest.fixture
def reports(database):
    """Add two reports that were held back, and one that was counted."""
    now = utcnow()
    with database.begin() as session:
        for number, (name, action) in enumerate((("ari", HELD), ("bora", HELD), ("chan", "counted")), start=1):
            mail = Delivery(
                dedupe_key=name,
                kind=DeliveryKind.CONFIRM,
                lane=Lane.PERSON.value,
                status=DeliveryStatus.SENT,
                address=f"{name}@example.org",
                due_at=now,
                give_up_at=now + timedelta(days=1),
                created_at=now,
                updated_at=now,
            )
            session.add(mail)
            session.flush()
            kind = BounceKind.SOFT if action == "counted" else BounceKind.HARD
            row = {"status": "5.1.1", "reason": "no such user", "source": "inbox", "action": action, "received_at": now}
            session.add(Bounce(delivery_id=mail.id, suppression_key=f"key {number}", kind=kind, report_key=name, **row))


def held(database):
    with database.read() as session:
        actions = [row.action for row in session.exec(select(Bounce).order_by(Bounce.id))]
        return actions, len(session.exec(select(Suppression)).all())


def test_reports_are_listed_with_what_was_done(installed_terminal, reports):
    said = installed_terminal.ok("bounces", "list")

    assert said.index("chan@example.org") < said.index("ari@example.org")
    assert "chan" in installed_terminal.ok("bounces", "list", "--kind", "soft")
    assert "ari" not in installed_terminal.ok("bounces", "list", "--kind", "soft")
    assert "More: --before 3" in installed_terminal.ok("bounces", "list", "--limit", "1")


def test_reports_for_scripts_have_these_fields(installed_terminal, reports):
    (first, *_) = json.loads(installed_terminal.ok("bounces", "list", "--json"))

    fields = {"id", "kind", "delivery_id", "status", "reason", "source", "action", "received_at", "address"}
    assert (set(first), first["address"], first["kind"]) == (fields, "chan@example.org", "soft")


def test_where_nothing_is_held_back_there_is_nothing_to_say(installed_terminal):
    assert "Nothing is held back" in installed_terminal.ok("bounces", "apply")
    assert "no such reports" in installed_terminal.ok("bounces", "list")


def test_whom_it_is_about_is_shown_before_anything_happens(installed_terminal, database, reports):
    assert "example.org" in installed_terminal.ok("bounces", "apply", "--dry-run")
    assert held(database) == ([HELD, HELD, "counted"], 0)


def test_what_was_held_back_is_applied(installed_terminal, database, reports):
    assert "Suppressed: 2" in installed_terminal.ok("bounces", "apply", "--yes")

    actions, suppressed = held(database)
    assert [action.partition(" ")[0] for action in actions] == ["suppressed:", "suppressed:", "counted"]
    assert suppressed == 2


def test_what_was_held_back_is_dropped(installed_terminal, database, reports):
    assert "Held against nobody: 2" in installed_terminal.ok("bounces", "apply", "--drop", "--yes")

    actions, suppressed = held(database)
    assert [action.partition(" ")[0] for action in actions] == ["dropped:", "dropped:", "counted"]
    assert suppressed == 0
