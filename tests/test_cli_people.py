import json

import pytest
from cli_parts import installed_terminal, terminal

__all__ = ["installed_terminal", "terminal"]

SHOWN = {"address", "language", "zone", "since", "suppressed", "suppression", "subscriptions", "deliveries", "bounces"}
SUBSCRIPTION = {
    "newsletter",
    "status",
    "cadence",
    "send_hour",
    "zone",
    "topics",
    "keywords",
    "max_papers",
    "match_first",
    "paused_until",
    "confirmed_at",
    "unsubscribed_at",
    "unsubscribed_by",
    "consent",
}
CONSENT = {"source", "wording", "wording_version", "language", "requested_at", "requested_ip", "confirmed_at", "confirmed_ip"}
DELIVERY = {"kind", "status", "reason", "reply", "server", "attempts", "updated_at"}


def test_somebody_added_gets_a_mail_to_confirm(installed_terminal):
    said = installed_terminal.ok("subscribers", "add", "bora@example.org", "-n", "daily", "--language", "ko")

    assert "gets a mail to confirm" in said
    assert "Sent 1" in installed_terminal.ok("send")
    assert "pending" in installed_terminal.ok("subscribers", "show", "bora@example.org")


def test_somebody_shown_for_scripts_has_these_fields(installed_terminal):
    installed_terminal.ok("subscribers", "add", "ari@example.org", "-n", "daily", "--consent", "on paper, at the fair")
    installed_terminal.ok("run", "2024-03-14")

    shown = json.loads(installed_terminal.ok("subscribers", "show", "ARI@example.org", "--json"))

    (subscription,), (delivery,) = shown["subscriptions"], shown["deliveries"]
    assert set(shown) == SHOWN
    assert set(subscription) == SUBSCRIPTION
    assert set(subscription["consent"]) == CONSENT
    assert set(delivery) == DELIVERY
    assert (subscription["status"], subscription["consent"]["wording"]) == ("active", "on paper, at the fair")
    assert (delivery["kind"], delivery["status"]) == ("digest", "sent")


@pytest.mark.parametrize(
    "address", ["ari", "@example.org", "ari@", "a ri@example.org", "ari@example.org\nbcc: x@y.z", "", "ari@localhost"]
)
@pytest.mark.parametrize("command", ["add", "show"])
def test_an_address_that_is_none_is_refused(installed_terminal, command, address):
    words = ("subscribers", command, address, *(("-n", "daily") if command == "add" else ()))

    installed_terminal.refused(*words)

    assert "There are no subscribers" in installed_terminal.ok("subscribers", "list")


def test_somebody_unknown_is_said_to_be(installed_terminal):
    assert "chan@example.org is no subscriber" in installed_terminal.refused("subscribers", "show", "chan@example.org")


def test_a_zone_or_language_that_is_none_adds_nobody(installed_terminal):
    zone = installed_terminal.refused("subscribers", "add", "ari@example.org", "-n", "daily", "--zone", "Mars/Phobos")
    language = installed_terminal.refused("subscribers", "add", "ari@example.org", "-n", "daily", "--language", "xx")

    assert "Mars/Phobos" in zone
    assert "'xx'" in language
    assert "There are no subscribers" in installed_terminal.ok("subscribers", "list")


def test_recorded_consent_never_overrides_somebody_known(installed_terminal):
    installed_terminal.ok("subscribers", "add", "ari@example.org", "-n", "daily")

    said = installed_terminal.ok("subscribers", "add", "ari@example.org", "-n", "daily", "--consent", "they said so")

    assert "Nothing changed" in said
    assert "pending" in installed_terminal.ok("subscribers", "show", "ari@example.org")


def test_the_list_goes_on_where_the_page_before_ended(installed_terminal):
    for name in ("ari", "bora", "chan"):
        installed_terminal.ok("subscribers", "add", f"{name}@example.org", "-n", "daily", "--consent", "on paper")

    first = installed_terminal.ok("subscribers", "list", "--limit", 2)
    rest = json.loads(installed_terminal.ok("subscribers", "list", "--after", 2, "--json"))

    assert "ari@example.org" in first
    assert "More: --after 2" in first
    assert [row["address"] for row in rest] == ["chan@example.org"]


def test_a_reader_is_taken_off_by_command(installed_terminal):
    installed_terminal.ok("subscribers", "add", "ari@example.org", "-n", "daily", "--consent", "on paper")

    said = installed_terminal.ok("subscribers", "unsubscribe", "ARI@example.org")

    assert said == "ARI@example.org is unsubscribed from Daily Papers.\n"
    assert "by operator" in installed_terminal.ok("subscribers", "show", "ari@example.org")
    assert "Nothing changed" in installed_terminal.ok("subscribers", "unsubscribe", "ari@example.org", "-n", "daily")


def test_an_address_is_suppressed_by_command_with_who_and_why(installed_terminal):
    said = installed_terminal.ok("subscribers", "suppress", "ari@example.org", "--reason", "a letter of their lawyer")

    assert "is suppressed: it gets no mail any more" in said
    again = installed_terminal.ok("subscribers", "suppress", "ari@example.org", "--reason", "again")
    assert "Nothing changed" in again
    assert "a letter of their lawyer" in again


def test_a_suppression_without_a_reason_is_refused(installed_terminal):
    assert "reason: it is empty" in installed_terminal.refused("subscribers", "suppress", "ari@example.org", "--reason", " ")
