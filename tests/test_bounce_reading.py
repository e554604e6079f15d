import bounce_samples as samples
import pytest
from bounce_samples import LEAVE, ORIGINAL, RETURN_PATH, arf, dsn, failed, multipart, notice

from newsletter.bounces.reading import Kind, read

HARD, SOFT, COMPLAINT, NONE = Kind.HARD, Kind.SOFT, Kind.COMPLAINT, Kind.NONE


def only(message):
    [report] = read(message)
    return report


def test_a_status_report_is_read_for_every_recipient():
    message = dsn(
        failed("5.1.1", "550 5.1.1 User unknown"),
        failed("5.2.2", "552 5.2.2 Mailbox full", recipient="chan@example.org"),
        failed("2.0.0", "250 ok", action="relayed", recipient="dana@example.org"),
    )

    reports = read(message)

    assert [(report.recipient, report.kind, report.status) for report in reports] == [
        ("bora@example.org", HARD, "5.1.1"),
        ("chan@example.org", SOFT, "5.2.2"),
        ("dana@example.org", NONE, "2.0.0"),
    ]
    assert reports[0].reason == "550 5.1.1 User unknown"
    assert {report.reader for report in reports} == {"rfc3464"}


@pytest.mark.parametrize(
    ("status", "diagnostic", "action"),
    [
        ("5.1.1", "550 5.1.1 User unknown", "delayed"),
        ("4.1.1", "550 User unknown", "failed"),
        ("4.4.7", "delivery time expired", "failed"),
    ],
)
def test_what_is_delayed_or_temporary_is_never_permanent(status, diagnostic, action):
    assert only(dsn(failed(status, diagnostic, action=action))).kind is SOFT


@pytest.mark.parametrize("action", ["delivered", "relayed", "expanded"])
def test_good_news_is_held_against_nobody(action):
    assert only(dsn(failed("2.0.0", "250 ok", action=action))).kind is NONE


def test_a_general_status_gives_way_to_the_words_of_the_server_behind_it():
    report = only(dsn(failed("5.0.0", "550 5.1.1 No such user")))

    assert (report.kind, report.status) == (HARD, "5.1.1")


def test_the_recipient_that_was_asked_for_is_named_and_not_where_it_was_forwarded_to():
    fields = "Original-Recipient: rfc822; bora+2Bpapers@example.org\n" + failed(
        "5.1.1", "550 no such user", recipient="x@example.com"
    )

    assert only(dsn(fields)).recipient == "bora+papers@example.org"


def test_an_address_in_another_script_is_read_as_it_is():
    fields = "Final-Recipient: utf-8; \\x{BCF4}\\x{B77C}@example.org\nAction: failed\nStatus: 5.1.1\n"

    assert only(dsn(fields)).recipient == "보라@example.org"


def test_a_report_that_says_nothing_to_machines_is_explained_by_its_text():
    fields = "Final-Recipient: rfc822; bora@example.org\nAction: failed\nStatus: 5.0.0"

    assert only(dsn(fields, notice="<bora@example.org>: the mailbox is full")).kind is SOFT
    assert only(dsn(fields, notice="<bora@example.org>: unknown user")).kind is HARD


def test_blank_lines_and_missing_ones_between_the_fields_do_no_harm():
    broken = (
        "Final-Recipient: rfc822; bora@example.org\n\nAction: failed\nStatus: 5.1.1\n"
        "Final-Recipient: rfc822; chan@example.org\nAction: failed"
    )

    assert [report.recipient for report in read(dsn(broken))] == ["bora@example.org", "chan@example.org"]


def test_what_the_report_shows_of_our_own_mail_is_found():
    original = only(dsn(failed("5.1.1", "550 User unknown"))).original

    assert original.message_ids == ("<m1@news.example.com>",)
    assert LEAVE in original.unsubscribe
    assert original.return_paths == (RETURN_PATH,)
    assert original.feedback_id == "digest:news"
    assert original.recipients == ("bora@example.org",)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("QMAIL", HARD),
        ("EXIM", HARD),
        ("POSTFIX", HARD),
        ("SENDMAIL", HARD),
        ("EXCHANGE", HARD),
        ("DOMINO", HARD),
        ("IMAIL", HARD),
        ("YAHOO", HARD),
        ("GOOGLE", HARD),
        ("NAVER", HARD),
        ("DAUM", SOFT),
    ],
)
def test_notices_for_people_are_read_whoever_wrote_them(name, kind):
    report = only(getattr(samples, name))

    assert (report.recipient, report.kind, report.reader) == ("bora@example.org", kind, name.lower())


