import json
from datetime import timedelta

import pytest
from factories import NOW
from hypothesis import given
from hypothesis import strategies as st
from webhook_parts import (
    CERTIFICATE_URL,
    CONFIRM_URL,
    HOST,
    MAILGUN_KEY,
    TOPIC,
    Amazon,
    certificate,
    mail_of,
    mailgun,
    mailgun_event,
    notification,
    ses_bounce,
    ses_complaint,
    subscription,
)

from newsletter.bounces.reading import Kind
from newsletter.bounces.webhooks import Mailgun, Ses
from newsletter.bounces.webhooks.sns import Sns
from newsletter.errors import BadSignature, SourceUnavailable

ID = "<token@example.org>"
MAIL = mail_of(ID, source="b+tag@news.example.com", unsubscribe="https://news.example.com/u/token")


@pytest.fixture
def amazon():
    return Amazon()


@pytest.fixture
def ses(amazon):
    return Ses(Sns((TOPIC,), amazon))


def read(hook, body, now=NOW):
    return hook.read(body, {}, now=now)


def refused(hook, body, words=None, now=NOW):
    with pytest.raises(BadSignature, match=words):
        read(hook, body, now)


# Amazon: whom to believe


@pytest.mark.parametrize("version", ["1", "2"])
def test_what_amazon_signed_is_believed_in_both_versions(ses, version):
    told = read(ses, notification(ses_bounce(MAIL), SignatureVersion=version))

    assert (told.key, [report.kind for report in told.reports]) == ("m-1", [Kind.HARD])


def test_a_subject_is_signed_too(ses):
    body = notification(ses_bounce(MAIL), Subject="Amazon SES")

    assert read(ses, body).reports
    refused(ses, json.dumps(json.loads(body) | {"Subject": "another"}).encode(), "signature is wrong")


def test_the_certificate_is_fetched_once(ses, amazon):
    for number in range(3):
        read(ses, notification(ses_bounce(MAIL), MessageId=f"m-{number}"))

    assert amazon.asked == [CERTIFICATE_URL]


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.eu-west-1.amazonaws.com/x.pem",
        "https://sns.eu-west-1.amazonaws.com.example.net/x.pem",
        "https://example.net/sns.eu-west-1.amazonaws.com/x.pem",
        "https://sns.us-east-1.amazonaws.com/x.pem",
        "https://sns.eu-west-1.amazonaws.com@example.net/x.pem",
        "https://user@sns.eu-west-1.amazonaws.com/x.pem",
        "https://sns.eu-west-1.amazonaws.com:8443/x.pem",
        "https://sns.eu-west-1.amazonaws.com/x.pem?y=1",
        "https://sns.eu-west-1.amazonaws.com/x.txt",
        "https://sns.eu-west-1.amazonaws.com/a/../x.pem",
        "https://sns.eu-west-1.amazonaws.com\\@example.net/x.pem",
        "https://bucket.s3.eu-west-1.amazonaws.com/x.pem",
        "https://[::1/x.pem",
        "",
    ],
)
def test_a_certificate_from_anywhere_else_is_not_even_fetched(ses, amazon, url):
    refused(ses, notification(ses_bounce(MAIL), SigningCertURL=url), "not at Amazon's")
    assert amazon.asked == []


@pytest.mark.parametrize(
    "after",
    [
        {"Message": json.dumps(ses_bounce(mail_of("<other@example.org>")))},
        {"MessageId": "m-2"},
        {"Signature": "AAAA"},
        {"Signature": "not base64!"},
        {"Signature": None},
        {"SignatureVersion": "1"},
    ],
)
def test_what_was_changed_after_signing_is_refused(ses, after):
    refused(ses, notification(ses_bounce(MAIL), after=after), "signature is wrong")


@pytest.mark.parametrize("version", ["3", "", None])
def test_an_unknown_version_of_the_signature_is_refused(ses, version):
    refused(ses, notification(ses_bounce(MAIL), after={"SignatureVersion": version}), "no known version")


def test_another_topic_is_refused_whoever_signed_it(ses, amazon):
    refused(ses, notification(ses_bounce(MAIL), TopicArn=TOPIC.replace("bounces", "theirs")), "no topic of ours")
    assert amazon.asked == []


@pytest.mark.parametrize("ago", [timedelta(hours=1, minutes=1), -timedelta(minutes=6)])
def test_an_old_stamp_and_one_of_the_future_are_refused(ses, ago):
    refused(ses, notification(ses_bounce(MAIL), now=NOW - ago), "too old, or of the future")


