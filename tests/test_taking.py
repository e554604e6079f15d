"""Moving what is due straight into the window: where nothing is paused or limited, without claiming a batch first."""

from datetime import timedelta
from threading import Barrier, Thread

import pytest
from drains import Clock, Fragile, Ticks, books_of, send_through
from factories import NOW, POLICY
from fakes import Outbox
from installation import add_readers
from sqlalchemy import update
from sqlmodel import col

from newsletter.deliveries import Pace, ledger
from newsletter.deliveries.books import LIST_EVERY, Wanted
from newsletter.deliveries.ledger import START
from newsletter.issues import control
from newsletter.lifecycle import DeliveryStatus, IssueStatus
from newsletter.mail.selecting import EVERYTHING, Wish
from newsletter.models import Delivery, DeliveryKind, Lane, NoMatch, Pause, PauseScope, Subscription
from newsletter.subscribers import parse_address

READERS = 60


@pytest.fixture
def newsletter(make):
    """Return a newsletter that skips who finds nothing."""
    return make.newsletter(no_match=NoMatch.SKIP)


@pytest.fixture
def issue(make, newsletter):
    """Return an issue that is due for many readers."""
    add_readers(make, newsletter, READERS)
    return make.issue(newsletter, IssueStatus.PUBLISHED)


def take(sessions, lane=Lane.LIST, *, worker="one", limit=100, since=START, now=NOW):
    """Take, and leave it at that."""
    with sessions.begin() as session:
        return ledger.take(session, lane, worker=worker, limit=limit, now=now, since=since)


def names(rows):
    return [row.address.partition("@")[0] for row in rows]


def put_back(sessions, number):
    """Queue a delivery again, as whoever settles what a worker left does."""
    with sessions.begin() as session:
        session.execute(update(Delivery).where(col(Delivery.id) == number).values(status="queued", claimed_by="", attempts=0))


def statuses(make):
    found = {}
    for row in make.all(Delivery):
        found[row.status.value] = found.get(row.status.value, 0) + 1
    return found


def test_what_is_taken_is_in_the_window_and_counts_as_a_try(sessions, make, newsletter):
    delivery = make.delivery(newsletter_id=newsletter.id, attempts=2)

    (row,), unowed, _ = take(sessions, Lane.PERSON)

    after = make.again(delivery)
    assert (row.id, row.attempts, row.values, unowed) == (delivery.id, 2, delivery.values, [])
    assert (after.status, after.attempts, after.claimed_by) == (DeliveryStatus.SENDING, 3, "one")
    assert after.lease_until == NOW + ledger.SENDING_LEASE
    assert take(sessions, Lane.PERSON).rows == []


def test_one_goes_on_where_the_last_stood_and_sees_what_stands_before_it_only_from_the_start(sessions, make, newsletter):
    for name, minutes in (("dana", 1), ("bora", 5), ("ari", 9), ("chan", 5)):
        make.delivery(name, newsletter_id=newsletter.id, lane=Lane.LIST.value, due_at=NOW - timedelta(minutes=minutes))
    make.delivery("not-yet", newsletter_id=newsletter.id, lane=Lane.LIST.value, due_at=NOW + timedelta(minutes=1))
    first = take(sessions, limit=2)
    make.delivery("early", newsletter_id=newsletter.id, lane=Lane.LIST.value, due_at=NOW - timedelta(minutes=7))

    rest = take(sessions, since=first.last)

    assert names(first.rows) == ["ari", "bora"]
    assert names(rest.rows) == ["chan", "dana"]
    assert names(take(sessions, since=rest.last).rows) == []
    assert names(take(sessions).rows) == ["early"]


