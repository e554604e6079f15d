from datetime import timedelta

import pytest
from factories import LINKS, NOW, POLICY, asking, mailer

from newsletter import subscribers
from newsletter.deliveries import ledger
from newsletter.errors import BadToken
from newsletter.lifecycle import DeliveryStatus, SubscriptionStatus
from newsletter.models import AddressChange, Consent, Delivery, DeliveryKind, Lane, Subscriber
from newsletter.subscribers import changing, parse_address
from newsletter.subscribers.changing import AGREE_WITHIN, Answer, Stage
from newsletter.tokens import suppression_key

NEW = parse_address("ari.kim@example.net")
LATER = NOW + timedelta(minutes=5)


@pytest.fixture
def ari(make):
    """Return the id of a subscriber who receives a newsletter."""
    return make.reader("ari", make.newsletter()).subscriber_id


def ask(sessions, subscriber_id, new=NEW, now=NOW):
    with sessions.begin() as session:
        return changing.ask(session, subscriber_id, new, POLICY, ip="192.0.2.7", now=now)


def agree(sessions, change_id=1, *, new, now=LATER):
    with sessions.begin() as session:
        return changing.agree(session, change_id, POLICY, new=new, now=now).stage


def kinds(make):
    return [(mail.kind, mail.address) for mail in make.all(Delivery)]


@pytest.mark.parametrize("old_first", [True, False])
def test_the_address_is_another_once_both_ends_have_agreed(sessions, make, ari, old_first):
    assert ask(sessions, ari) is Answer.ASKED
    assert kinds(make) == [
        (DeliveryKind.CHANGE_OF_ADDRESS, "ari@example.org"),
        (DeliveryKind.NEW_ADDRESS, NEW.text),
    ]

    assert agree(sessions, new=not old_first) is Stage.AGREED
    assert make.all(Subscriber)[0].address == "ari@example.org"
    assert agree(sessions, new=old_first) is Stage.DONE

    (row,) = make.all(Subscriber)
    assert (row.address, row.address_key) == (NEW.text, NEW.key)
    assert row.suppression_key == suppression_key(POLICY.secret, NEW.key)
    (change,) = make.all(AddressChange)
    assert (change.old_address, change.old_agreed_at, change.new_agreed_at, change.done_at) == ("ari@example.org", *[LATER] * 3)
    assert make.all(Consent)[0].subscriber_id == ari


@pytest.mark.parametrize("new", [True, False])
def test_one_end_alone_changes_nothing_however_often_it_agrees(sessions, make, ari, new):
    ask(sessions, ari)

    assert [agree(sessions, new=new) for _ in range(3)] == [Stage.AGREED] * 3

    assert make.all(Subscriber)[0].address == "ari@example.org"


def test_what_waits_goes_to_the_new_address_and_what_is_in_hand_to_the_old(sessions, make, ari):
    waits = make.delivery(subscriber_id=ari, lane=Lane.LIST.value)
    sent = make.delivery(subscriber_id=ari, status=DeliveryStatus.SENT)
    in_hand = make.delivery(subscriber_id=ari)
    others = make.delivery("bora", lane=Lane.LIST.value)
    with sessions.begin() as session:
        ledger.claim(session, Lane.PERSON, worker="one", limit=10, now=NOW)
    ask(sessions, ari)

    agree(sessions, new=True)
    agree(sessions, new=False)

    assert make.again(waits).address == NEW.text
    assert {make.again(row).address for row in (sent, in_hand)} == {"ari@example.org"}
    assert make.again(others).address == "bora@example.org"


def test_a_change_that_took_too_long_is_void(sessions, make, ari):
    ask(sessions, ari)
    agree(sessions, new=True)

    assert agree(sessions, new=False, now=NOW + AGREE_WITHIN) is Stage.VOID
    assert make.all(Subscriber)[0].address == "ari@example.org"


@pytest.mark.parametrize("new", [True, False])
def test_either_end_can_stop_it_even_after_agreeing(sessions, make, ari, new):
    ask(sessions, ari)
    agree(sessions, new=new)

    with sessions.begin() as session:
        assert changing.stop(session, 1, new=new, now=LATER).stage is Stage.VOID

    assert agree(sessions, new=not new, now=LATER + timedelta(seconds=1)) is Stage.VOID
    assert make.all(Subscriber)[0].address == "ari@example.org"


def test_what_is_done_is_not_undone_by_stopping_it(sessions, ari):
    ask(sessions, ari)
    agree(sessions, new=True)
    agree(sessions, new=False)

    with sessions.begin() as session:
        assert changing.stop(session, 1, new=False, now=LATER).stage is Stage.DONE


