from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from factories import LINKS, NOW
from import_parts import bring_in, outcomes, written

from newsletter import subscribers
from newsletter.errors import BadInput
from newsletter.lifecycle import SubscriptionStatus
from newsletter.models import Consent, Delivery, DeliveryKind, Lane, Subscriber, Subscription, Suppression, SuppressionReason

ACTIVE, PENDING, LEFT = SubscriptionStatus.ACTIVE, SubscriptionStatus.PENDING, SubscriptionStatus.UNSUBSCRIBED
LATER = NOW + timedelta(hours=1)
ON_PAPER = "paper forms of the fair, folder 12"


@pytest.fixture
def daily(make):
    return make.newsletter(slug="daily", cadences=["daily", "weekly"])


def test_rows_wait_for_a_confirmation_where_no_consent_is_stated(sessions, make, daily, tmp_path):
    path = written(tmp_path, "email,language,zone,send_hour", "Ari@Example.ORG,ko,Asia/Seoul,7")

    assert outcomes(bring_in(sessions, path, "daily")) == ["add pending"]

    (person,), (row,), (consent,) = make.all(Subscriber), make.all(Subscription), make.all(Consent)
    assert (person.address, person.language, person.zone) == ("Ari@example.org", "ko", "Asia/Seoul")
    assert (row.status, row.send_hour, row.confirmed_at, row.newsletter_id) == (PENDING, 7, None, daily.id)
    assert (consent.source, consent.confirmed_at) == ("import", None)
    assert make.all(Delivery) == []


def test_stated_consent_makes_active_and_is_kept_with_the_rows_own_evidence(sessions, make, daily, tmp_path):
    head = "Email Address,First Name,MEMBER_RATING,OPTIN_TIME,OPTIN_IP,CONFIRM_TIME,CONFIRM_IP,LEID,TAGS"
    path = written(tmp_path, head, "ari@example.org,Ari,2,2020-01-02 03:04:05,192.0.2.7,2020-01-02 03:05:00,192.0.2.8,1,")

    assert outcomes(bring_in(sessions, path, "daily", consent=ON_PAPER)) == ["add active"]

    (row,), (consent,) = make.all(Subscription), make.all(Consent)
    assert (row.status, row.confirmed_at, row.consent_id) == (ACTIVE, NOW, consent.id)
    assert consent.source == "import"
    assert ON_PAPER in consent.wording
    assert "readers.csv, line 2" in consent.wording
    assert consent.requested_at == datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert (consent.requested_ip, consent.confirmed_ip) == ("192.0.2.7", "192.0.2.8")


def test_a_repeated_import_changes_nothing(sessions, make, daily, tmp_path):
    lines = (
        "email,status,zone",
        "ari@example.org,active,Asia/Seoul",
        "bora@example.org,unsubscribed,",
        "chan@example.org,pending,",
    )
    path = written(tmp_path, *lines)
    first = bring_in(sessions, path, "daily", consent=ON_PAPER)
    before = [make.all(table) for table in (Subscriber, Subscription, Consent)]

    again = bring_in(sessions, path, "daily", consent=ON_PAPER, now=LATER)

    assert outcomes(first) == ["add active", "add unsubscribed", "add pending"]
    assert outcomes(again) == ["unchanged"] * 3
    assert [make.all(table) for table in (Subscriber, Subscription, Consent)] == before


def test_a_dry_run_tells_the_same_and_does_nothing(sessions, make, daily, tmp_path):
    make.reader("bora", daily)
    path = written(tmp_path, "email,zone", "ari@example.org,", "bora@example.org,Asia/Seoul", "nobody,", "ari@example.org,")

    told = bring_in(sessions, path, "daily", dry_run=True)
    done = bring_in(sessions, path, "daily")

    assert outcomes(told) == outcomes(done) == ["add pending", "update", "refused", "duplicate"]
    assert told[1].words == "zone Asia/Seoul"
    assert "'nobody' is no email address" in told[2].words


def test_who_left_here_is_never_brought_back(sessions, make, daily, tmp_path):
    row = make.reader("ari", daily, status=LEFT, unsubscribed_at=NOW)
    path = written(tmp_path, "email,zone", "ari@example.org,Asia/Seoul")

    assert outcomes(bring_in(sessions, path, "daily", consent=ON_PAPER, confirmations=True)) == ["keeps unsubscribed"]

    assert make.again(row) == row
    assert make.all(Subscriber)[0].zone == ""
    assert make.all(Delivery) == []


@pytest.mark.parametrize("reason", list(SuppressionReason))
def test_who_is_suppressed_is_refused_with_the_reason(sessions, make, daily, tmp_path, reason):
    make.suppression("ari", reason)
    path = written(tmp_path, "email", "ARI@example.org")

    (told,) = bring_in(sessions, path, "daily", consent=ON_PAPER, confirmations=True)

    assert (told.outcome.value, reason.value in told.words) == ("refused", True)
    assert make.all(Subscriber) == []


def test_who_left_there_leaves_here_even_if_active(sessions, make, daily, tmp_path):
    row = make.reader("ari", daily)
    head = "Email Address,MEMBER_RATING,OPTIN_TIME,UNSUB_TIME,UNSUB_REASON,LEID"
    lines = ("ari@example.org,2,,2021-05-06 07:08:09,NORMAL,1", "bora@example.org,2,,2021-05-06 07:08:09,SPAM: it is spam,2")

    told = bring_in(sessions, written(tmp_path, head, *lines), "daily", consent=ON_PAPER)

    assert outcomes(told) == ["unsubscribe", "suppress"]
    assert (make.again(row).status, make.again(row).unsubscribed_by) == (LEFT, "import")
    assert make.again(row).unsubscribed_at == datetime(2021, 5, 6, 7, 8, 9, tzinfo=UTC)
    assert [each.reason for each in make.all(Suppression)] == [SuppressionReason.COMPLAINT]