@pytest.mark.parametrize("stamp", ["yesterday", "2024-03-15T00:05:00", "", 5])
def test_a_message_must_say_when_it_was_sent(ses, stamp):
    refused(ses, notification(ses_bounce(MAIL), after={"Timestamp": stamp}), "does not say when")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (certificate(since=NOW - timedelta(days=30)), "not in force"),
        (certificate(since=NOW + timedelta(days=1)), "not in force"),
        (certificate("sns.example.net"), "not in the name of SNS"),
        (certificate("amazonaws.com.example.net"), "not in the name of SNS"),
        (certificate(signer="another"), "signature is wrong"),
        (certificate(signer="curve"), "too weak"),
        (certificate(signer="small"), "too weak"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "cannot be read"),
        (b"<html>", "cannot be read"),
    ],
)
def test_a_certificate_must_be_in_force_and_amazons(ses, amazon, content, words):
    amazon.content = content

    refused(ses, notification(ses_bounce(MAIL)), words)


def test_the_certificates_of_newer_regions_are_in_another_name(ses, amazon):
    amazon.content = certificate("sns-signing.eu-west-1.amazonaws.com")

    assert read(ses, notification(ses_bounce(MAIL))).reports


def test_a_certificate_that_cannot_be_fetched_now_is_no_forgery(ses, amazon):
    amazon.content = SourceUnavailable("no answer")

    with pytest.raises(SourceUnavailable):
        read(ses, notification(ses_bounce(MAIL)))


def test_nobody_can_make_us_fetch_without_end(ses, amazon):
    amazon.content = b"none"
    for number in range(30):
        refused(ses, notification(ses_bounce(MAIL), SigningCertURL=f"{HOST}/{number}.pem"))

    assert len(amazon.asked) == 10
    refused(ses, notification(ses_bounce(MAIL), SigningCertURL=f"{HOST}/99.pem"), "cannot be read", NOW + timedelta(minutes=2))


# Amazon: whether we listen


def test_a_topic_of_ours_is_told_that_we_listen(ses, amazon):
    assert read(ses, subscription()).reports == ()
    assert amazon.asked == [CERTIFICATE_URL, CONFIRM_URL]


@pytest.mark.parametrize(
    "url",
    [
        CONFIRM_URL.replace("https", "http"),
        CONFIRM_URL.replace("amazonaws.com/", "amazonaws.com.example.net/"),
        CONFIRM_URL.replace("bounces", "theirs"),
        CONFIRM_URL.replace("ConfirmSubscription", "DeleteTopic"),
        f"{CONFIRM_URL}&TopicArn={TOPIC}2",
        "http://169.254.169.254/?Action=ConfirmSubscription",
    ],
)
def test_nothing_else_is_fetched_in_its_name(ses, amazon, url):
    refused(ses, subscription(SubscribeURL=url), "not our topic")
    assert amazon.asked == [CERTIFICATE_URL]


def test_a_question_that_was_changed_after_signing_is_not_answered(ses, amazon):
    refused(ses, subscription(after={"SubscribeURL": f"{CONFIRM_URL}&x=1"}), "signature is wrong")
    assert amazon.asked == [CERTIFICATE_URL]


def test_that_a_subscription_ended_is_only_heard(ses, amazon):
    told = read(ses, subscription(Type="UnsubscribeConfirmation"))

    assert (told.reports, amazon.asked) == ((), [CERTIFICATE_URL])


# Amazon: what it tells


@pytest.mark.parametrize("name", ["notificationType", "eventType"])
def test_a_bounce_is_read_in_both_forms_with_all_that_names_our_mail(ses, name):
    (report,) = read(ses, notification(ses_bounce(MAIL, name=name))).reports

    assert (report.kind, report.recipient, report.status, report.action) == (Kind.HARD, "ari@example.org", "5.1.1", "failed")
    assert report.original.message_ids == (ID,)
    assert report.original.return_paths == ("b+tag@news.example.com",)
    assert report.original.unsubscribe == ("https://news.example.com/u/token",)


@pytest.mark.parametrize(
    ("kind", "subtype", "said", "found"),
    [
        ("Permanent", "General", "550 5.1.1 no such user here", Kind.HARD),
        ("Permanent", "NoEmail", "", Kind.HARD),
        ("Permanent", "OnAccountSuppressionList", "Amazon SES did not send the message", Kind.HARD),
        ("Permanent", "General", "550 5.7.1 blocked because of spam from your network", Kind.NONE),
        ("Transient", "MailboxFull", "452 4.2.2 mailbox full", Kind.SOFT),
        ("Transient", "General", "550 5.1.1 no such user here", Kind.SOFT),
        ("Transient", "ContentRejected", "554 no", Kind.NONE),
        ("Undetermined", "Undetermined", "", Kind.SOFT),
        ("Permanent", "UnsubscribedRecipient", "", Kind.COMPLAINT),
    ],
)
def test_a_bounce_of_ses_is_as_hard_as_the_words_beside_it(ses, kind, subtype, said, found):
    status = next((word for word in said.split() if word.count(".") == 2), "")
    event = ses_bounce(MAIL, kind, subtype, status=status, diagnosticCode=said)

    (report,) = read(ses, notification(event)).reports

    assert (report.kind, report.about_us) == (found, found is Kind.NONE)


