import json
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy

import pytest
from cli_parts import ADD, installed_terminal, terminal
from sqlalchemy import select

from newsletter import alarms, config, pipeline, wiring
from newsletter.alarms import Cause
from newsletter.lifecycle import DeliveryStatus
from newsletter.models import Attempt, Delivery

__all__ = ["installed_terminal", "terminal"]

DAY = "2024-03-14"
FULL, NO_ADDRESS, LOST = "the mailbox is full", "the address does not exist", "the worker was lost while sending"
ISSUE = {"newsletter", "issue", "first_day", "last_day", "status", "reason", "subject"}
ISSUE |= {"catch_up", "pause", "stages", "papers", "deliveries", "words", "note", "edits", "model"}
DELIVERY = {"id", "kind", "status", "address", "reason", "attempts", "reply"}
DELIVERY |= {"created_at", "due_at", "give_up_at", "updated_at", "sent_at"}
STATUS = {"at", "well", "needs", "last_tick", "publications", "others", "queue", "held", "readings", "alarms", "pauses"}


@pytest.fixture
def sessions(installed_terminal):
    """Return transactions on the terminal's database."""
    opened = wiring.sessions_of(config.load())
    yield opened
    opened.engine.dispose()


@pytest.fixture
def newsletter(installed_terminal):
    """Return a terminal whose newsletter has three readers."""
    for name in ("ari", "bora", "chan"):
        installed_terminal.ok("subscribers", "add", f"{name}@example.org", "-n", "daily", "--consent", "on paper")
    return installed_terminal


@pytest.fixture
def missed(newsletter, sessions):
    """Return a terminal after a day on which one mail each met a full mailbox, an address that is none, and silence."""
    newsletter.ok("run", DAY)
    ends = ((DeliveryStatus.FAILED, FULL), (DeliveryStatus.FAILED, NO_ADDRESS), (DeliveryStatus.HELD, LOST))
    with sessions.begin() as session:
        for row, (status, reason) in zip(_deliveries(session), ends, strict=True):
            row.status, row.reason, row.reply_text = status, reason, "[mx1] no"
    return newsletter


def _deliveries(session):
    return session.scalars(select(Delivery).order_by(Delivery.id)).all()


def _statuses(sessions):
    with sessions.read() as session:
        return [row.status.value for row in _deliveries(session)]


def _tick(sessions):
    with sessions.begin() as session:
        pipeline.mark(session, "sweep", now=wiring.utcnow())


# Issues


def test_an_issue_is_shown_with_its_stages_papers_and_mails(missed):
    said = missed.ok("issues", "show", "daily", DAY)

    assert f"daily {DAY}: sent" in said
    for words in ("assembled", "published", "all sent", FULL, NO_ADDRESS, LOST, "[mx1] no", "Gemma: Open Models"):
        assert words in " ".join(said.split()).replace("- ", "-")


def test_an_issue_is_shown_for_scripts(missed):
    shown = json.loads(missed.ok("issues", "show", "daily", DAY, "--json"))

    assert set(shown) == ISSUE
    assert (shown["issue"], shown["status"], shown["pause"], len(shown["papers"])) == (DAY, "sent", None, 9)
    assert {"status": "failed", "reason": FULL, "number": 1} in shown["deliveries"]
    assert datetime.fromisoformat(shown["stages"]["published_at"]).tzinfo is not None


@pytest.mark.parametrize("words", [("show",), ("resend",), ("pause",), ("resume",), ("cancel", "--reason", "none")])
def test_an_issue_that_is_none_is_refused(newsletter, words):
    command, *options = words

    assert "daily has no issue of 2024-03-14" in newsletter.refused("issues", command, "daily", DAY, *options)
    assert "is no issue's name" in newsletter.refused("issues", command, "daily", "yesterday", *options)
    assert "There is no newsletter 'weekly'" in newsletter.refused("issues", command, "weekly", DAY, *options)