def test_a_notice_in_html_is_read_like_any_other():
    page = "<html><style>p {x: y}</style><body><p>Failed:</p><p>&lt;bora@example.org&gt;: user unknown</p></body></html>"

    assert only(notice(page, headers="Content-Type: text/html\n")).kind is HARD


def test_a_notice_on_several_people_says_of_each_what_befell_them():
    reports = read(notice("<bora@example.org>:\nUser unknown\n\n<chan@example.org>:\nMailbox is full\n"))

    assert [(report.recipient, report.kind) for report in reports] == [("bora@example.org", HARD), ("chan@example.org", SOFT)]


def test_a_warning_that_the_server_is_still_trying_is_soft():
    text = "The message has not yet been delivered to:\n\n  bora@example.org\n\nNo action is required on your part."
    report = only(notice(text, subject="Warning: message delayed 24 hours"))

    assert (report.kind, report.action) == (SOFT, "delayed")


def test_where_the_notice_names_nobody_the_mail_that_came_back_does():
    message = multipart("delivery-status", ("text/plain", "User unknown."), ("message/rfc822", ORIGINAL))

    assert (only(message).recipient, only(message).kind) == ("bora@example.org", HARD)


@pytest.mark.parametrize(
    ("subject", "headers"),
    [
        ("Out of office", ""),
        ("Re: Papers", "Auto-Submitted: auto-replied\nIn-Reply-To: <m1@news.example.com>\n"),
        ("Please confirm that you are human", ""),
        ("Papers", ""),
    ],
)
def test_answers_and_ordinary_mail_report_nothing(subject, headers):
    message = (
        f"From: Bora <bora@example.org>\nTo: papers@news.example.com\nSubject: {subject}\n{headers}\nThe user is unknown to me."
    )

    assert only(message.encode()).kind is NONE


@pytest.mark.parametrize("headers", ["", "Auto-Submitted: auto-replied\n"])
def test_whoever_left_and_names_a_colleague_bounces_nobody(headers):
    text = "I am no longer with Example. My mailbox is not monitored; please write to chan@example.org."

    report = only(notice(text, subject="Re: Papers of the day", sender="Bora <bora@example.org>", headers=headers))

    assert (report.kind, report.recipient) == (NONE, "")


def test_an_address_in_the_midst_of_advice_is_not_called_dead():
    text = "No such user. If a name is misspelt, as when\n chan@example.org fails, look it up in the directory."

    assert only(notice(text)).kind is SOFT


def test_ordinary_mail_of_a_server_reports_nothing():
    assert only(notice("Maintenance is on Sunday. Questions: chan@example.org", subject="Maintenance")).kind is NONE


def test_a_receipt_reports_nothing():
    fields = "Final-Recipient: rfc822; bora@example.org\nDisposition: manual-action/MDN-sent-manually; displayed\n"

    assert only(multipart("disposition-notification", ("message/disposition-notification", fields))).kind is NONE


@pytest.mark.parametrize(
    ("feedback", "kind"),
    [
        ("abuse", COMPLAINT),
        ("fraud", COMPLAINT),
        ("opt-out", COMPLAINT),
        ("not-spam", NONE),
        ("auth-failure", NONE),
        ("other", NONE),
    ],
)
def test_only_what_people_complain_of_is_a_complaint(feedback, kind):
    report = only(arf(feedback, "Original-Rcpt-To: <bora@example.org>"))

    assert (report.recipient, report.kind, report.action, report.reader) == ("bora@example.org", kind, feedback, "rfc5965")


def test_a_complaint_without_a_name_is_found_by_our_tokens():
    hidden = ORIGINAL.replace("bora@example.org", "redacted@redacted.example")
    report = only(arf("abuse", "Original-Rcpt-To: <xxxx@example.org>", original=hidden))

    assert (report.recipient, report.kind) == ("", COMPLAINT)
    assert LEAVE in report.original.unsubscribe
    assert RETURN_PATH in report.original.return_paths


def test_the_form_of_outlook_is_a_complaint():
    message = multipart("x", ("message/rfc822", "X-HmXmrOriginalRecipient: bora@example.org\n" + ORIGINAL)).replace(
        b"multipart/report", b"multipart/mixed"
    )

    assert (only(message).recipient, only(message).kind, only(message).reader) == ("bora@example.org", COMPLAINT, "jmrp")
