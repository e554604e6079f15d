from datetime import timedelta
from email import message_from_bytes, policy
from threading import Thread

import pytest
from factories import LINKS, NOW, POLICY, mailer
from inbox_parts import DOMAIN, OFFICE, PASSED, PEER, come, letter, mails, office
from sqlalchemy.exc import OperationalError

from newsletter import inbox, subscribers
from newsletter.deliveries import ledger
from newsletter.errors import BrokerError
from newsletter.inbox import QUARANTINE, Incoming
from newsletter.lifecycle import DeliveryStatus, SubscriptionStatus
from newsletter.models import Alarm, Consent, Delivery, DeliveryKind, InboundStatus, Lane, Subscriber, Suppression
from newsletter.subscribers import parse_address

DONE, FORWARDED, QUARANTINED = InboundStatus.DONE, InboundStatus.FORWARDED, InboundStatus.QUARANTINED
ACTIVE, PENDING, LEFT = SubscriptionStatus.ACTIVE, SubscriptionStatus.PENDING, SubscriptionStatus.UNSUBSCRIBED
FORGED = "mx.example.net; dmarc=fail header.from=example.org"


@pytest.fixture
def daily(make):
    """Return a newsletter whose letters are read by its editor."""
    return make.newsletter(slug="daily", reply_to="editor@example.com", from_address=f"daily@{DOMAIN}")


@pytest.fixture
def ari(make, daily):
    """Return the subscription of ari."""
    return make.reader("ari", daily)


def kinds(make):
    return [row.kind.value for row in make.all(Delivery)]


def made(sessions, **settings):
    """Return the mails that wait, as they would be sent."""
    maker = mailer(inbox_domain=DOMAIN, bounce_domain=DOMAIN, operator_sender="operator@example.com", **settings)
    with sessions.begin() as session:
        batch = ledger.claim(session, Lane.PERSON, worker="w", limit=10, now=NOW)
        maker.load(session, batch)
    sent = [maker.message(row, now=NOW) for row in batch]
    return [(one, message_from_bytes(one.content, policy=policy.default)) for one in sent]


def test_a_proven_reader_leaves_at_once_and_is_told_goodbye(sessions, make, ari):
    row = come(sessions, letter(subject="Unsubscribe"))

    assert (row.status, row.purpose, row.content) == (DONE, "unsubscribe", None)
    left = make.again(ari)
    assert (left.status, left.unsubscribed_by) == (LEFT, "mail")
    ((sent, message),) = made(sessions)
    assert (sent.sender, sent.recipient) == ("", "ari@example.org")
    assert message["Auto-Submitted"] == "auto-replied"
    assert message["In-Reply-To"] == message["References"] == "<letter.1@mail.example.org>"


def test_an_answer_to_a_digest_that_says_unsubscribe_leaves_that_newsletter_alone(sessions, make, ari):
    other = make.reader("ari", make.newsletter(slug="vision"))
    answer = (
        "구독 해지 부탁드립니다.\n\n2024년 3월 14일 (목) 오전 9:00, Daily Papers <daily@news.example.net>님이 작성:\n> papers"
    )

    come(sessions, letter(subject="Re: Daily Papers · Mar 14, 2024", text=answer))

    assert (make.again(ari).status, make.again(other).status) == (LEFT, ACTIVE)


def test_a_mail_to_unsubscribe_leaves_all_newsletters(sessions, make, ari):
    other = make.reader("ari", make.newsletter(slug="vision"))

    come(sessions, letter(text="whatever is written here"), to="unsubscribe")

    assert (make.again(ari).status, make.again(other).status) == (LEFT, LEFT)


@pytest.mark.parametrize("proof", [FORGED, None, "evil.example; dmarc=pass header.from=example.org"])
def test_a_forged_mail_ends_nothing_and_its_victim_gets_one_mail_with_the_link(sessions, make, ari, proof):
    for number in range(3):
        row = come(sessions, letter(subject="unsubscribe", proof=proof, Message_ID=f"<{number}@evil.example>"))

    assert make.again(ari).status is ACTIVE
    assert (row.status, row.reason) == (DONE, "no answer: there was one today")
    ((sent, message),) = made(sessions)
    assert (sent.sender, sent.recipient, message["Auto-Submitted"]) == ("", "ari@example.org", "auto-replied")
    assert LINKS.unsubscribe(ari.id) in message.get_body().get_content()


def test_a_planted_result_below_the_borders_is_not_believed(sessions, make, ari):
    come(sessions, letter(subject="unsubscribe", proof=f"{FORGED}\r\nAuthentication-Results: {PASSED}"))

    assert make.again(ari).status is ACTIVE


