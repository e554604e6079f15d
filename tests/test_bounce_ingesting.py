from datetime import timedelta

import inbox_parts
import pytest
from bounce_parts import DOMAIN, SENT_AT, Post, header
from bounce_samples import arf, dsn, failed, notice
from factories import LINKS, NOW, POLICY

from newsletter import bounces, subscribers
from newsletter.bounces.reading import Kind, Original, Report
from newsletter.lifecycle import DeliveryStatus
from newsletter.models import Alarm, Bounce, BounceKind, Delivery
from newsletter.tokens import Keyring, Links

FORGED = Links(LINKS.base_url, Keyring([b"another secret altogether, of somebody else"]))


@pytest.fixture
def post(make):
    return Post(make)


def test_a_mail_that_came_back_is_recorded_with_what_the_server_said(post, make):
    mail = post.mail()

    assert post.take(post.bounced(mail), delivery_id=mail.id) == "hard: counted"

    (row,) = make.all(Bounce)
    assert (row.delivery_id, row.kind, row.status, row.source) == (mail.id, BounceKind.HARD, "5.1.1", "inbox")
    assert (row.reason, row.reader, row.received_at) == ("550 5.1.1 no such user here", "rfc3464", NOW)
    assert make.again(mail).status is DeliveryStatus.SENT


def test_the_return_path_in_the_report_names_the_mail_where_the_caller_does_not(post):
    assert post.take(post.bounced(post.mail())) == "hard: counted"


def test_the_same_report_told_twice_is_one(post, make):
    mail = post.mail()
    post.take(post.bounced(mail))

    assert post.take(post.bounced(mail)) == "known already"
    assert len(make.all(Bounce)) == 1


def test_a_forged_return_path_changes_nothing(post, make):
    mail = post.mail()
    forged = dsn(failed("5.1.1", "no such user", recipient=mail.address), original=header(mail, links=FORGED))

    assert post.take(forged) == "ignored: names no mail of ours"
    assert make.all(Bounce) == []


def test_an_address_in_the_text_of_a_report_names_nobody(post, make):
    post.mail()

    assert "ignored" in post.take(dsn(failed("5.1.1", "no such user", recipient="ari@example.org"), original="Subject: x\n"))
    assert "ignored" in post.take(notice("ari@example.org: no such user"))
    assert make.all(Bounce) == []


def test_a_report_that_names_two_mails_of_ours_is_about_neither(post, make):
    ari, bora = post.mail("ari"), post.mail("bora")

    assert "ignored" in post.take(post.bounced(ari), delivery_id=bora.id)
    assert make.all(Bounce) == []


def test_a_report_to_the_return_path_counts_though_the_mail_was_forwarded_and_says_so(post, make):
    mail = post.mail()
    post.take(post.bounced(mail, recipient="elsewhere@example.net"))
    post.follow()

    (row,) = make.all(Bounce)
    assert row.reason.startswith("of another address")
    assert post.suppressed() == [("ari", "bounce")]


def test_without_the_return_path_a_bounce_of_another_address_is_nobodys(post, make):
    mail = post.mail()
    report = dsn(failed("5.1.1", "no such user", recipient="bora@example.org"), original=header(mail, path=False))

    assert post.take(report) == "ignored: it is about another recipient"
    assert [row.action for row in make.all(Bounce)] == ["ignored: it is about another recipient"]
    assert post.follow().looked_at == 0


def test_the_message_id_names_the_mail_whose_own_address_failed(post):
    mail = post.mail()
    report = dsn(failed("5.1.1", "no such user", recipient=mail.address), original=header(mail, path=False))

    assert post.take(report) == "hard: counted"


def test_a_report_after_a_month_changes_nothing(post):
    mail = post.mail()
    post.now = SENT_AT + timedelta(days=30, minutes=1)

    assert post.take(post.bounced(mail)) == "ignored: it comes too late"
    post.follow()
    assert post.suppressed() == []


@pytest.mark.parametrize(
    "changes",
    [{"status": DeliveryStatus.QUEUED, "attempts": 0, "sent_at": None}, {"subscriber_id": None, "subscription_id": None}],
)
def test_what_was_never_sent_or_was_only_a_test_is_nobodys_bounce(post, changes):
    assert post.take(post.bounced(post.mail(**changes))).startswith("ignored")
    post.follow()
    assert post.suppressed() == []


def test_a_delay_is_written_down_and_counts_for_nothing(post):
    mail = post.mail()

    assert post.take(post.bounced(mail, "4.4.1", "no answer yet", action="delayed")) == "ignored: still being tried"
    assert post.actions() == ["ignored: still being tried"]