def test_a_cancelled_issue_stays_cancelled_and_the_way_on_is_said(newsletter, sessions):
    newsletter.ok("newsletters", "edit", "daily", "--send-hour", _later())
    newsletter.ok("run", DAY)

    assert "Skipped: 3 mails; sent before: 0." in newsletter.ok("issues", "cancel", "daily", DAY, "--reason", "wrong day")

    assert "Its papers come with the next issue" in newsletter.refused("publish", DAY)
    assert "wrong day" in newsletter.ok("issues")
    assert _statuses(sessions) == ["skipped"] * 3


def _later():
    """Return an hour of the day that is not the present one, nor the next."""
    return (datetime.now(UTC) + timedelta(hours=5)).hour


def test_a_paused_issue_is_not_sent_before_it_is_resumed(newsletter, sessions):
    newsletter.ok("collect", DAY)
    newsletter.ok("assemble", DAY)
    newsletter.ok("publish", DAY)
    assert "paused until: newsletter issues resume daily" in newsletter.ok(
        "issues", "pause", "daily", DAY, "--note", "look at it"
    )

    newsletter.ok("send")

    assert "PAUSED" in newsletter.ok("issues", "show", "daily", DAY)
    assert "look at it" in newsletter.ok("pauses")
    assert "sent" not in _statuses(sessions)
    assert "goes on" in newsletter.ok("issues", "resume", "daily", DAY)
    assert "Nothing changed" in newsletter.ok("issues", "resume", "daily", DAY)
    assert "Sent 3" in newsletter.ok("send")


def test_a_pause_can_be_ended_by_its_number(newsletter):
    newsletter.ok("run", DAY, "-n", "daily", "--now")
    newsletter.ok("collect", "2024-03-15")
    newsletter.ok(*ADD, "other", "--title", "Other", "--from-address", "news@example.org")
    newsletter.ok("assemble", DAY, "-n", "other")
    newsletter.ok("issues", "pause", "other", DAY)
    (row,) = json.loads(newsletter.ok("pauses", "--json"))

    assert row["what"] == f"issue other {DAY}"
    newsletter.ok("pauses", "resume", row["id"])

    assert newsletter.ok("pauses") == "Nothing is paused.\n"
    assert "There is no pause 99" in newsletter.refused("pauses", "resume", 99)


def test_a_pause_can_end_by_itself_but_not_in_the_past(newsletter):
    newsletter.ok("collect", DAY)
    newsletter.ok("assemble", DAY)

    assert "is over" in newsletter.refused("issues", "pause", "daily", DAY, "--until", "2024-03-15 09:00")
    assert "2099-03-15 09:00 UTC" in newsletter.ok("issues", "pause", "daily", DAY, "--until", "2099-03-15 09:00")


# Sending again


def test_who_was_not_reached_is_shown_before_anything_is_done(missed, sessions):
    said = missed.ok("issues", "resend", "daily", DAY, "--dry-run")

    assert "may have arrived" in " ".join(said.split())
    assert _statuses(sessions) == ["failed", "failed", "held"]


def test_who_was_not_reached_is_told_to_scripts(missed):
    rows = json.loads(missed.ok("issues", "resend", "daily", DAY, "--json"))

    assert {(row["reason"], row["number"], row["doubt"], row["again"]) for row in rows} == {
        (FULL, 1, "", True),
        (NO_ADDRESS, 1, "hopeless", False),
        (LOST, 1, "may have arrived", False),
    }


@pytest.mark.parametrize(
    ("options", "after"),
    [
        ((), ["queued", "failed", "held"]),
        (("--held",), ["queued", "failed", "queued"]),
        (("--reason", "not exist"), ["failed", "queued", "held"]),
        (("--reason", "FULL", "--reason", "not exist"), ["queued", "queued", "held"]),
        (("--reason", "lost", "--held"), ["failed", "failed", "queued"]),
        (("--reason", "no such reason"), ["failed", "failed", "held"]),
    ],
    ids=" ".join,
)
def test_exactly_those_marked_are_sent_again(missed, sessions, options, after):
    missed.ok("issues", "resend", "daily", DAY, "--yes", *options)

    assert _statuses(sessions) == after


def test_without_a_yes_nothing_is_sent_again(missed, sessions):
    missed.refused("issues", "resend", "daily", DAY)

    assert _statuses(sessions) == ["failed", "failed", "held"]


