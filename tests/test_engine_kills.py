"""What is left of a drain that is killed at any moment, told to stop, or cut off from its database."""

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest
from drains import send_over
from installation import add_readers, eventually
from smtp_sink import running

from newsletter.deliveries import recover, settle
from newsletter.lifecycle import DeliveryStatus, IssueStatus
from newsletter.models import Delivery
from newsletter.wiring import utcnow

PROGRAM = Path(__file__).with_name("drain_processes.py")
CONNECTIONS = 6
READERS = 300
KILLS = 4


class Drains:
    """Starts drains in processes of their own, and tells how they ended."""

    def __init__(self, process):
        self._process = process

    def start(self):
        """Start a drain and return its process id."""
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def wait(self):
        """Return how the drain ended."""
        return int(self._process.stdout.readline())


@contextmanager
def drains(database, folder, port):
    """Give what starts drains over these connections."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(PROGRAM), database, str(folder), str(port), str(CONNECTIONS)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=environment, text=True, **pipes) as process:
        yield Drains(process)


@pytest.fixture
def addresses(make):
    """Return the readers of an issue that is due."""
    newsletter = make.newsletter()
    found = add_readers(make, newsletter, READERS)
    make.issue(newsletter, IssueStatus.PUBLISHED, now=utcnow())
    return found


def sweep(sessions, *, hold):
    with sessions.begin() as session:
        return recover(session, hold_unknown=hold, now=utcnow())


def of_status(make, status):
    return {row.address for row in make.all(Delivery, status=status)}


def kill_again_and_again(drains, sink, after_each):
    """Kill a drain somewhere on its way, often; `after_each` looks at what it left."""
    dice = random.Random(READERS)
    for _ in range(KILLS):
        goal = len(sink.taken) + dice.randrange(5, READERS // KILLS)
        pid = drains.start()
        eventually(lambda goal=goal: len(sink.taken) >= goal)
        os.kill(pid, signal.SIGKILL)
        assert drains.wait() == -signal.SIGKILL
        after_each()


def test_who_is_killed_while_unknowns_are_held_doubles_nobody_and_loses_nobody(sessions, make, database, addresses, tmp_path):
    def look():
        settle(sessions, tmp_path, now=utcnow())
        assert len(of_status(make, DeliveryStatus.UNKNOWN)) <= CONNECTIONS
        assert not of_status(make, DeliveryStatus.SENDING) | of_status(make, DeliveryStatus.CLAIMED)
        sweep(sessions, hold=True)

    with running(delay=0.004) as sink, drains(database, tmp_path, sink.port) as started:
        kill_again_and_again(started, sink, look)
        started.start()
        assert started.wait() == 0

    held = of_status(make, DeliveryStatus.HELD)
    assert max(Counter(sink.recipients()).values()) == 1
    assert set(sink.recipients()) | held == set(addresses)
    assert of_status(make, DeliveryStatus.SENT) == set(addresses) - held
    assert len(held) <= CONNECTIONS * KILLS
    assert list(tmp_path.iterdir()) == []


def test_who_is_killed_while_unknowns_are_sent_again_reaches_all_and_doubles_only_those(
    sessions, make, database, addresses, tmp_path
):
    unknown = set()

    def look():
        settle(sessions, tmp_path, now=utcnow())
        left = of_status(make, DeliveryStatus.UNKNOWN) - unknown
        assert len(left) <= CONNECTIONS
        unknown.update(left)

    with running(delay=0.004) as sink, drains(database, tmp_path, sink.port) as started:
        kill_again_and_again(started, sink, look)
        sweep(sessions, hold=False)
        started.start()
        assert started.wait() == 0

    times = Counter(sink.recipients())
    doubled = {address for address, number in times.items() if number > 1}
    assert set(times) == of_status(make, DeliveryStatus.SENT) == set(addresses)
    assert doubled <= unknown
    assert len(unknown) <= CONNECTIONS * KILLS
    assert max(times.values()) <= 2
    assert len({message.message_id for message in sink.taken}) == READERS


def test_who_is_told_to_stop_ends_what_is_in_the_air_and_gives_back_the_rest(sessions, make, database, addresses, tmp_path):
    with running(delay=0.004) as sink, drains(database, tmp_path, sink.port) as started:
        for goal in (20, 90):
            pid = started.start()
            eventually(lambda goal=goal: len(sink.taken) >= goal)
            os.kill(pid, signal.SIGTERM)

            assert started.wait() == 0
            reached = len(sink.taken)
            counts = Counter((row.status.value, row.attempts) for row in make.all(Delivery))
            assert counts == {("sent", 1): reached, ("queued", 0): READERS - reached}
            assert list(tmp_path.iterdir()) == []

        send_over(sessions, sink.port, connections=CONNECTIONS, clock=utcnow)

    assert sorted(sink.recipients()) == sorted(addresses)


def test_two_processes_at_once_share_nothing(sessions, make, database, addresses, tmp_path):
    with (
        running(delay=0.004) as sink,
        drains(database, tmp_path, sink.port) as one,
        drains(database, tmp_path, sink.port) as two,
    ):
        for each in (one, two):
            each.start()
        assert [each.wait() for each in (one, two)] == [0, 0]

    assert sorted(sink.recipients()) == sorted(addresses)
    assert len(of_status(make, DeliveryStatus.SENT)) == READERS
