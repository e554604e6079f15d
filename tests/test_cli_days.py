from datetime import UTC, datetime, timedelta

import pytest
from cli_parts import ADD, installed_terminal, terminal
from sqlalchemy import select

from newsletter import config, wiring
from newsletter.lifecycle import DeliveryStatus
from newsletter.models import Delivery

__all__ = ["installed_terminal", "terminal"]

DAY = "2024-03-14"


@pytest.fixture
def two(installed_terminal):
    """Return a terminal with two newsletters, "daily" and "other", and a reader of both."""
    installed_terminal.ok(*ADD, "other", "--title", "Other", "--from-address", "news@example.org")
    installed_terminal.ok("subscribers", "add", "ari@example.org", "-n", "daily", "-n", "other", "--consent", "on paper")
    return installed_terminal


def _later():
    """Return an hour of the day in UTC that is not the present one, nor the next."""
    return (datetime.now(UTC) + timedelta(hours=5)).hour


@pytest.mark.parametrize("command", ["publish", "run"])
def test_trouble_with_one_newsletter_does_not_stop_the_others(two, command):
    two.ok("collect", DAY)
    two.ok("assemble", DAY)
    two.ok("issues", "cancel", "daily", DAY, "--reason", "wrong day")

    answer = two(command, DAY)

    assert answer.code == 1
    assert f"other {DAY}: queued 1 deliveries" in answer.out
    said = " ".join(answer.err.split())
    assert "daily: The issue of 2024-03-14 is cancelled (wrong day): it cannot be published." in said
    assert "Its papers come with the next issue." in said
    assert "There was trouble with daily, as said above." in said
    assert ("Sent 1" in answer.out) is (command == "run")


def test_a_newsletter_whose_sources_cannot_be_read_gets_no_empty_issue(two):
    folder = two.folder / "daily"
    folder.write_text("this is no folder")
    two.ok("newsletters", "edit", "other", "--source", f"documents:{folder}")

    answer = two("run", DAY)

    assert answer.code == 1
    assert "other: None of its sources could be read." in answer.err
    assert f"daily {DAY}: queued 1 deliveries" in answer.out
    assert "other" not in two.ok("issues")


def test_a_newsletter_without_a_weekly_digest_is_passed_over(two):
    two.ok("newsletters", "edit", "other", "--weekly")

    said = two.ok("run", DAY, "--weekly")

    assert "daily has no weekly digest: passed over." in said
    assert "other 2024-W11: ready" in said
    assert "daily 2024-W11" not in said + two.ok("issues")


@pytest.mark.parametrize("command", ["assemble", "publish", "run"])
def test_where_nobody_has_a_weekly_digest_it_is_refused(two, command):
    error = two.refused(command, DAY, "--weekly")

    assert "None of them has a weekly digest" in error
    assert "newsletters edit SLUG --weekly" in error


def test_a_day_by_hand_says_when_its_mails_are_due(two):
    two.ok("newsletters", "edit", "daily", "--send-hour", _later())

    said = two.ok("run", DAY, "-n", "daily")

    assert f"queued 1 deliveries, due from {datetime.now(UTC) + timedelta(hours=5):%Y-%m-%d %H}:00 UTC (--now: at once)." in said
    assert "Sent 0" in said
    assert "queued 0 deliveries; what waits is due from" in two.ok("publish", DAY, "-n", "daily")


def test_what_is_due_later_can_be_sent_now(two):
    two.ok("newsletters", "edit", "daily", "--send-hour", _later())
    assert "Sent 0" in two.ok("run", DAY, "-n", "daily")

    assert f"daily {DAY}: queued 0 deliveries.\n" in two.ok("publish", DAY, "-n", "daily", "--now")

    assert "Sent 1" in two.ok("send")


def test_a_day_can_be_run_and_sent_at_once(two):
    two.ok("newsletters", "edit", "daily", "--send-hour", _later())

    assert "Sent 2" in two.ok("run", DAY, "--now")


def _forget_answer(minutes):
    """Make the newest mail one that was begun so many minutes ago and never answered."""
    sessions = wiring.sessions_of(config.load())
    with sessions.begin() as session:
        row = session.scalars(select(Delivery).order_by(Delivery.id.desc())).first()
        row.status, row.sent_at, row.reason = DeliveryStatus.UNKNOWN, None, "no answer came"
        row.updated_at = datetime.now(UTC) - timedelta(minutes=minutes)
    sessions.engine.dispose()


def test_what_nobody_answered_is_sent_again_by_hand_where_no_clock_runs(two):
    two.ok("run", DAY, "-n", "daily")

    _forget_answer(minutes=1)
    assert "Sent 0" in two.ok("send")
    _forget_answer(minutes=60)
    said = two.ok("send")

    assert "1 mail sent again: no answer had come." in said
    assert "Sent 1" in said
    assert "Sent 0" in two.ok("send")


def test_what_nobody_answered_is_held_where_that_is_the_policy(two, monkeypatch):
    two.ok("run", DAY, "-n", "daily")
    monkeypatch.setenv("NEWSLETTER_UNKNOWN_POLICY", "hold")

    _forget_answer(minutes=60)
    said = two.ok("send")

    assert "1 mail held for you: they may have arrived." in said
    assert "Sent 0" in said