def test_what_is_sent_again_goes_out_with_the_same_message_id(missed, sessions):
    number = json.loads(missed.ok("deliveries", "list", "--json"))[-1]["id"]
    before = json.loads(missed.ok("deliveries", "show", number, "--json"))["message_id"]
    missed.ok("issues", "resend", "daily", DAY, "--yes")

    assert "Sent 1, failed 0" in missed.ok("send")

    assert json.loads(missed.ok("deliveries", "show", number, "--json"))["message_id"] == before
    assert "Nobody is left" not in missed.ok("issues", "resend", "daily", DAY, "--dry-run")


def test_where_everybody_was_reached_it_says_so(newsletter):
    newsletter.ok("run", DAY)

    assert "Nobody is left to be reached" in newsletter.ok("issues", "resend", "daily", DAY)


# Single mails


def test_mails_are_found_by_issue_state_and_address(missed):
    assert [row["address"] for row in json.loads(missed.ok("deliveries", "list", "--status", "held", "--json"))] == [
        "chan@example.org"
    ]
    (row,) = json.loads(missed.ok("deliveries", "list", "--address", "ARI@example.org", "--issue", f"daily/{DAY}", "--json"))
    assert set(row) == DELIVERY
    assert (row["address"], row["status"], row["reason"]) == ("ari@example.org", "failed", FULL)
    assert (row["reply"]["text"], row["reply"]["code"]) == ("[mx1] no", 250)


def test_the_list_of_mails_goes_on_where_the_page_before_ended(missed):
    first = missed.ok("deliveries", "list", "--limit", 2)
    rest = missed.ok("deliveries", "list", "--before", 2)

    assert "More: --before 2" in first
    assert ["chan@" in first, "bora@" in first, "ari@" in first, "ari@" in rest] == [True, True, False, True]


def test_a_mail_is_shown_with_the_servers_words(missed):
    said = missed.ok("deliveries", "show", 1)

    for words in ("ari@example.org", FULL, "[mx1] no", "Message-ID", "@example.org>", DAY):
        assert words in said
    assert "There is no delivery 99" in missed.refused("deliveries", "show", 99)


def test_a_mail_is_shown_with_what_each_attempt_came_to(missed, sessions):
    with sessions.begin() as session:
        row = _deliveries(session)[0]
        said = {"reply_code": 451, "reply_enhanced": "4.2.2", "reply_text": "come back", "reply_server": "mx.example.org"}
        given = {"status": DeliveryStatus.DEFERRED, "reason": "the server said later", "at": row.created_at, **said}
        session.add(Attempt(delivery_id=row.id, number=1, **given))
        row.attempts = 2

    shown = missed.ok("deliveries", "show", 1)
    history = json.loads(missed.ok("deliveries", "show", 1, "--json"))["history"]

    assert "What each attempt came to" in shown
    assert "the server said later: 451 4.2.2 come back" in shown
    assert [(each["attempt"], each["status"], each["code"]) for each in history] == [(1, "deferred", 451), (2, "failed", 250)]
    assert (history[0]["enhanced"], history[0]["text"], history[0]["server"]) == ("4.2.2", "come back", "mx.example.org")
    assert history[1]["reason"] == FULL


def test_an_issue_is_named_by_both_its_names(missed):
    assert "'2024-03-14' is no issue" in missed.refused("deliveries", "list", "--issue", DAY)


@pytest.mark.parametrize(("settled", "after"), [("sent", "sent"), ("failed", "failed"), ("resend", "queued")])
def test_what_is_held_is_settled_by_its_number(missed, sessions, settled, after):
    assert "Settled 1 mail" in missed.ok("deliveries", "resolve", 3, "--as", settled, "--note", "the relay's log")

    assert _statuses(sessions)[2] == after
    assert "the relay's log" in missed.ok("deliveries", "show", 3)


def test_all_that_is_held_of_an_issue_is_settled_at_once(missed, sessions):
    missed.refused("deliveries", "resolve", "--issue", f"daily/{DAY}", "--as", "resend")
    assert _statuses(sessions)[2] == "held"

    assert "Settled 1 mail" in missed.ok("deliveries", "resolve", "--issue", f"daily/{DAY}", "--as", "resend", "--yes")

    assert _statuses(sessions) == ["failed", "failed", "queued"]


