"""What readers find wrong: kept once, mailed to the operator as it was told, open until somebody closes it."""

from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes, policy

import pytest
from factories import LINKS, NOW, POLICY, mailer

from newsletter import remarks, subscribers
from newsletter.deliveries.ledger import Claimed
from newsletter.errors import Conflict, NotFound
from newsletter.lifecycle import DeliveryStatus, IssueStatus
from newsletter.models import Delivery, DeliveryKind, IssuePaper, Matter, Paper, Remark, Summary, SummaryOrigin
from newsletter.remarks import LONGEST, MAILED, Office, Words
from newsletter.subscribers import IPS_KEPT, mine, parse_address

OFFICE = Office("operator@example.org", LINKS)
DAY_NAME = "2024-03-14"
WORDS = Words(Matter.FACT, "It says 2, not 3.", "ari@example.org", "192.0.2.7")


@pytest.fixture
def issue(make):
    make.papers(1, 2)
    made = {"origin": SummaryOrigin.MODEL, "model": "small", "prompt_version": "en-3", "checks": {"passed": True}}
    make.summary(make.all(Paper)[0].id, "It wins by 3 points.", **made)
    return make.issue(make.newsletter(slug="daily"), IssueStatus.PUBLISHED)


@pytest.fixture
def say(make, issue):
    """Return `say(words, …)`: a remark about the first paper."""

    def said(words=WORDS, office=OFFICE, now=NOW):
        with make.sessions.begin() as session:
            about = remarks.told(session, "daily", DAY_NAME, make.all(Paper)[0].id)
            return remarks.make(session, about, words, office, now=now).id

    return said


def mail_of(make):
    """Return the last remark's mail as it is sent."""
    row = make.all(Delivery, kind=DeliveryKind.REMARK)[-1]
    ours = mailer()
    claimed = Claimed(**{name: getattr(row, name) for name in Claimed._fields if hasattr(row, name)})
    with make.sessions.read() as session:
        ours.load(session, [claimed])
    return message_from_bytes(ours.message(claimed, now=NOW).content, policy=policy.default)


def test_a_remark_is_kept_with_what_it_is_about(make, issue, say):
    say()

    (row,) = make.all(Remark)
    assert (row.issue_id, row.paper_id, row.summary_id) == (issue.id, make.all(Paper)[0].id, make.all(Summary)[0].id)
    assert (row.matter, row.content, row.reply_to, row.ip, row.made_at) == (
        Matter.FACT,
        "It says 2, not 3.",
        "ari@example.org",
        "192.0.2.7",
        NOW,
    )


def test_the_operator_gets_it_with_the_summary_as_it_was_told(make, say):
    say(replace(WORDS, content="It says 2, not 3.\n\nSee page 4."))

    mail = mail_of(make)
    text = mail.get_body(("plain",)).get_content()
    assert (mail["To"], mail["Reply-To"]) == ("operator@example.org", "ari@example.org")
    assert mail["Subject"] == "[Daily Papers] Something wrong: Paper 1 on small models"
    assert "> It says 2, not 3.\n>\n> See page 4.\n" in text.replace("\r\n", "\n")
    assert "- It wins by 3 points." in text
    assert "Summarised by small, a language model; machine-checked" in text
    assert "Prompt: en-3" in text
    assert "https://news.example.com/admin/issues/daily/2024-03-14" in text
    assert "https://arxiv.org/abs/2403.00001" in text
    assert mail["List-Unsubscribe"] is None


def test_without_an_address_nobody_waits_for_an_answer(make, say):
    say(replace(WORDS, reply_to="", content=""))

    mail = mail_of(make)
    assert mail["Reply-To"] is None
    assert "They left no address" in mail.get_body(("plain",)).get_content()
    assert "They wrote nothing more." in mail.get_body(("html",)).get_content()


def test_a_readers_words_stay_words(make, say):
    say(replace(WORDS, content="<b>{{ 7*7 }}</b> \x01why\x02 \u202eevil\n\n\n\n" + "x" * 3000))

    (row,) = make.all(Remark)
    assert row.content.startswith("<b>{{ 7*7 }}</b> why evil\n\nx")
    assert len(row.content) == LONGEST
    html = mail_of(make).get_body(("html",)).get_content()
    assert "&lt;b&gt;{{ 7*7 }}&lt;/b&gt; why evil" in html


def test_a_button_pressed_twice_makes_one_remark(make, say):
    assert say() == say(now=NOW + timedelta(minutes=1))
    assert say(replace(WORDS, content="Another.")) != say(now=NOW + timedelta(hours=2))
    assert len(make.all(Remark)) == 3


