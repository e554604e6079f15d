"""What a drain leaves when its processes die in the middle."""

import signal
from collections import Counter

import pytest
from installation import eventually, kill_session
from web_parts import sign_up
from worker_parts import CONNECTIONS, broker, floor, sink

from newsletter.embedded.processes import spawn
from newsletter.embedded.valkey import answers, start_valkey
from newsletter.lifecycle import DeliveryStatus
from newsletter.models import Newsletter

__all__ = ["broker", "floor", "sink"]

READERS = 300
CHILDREN = 3  # of the worker: each may have been draining


def test_a_worker_killed_in_the_middle_reaches_everybody_and_doubles_only_the_unknown(floor):
    floor.sink.delay = 0.05
    _, addresses = floor.publish(READERS)
    floor.start_worker()
    floor.wait_for(60)

    kill_session(floor.installation.running[-1])
    begun = floor.addresses(DeliveryStatus.SENDING)
    floor.sink.delay = 0.0
    floor.start_worker()
    floor.sweep_until_all_sent(READERS)

    times = Counter(floor.sink.recipients())
    doubled = {address for address, number in times.items() if number > 1}
    assert set(times) == set(addresses)
    assert len(begun) <= 2 * CONNECTIONS * CHILDREN
    assert doubled <= begun
    assert len(doubled) <= CONNECTIONS * CHILDREN  # the journal knows the answers to all others
    assert max(times.values()) <= 2
    for address in doubled:
        assert len({message.message_id for message in floor.sink.taken if message.recipient == address}) == 1


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_worker_told_to_stop_leaves_nothing_unknown_and_doubles_nobody(floor):
    floor.sink.delay = 0.05
    _, addresses = floor.publish(READERS)
    floor.start_worker()
    floor.wait_for(30)

    worker = floor.installation.running[-1]
    worker.send_signal(signal.SIGTERM)
    worker.wait(timeout=30)
    reached = len(floor.sink.taken)
    statuses = floor.statuses()

    assert worker.returncode == 0
    assert reached < READERS
    assert statuses == {"sent": reached, "queued": READERS - reached}

    floor.sink.delay = 0.0
    floor.send_the_rest()
    assert floor.statuses() == {"sent": READERS}
    assert sorted(floor.sink.recipients()) == sorted(addresses)


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_broker_that_dies_in_the_middle_loses_nothing_and_nobody_is_turned_away(floor, tmp_path):
    own = start_valkey(tmp_path / "valkey")
    floor.installation.environment["REDIS_URL"] = own.url
    floor.sink.delay = 0.05
    issue, addresses = floor.publish(READERS)
    floor.start_worker()
    floor.wait_for(30)

    own.process.send_signal(signal.SIGKILL)
    own.process.wait(timeout=10)
    answer = sign_up(floor.visitor(), "dana@example.org", issue_slug(floor, issue))
    floor.wait_for(READERS)
    floor.installation.running.append(spawn(own.program))  # on the same data, as its supervisor would
    eventually(lambda: answers(own.url))
    floor.start_worker()  # one that finds its broker gone may end, once its drains have; its supervisor starts it again
    floor.wait_until_all_sent(READERS + 1)

    assert answer.headers["location"].startswith("/check-your-inbox")
    assert sorted(floor.sink.recipients()) == sorted([*addresses, "dana@example.org"])


def issue_slug(floor, issue):
    return next(row.slug for row in floor.make.all(Newsletter, id=issue.newsletter_id))
