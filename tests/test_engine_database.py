"""What the engine does when its database breaks off, stays away or is cut off."""

import random
import socket
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urlsplit

import pytest
import stamina
from drains import Fragile, Slow, journal_in, send_over, send_through
from factories import NOW, mailer
from fakes import Outbox
from installation import add_readers
from smtp_sink import running
from sqlalchemy.exc import OperationalError

from newsletter import db
from newsletter.deliveries import Pace, drain, settle, through
from newsletter.lifecycle import IssueStatus
from newsletter.models import Delivery

READERS = 60


@pytest.fixture
def addresses(make):
    """Return the readers of an issue that is due."""
    newsletter = make.newsletter()
    found = add_readers(make, newsletter, READERS)
    make.issue(newsletter, IssueStatus.PUBLISHED)
    return found


@pytest.fixture
def impatient():
    """Give a database that is away two tries, at once."""
    with stamina.set_testing(True, attempts=2):
        yield


def statuses(make):
    found = {}
    for row in make.all(Delivery):
        found[row.status.value] = found.get(row.status.value, 0) + 1
    return found


def test_a_database_that_breaks_off_again_and_again_costs_nobody_and_doubles_nobody(sessions, make, addresses, impatient):
    dice = random.Random(READERS)
    fates = [dice.choice(["", "after", ""]) for _ in range(40)]
    fates = [each for fate in fates for each in ((fate, "") if fate else (fate,))]  # the second try works

    with running() as sink:
        fragile = Fragile(sessions, ["before", "", *fates])
        report = send_over(fragile, sink.port, connections=4, pace=Pace(batch=7, window=8))

    assert sorted(sink.recipients()) == sorted(addresses)
    assert (report.sent, report.skipped) == (READERS, 0)
    assert statuses(make) == {"sent": READERS}


@contextmanager
def cut_off_in_the_middle(sessions, folder):
    """Give a journal, and an outbox of what went out before the drain broke off: its database had gone away for good."""
    fragile = Fragile(sessions)

    def cut():
        fragile.away = fragile.away or len(outbox.sent) == 20

    outbox = Slow(then=cut)
    with suppress(OperationalError), journal_in(folder) as journal:
        with pytest.raises(OperationalError):
            drain(fragile, through(outbox), mailer(), journal, clock=lambda: NOW, pace=Pace(batch=30, window=12))
        assert 20 <= len(outbox.sent) < READERS
        yield journal, outbox
        raise OperationalError("the journal is left as it is", {}, Exception())


def test_what_the_database_could_not_be_told_the_next_drain_tells(sessions, make, addresses, impatient, tmp_path):
    with cut_off_in_the_middle(sessions, tmp_path) as (journal, before):
        after = Outbox()
        report = drain(sessions, through(after), mailer(), journal, clock=lambda: NOW)

    reached = [message.recipient for message in before.sent + after.sent]
    assert sorted(reached) == sorted(addresses)
    assert (report.unknown, statuses(make)) == (0, {"sent": READERS})
    assert {row.attempts for row in make.all(Delivery)} == {1}


def test_what_the_database_could_not_be_told_is_settled_when_the_process_is_gone(sessions, make, addresses, impatient, tmp_path):
    with cut_off_in_the_middle(sessions, tmp_path) as (_, before):
        assert settle(sessions, tmp_path, now=NOW) == 0  # somebody holds it

    assert settle(sessions, tmp_path, now=NOW) == 1
    assert statuses(make) == {"sent": len(before.sent), "queued": READERS - len(before.sent)}
    after = Outbox()
    send_through(sessions, after)
    assert sorted(message.recipient for message in before.sent + after.sent) == sorted(addresses)


@dataclass
class Proxy:
    """Stands before a server; `cut` ends all connections and lets the next few in only to throw them out."""

    target: tuple[str, int]
    port: int = 0
    refuse: int = 0
    cuts: int = 0
    open: list[socket.socket] = field(default_factory=list)

    @contextmanager
    def running(self):
        """Serve until the block ends."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
            thread = threading.Thread(target=self._serve, args=(listener,))
            thread.start()
            try:
                yield self
            finally:
                with suppress(OSError):
                    listener.shutdown(socket.SHUT_RDWR)
                self.cut(0)
                thread.join()

    def cut(self, refuse):
        """End all connections, and refuse that many more."""
        self.cuts, self.refuse = self.cuts + 1, refuse
        for each in self.open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _serve(self, listener):
        threads = []
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                break
            if self.refuse > 0:
                self.refuse -= 1
                client.close()
                continue
            server = socket.create_connection(self.target)
            self.open += [client, server]
            for one, other in ((client, server), (server, client)):
                threads.append(threading.Thread(target=_carry, args=(one, other)))
                threads[-1].start()
        for thread in threads:
            thread.join()
        for each in self.open:
            each.close()


def _carry(one, other):
    with suppress(OSError):
        while data := one.recv(1 << 16):
            other.sendall(data)
    for each in (one, other):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("database_kind", ["postgres"])
def test_a_connection_to_the_database_that_is_cut_again_and_again_costs_nobody(make, addresses, database):
    url = urlsplit(database)
    proxy = Proxy((url.hostname, url.port))

    def cut(sink):
        if len(sink.taken) % 15 == 0:
            proxy.cut(refuse=2)

    with stamina.set_testing(True, attempts=10), proxy.running(), running(on_message=cut) as sink:
        netloc = url.netloc.replace(f":{url.port}", f":{proxy.port}")
        sessions = db.connect(url._replace(netloc=netloc).geturl())
        report = send_over(sessions, sink.port, connections=4, pace=Pace(batch=20, window=8))
        sessions.engine.dispose()

    assert proxy.cuts > READERS // 15
    assert sorted(sink.recipients()) == sorted(addresses)
    assert (report.sent, statuses(make)) == (READERS, {"sent": READERS})


def test_where_nothing_is_left_the_answers_are_brought_in_together(sessions, make, addresses):
    untroubled = Fragile(sessions, [""] * 100)

    report = send_through(untroubled, Slow(then=partial(time.sleep, 0.005)), pace=Pace(window=READERS))

    assert report.sent == READERS
    assert len(untroubled.fates) >= 85
