from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from bounce_parts import SENT_AT, Post
from factories import NOW

from newsletter import bounces, overview, subscribers
from newsletter.bounces import Threshold, control
from newsletter.deliveries import ledger
from newsletter.deliveries.ledger import Outcome
from newsletter.errors import Reply
from newsletter.lifecycle import DeliveryEvent, DeliveryStatus, IssueStatus
from newsletter.models import Alarm, Bounce, Lane, Subscriber, Suppression

DAY = timedelta(days=1)
FULL = ("4.2.2", "452 4.2.2 mailbox full")


@pytest.fixture
def post(make):
    return Post(make)


@pytest.fixture
def issue(post, make):
    return make.issue(post.newsletter, IssueStatus.PUBLISHED)


def bounce(post, name, **more):
    post.take(post.bounced(post.mail(name, **more)))


def test_a_hard_bounce_suppresses_at_once_and_leaves_the_subscription(post, make):
    bounce(post, "ari")

    assert post.follow().suppressed == 1
    assert (post.suppressed(), post.status(), post.actions()) == ([("ari", "bounce")], "active", ["suppressed"])
    (row,) = make.all(Suppression)
    assert row.evidence == f"hard 5.1.1, told by inbox: report {make.all(Bounce)[0].id}"


def test_looking_again_changes_nothing(post):
    bounce(post, "ari")
    post.follow()

    assert post.follow().looked_at == 0


def test_who_is_suppressed_already_stays_as_they_are(post):
    post.take(post.complaint(post.mail()))
    bounce(post, "ari")
    post.follow()

    assert post.suppressed() == [("ari", "complaint")]


def test_a_mail_in_a_workers_hands_is_not_sent_to_who_has_just_been_suppressed(post, make, sessions):
    waiting = post.mail(status=DeliveryStatus.QUEUED, attempts=0, sent_at=None)
    with sessions.begin() as session:
        claimed = [row.id for row in ledger.claim(session, Lane.LIST, worker="one", limit=9, now=NOW)]
    bounce(post, "ari")
    post.follow()

    with sessions.begin() as session:
        look = ledger.begin(session, claimed, worker="one", now=NOW)

    assert (claimed, look.owed) == ([waiting.id], set())
    assert (make.again(waiting).status, make.again(waiting).reason) == (DeliveryStatus.SKIPPED, "suppressed: bounce")


def test_five_soft_bounces_of_five_mails_suppress_and_four_do_not(post):
    for day in range(5):
        post.now = NOW + day * DAY
        assert post.suppressed() == []
        post.take(post.bounced(post.mail(sent_at=SENT_AT + day * DAY), *FULL))
        post.follow()

    assert post.suppressed() == [("ari", "bounce")]
    assert post.actions() == ["counted"] * 4 + ["suppressed"]


def test_many_reports_of_one_mail_count_once(post):
    mail = post.mail()
    for number in range(6):
        post.take(post.bounced(mail, f"4.2.{number}", f"452 4.2.{number} later"))
    post.follow()

    assert post.suppressed() == []


def test_soft_bounces_of_long_ago_count_no_more(post):
    for day in (0, 1, 2, 3, 31):
        post.now = NOW + day * DAY
        post.take(post.bounced(post.mail(sent_at=SENT_AT + day * DAY), *FULL))
        post.follow()

    assert post.suppressed() == []


def test_what_was_reported_before_somebody_confirmed_anew_counts_no_more(post):
    old, later = post.mail(), NOW + timedelta(hours=1)
    bounce(post, "ari")
    post.follow()
    post.confirm_again("ari", later)
    assert post.suppressed() == []

    post.now = later + timedelta(hours=1)
    post.take(post.bounced(old))
    post.follow()

    assert post.suppressed() == []
    assert post.actions() == ["suppressed", "ignored: its person confirmed since"]


def test_a_bounce_after_somebody_confirmed_anew_suppresses_them_again(post):
    bounce(post, "ari")
    post.follow()
    post.confirm_again("ari", NOW + timedelta(hours=1))

    post.now = NOW + DAY
    bounce(post, "ari", sent_at=NOW + DAY)
    post.follow()

    assert post.suppressed() == [("ari", "bounce")]


def test_a_threshold_of_nought_suppresses_nobody_and_a_complaint_still_ends_it(post):
    post.ruled(hard=Threshold(0), complaint=Threshold(0))
    bounce(post, "ari")
    assert post.take(post.complaint(post.mail("bora"))) == "complaint: unsubscribed"
    post.follow()

    assert (post.suppressed(), post.status("bora"), post.actions()[0]) == ([], "unsubscribed", "counted")


def test_an_address_that_is_refused_while_sending_is_suppressed_by_it(post, make, sessions):
    post.mail(status=DeliveryStatus.QUEUED, attempts=0, sent_at=None)
    gone = Reply(550, "5.1.1", "no such user", "mx.example.org", "rcpt")
    with sessions.begin() as session:
        ids = [row.id for row in ledger.claim(session, Lane.LIST, worker="one", limit=9, now=NOW)]
        ledger.begin(session, ids, worker="one", now=NOW)
        ledger.record(session, [Outcome(ids[0], DeliveryEvent.REFUSE, reply=gone)], worker="one", now=NOW)

    assert post.follow().suppressed == 1
    assert post.suppressed() == [("ari", "bounce")]
    assert make.all(Bounce)[0].suppression_key == make.all(Suppression)[0].suppression_key


def test_a_test_that_is_refused_while_sending_is_nobodys(post, make):
    mail = post.mail(subscriber_id=None, subscription_id=None)
    make.add(Bounce(delivery_id=mail.id, kind="hard", source="smtp", report_key="smtp:1:1", received_at=NOW))
    post.follow()

    assert post.actions() == ["ignored: the mail was no reader's"]