@pytest.mark.parametrize(
    ("feedback", "found"),
    [("abuse", Kind.COMPLAINT), (None, Kind.COMPLAINT), ("fraud", Kind.COMPLAINT), ("not-spam", Kind.NONE), ("virus", Kind.NONE)],
)
def test_a_complaint_of_ses_is_one_unless_it_says_otherwise(ses, feedback, found):
    (report,) = read(ses, notification(ses_complaint(MAIL, feedback))).reports

    assert report.kind is found


@pytest.mark.parametrize("event", ["Successfully validated the topic", {"eventType": "Delivery", "mail": {}}, {}, [1], '"text"'])
def test_other_news_of_amazon_reports_nothing(ses, event):
    assert read(ses, notification(event)).reports == ()


# Mailgun


@pytest.fixture
def gun():
    return Mailgun(MAILGUN_KEY)


def test_what_mailgun_signed_is_believed(gun):
    told = read(gun, mailgun(mailgun_event(ID)))

    (report,) = told.reports
    assert (told.key, report.kind, report.status, report.original.message_ids) == ("t-1", Kind.HARD, "5.1.1", (ID,))


@pytest.mark.parametrize(
    "body",
    [
        mailgun(mailgun_event(ID), key="another key"),
        mailgun(mailgun_event(ID), token="t-1", signature="0" * 64),
        mailgun(mailgun_event(ID), signature="é"),
        mailgun(mailgun_event(ID), timestamp="1"),
        mailgun(mailgun_event(ID), timestamp="²"),
        mailgun(mailgun_event(ID), timestamp=None),
        mailgun(mailgun_event(ID), token=["t-1"]),
        mailgun(mailgun_event(ID), now=NOW - timedelta(minutes=6)),
        mailgun(mailgun_event(ID), now=NOW + timedelta(minutes=6)),
        b"{}",
        b"signature=x",
        b"[" * 100_000,
        b"",
    ],
)
def test_what_mailgun_did_not_just_sign_is_refused(gun, body):
    refused(gun, body)


@pytest.mark.parametrize(
    ("more", "kind", "action"),
    [
        ({}, Kind.HARD, "failed"),
        ({"severity": "temporary"}, Kind.SOFT, "delayed"),
        ({"reason": "suppress-bounce", "delivery-status": {"code": 605}}, Kind.HARD, "failed"),
        ({"reason": "suppress-unsubscribe"}, Kind.COMPLAINT, "opt-out"),
        ({"reason": "old", "delivery-status": {"code": 602, "message": "Too old"}}, Kind.SOFT, "failed"),
        ({"event": "complained"}, Kind.COMPLAINT, "abuse"),
        ({"event": "unsubscribed"}, Kind.COMPLAINT, "opt-out"),
        ({"delivery-status": {"code": 550, "message": "5.7.1 blocked because of spam"}}, Kind.NONE, "failed"),
    ],
)
def test_an_event_of_mailgun_is_read_as_what_it_means(gun, more, kind, action):
    (report,) = read(gun, mailgun(mailgun_event(ID, **more))).reports

    assert (report.kind, report.action) == (kind, action)


@pytest.mark.parametrize("event", [{"event": "delivered"}, {"event": "opened"}, {}, {"event": 7}])
def test_other_events_of_mailgun_report_nothing(gun, event):
    assert read(gun, mailgun(event)).reports == ()


# Both


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@given(JSON, st.binary(max_size=50))
def test_nothing_whatever_is_more_than_refused(value, raw):
    ses, gun = Ses(Sns((TOPIC,), Amazon())), Mailgun(MAILGUN_KEY)
    for body in (raw, json.dumps(value).encode(), json.dumps({"TopicArn": TOPIC, "Type": value, "signature": value}).encode()):
        refused(ses, body)
        refused(gun, body)


@given(JSON)
def test_whatever_a_provider_tells_can_be_read(value):
    ses, gun = Ses(Sns((TOPIC,), Amazon())), Mailgun(MAILGUN_KEY)
    event = {"notificationType": "Bounce", "bounce": {"bouncedRecipients": [value, {"emailAddress": value}]}, "mail": value}

    assert len(read(ses, notification(event)).reports) <= 2
    read(gun, mailgun({"event": "failed", "delivery-status": value, "message": value}))