def test_a_later_wish_takes_the_place_of_an_earlier_one(sessions, make, ari):
    ask(sessions, ari)
    ask(sessions, ari, parse_address("third@example.net"), now=LATER)

    assert agree(sessions, 1, new=True, now=LATER) is Stage.VOID
    assert agree(sessions, 2, new=True, now=LATER) is Stage.AGREED


def test_two_readers_are_never_made_one(sessions, make, ari):
    bora = make.reader("bora", make.newsletter(), status=SubscriptionStatus.UNSUBSCRIBED)
    ask(sessions, ari, parse_address("bora@example.org"))

    told = make.all(Delivery, kind=DeliveryKind.NEW_ADDRESS)[0]

    assert (told.subscriber_id, told.address) == (bora.subscriber_id, "bora@example.org")
    assert "change_id" not in told.values
    assert agree(sessions, new=True) is Stage.AGREED  # nobody has this link; were it guessed, still nothing comes of it
    assert agree(sessions, new=False) is Stage.VOID
    assert [row.address for row in make.all(Subscriber)] == ["ari@example.org", "bora@example.org"]
    assert make.again(bora).status is SubscriptionStatus.UNSUBSCRIBED


def test_who_signs_up_with_the_new_address_meanwhile_keeps_it(sessions, make, ari):
    ask(sessions, ari)
    agree(sessions, new=True)
    with sessions.begin() as session:
        subscribers.request(session, asking("chan", make.newsletter(), address=NEW), POLICY, now=LATER)

    assert agree(sessions, new=False) is Stage.VOID
    assert [row.address for row in make.all(Subscriber)] == ["ari@example.org", NEW.text]


def test_a_suppressed_old_address_cannot_agree(sessions, make, ari):
    ask(sessions, ari)
    make.suppression("ari")

    assert agree(sessions, new=False) is Stage.VOID
    assert ask(sessions, ari, now=LATER) is Answer.SUPPRESSED


def test_a_suppressed_new_address_is_not_mailed_and_never_taken(sessions, make, ari):
    make.suppression("dana")
    dana = parse_address("dana@example.org")

    assert ask(sessions, ari, dana) is Answer.ASKED

    assert kinds(make) == [(DeliveryKind.CHANGE_OF_ADDRESS, "ari@example.org")]
    agree(sessions, new=True)
    assert agree(sessions, new=False) is Stage.VOID


def test_nobody_can_be_flooded_with_questions(sessions, make, ari):
    asked = [ask(sessions, ari, now=NOW + timedelta(minutes=number)) for number in range(4)]
    others = [make.subscriber(name).id for name in ("bora", "chan")]
    asked += [ask(sessions, other, now=NOW + timedelta(hours=1)) for other in others]

    assert asked == [Answer.ASKED] * 3 + [Answer.TOO_OFTEN] + [Answer.ASKED] * 2
    assert len(make.all(Delivery, address=NEW.text)) == 3


def test_the_own_address_spelled_as_it_is_brings_no_mail_and_another_spelling_is_taken(sessions, make, ari):
    ask(sessions, ari, parse_address("ari@example.org"))
    assert make.all(Delivery) == []
    ask(sessions, ari, parse_address("Ari@example.org"), now=LATER)

    agree(sessions, 2, new=True)
    agree(sessions, 2, new=False)

    assert [row.address for row in make.all(Subscriber)] == ["Ari@example.org"]


def test_a_change_of_somebody_who_is_gone_is_unknown(sessions, make, ari):
    ask(sessions, ari)
    with sessions.begin() as session:
        subscribers.erase(session, parse_address("ari@example.org"), POLICY, now=LATER)

    with pytest.raises(BadToken):
        agree(sessions, new=True)
    assert {(mail.status, mail.address) for mail in make.all(Delivery)} == {(DeliveryStatus.SKIPPED, "")}


def test_both_mails_hide_the_addresses_and_hold_the_link_of_their_own_end(sessions, make, ari):
    ask(sessions, ari)
    with sessions.begin() as session:
        rows = ledger.claim(session, Lane.PERSON, worker="one", limit=10, now=NOW)
        seen = ledger.begin(session, [row.id for row in rows], worker="one", now=NOW)
    made = mailer()
    with sessions.read() as session:
        made.load(session, rows)

    assert len(seen.owed) == 2
    expires = NOW + AGREE_WITHIN
    for row in rows:
        is_new = row.kind is DeliveryKind.NEW_ADDRESS
        content = made.message(row, now=NOW).content
        assert b"Subject: Is this" in content or b"Subject: Your mail" in content
        slots = made._slots(row)  # noqa: SLF001 -- the body is base64
        assert slots["open_url" if is_new else "change_url"] == LINKS.change_of_address(1, expires, new=is_new)
        assert (slots["old_address"], slots["new_address"]) == ("a•••@example.org", "a•••@example.net")