def test_cleaned_and_blocklisted_addresses_are_suppressed_and_nothing_else_is_kept_of_them(sessions, make, daily, tmp_path):
    cleaned = written(tmp_path, "Email Address,LEID,CLEAN_TIME,CLEAN_CAMPAIGN_TITLE", "ari@example.org,1,2021-05-06 07:08:09,May")
    columns = "uuid,email,name,attributes,status,created_at,updated_at"
    listmonk = written(tmp_path, columns, "u,bora@example.org,B,{},blocklisted,,", name="l.csv")

    assert outcomes(bring_in(sessions, cleaned, "daily")) == ["suppress"]
    assert outcomes(bring_in(sessions, listmonk, "daily")) == ["suppress"]
    assert make.all(Subscriber) == []


def test_a_second_row_takes_away_but_never_gives(sessions, make, daily, tmp_path):
    lines = ["email,status", "ari@example.org,active", "bora@example.org,unsubscribed"]
    path = written(
        tmp_path, *lines, "ARI@example.org,unsubscribed", "Bora@example.org,active", "chan@example.org,", "chan@example.org,"
    )

    told = bring_in(sessions, path, "daily", consent=ON_PAPER)

    said = ["add active", "add unsubscribed", "unsubscribe", "duplicate", "add active", "duplicate"]
    assert outcomes(told) == said
    assert told[3].words == "the same reader as on line 3"
    assert [row.status for row in make.all(Subscription)] == [LEFT, LEFT, ACTIVE]


def test_duplicates_are_found_across_chunks(sessions, make, daily, tmp_path):
    path = written(tmp_path, "email", *(f"reader{number % 5}@example.org" for number in range(13)))

    told = bring_in(sessions, path, "daily", chunk=3)

    assert outcomes(told) == ["add pending"] * 5 + ["duplicate"] * 8
    assert len(make.all(Subscription)) == 5


def test_an_import_broken_off_goes_on_where_it_was(sessions, make, daily, tmp_path):
    names = [f"reader{number}@example.org" for number in range(5)]
    broken = written(tmp_path, "email", *names[:4], '"never closed' + "\n" * 140_000)
    with pytest.raises(BadInput, match=r"readers.csv:6: the row cannot be read"):
        bring_in(sessions, broken, "daily", chunk=2)
    assert len(make.all(Subscription)) == 4

    assert outcomes(bring_in(sessions, written(tmp_path, "email", *names), "daily")) == ["unchanged"] * 4 + ["add pending"]


def test_who_waits_is_asked_once_and_only_if_that_is_wanted(sessions, make, daily, tmp_path):
    make.reader("bora", daily)
    path = written(tmp_path, "email", "ari@example.org", "bora@example.org")
    bring_in(sessions, path, "daily")

    bring_in(sessions, path, "daily", confirmations=True, now=LATER)
    bring_in(sessions, path, "daily", confirmations=True, now=LATER + timedelta(days=9))

    (mail,) = make.all(Delivery)
    assert (mail.kind, mail.lane, mail.address) == (DeliveryKind.CONFIRM, Lane.LIST, "ari@example.org")
    with sessions.begin() as session:
        subscribers.confirm(session, mail.values["consent_id"], LINKS, now=LATER)
    assert [row.status for row in make.all(Subscription)] == [ACTIVE, ACTIVE]


def test_stated_consent_does_not_overrule_somebody_who_was_asked(sessions, make, daily, tmp_path):
    asked, waiting = written(tmp_path, "email", "ari@example.org"), written(tmp_path, "email", "bora@example.org", name="b.csv")
    bring_in(sessions, asked, "daily", confirmations=True)
    bring_in(sessions, waiting, "daily")

    assert outcomes(bring_in(sessions, asked, "daily", consent=ON_PAPER, now=LATER)) == ["unchanged"]
    assert outcomes(bring_in(sessions, waiting, "daily", consent=ON_PAPER, now=LATER)) == ["activate"]

    assert [(row.status, row.confirmed_at) for row in make.all(Subscription)] == [(PENDING, None), (ACTIVE, LATER)]


def test_consent_to_one_newsletter_is_none_to_another(sessions, make, daily, tmp_path):
    other = make.newsletter(slug="other")
    path = written(tmp_path, "email,newsletter", "ari@example.org,daily", "ari@example.org,other", "ari@example.org,third")

    assert outcomes(bring_in(sessions, path, "daily")) == ["add pending", "refused", "refused"]
    assert outcomes(bring_in(sessions, path)) == ["unchanged", "add pending", "refused"]
    assert [row.newsletter_id for row in make.all(Subscription)] == [daily.id, other.id]


def test_two_imports_at_once_take_turns(sessions, make, daily, tmp_path):
    names = [f"reader{number}@example.org" for number in range(40)]
    paths = [written(tmp_path, "email", *order, name=f"{order[0]}.csv") for order in (names, names[::-1])]

    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(lambda path: bring_in(sessions, path, "daily", chunk=40), paths))

    assert sorted(outcomes(told[0]) + outcomes(told[1])) == ["add pending"] * 40 + ["unchanged"] * 40
    assert len(make.all(Subscription)) == len(make.all(Consent)) == 40