def test_a_complaint_is_followed_at_once(post):
    mail = post.mail()

    assert post.take(post.complaint(mail)) == "complaint: suppressed"
    assert (post.suppressed(), post.status()) == ([("ari", "complaint")], "unsubscribed")


def test_a_complaint_sends_no_goodbye(post, make):
    mail = post.mail()
    post.take(post.complaint(mail))

    assert [row.id for row in make.all(Delivery)] == [mail.id]


def test_a_complaint_with_nothing_but_the_unsubscribe_link_names_the_last_mail(post, make):
    mail = post.mail()
    only_link = f"List-Unsubscribe: <{LINKS.unsubscribe(mail.subscription_id)}>\nSubject: x\n"

    assert post.take(arf("abuse", original=only_link)) == "complaint: suppressed"
    assert [row.delivery_id for row in make.all(Bounce)] == [mail.id]


def test_a_complaint_may_hold_the_address_that_unsubscribes(post):
    mail = post.mail()
    path = LINKS.unsubscribe_mail(mail.subscription_id, DOMAIN)

    assert post.take(arf("abuse", original=f"List-Unsubscribe: <mailto:{path}?subject=unsubscribe>\n")) == "complaint: suppressed"


def test_who_asks_to_be_taken_off_by_their_provider_is_off_and_may_come_back(post):
    assert post.take(post.complaint(post.mail(), "opt-out")) == "complaint: unsubscribed"
    assert (post.suppressed(), post.status()) == ([], "unsubscribed")


@pytest.mark.parametrize("kind", ["not-spam", "auth-failure", "virus"])
def test_other_feedback_is_held_against_nobody(post, make, kind):
    assert post.take(post.complaint(post.mail(), kind)).startswith("nothing")
    assert (make.all(Bounce), post.status()) == ([], "active")


def test_a_refusal_of_us_is_an_alarm_and_no_readers_bounce(post, make):
    for name in ("ari", "bora"):
        post.take(post.bounced(post.mail(name), "5.7.1", "550 5.7.1 your network is blocked because of spam"))

    assert make.all(Bounce) == []
    (alarm,) = make.all(Alarm)
    assert (alarm.cause, alarm.times) == ("bounces:us:example.org:5.7.1", 2)


def test_a_mail_that_reports_nothing_is_said_to(post):
    assert "ignored" in post.take(notice("Thank you for your mail.", subject="Hello", sender="chan@example.org"))


def test_a_report_about_somebody_who_was_erased_is_not_kept(post, make, sessions):
    mail = post.mail()
    with sessions.begin() as session:
        subscribers.erase(session, subscribers.parse_address(mail.address), POLICY, now=NOW)

    assert post.take(post.bounced(mail)) == "ignored: the mail was no reader's"
    assert make.all(Bounce) == []


def test_nothing_of_an_address_is_logged(post, capsys):
    mail = post.mail()
    post.take(post.bounced(mail, recipient="bora@example.org"), delivery_id=mail.id)
    post.take(dsn(failed("5.1.1", "no such user", recipient=mail.address), original="Subject: x\n"))

    said = "".join(capsys.readouterr())
    assert "report_ignored" in said
    assert "@" not in said


@pytest.mark.parametrize("about_us", [True, False])
def test_words_that_a_database_refuses_are_mended(post, make, sessions, about_us):
    mail = post.mail()
    original = Original(message_ids=(LINKS.message_id(mail.id, "example.org"),))
    kind = Kind.NONE if about_us else Kind.HARD
    report = Report(kind, "", "5.1.\ud800\0", "a\0b\udfff\nc", about_us=about_us, action="failed", original=original)
    with sessions.begin() as session:
        bounces.take_reports(session, [report], post.terms, bounces.Origin("ses", "m\ud800\0"), now=NOW)

    assert [row.reason for row in make.all(Bounce)] + [row.detail for row in make.all(Alarm)] == ["ab? c"]


def test_mail_that_comes_back_to_the_inbox_is_taken(post, make, sessions):
    mail, told = post.mail(), post.mail("bora")

    def reports(session, content, delivery_id, now):
        return bounces.take(session, content, post.terms, delivery_id=delivery_id, now=now)

    office = inbox_parts.office(reports=reports)
    back = LINKS.return_path(mail.id, inbox_parts.DOMAIN)

    row = inbox_parts.come(sessions, post.bounced(mail), to=back, sender="", office=office)
    other = inbox_parts.come(sessions, post.complaint(told), to="abuse", sender="feedback@example.net", office=office)
    post.follow()

    assert (row.purpose, row.reason) == ("bounce", "hard: counted")
    assert (other.purpose, other.reason) == ("report", "complaint: suppressed")
    assert post.suppressed() == [("bora", "complaint"), ("ari", "bounce")]