def test_a_wave_of_remarks_is_kept_and_not_mailed_one_by_one(make, say):
    for number in range(MAILED + 2):
        say(replace(WORDS, content=f"Number {number}"))

    assert len(make.all(Remark)) == MAILED + 2
    assert len(make.all(Delivery, kind=DeliveryKind.REMARK)) == MAILED
    say(replace(WORDS, content="Later"), now=NOW + timedelta(hours=1))
    assert len(make.all(Delivery, kind=DeliveryKind.REMARK)) == MAILED + 1


def test_where_no_operator_is_set_it_is_only_kept(make, say):
    say(office=replace(OFFICE, operator=""))

    assert (len(make.all(Remark)), make.all(Delivery, kind=DeliveryKind.REMARK)) == (1, [])


def test_open_remarks_are_listed_the_oldest_first_until_they_are_closed(make, say):
    first, second = say(), say(replace(WORDS, content="More."))

    with make.sessions.begin() as session:
        listed = remarks.open_remarks(session)
        assert [row.id for row in listed] == [first, second]
        assert (listed[0].newsletter, listed[0].issue, listed[0].title) == ("daily", DAY_NAME, "Paper 1 on small models")
        assert (listed[0].matter, listed[0].content, listed[0].origin, listed[0].model) == (
            "fact",
            "It says 2, not 3.",
            "model",
            "small",
        )
        remarks.close(session, first, by="dana", now=NOW)
        assert [row.id for row in remarks.open_remarks(session)] == [second]
        assert remarks.count(session) == 1
    with make.sessions.begin() as session, pytest.raises(Conflict, match="by dana"):
        remarks.close(session, first, by="eli", now=NOW)
    with make.sessions.begin() as session, pytest.raises(NotFound):
        remarks.close(session, 999, by="eli", now=NOW)


@pytest.mark.parametrize(
    ("slug", "name", "number"),
    [("daily", DAY_NAME, 999), ("daily", "2024-03-15", 1), ("daily", "soon", 1), ("none", DAY_NAME, 1)],
)
def test_what_no_issue_told_is_not_found(make, issue, slug, name, number):
    with make.sessions.read() as session, pytest.raises(NotFound):
        remarks.told(session, slug, name, number)


def test_what_is_not_out_yet_or_was_dropped_is_not_found(make, issue):
    number = make.all(Paper)[0].id
    later = make.issue(make.newsletter(slug="other"), IssueStatus.READY)
    with make.sessions.begin() as session:
        session.get_one(IssuePaper, make.all(IssuePaper, issue_id=issue.id, paper_id=number)[0].id).dropped = True

    with make.sessions.read() as session:
        for slug in ("daily", "other"):
            with pytest.raises(NotFound):
                remarks.told(session, slug, DAY_NAME, number)
    assert later.status is IssueStatus.READY


# Whoever made it


def test_after_a_while_nobody_knows_who_made_it(make, say):
    say()
    mail = make.all(Delivery, kind=DeliveryKind.REMARK)[0]
    with make.sessions.begin() as session:
        session.get_one(Delivery, mail.id).status = DeliveryStatus.SENT

    subscribers.purge(make.sessions, now=NOW + IPS_KEPT)
    assert make.all(Remark)[0].ip == "192.0.2.7"
    subscribers.purge(make.sessions, now=NOW + IPS_KEPT + timedelta(seconds=1))

    (row,) = make.all(Remark)
    assert (row.content, row.ip, row.reply_to) == ("It says 2, not 3.", "", "")
    assert make.again(mail).values == {}


def test_who_is_erased_is_not_named_by_their_remarks_nor_by_mails_that_wait(make, say):
    say(replace(WORDS, reply_to="Ari@Example.org"))
    say(replace(WORDS, reply_to="bora@example.org"))

    with make.sessions.begin() as session:
        subscribers.erase(session, parse_address("ari@example.org"), POLICY, now=NOW)

    ari, bora = make.all(Remark)
    assert (ari.content, ari.reply_to, ari.ip) == ("", "", "")
    assert (bora.content, bora.reply_to) == ("It says 2, not 3.", "bora@example.org")
    mails = make.all(Delivery, kind=DeliveryKind.REMARK)
    assert [mail.status for mail in mails] == [DeliveryStatus.SKIPPED, DeliveryStatus.QUEUED]
    assert mails[0].values == {}


def test_a_person_is_told_of_their_remarks(make, say):
    reader = make.subscriber("ari")
    say()
    say(replace(WORDS, reply_to=""))

    with make.sessions.read() as session:
        told = mine.collect(session, reader.id)["remarks_of_yours"]
    assert [(row["matter"], row["content"]) for row in told] == [("fact", "It says 2, not 3.")]
    assert "192.0.2.7" not in str(told)
