"""What the engine does when its own parts fail: the database, the journal, the clock, the way out, a message."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Event

import pytest
from drains import Clock, Slow, Ticks, books_of, journal_in, relay_on, send_over, send_through
from factories import NOW, mailer
from fakes import Outbox
from installation import add_readers, eventually
from smtp_servers import DROP, HANG, FaultyServer
from smtp_sink import running
from structlog.testing import capture_logs

from newsletter import subscribers
from newsletter.deliveries import Journal, Pace, drain, over, recover, through, worker_name
from newsletter.deliveries.books import Books, Wanted
from newsletter.deliveries.engine import Engine
from newsletter.deliveries.journal import JournalFull
from newsletter.lifecycle import DeliveryStatus, IssueStatus
from newsletter.models import Delivery, Lane, Pause, PauseScope

READERS = 60


@pytest.fixture
def addresses(make):
    """Return the readers of an issue that is due."""
    newsletter = make.newsletter()
    found = add_readers(make, newsletter, READERS)
    make.issue(newsletter, IssueStatus.PUBLISHED)
    return found


def statuses(make):
    found = {}
    for row in make.all(Delivery):
        found[row.status.value] = found.get(row.status.value, 0) + 1
    return found


def engine(books, journal, **pace):
    return Engine(books, books.mailer, journal, Pace(**pace), stopping=lambda: False, watch=lambda _: None)


class Short(Journal):
    """A journal with room for so many messages and no more."""

    room = 5

    def begun(self, delivery_id):
        """Refuse, after a few."""
        self.room -= 1
        if self.room < 0:
            raise JournalFull("there is no room", hint="Make some.")
        super().begun(delivery_id)


def test_nothing_begins_that_cannot_be_written_down(sessions, make, addresses, tmp_path):
    with running() as sink, Short.open(tmp_path, "short") as journal, pytest.raises(JournalFull):
        drain(sessions, over(relay_on(sink.port), connections=3), mailer(), journal, clock=lambda: NOW)

    assert len(sink.taken) == 5
    assert statuses(make) == {"sent": 5, "queued": READERS - 5}


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_messages_that_cannot_be_made_cost_one_connection_and_not_one_each(sessions, make):
    newsletter = make.newsletter()
    for number in range(20):
        make.delivery(f"bad{number}", newsletter_id=newsletter.id, values={})
        make.delivery(f"good{number}", newsletter_id=newsletter.id)

    with FaultyServer().running() as server, capture_logs():  # tracebacks take long to print
        report = send_over(sessions, server.port)

    assert (report.sent, report.deferred) == (20, 20)
    assert server.connections == 2


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize("step", ["GREETING", "MAIL"])
def test_a_relay_that_hangs_up_on_everybody_is_left_alone(sessions, make, addresses, step):
    with FaultyServer({step: DROP}).running() as server:
        report = send_over(sessions, server.port, connections=4)

    assert report.relay_away
    assert server.connections <= 2
    assert make.again(make.all(Delivery)[-1]).status is DeliveryStatus.QUEUED


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_relay_that_takes_one_message_a_connection_gets_them_all(sessions, make, addresses):
    with FaultyServer({"after": ["421 4.3.2 one is enough"] * READERS}).running() as server:
        report = send_over(sessions, server.port)

    assert (report.sent, report.unknown, report.relay_away) == (READERS, 0, "")
    assert server.connections <= READERS + 1
    assert {row.attempts for row in make.all(Delivery)} == {1}


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_relay_that_takes_few_connections_is_not_away(sessions, make, addresses):
    with running(most=2, delay=0.002) as sink:
        report = send_over(sessions, sink.port, connections=10)

    assert (report.sent, report.relay_away) == (READERS, "")
    assert sorted(sink.recipients()) == sorted(addresses)


def test_what_was_looked_at_too_long_ago_is_looked_at_again(sessions, make, addresses, tmp_path):
    leaver, ticks = make.all(Delivery)[10], Ticks()

    def pass_time():
        if len(outbox.sent) == 1:  # the others of the window have been looked at, and wait
            ticks.now += 11
            with sessions.begin() as session:
                subscribers.unsubscribe(session, leaver.subscription_id, by="page", now=NOW)

    outbox = Slow(then=pass_time)
    with journal_in(tmp_path) as journal:
        books = books_of(sessions, journal.worker, ticks=ticks)
        report = asyncio.run(engine(books, journal).run(through(outbox)))

    assert (report.sent, report.skipped) == (READERS, 1)
    assert outbox.recipients().count(leaver.address) == 1  # a goodbye
    assert make.again(leaver).status is DeliveryStatus.SKIPPED


def test_a_clock_that_is_set_forward_lets_nothing_begin_under_an_old_lease(sessions, make, addresses):
    leaver, clock = make.all(Delivery)[10], Clock()

    def set_it():
        if len(outbox.sent) == 1:
            clock.advance(minutes=4)
            with sessions.begin() as session:
                subscribers.unsubscribe(session, leaver.subscription_id, by="page", now=NOW)

    outbox = Slow(then=set_it)
    report = send_through(sessions, outbox, clock=clock)

    assert (report.sent, report.skipped) == (READERS, 1)
    assert outbox.recipients().count(leaver.address) == 1  # a goodbye


def test_a_drain_ends_when_its_time_is_over(sessions, make, addresses, tmp_path):
    ticks = Ticks()

    def pass_time():
        ticks.now += 61 if len(outbox.sent) == 20 else 0

    outbox = Slow(then=pass_time)
    with journal_in(tmp_path) as journal:
        books = books_of(sessions, journal.worker, ticks=ticks)
        report = asyncio.run(engine(books, journal).run(through(outbox)))

    assert (report.sent, report.more) == (20, True)
    assert statuses(make) == {"sent": 20, "queued": READERS - 20}


def test_the_lease_of_what_is_in_the_air_is_renewed(sessions, make, tmp_path):
    delivery, ticks, clock = make.delivery(), Ticks(), Clock()

    def wait():
        before = make.again(delivery).lease_until
        ticks.now += 61
        clock.advance(minutes=14)
        eventually(lambda: make.again(delivery).lease_until == before + timedelta(minutes=14))

    with journal_in(tmp_path) as journal:
        books = books_of(sessions, journal.worker, clock, ticks=ticks)
        report = asyncio.run(engine(books, journal, budget=timedelta(hours=1)).run(through(Slow(then=wait))))

    assert report.sent == 1


class Telling(Journal):
    """A journal that tells when an answer has come."""

    def __init__(self, *given):
        """Nothing has been answered."""
        super().__init__(*given)
        self.answered = Event()

    def ended(self, delivery_id, reply):
        """Write it down and tell."""
        super().ended(delivery_id, reply)
        self.answered.set()


@dataclass
class Overlapping(Books):
    """Books whose second exchange claims what is in the air, its lease run out, while the answer to it comes."""

    in_air: Event = field(default_factory=Event)
    exchanged: Event = field(default_factory=Event)
    answered: Event = field(default_factory=Event)

    def exchange(self, wanted):
        """Exchange; the second time, end after the answer has come."""
        if not wanted.window or self.exchanged.is_set():
            return super().exchange(wanted)
        assert self.in_air.wait(5)
        self.clock.advance(hours=1)
        with self.sessions.begin() as session:
            recover(session, hold_unknown=False, now=self.clock())
        found = super().exchange(wanted)
        self.exchanged.set()
        assert self.answered.wait(5)
        return found


def test_an_answer_that_comes_while_the_mail_is_claimed_again_counts(sessions, make, tmp_path):
    delivery, clock = make.delivery(), Clock()

    def wait():
        books.in_air.set()
        assert books.exchanged.wait(5)

    with Telling.open(tmp_path, worker_name()) as journal:
        books = Overlapping(**vars(books_of(sessions, journal.worker, clock)), answered=journal.answered)
        outbox = Slow(then=wait)
        report = asyncio.run(engine(books, journal).run(through(outbox)))

    assert (outbox.recipients(), report.sent) == ([delivery.address], 1)
    assert make.again(delivery).status is DeliveryStatus.SENT


def test_at_the_end_what_is_in_the_air_keeps_nothing_else_waiting(sessions, make, addresses):
    told = []

    def hold():
        if len(outbox.sent) == 3:
            told.append(True)
            eventually(lambda: statuses(make) == {"sent": 2, "sending": 1, "queued": READERS - 3})

    outbox = Slow(then=hold)
    report = send_through(sessions, outbox, stopping=lambda: bool(told))

    assert (report.sent, report.more) == (3, True)


class Doom(BaseException):
    """What nobody catches."""


def test_a_way_that_breaks_leaves_one_unknown_and_gives_back_the_rest(sessions, make, addresses):
    def break_off():
        if len(outbox.sent) == 3:
            raise Doom

    outbox = Slow(then=break_off)
    with pytest.raises(RuntimeError, match="Doom"):
        send_through(sessions, outbox)

    assert statuses(make) == {"sent": 2, "unknown": 1, "queued": READERS - 3}


def test_whoever_watches_and_fails_breaks_nothing_but_the_drain(sessions, make, addresses):
    def watch(report):
        if report.sent:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        send_through(sessions, Outbox(), watch=watch, pace=Pace(window=4))

    found = statuses(make)
    assert set(found) == {"sent", "queued"}


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_drain_that_is_cancelled_waits_for_no_answer(sessions, make, addresses, tmp_path):
    async def cancel(task, server):
        await asyncio.to_thread(eventually, lambda: server.contents)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def run(server):
        with journal_in(tmp_path) as journal:
            books = books_of(sessions, journal.worker)
            way = over(relay_on(server.port), connections=1)
            await cancel(asyncio.create_task(engine(books, journal).run(way)), server)

    with FaultyServer({"DOT": HANG}).running() as server:
        asyncio.run(run(server))

    assert statuses(make) == {"unknown": 1, "queued": READERS - 1}
    assert list(tmp_path.iterdir()) == []


def test_issues_of_the_window_are_kept_whatever_else_is_loaded(sessions, make):
    for number in range(8):
        newsletter = make.newsletter(slug=f"n{number}")
        make.reader(f"reader{number}", newsletter)
        make.issue(newsletter, IssueStatus.PUBLISHED)
    books, window = books_of(sessions, batch=1), []

    for _ in range(8):
        window += books.exchange(Wanted(room=1, window=tuple(window))).begun

    assert len(window) == 8
    assert all(books.mailer.message(row, now=NOW).content for row in window)


def test_a_lease_that_ran_out_in_the_batch_is_no_reason_to_skip(sessions, make, addresses):
    clock = Clock()
    until = NOW + timedelta(hours=1)
    make.add(Pause(scope=PauseScope.DOMAIN, key=" nowhere.example", cause="a test", until=until, opened_at=NOW))
    books = books_of(sessions, clock=clock, batch=10)
    books.exchange(Wanted(room=1))
    clock.advance(minutes=6)

    found = books.exchange(Wanted(room=5))

    assert (len(found.begun), books.skipped, found.nothing_left) == (0, 0, False)
    assert len(make.all(Delivery, status=DeliveryStatus.QUEUED)) == READERS - 10 + 5
    assert {row.lane for row in make.all(Delivery)} == {Lane.LIST.value}