@pytest.mark.parametrize("text", ["unsubscribe", "help"])
def test_a_stranger_who_is_not_proven_gets_nothing(sessions, make, ari, text):
    come(sessions, letter(name="dana", subject=text, proof=FORGED))
    assert (kinds(make), len(make.all(Subscriber))) == ([], 1)

    make.reader("dana", make.newsletter(slug="vision"), status=PENDING, confirmed_at=None)  # whoever it was that asked for them
    come(sessions, letter(name="dana", subject=text, proof=FORGED, To="again"))
    assert kinds(make) == []


def test_who_has_left_already_gets_nothing_that_tells_so(sessions, make, daily):
    make.reader("ari", daily, status=LEFT)

    come(sessions, letter(subject="unsubscribe", proof=FORGED))

    assert kinds(make) == []


@pytest.mark.parametrize("proof", [PASSED, FORGED])
def test_a_request_to_subscribe_is_confirmed_as_from_the_form(sessions, make, daily, proof):
    row = come(sessions, letter(text="구독 신청"), to="daily-subscribe")

    assert (row.purpose, row.reason) == ("subscribe", "asked to confirm daily")
    (consent,) = make.all(Consent)
    assert (consent.source, consent.requested_ip, consent.confirmed_at) == ("mail", "", None)
    assert f"daily-subscribe@{DOMAIN}" in consent.wording
    (mail,) = make.all(Delivery)
    assert (mail.kind, mail.language) == (DeliveryKind.CONFIRM, "ko")
    assert made(sessions)[0][0].sender == ""


def test_a_request_beyond_the_limits_is_not_followed(sessions, make, daily):
    row = come(sessions, letter(subject="subscribe"), office=office(over_limit=lambda address: f"too often: {address.key[0]}"))

    assert (row.status, row.reason, kinds(make)) == (DONE, "not followed: too often: a", [])


def test_a_request_waits_while_nobody_counts(sessions, make, daily):
    def nobody(_):
        raise BrokerError("nobody counts")

    with pytest.raises(BrokerError):
        come(sessions, letter(subject="subscribe"), office=office(over_limit=nobody))
    assert mails(make)[0].status is InboundStatus.RECEIVED

    inbox.sweep(sessions, OFFICE, now=NOW)
    assert kinds(make) == ["confirm"]


def test_nobody_who_leaves_waits_behind_a_request_that_cannot_be_counted(sessions, make, ari):
    def nobody(_):
        raise BrokerError("nobody counts")

    inbox.receive(sessions, Incoming(PEER, "bora@example.org", (f"daily@{DOMAIN}",), letter(subject="subscribe")), now=NOW)
    with pytest.raises(BrokerError):
        come(sessions, letter(), to=LINKS.unsubscribe_mail(ari.id, DOMAIN), office=office(over_limit=nobody))

    assert [row.status for row in mails(make)] == [InboundStatus.RECEIVED, DONE]
    assert make.again(ari).status is LEFT


def test_a_suppressed_address_comes_back_by_its_own_confirmation_alone(sessions, make, ari):
    make.suppression("ari")
    come(sessions, letter(subject="help"))
    come(sessions, letter(subject="subscribe"))

    assert kinds(make) == ["confirm"]
    assert len(make.all(Suppression)) == 1


def test_help_is_answered_once_a_day(sessions, make, ari):
    come(sessions, letter(subject="도움말"))
    come(sessions, letter(subject="help", Message_ID="<2@mail.example.org>"))
    ((_, message),) = made(sessions)
    text = message.get_body(("plain",)).get_content()

    assert [row.language for row in make.all(Delivery)] == ["ko"]
    assert f"daily-subscribe@{DOMAIN}" in text
    assert message["Reply-To"] == f"daily@{DOMAIN}"
    come(sessions, letter(subject="help", Message_ID="<3@mail.example.org>"), now=NOW + timedelta(days=1))
    assert kinds(make) == ["help", "help"]


@pytest.mark.parametrize("to", ["daily", "daily-unsubscribe", "unsubscribe", "daily-subscribe", "daily-help"])
@pytest.mark.parametrize(
    "fields", [{"Auto_Submitted": "auto-replied"}, {"Precedence": "bulk"}, {"List_Id": "<a.b>"}, {"X_Autoreply": "yes"}]
)
def test_automatic_answers_cause_nothing(sessions, make, ari, to, fields):
    row = come(sessions, letter(subject="unsubscribe", **fields), to=to)

    assert (row.status, row.purpose, kinds(make), make.again(ari).status) == (DONE, "automatic", [], ACTIVE)
    assert b"unsubscribe" in row.content  # for a while: a person's letter may look like a machine's


def token(ari):
    return LINKS.unsubscribe_mail(ari.id, DOMAIN)


