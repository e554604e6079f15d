import pytest

from newsletter.bounces.reading import Kind
from newsletter.bounces.reading.words import code_in, meaning_of, status_in


@pytest.mark.parametrize(
    "said",
    [
        "550 5.1.1 <bora@example.org>: Recipient address rejected: User unknown in local recipient table",
        "550 No such user here",
        "Sorry, no mailbox here by that name.",
        "The e-mail account does not exist at the organization this message was sent to.",
        "550 5.2.1 The email account that you tried to reach is disabled",
        "Unrouteable address",
        "This account has been disabled or discontinued",
        "Host or domain name not found. Name service error for name=gone.example type=MX: Host not found",
        "550 5.4.1 Recipient address rejected: Access denied",
        "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup",
        "556 5.1.10 The recipient's domain does not accept mail: null MX",
        "존재하지 않는 계정입니다",
    ],
)
def test_who_is_not_there_is_a_hard_bounce(said):
    assert meaning_of(said, status_in(said)).kind is Kind.HARD


@pytest.mark.parametrize(
    "said",
    [
        "552 5.2.2 Mailbox full",
        "550 5.1.1 User's mailbox is over quota",
        "the recipient is over disk quota",
        "The user's inbox has exceeded its storage limit",
        "451 4.7.1 Greylisting in action, please come back later",
        "retry timeout exceeded",
        "connect to mx.example.org[192.0.2.5]:25: Connection timed out",
        "domain gone.example: Host not found, try again",
        "421 too many connections",
        "550 5.7.1 Unable to deliver: no such user",
        "this mailbox is temporarily disabled",
        "메일함 용량이 초과되었습니다",
    ],
)
def test_what_may_pass_is_soft(said):
    meaning = meaning_of(said, status_in(said))

    assert (meaning.kind, meaning.about_us) == (Kind.SOFT, False)


@pytest.mark.parametrize(
    "said",
    [
        "550 5.7.1 Our system has detected that this message is likely unsolicited mail",
        "550 5.7.26 This mail is unauthenticated",
        "554 Message rejected: your address is listed by a blocklist",
        "550 Blocked by our policy",
        "550 5.1.1 Rejected as spam",
        "553 5.1.8 Sender domain does not exist",
        "552 5.3.4 Message size exceeds fixed maximum message size",
        "554 Relay access denied",
        "550 High probability of spam (in reply to end of DATA command)",
        "451 4.7.0 Deferred: poor reputation",
        "스팸으로 차단되었습니다",
    ],
)
def test_what_is_about_us_is_held_against_nobody(said):
    meaning = meaning_of(said, status_in(said))

    assert (meaning.kind, meaning.about_us) == (Kind.NONE, True)


@pytest.mark.parametrize("said", ["550 User unknown", "554 5.1.1 no such user", "550 5.2.1 disabled account", ""])
@pytest.mark.parametrize("status", ["4.0.0", "4.1.1", "4.4.7", "4.7.1", "5.7.1", "5.7.26", "5.7.999"])
def test_a_temporary_status_and_one_of_policy_are_never_hard(said, status):
    assert meaning_of(said, status).kind is not Kind.HARD


def test_a_bare_refusal_of_the_recipient_is_hard_and_one_without_any_reason_is_not():
    assert meaning_of("550 sorry").kind is Kind.HARD
    assert meaning_of("550 sorry (in reply to end of DATA command)").about_us
    assert meaning_of("it failed").kind is Kind.SOFT
    assert not meaning_of("it failed").sure


def test_the_last_delay_of_a_transcript_takes_nothing_back():
    assert meaning_of("<<< 550 User unknown 421 other.example: Deferred: Connection timed out").kind is Kind.HARD


def test_codes_are_told_from_other_numbers():
    assert status_in("host 5.1.1.7 said 550 #5.0.0, then 5.1.1.") == "5.1.1"
    assert status_in("version 5.1.1.7") == ""
    assert code_in("550-first\n550 second, id 421.5, port 10.0.0.1:450") == "550"