# The breaker


def wave(post, issue, gone, well=0, domain="example.org"):
    for number in range(gone + well):
        mail = post.mail(f"reader{number}@{domain}", issue_id=issue.id)
        if number < gone:
            post.take(post.bounced(mail))


def test_a_wave_of_addresses_that_do_not_exist_suppresses_nobody_and_alarms(post, make, issue):
    wave(post, issue, gone=11, well=40)

    followed = post.follow()

    assert (followed.suppressed, followed.held_back) == (0, 11)
    assert post.suppressed() == []
    assert all(action.startswith("held back: 11 of the last ") for action in post.actions())
    assert [row.cause for row in make.all(Alarm)] == ["bounces:held"]


def test_a_few_that_do_not_exist_are_no_wave(post, issue):
    wave(post, issue, gone=4, well=20)

    assert (post.follow().suppressed, post.follow().held_back) == (4, 0)


def test_a_fifth_of_one_domain_is_held_back_and_others_are_not(post, issue):
    wave(post, issue, gone=6, well=18, domain="example.net")
    bounce(post, "ari", issue_id=issue.id)

    followed = post.follow()

    assert (followed.suppressed, followed.held_back) == (1, 6)
    assert post.suppressed() == [("ari", "bounce")]


def test_what_was_held_back_is_suppressed_at_the_operators_word(post, make, sessions, issue):
    wave(post, issue, gone=11, well=10)
    post.follow()
    with sessions.begin() as session:
        assert control.held_back(session) == control.HeldBack(11, (("example.org", 11),))
        assert control.apply_held_back(session, by="kim", now=NOW) == 11

    assert len(post.suppressed()) == 11
    assert set(post.actions()) == {"suppressed: by kim"}
    assert [row.closed_at for row in make.all(Alarm)] == [NOW]


def test_what_was_dropped_counts_against_nobody_and_breaks_nothing_later(post, make, sessions, issue):
    wave(post, issue, gone=11, well=10)
    post.follow()
    with sessions.begin() as session:
        assert control.drop_held_back(session, by="kim", now=NOW) == 11
    assert post.suppressed() == []

    bounce(post, "ari", issue_id=issue.id)
    post.follow()

    assert post.suppressed() == [("ari", "bounce")]


# Complaints of an issue


def complain(post, issue, complaints, sent):
    for number in range(sent):
        mail = post.mail(f"reader{number}", issue_id=issue.id)
        if number < complaints:
            post.take(post.complaint(mail))


def test_one_complaint_is_no_alarm(post, make, issue):
    complain(post, issue, complaints=1, sent=3)

    assert make.all(Alarm) == []


def test_too_many_complaints_about_an_issue_are_one_alarm(post, make, issue):
    complain(post, issue, complaints=3, sent=5)

    (alarm,) = make.all(Alarm)
    assert (alarm.cause, alarm.times) == (f"worst-complaints:issue:{issue.id}", 2)
    assert alarm.detail.startswith("3 of ")


def test_reports_are_listed_the_newest_first_with_their_addresses(post, sessions):
    bounce(post, "ari")
    post.take(post.complaint(post.mail("bora")))
    with sessions.read() as session:
        rows = control.listing(session)
        (only,) = control.listing(session, kind="complaint")

    assert [row.address for row in rows] == ["bora@example.org", "ari@example.org"]
    assert only.address == "bora@example.org"
    assert [row.kind for row in (rows[0].bounce, rows[1].bounce)] == ["complaint", "hard"]


def test_what_was_reported_stands_with_the_reader(post, sessions):
    bounce(post, "ari")
    post.follow()
    with sessions.read() as session:
        (row,) = subscribers.show(session, subscribers.parse_address("ari@example.org"))["bounces"]

    assert (row["kind"], row["status"], row["source"], row["action"]) == ("hard", "5.1.1", "inbox", "suppressed")


def test_two_workers_at_once_follow_each_report_once(post, make):
    for number in range(12):
        bounce(post, f"reader{number}")

    with ThreadPoolExecutor(2) as threads:
        done = [each.result() for each in [threads.submit(post.follow) for _ in range(2)]]

    assert sum(each.looked_at for each in done) == 12
    assert len(make.all(Suppression)) == 12


def test_a_complaint_about_a_mail_to_an_old_address_ends_what_its_person_has_now(post, make, sessions):
    mail = post.mail()
    with sessions.begin() as session:
        person = session.get_one(Subscriber, mail.subscriber_id)
        person.address = person.address_key = "new@example.org"
        person.suppression_key = "of the new address"
    post.take(post.complaint(mail))

    assert post.status() == "unsubscribed"
    assert [row.suppression_key for row in make.all(Suppression)] != ["of the new address"]


def test_alarms_about_bounces_tell_what_to_do_and_end_when_it_has_been_calm(post, make, sessions, issue):
    wave(post, issue, gone=11, domain="example.net")
    post.follow()
    complain(post, issue, complaints=2, sent=2)
    post.take(post.bounced(post.mail("chan"), "5.7.1", "550 5.7.1 blocked because of spam"))
    with sessions.read() as session:
        needs = {need.do.partition(" 2024")[0] for need in overview.look(session, now=NOW).needs}
    slug = make.again(post.newsletter).slug
    assert needs >= {"newsletter bounces apply", "newsletter bounces list", f"newsletter issues show {slug}"}

    bounces.follow_all(sessions, post.terms, now=NOW + 8 * DAY)

    assert [row.cause for row in make.all(Alarm) if row.closed_at is None] == ["bounces:held"]
