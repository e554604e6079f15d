from email import message_from_bytes, policy

import pytest
from factories import LINKS, NOW, mailer

from newsletter.deliveries import ledger
from newsletter.errors import BadToken
from newsletter.models import Cadence, Delivery, DeliveryKind, Lane, Subscription
from newsletter.subscribers import mine, parse_address, preferences
from newsletter.subscribers.masking import mask
from newsletter.subscribers.mine import LINK_LASTS
from newsletter.subscribers.preferences import Changes, Wanted
from newsletter.topics import category, offered

ARI = parse_address("ari@example.org")


def texts(sessions):
    """Return the text part of every mail that may begin now."""
    with sessions.begin() as session:
        rows = ledger.claim(session, Lane.PERSON, worker="one", limit=10, now=NOW)
        owed = ledger.begin(session, [row.id for row in rows], worker="one", now=NOW).owed
    made = mailer()
    with sessions.read() as session:
        made.load(session, rows)
    parts = [made.message(row, now=NOW).content for row in rows if row.id in owed]
    return [message_from_bytes(part, policy=policy.default).get_body(("plain",)).get_content() for part in parts]


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_mails_that_were_asked_for_hold_their_links(sessions, make, language):
    reader = make.reader("ari", make.newsletter(language=language))
    with sessions.begin() as session:
        assert preferences.send_link(session, ARI, now=NOW)
        assert mine.send_link(session, reader.subscriber_id, now=NOW)

    first, second = texts(sessions)

    assert LINKS.preferences(reader.subscriber_id) in first
    assert LINKS.my_data(reader.subscriber_id, NOW + LINK_LASTS) in second


def test_the_link_comes_from_a_newsletter_one_receives(sessions, make):
    make.newsletter()
    theirs = make.newsletter()
    make.reader("ari", theirs)
    with sessions.begin() as session:
        preferences.send_link(session, ARI, now=NOW)

    assert make.all(Delivery, kind=DeliveryKind.PREFERENCES)[0].newsletter_id == theirs.id


def test_who_is_suppressed_or_unknown_is_sent_no_link(sessions, make):
    with sessions.begin() as session:
        assert not preferences.send_link(session, ARI, now=NOW)
    make.reader("ari", make.newsletter())
    make.suppression("ari")

    with sessions.begin() as session:
        assert not preferences.send_link(session, ARI, now=NOW)


def test_what_is_left_is_not_changed(sessions, make):
    reader = make.reader("ari", make.newsletter())
    with sessions.begin() as session:
        leave = session.get_one(Subscription, reader.id)
        leave.status, leave.unsubscribed_at = "unsubscribed", NOW
    with sessions.begin() as session:
        preferences.save(session, reader.subscriber_id, Changes("ko", "Asia/Seoul", {reader.id: Wanted(Cadence.WEEKLY)}))

    assert make.again(reader).cadence is Cadence.DAILY


def test_a_chosen_zone_holds_for_all_newsletters(sessions, make):
    reader = make.reader("ari", make.newsletter())
    with sessions.begin() as session:
        session.get_one(Subscription, reader.id).zone = "US/Pacific"
    with sessions.begin() as session:
        assert preferences.look(session, reader.subscriber_id).zone == "US/Pacific"
        preferences.save(session, reader.subscriber_id, Changes("en", "Asia/Seoul", {}))

    with sessions.read() as session:
        assert preferences.look(session, reader.subscriber_id).zone == "Asia/Seoul"
    assert make.again(reader).zone == ""


def test_who_is_gone_has_no_preferences(sessions, make):
    make.suppression("ari")
    with sessions.read() as session, pytest.raises(BadToken):
        preferences.look(session, 99)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("kim@example.org", "k•••@example.org"),
        ("k@example.org", "•••@example.org"),
        ("ki@example.org", "•••@example.org"),
        ("찬우님@example.org", "찬•••@example.org"),
    ],
)
def test_an_address_is_shown_so_that_only_its_person_knows_it(address, shown):
    assert mask(address) == shown


def test_categories_are_known_in_any_case_and_nothing_else_is():
    assert [category(given) for given in (" CS.cl", "astro-ph.ga", "quant-ph", "cs", "cs.XX", "", "cs.CL\n")] == [
        "cs.CL",
        "astro-ph.GA",
        "quant-ph",
        "",
        "",
        "",
        "cs.CL",
    ]
    assert all(category(name) == name for name in offered("ko"))