@pytest.mark.parametrize("fields", [{"proof": FORGED}, {"From": "somebody@evil.example"}, {"From": None}])
def test_the_mailto_of_a_mail_ends_its_subscription_whoever_writes(sessions, make, ari, fields):
    for number in range(2):
        row = come(sessions, letter(text=f"{number}", **fields), to=token(ari).upper())

    assert (row.status, row.reason, make.again(ari).status) == (DONE, "left daily", LEFT)
    assert kinds(make) == ["goodbye"]


@pytest.mark.parametrize(("fields", "sender"), [({"Auto_Submitted": "auto-generated"}, "ari@example.org"), ({}, "")])
def test_a_provider_may_use_the_mailto_for_its_user(sessions, make, ari, fields, sender):
    come(sessions, letter(**fields), to=token(ari), sender=sender)

    assert make.again(ari).status is LEFT


def test_the_mailto_ends_nothing_by_an_answer_or_a_forged_token(sessions, make, ari):
    vacation = come(sessions, letter(Auto_Submitted="auto-replied"), to=token(ari))
    null = come(sessions, letter(text="2", X_Autoreply="yes"), to=token(ari), sender="")
    forged = come(sessions, letter(), to="u+aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
    other = come(sessions, letter(), to=LINKS.return_path(ari.id, DOMAIN).replace("b+", "u+"))

    assert make.again(ari).status is ACTIVE
    assert [row.status for row in (vacation, null, forged, other)] == [DONE] * 4
    assert "nothing changed" in forged.reason


def test_a_bounce_is_handed_on_with_the_delivery_it_is_about(sessions, make, daily):
    taken = []

    def reports(session, content, delivery_id, now):
        taken.append((content, delivery_id, now))
        return "counted"

    told = office(reports=reports)
    delivery = make.delivery()
    row = come(sessions, letter(text="gone"), to=LINKS.return_path(delivery.id, DOMAIN), sender="", office=told)
    forged = come(sessions, letter(text="gone"), to="b+aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", sender="", office=told)
    to_from = come(sessions, letter(text="gone, too"), sender="", office=told)

    assert (row.status, row.purpose, row.reason) == (DONE, "bounce", "counted")
    assert "forged" in forged.reason
    assert to_from.purpose == "report"
    assert [(delivery_id, now) for _, delivery_id, now in taken] == [(delivery.id, NOW), (None, NOW)]
    assert taken[0][0].endswith(b"gone\r\n")


def test_what_a_person_writes_is_passed_on_whole(sessions, make, ari):
    whole = letter(subject="A question on café", text="Where do the votes come from?\n.\nFrom here on")

    row = come(sessions, whole)

    assert (row.status, row.purpose, row.content) == (FORWARDED, "letter", whole)
    ((sent, message),) = made(sessions)
    assert (sent.recipient, message["Reply-To"], message["From"]) == (
        "editor@example.com",
        "ari@example.org",
        f"Daily Papers <daily@{DOMAIN}>",
    )
    assert sent.sender.startswith("b+")
    attached = list(message.iter_attachments())
    assert [part.get_content_type() for part in attached] in (["message/rfc822"], ["application/octet-stream"])
    assert message["Subject"] == "[Daily Papers] A question on café"


@pytest.mark.parametrize(
    "text", ["plain words\n" * 50, "x" * 5000, "café 구독\n" * 99, "--=_part_=_of_=_message_=\n.\n..\n", "\0\r\r"]
)
def test_a_letter_of_any_bytes_arrives_as_it_came(sessions, make, ari, text):
    whole = letter(subject="Hello", text=text)

    come(sessions, whole)

    ((sent, message),) = made(sessions)
    (part,) = message.iter_attachments()
    attached = part.get_payload(decode=True) if part.get_content_type() == "application/octet-stream" else None
    assert attached == whole if attached is not None else whole in sent.content
    assert sent.content.isascii()
    assert max(map(len, sent.content.split(b"\r\n"))) <= 998


def test_letters_go_to_the_operator_where_mail_to_the_newsletter_would_come_back(sessions, make):
    make.newsletter(slug="daily", reply_to=f"daily@{DOMAIN}")

    come(sessions, letter(subject="Hello"))
    come(sessions, letter(subject="Spam!"), to="abuse")

    assert [row.address for row in make.all(Delivery)] == ["operator@example.com"] * 2
    assert [message["Subject"] for _, message in made(sessions)] == ["[Daily Papers] Hello", "[Newsletter] Spam!"]


def test_letters_that_nobody_would_read_wait_in_quarantine_with_one_alarm(sessions, make, daily):
    for content in (letter(subject="Hello"), letter(subject="Hello again"), letter(From=None)):
        row = come(sessions, content, office=office(operator=""), to="postmaster")

    assert (row.status, kinds(make)) == (QUARANTINED, [])
    (alarm,) = make.all(Alarm)
    assert (alarm.cause, alarm.times, alarm.closed_at) == (QUARANTINE, 3, None)


def test_a_storm_of_letters_is_kept_back(sessions, make, daily):
    rows = [come(sessions, letter(text=f"{number}")) for number in range(12)]
    other = come(sessions, letter(name="bora"), sender="bora@example.org")
    later = come(sessions, letter(text="later"), now=NOW + timedelta(hours=2))

    assert [row.status for row in rows] == [FORWARDED] * 10 + [QUARANTINED] * 2
    assert (other.status, later.status) == (FORWARDED, FORWARDED)


def test_a_mail_that_breaks_us_is_put_aside_and_stops_no_other(sessions, make, ari):
    def broken(*_):
        raise RuntimeError("nobody thought\0 of this")

    come(sessions, letter(), to=LINKS.return_path(1, DOMAIN), office=office(reports=broken))
    come(sessions, letter(subject="unsubscribe"))

    first, second = mails(make)
    assert (first.status, first.reason) == (QUARANTINED, "RuntimeError: nobody thought? of this")
    assert first.content is not None
    assert (second.status, make.again(ari).status) == (DONE, LEFT)


def test_mail_waits_while_the_database_is_away(sessions, make, ari):
    def away(*_):
        raise OperationalError("select", {}, Exception("gone"))

    with pytest.raises(OperationalError):
        come(sessions, letter(), to=LINKS.return_path(1, DOMAIN), office=office(reports=away))

    assert mails(make)[0].status is InboundStatus.RECEIVED


def test_a_server_that_sends_again_brings_nothing_new(sessions, make, ari):
    twice = Incoming("192.0.2.25", "ari@example.org", (f"daily@{DOMAIN}", f"Daily@{DOMAIN}"), letter(subject="help"))

    assert [inbox.receive(sessions, twice, now=NOW) for _ in range(2)] == [1, 0]
    inbox.sweep(sessions, OFFICE, now=NOW)
    assert inbox.receive(sessions, twice, now=NOW) == 0
    assert len(mails(make)) == 1


def test_several_who_handle_at_once_do_it_once(sessions, make, ari):
    for number in range(8):
        inbox.receive(sessions, Incoming("", "ari@example.org", ("help@" + DOMAIN,), letter(text=f"{number}")), now=NOW)
    threads = [Thread(target=inbox.sweep, args=(sessions, OFFICE), kwargs={"now": NOW}) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {row.status for row in mails(make)} == {DONE}
    assert kinds(make) in (["help"], [])


def test_odd_bytes_in_the_envelope_and_the_header_are_kept_by_every_database(sessions, make, daily):
    odd = letter(subject="a\0b").replace(b"a\0b", b"a\0b\xff\xfe")

    row = come(sessions, odd, sender="\udcff\0@example.org")

    assert row.status in {FORWARDED, QUARANTINED}


def test_mail_for_a_newsletter_that_is_gone_is_put_aside(sessions, make):
    assert come(sessions, letter(), to="daily").status is QUARANTINED


def test_ones_own_address_cannot_be_subscribed(sessions, make, daily):
    row = come(sessions, letter(From=f"vision@{DOMAIN}", subject="subscribe"))

    assert (row.status, kinds(make)) == (DONE, [])


def test_a_person_who_confirms_what_they_asked_by_mail_is_a_reader(sessions, make, daily):
    come(sessions, letter(subject="subscribe"))
    (consent,) = make.all(Consent)
    with sessions.begin() as session:
        subscribers.confirm(session, consent.id, LINKS, now=NOW)
        shown = subscribers.show(session, parse_address("ari@example.org"))

    assert shown["subscriptions"][0]["consent"]["source"] == "mail"


def test_of_the_erased_no_letter_remains_and_none_is_passed_on(sessions, make, daily):
    come(sessions, letter(subject="My secret"), sender="bounces@mail.example.org")
    come(sessions, letter(name="bora", subject="Hello"), sender="bora@example.org")
    with sessions.begin() as session:
        subscribers.erase(session, parse_address("Ari@example.org"), POLICY, now=NOW)

    assert [row.sender for row in mails(make)] == ["bora@example.org"]
    first, second = make.all(Delivery)
    assert (first.status, first.values) == (DeliveryStatus.SKIPPED, {})
    assert second.values["reply_to"] == "bora@example.org"


def test_a_letter_is_passed_on_also_where_all_older_mail_is_forgotten(sessions, make, daily):
    come(sessions, letter(subject="a question"))
    with sessions.begin() as session:
        inbox.purge(session, now=NOW + timedelta(days=31))
    assert mails(make) == []

    row = come(sessions, letter(subject="another question"), now=NOW + timedelta(days=32))

    assert [mail.dedupe_key for mail in make.all(Delivery)] == ["forward:1", f"forward:{row.id}"]
