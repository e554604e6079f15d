from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from newsletter.errors import BadInput
from newsletter.lifecycle import SubscriptionStatus
from newsletter.models import Cadence, SuppressionReason
from newsletter.subscribers.wishes import OWN_COLUMNS, recognise

FILE = Path("readers.csv")
LISTMONK = ("uuid", "email", "name", "attributes", "status", "created_at", "updated_at")
MAILCHIMP = [
    "Email Address",
    "First Name",
    "MEMBER_RATING",
    "OPTIN_TIME",
    "OPTIN_IP",
    "CONFIRM_TIME",
    "CONFIRM_IP",
    "TIMEZONE",
    "LEID",
    "EUID",
    "TAGS",
]


def _wish(columns, *row, path=FILE):
    return recognise(columns, path).wish(row)


def _own(**cells):
    return _wish(("email", *cells), "ari@example.org", *cells.values())


@pytest.mark.parametrize(
    ("columns", "path", "name"),
    [
        (("E-Mail", "Name"), FILE, "a plain list"),
        (OWN_COLUMNS, FILE, "our own"),
        (LISTMONK, FILE, "listmonk"),
        (("email", "name", "attributes"), FILE, "listmonk"),
        (MAILCHIMP, FILE, "Mailchimp, subscribed"),
        ((*MAILCHIMP, "UNSUB_TIME", "UNSUB_REASON"), FILE, "Mailchimp, unsubscribed"),
        ((*MAILCHIMP, "CLEAN_TIME", "CLEAN_CAMPAIGN_TITLE"), FILE, "Mailchimp, cleaned"),
        (MAILCHIMP, Path("nonsubscribed_email_audience_export_1.csv"), "Mailchimp, never subscribed"),
    ],
)
def test_a_file_is_known_by_its_columns(columns, path, name):
    assert recognise(columns, path).name == name


def test_columns_that_say_nothing_to_us_are_named_as_the_file_names_them():
    assert recognise(("Email Address", "First Name", "LANG"), FILE).ignored() == ("First Name",)


def test_a_plain_row_wishes_what_it_states_and_no_more():
    wish = _own(language="ko-KR", zone="", hour="7", frequency="Weekly", tags="cs.CL; cs.LG", paused_until="2024-05-01")

    assert wish.status is SubscriptionStatus.ACTIVE
    assert wish.person == {"language": "ko"}
    wanted = {"send_hour": 7, "cadence": Cadence.WEEKLY, "topics": ["cs.CL", "cs.LG"], "paused_until": date(2024, 5, 1)}
    assert wish.wanted == wanted


@pytest.mark.parametrize(
    ("word", "comes_to", "suppressed"),
    [
        ("Subscribed", SubscriptionStatus.ACTIVE, None),
        ("disabled", SubscriptionStatus.UNSUBSCRIBED, None),
        ("unconfirmed", SubscriptionStatus.PENDING, None),
        ("bounced", None, SuppressionReason.BOUNCE),
        ("Complained", None, SuppressionReason.COMPLAINT),
        ("blacklisted", None, SuppressionReason.OPERATOR),
    ],
)
def test_the_states_that_other_programs_know_are_understood_in_a_plain_list(word, comes_to, suppressed):
    wish = _own(status=word)

    assert (wish.status, wish.suppressed) == (comes_to, suppressed)


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("language", "xx", "column language: 'xx' is no language that mails speak"),
        ("Timezone", "Mars/Phobos", "column Timezone: 'Mars/Phobos' is no time zone"),
        ("hour", "24", "column hour: '24' is no number from 0 to 23"),
        ("hour", "٣", "column hour: '٣' is no number"),
        ("status", "perhaps", "column status: 'perhaps' is none of pending, active, unsubscribed"),
        ("confirmed_at", "3/4/2024", "column confirmed_at: '3/4/2024' is no time"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_column_and_value(column, value, said):
    with pytest.raises(BadInput, match=said):
        _own(**{column: value})


def test_a_row_longer_than_its_columns_is_refused():
    with pytest.raises(BadInput, match="3 cells where there are 2 columns: 'c'"):
        _wish(("email", "name"), "ari@example.org", "b", "c")


@pytest.mark.parametrize(
    ("status", "comes_to", "suppressed"),
    [
        ("enabled", SubscriptionStatus.ACTIVE, None),
        ("disabled", SubscriptionStatus.UNSUBSCRIBED, None),
        ("blocklisted", None, SuppressionReason.OPERATOR),
    ],
)
def test_listmonks_states_are_understood(status, comes_to, suppressed):
    attributes = '{"timezone": "Asia/Seoul", "lang": "ko", "hour": 8, "topics": ["cs.CL"], "city": {"a": 1}}'
    wish = _wish(LISTMONK, "u", "ari@example.org", "Ari", attributes, status, "2023-01-02 03:04:05.678 +0000 UTC", "")

    assert (wish.status, wish.suppressed) == (comes_to, suppressed)
    assert wish.evidence.requested_at == datetime(2023, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
    if comes_to:
        assert (wish.person, wish.wanted["send_hour"]) == ({"zone": "Asia/Seoul", "language": "ko"}, 8)


@pytest.mark.parametrize(
    ("state", "comes_to"), [("unconfirmed", "pending"), ("unsubscribed", "unsubscribed"), ("confirmed", "active")]
)
def test_a_list_of_listmonks_has_states_of_its_own(state, comes_to):
    wish = _wish((*LISTMONK, "subscription_status"), "u", "ari@example.org", "", "", "enabled", "", "", state)

    assert wish.status == comes_to


def test_mailchimps_evidence_is_kept_and_its_guesses_do_not_refuse_a_row():
    row = ("ari@example.org", "Ari", "2", "2020-01-02 03:04:05", "no ip", "", "192.0.2.8", "Mars/Phobos", "1", "e", '"a","b"')

    wish = _wish(MAILCHIMP, *row)

    joined = datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)
    evidence = wish.evidence
    assert (evidence.requested_at, evidence.confirmed_at, evidence.requested_ip) == (joined, joined, "")
    assert (evidence.confirmed_ip, wish.person) == ("192.0.2.8", {})


def test_who_never_subscribed_there_is_refused():
    with pytest.raises(BadInput, match="never subscribed in Mailchimp"):
        _wish(MAILCHIMP, "ari@example.org", path=Path("nonsubscribed_email_audience_export_1.csv"))


@pytest.mark.parametrize("reason", ["SPAM: The emails are spam", "Abuse complaint"])
def test_a_complaint_there_is_a_complaint_here(reason):
    wish = _wish((*MAILCHIMP, "UNSUB_TIME", "UNSUB_REASON"), *("ari@example.org", *[""] * 10), "2021-05-06 07:08:09", reason)

    assert (wish.status, wish.suppressed) == (SubscriptionStatus.UNSUBSCRIBED, SuppressionReason.COMPLAINT)
    assert wish.leaves