def test_workers_at_once_take_none_twice(sessions, make, issue):
    start, taken = Barrier(3), []

    def work(worker):
        start.wait()
        since = START
        while (found := take(sessions, worker=worker, limit=7, since=since)).rows:
            taken.extend(row.id for row in found.rows)
            since = found.last

    threads = [Thread(target=work, args=(str(number),)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(taken) == sorted(row.id for row in make.all(Delivery))


def test_the_last_look_is_taken_with_it_and_what_it_finds_was_no_try(sessions, make, newsletter):
    given = {"gone": {}, "paused": {}, "suppressed": {}, "unmatched": {"topics": ["cs.XX"]}, "ari": {}}
    readers = {name: make.reader(name, newsletter, **wishes).id for name, wishes in given.items()}
    make.issue(newsletter, IssueStatus.PUBLISHED)
    make.suppression("suppressed")
    since = {"gone": {"status": "unsubscribed"}, "paused": {"paused_until": NOW.date() + timedelta(days=2)}}
    with sessions.begin() as session:
        for name, values in since.items():
            session.execute(update(Subscription).where(col(Subscription.id) == readers[name]).values(**values))
    books = books_of(sessions)

    found = books.exchange(Wanted(room=10))

    ari, *others = sorted(make.all(Delivery), key=lambda row: row.address)
    assert names(found.begun) == ["ari"]
    assert (ari.status, ari.attempts) == (DeliveryStatus.SENDING, 1)
    assert {(row.status, row.attempts, row.lease_until) for row in others} == {(DeliveryStatus.SKIPPED, 0, None)}
    assert [row.reason for row in others] == [
        "unsubscribed",
        f"paused until {NOW.date() + timedelta(days=2)}",
        "suppressed: bounce",
        "no paper matches",
    ]
    assert books.skipped == len(others)


def test_an_issue_comes_with_what_its_reader_wishes_for_and_another_mail_does_not(sessions, make, newsletter):
    reader = make.reader("ari", newsletter, topics=["cs.CL"])
    make.reader("bora", newsletter)
    make.issue(newsletter, IssueStatus.PUBLISHED)
    given = {"newsletter_id": newsletter.id, "subscription_id": reader.id, "subscriber_id": reader.subscriber_id}
    make.delivery(kind=DeliveryKind.WELCOME, **given)

    wishes = {row.address: row.wish for row in take(sessions).rows}
    (welcome,), _, _ = take(sessions, Lane.PERSON)

    assert wishes == {"ari@example.org": Wish(("cs.CL",)), "bora@example.org": EVERYTHING}
    assert welcome.wish == EVERYTHING


def test_a_test_of_an_issue_shows_the_papers_of_the_reader_it_is_to_show(sessions, make, newsletter):
    make.reader("ari", newsletter, topics=["cs.CL"])
    issue = make.issue(newsletter)
    with sessions.begin() as session:
        control.send_test(
            session, issue, parse_address("me@example.org"), POLICY, reader=parse_address("ari@example.org"), now=NOW
        )

    (row,), _, _ = take(sessions, Lane.PERSON)

    assert row.wish.topics == ("cs.CL",)


def test_persons_go_first_when_it_is_their_turn_and_last_when_the_list_ends(sessions, make, newsletter, issue):
    ticks = Ticks()
    books = books_of(sessions, window=200, ticks=ticks)
    person = {"newsletter_id": newsletter.id}

    make.delivery("first", **person)
    first = books.exchange(Wanted(room=5)).begun
    make.delivery("second", **person)
    soon = books.exchange(Wanted(room=5)).begun
    ticks.now += 1.0
    then = books.exchange(Wanted(room=5)).begun
    make.delivery("third", **person)
    rest = books.exchange(Wanted(room=100))

    assert ["first" in names(rows) for rows in (first, soon, then)] == [True, False, False]
    assert names(then)[0] == "second"
    assert not {"second"} & {*names(soon)}
    assert names(rest.begun)[-1] == "third"
    assert (len(rest.begun), rest.nothing_left) == (READERS + 3 - 15, True)


def test_what_was_given_back_is_found_within_a_second_however_far_the_list_has_come(sessions, make, issue):
    ticks = Ticks()
    books = books_of(sessions, window=200, ticks=ticks)
    (early, *_) = books.exchange(Wanted(room=5)).begun
    put_back(sessions, early.id)

    found = []
    for _ in range(4):
        ticks.now += LIST_EVERY / 4
        found += books.exchange(Wanted(room=5)).begun

    assert [early.id == row.id for row in found].index(True) == 15


def test_nothing_is_called_the_end_of_a_list_while_something_waits_before_where_it_was_left(sessions, make, issue):
    books = books_of(sessions, window=200)
    (early, *_) = books.exchange(Wanted(room=READERS)).begun
    put_back(sessions, early.id)

    found = books.exchange(Wanted(room=5))

    assert [row.id for row in found.begun] == [early.id]


def test_where_nothing_of_many_is_owed_the_next_are_looked_at_at_once(sessions, make, newsletter):
    for number in range(READERS):
        make.reader(f"reader{number}", newsletter, topics=["cs.XX"])
    make.reader("zoe", newsletter)
    make.issue(newsletter, IssueStatus.PUBLISHED)
    outbox = Outbox()

    report = send_through(sessions, outbox, pace=Pace(window=4))

    assert [message.recipient for message in outbox.sent] == ["zoe@example.org"]
    assert (report.sent, report.skipped) == (1, READERS)


def test_an_exchange_of_which_nothing_is_owed_asks_for_another_at_once(sessions, make, newsletter):
    for number in range(4):
        make.reader(f"reader{number}", newsletter, topics=["cs.XX"])
    make.issue(newsletter, IssueStatus.PUBLISHED)

    found = books_of(sessions).exchange(Wanted(room=4))

    assert (found.begun, found.nothing_left, found.at_once) == ([], False, True)


@pytest.mark.parametrize("fate", ["before", "after"])
def test_what_was_taken_when_the_database_went_away_is_given_back_and_taken_again(sessions, make, issue, fate):
    books = books_of(Fragile(sessions, [fate]), window=200)

    found = books.exchange(Wanted(room=20))

    assert [row.id for row in found.begun] == [row.id for row in make.all(Delivery)][:20]
    assert statuses(make) == {"sending": 20, "queued": READERS - 20}
    assert {row.attempts for row in make.all(Delivery, status=DeliveryStatus.SENDING)} == {1}
    assert {row.attempts for row in make.all(Delivery, status=DeliveryStatus.QUEUED)} == {0}


def test_a_look_is_as_old_as_its_transaction(sessions, make, issue, monkeypatch):
    ticks = Ticks()
    books = books_of(sessions, ticks=ticks)
    load = books.mailer.load

    def slowly(*given):
        load(*given)
        ticks.now += 25.0

    monkeypatch.setattr(books.mailer, "load", slowly)

    assert books.exchange(Wanted(room=4)).looked_at == 1000.0


@pytest.mark.parametrize("database_kind", ["postgres"])  # on SQLite nobody else writes meanwhile
def test_who_comes_back_while_they_are_looked_at_gets_what_they_wish_for(sessions, make, newsletter, monkeypatch):
    topics = {"ari": ["cs.CL"], "bora": ["cs.XX"]}
    readers = {name: make.reader(name, newsletter, topics=wished).id for name, wished in topics.items()}
    make.papers(1, categories=("cs.CL",))
    make.issue(newsletter, IssueStatus.PUBLISHED, numbers=())
    theirs = update(Subscription).where(col(Subscription.id).in_(readers.values()))
    books = books_of(sessions)
    load = books.mailer.load

    def come_back(*given):
        load(*given)
        with sessions.begin() as session:
            session.execute(theirs.values(status="active"))

    with sessions.begin() as session:
        session.execute(theirs.values(status="unsubscribed"))
    monkeypatch.setattr(books.mailer, "load", come_back)

    found = books.exchange(Wanted(room=4))

    assert [(row.address, row.wish.topics) for row in found.begun] == [("ari@example.org", ("cs.CL",))]
    assert [(row.reason, row.attempts) for row in sorted(make.all(Delivery), key=lambda row: row.address)] == [
        ("", 1),
        ("no paper matches", 0),
    ]


def test_what_is_taken_again_no_longer_says_why_it_waited(sessions, make, newsletter):
    given = {"status": DeliveryStatus.DEFERRED, "reason": "paused: until tomorrow"}
    delivery = make.delivery(newsletter_id=newsletter.id, **given)

    take(sessions, Lane.PERSON)

    assert make.again(delivery).reason == ""


def test_a_batch_is_claimed_where_something_is_paused_and_sent_first_when_it_is_not_any_more(sessions, make, issue):
    clock = Clock()
    until = NOW + timedelta(minutes=1)
    make.add(Pause(scope=PauseScope.DOMAIN, key=" nowhere.example", cause="a test", until=until, opened_at=NOW))
    books = books_of(sessions, clock=clock, batch=10, window=200)

    paused = books.exchange(Wanted(room=4))
    claimed = statuses(make)
    clock.advance(minutes=2)
    resumed = books.exchange(Wanted(room=4))
    after = books.exchange(Wanted(room=6))

    ids = [row.id for row in make.all(Delivery)]
    assert [row.id for row in paused.begun] == ids[:4]
    assert claimed == {"sending": 4, "claimed": 6, "queued": READERS - 10}
    assert [row.id for row in resumed.begun] == ids[4:8]
    assert [row.id for row in after.begun] == [*ids[10:14], *ids[8:10]]  # the room beside the rest of the batch is filled
    assert statuses(make) == {"sending": 14, "queued": READERS - 14}