def test_one_mail_that_cannot_be_settled_leaves_the_others_as_they_are(missed, sessions):
    assert "Delivery 1 is failed" in missed.refused("deliveries", "resolve", 3, 1, "--as", "sent")

    assert _statuses(sessions) == ["failed", "failed", "held"]


def test_which_mails_to_settle_must_be_said(missed):
    assert "Which mails is not said" in missed.refused("deliveries", "resolve", "--as", "sent")


# A test


def test_an_issue_is_sent_to_one_address_as_a_test(newsletter):
    newsletter.ok("collect", DAY)
    newsletter.ok("assemble", DAY)

    assert "goes to dana@example.net" in newsletter.ok("send-test", "daily", DAY, "dana@example.net")

    assert "Sent 1" in newsletter.ok("send")
    (file,) = (newsletter.folder / "data" / "outgoing").glob("*.eml")
    message = message_from_bytes(file.read_bytes(), policy=policy.default)
    assert message["Subject"].startswith("[Test] Daily Papers")
    assert json.loads(newsletter.ok("issues", "--json"))[0]["deliveries"] == {}
    assert "test" in newsletter.ok("deliveries", "list")


# Is it well?


def test_the_status_says_what_needs_somebody_and_how_to_begin(newsletter, sessions):
    answer = newsletter("status")

    assert answer.code == 1
    assert "1 thing needs you" in answer.out
    assert "The clock has never ticked" in answer.out
    assert "newsletter up" in answer.out


def test_where_all_is_well_the_status_says_so_and_exits_0(installed_terminal, sessions):
    _tick(sessions)

    said = installed_terminal.ok("status")

    assert "All is well" in said
    assert "daily (daily)" in said


def test_the_status_is_told_to_scripts(newsletter, sessions):
    newsletter.ok("run", DAY)
    _tick(sessions)

    seen = json.loads(newsletter.ok("status", "--json"))

    assert set(seen) == STATUS
    assert (seen["well"], seen["needs"]) == (True, [])
    (row,) = seen["publications"]
    assert (row["newsletter"], row["issue"], row["status"]) == ("daily", DAY, "sent")
    assert row["ended"] == {"sent": 3, "failed": 0, "held": 0}


def test_the_status_of_nothing_at_all_says_how_to_begin(terminal):
    terminal.ok("migrate")

    answer = terminal("status")

    assert answer.code == 1
    assert "newsletter newsletters add" in answer.out


def test_alarms_are_listed_and_closed_by_hand(newsletter, sessions):
    with sessions.begin() as session:
        alarms.raise_alarm(session, Cause("source:sample:2024-03-14", "sample is away", "[mx1] no"), now=wiring.utcnow())

    assert "sample is away: [mx1] no" in " ".join(newsletter.ok("alarms").split())
    assert newsletter.ok("alarms", "close", 1) == "Closed: sample is away.\n"

    assert newsletter.ok("alarms") == "No alarm is open.\n"
    assert "closed" in newsletter.ok("alarms", "--all")
    (row,) = json.loads(newsletter.ok("alarms", "--all", "--json"))
    assert (row["cause"], row["times"]) == ("source:sample:2024-03-14", 1)
    assert "was closed" in newsletter.refused("alarms", "close", 1)


def test_an_issue_that_waits_for_approval_goes_once_it_is_approved(newsletter, sessions):
    newsletter.ok("newsletters", "edit", "daily", "--review", "then-hold")

    assert f"daily {DAY} waits for approval: newsletter issues approve daily {DAY}" in newsletter.ok("run", DAY)
    assert _statuses(sessions) == []
    waiting = newsletter.ok("issues", "show", "daily", DAY)
    assert "to be approved by" in waiting
    assert "document" in waiting  # what each paper is told by, as it stands

    assert newsletter.ok("issues", "approve", "daily", DAY).startswith(f"daily {DAY} is approved by ")
    newsletter.ok("run", DAY)
    assert _statuses(sessions) == ["sent"] * 3
    assert "approved " in newsletter.ok("issues", "show", "daily", DAY)
    assert "there is nothing to approve" in newsletter.refused("issues", "approve", "daily", DAY)
