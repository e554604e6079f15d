import socket
import time
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Barrier, Thread

import pytest
from factories import NOW
from redis import Redis
from structlog.testing import capture_logs
from worker_parts import broker

from newsletter.errors import SettingsError
from newsletter.throttle import ALLOWED, UNTHROTTLED, Decision, Limit, Limits, Throttle

__all__ = ["broker"]
START = NOW.replace(minute=0)  # a window of an hour begins
SECRET = b"a secret of the tests"


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    now: datetime = START
    opened: list = field(default_factory=list)

    def __call__(self):
        return self.now

    def on(self, **passed):
        self.now += timedelta(**passed)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def throttle(broker, clock):
    """Return `throttle(**limits)`, as another process would open it."""
    opened = []

    def open_it(url=broker, **limits):
        opened.append(Throttle(lambda: url, Limits(**limits), SECRET, clock))
        return opened[-1]

    yield open_it
    for each in opened:
        each.close()


def limits_of(throttle, number, **asked):
    """Ask so often and return what each came to."""
    return [throttle.allow("sign-up", **asked).limit for _ in range(number)]


def test_where_nothing_is_limited_redis_is_never_asked():
    assert UNTHROTTLED.allow("sign-up", ip="192.0.2.7", address="ari@example.org") == ALLOWED


@pytest.mark.parametrize(
    ("limits", "limit"),
    [
        ({"per_ip": 2}, Limit.IP),
        ({"per_network": 2}, Limit.NETWORK),
        ({"overall": 2}, Limit.OVERALL),
        ({"per_address": 2}, Limit.ADDRESS),
        ({"per_domain": 2}, Limit.DOMAIN),
    ],
)
def test_each_limit_holds_and_is_named(throttle, limits, limit):
    found = limits_of(throttle(**limits), 3, ip="192.0.2.7", address="ari@example.org")

    assert found == [Limit.NONE, Limit.NONE, limit]


def test_only_what_is_asked_for_is_kept_silent(throttle):
    assert [limit for limit in Limit if Decision(allowed=False, limit=limit).is_silent] == [Limit.ADDRESS, Limit.DOMAIN]


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("192.0.2.7", "192.0.2.200", True),
        ("192.0.2.7", "192.0.3.7", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.7", "192.0.2.8", True),
        ("fe80::1%eth0", "fe80::2", True),
    ],
)
def test_a_network_is_counted_as_one(throttle, one, other, together):
    limited = throttle(per_network=1)

    assert limited.allow("sign-up", ip=one).allowed
    assert limited.allow("sign-up", ip=other).allowed is not together


@pytest.mark.parametrize("ip", ["", "testclient", "999.1.1.1"])
def test_who_has_no_ip_address_is_counted_with_all_alone(throttle, ip):
    assert limits_of(throttle(per_ip=1, per_network=1, overall=2), 3, ip=ip) == [Limit.NONE, Limit.NONE, Limit.OVERALL]


def test_the_limits_hold_over_all_processes_and_each_kind_by_itself(throttle):
    one, other = throttle(per_ip=1), throttle(per_ip=1)

    assert one.allow("sign-up", ip="192.0.2.7").allowed
    assert not other.allow("sign-up", ip="192.0.2.7").allowed
    assert other.allow("preferences", ip="192.0.2.7").allowed


def test_requests_at_once_are_counted_one_by_one(throttle):
    limited, start, found = throttle(per_ip=5), Barrier(8), []

    def ask():
        start.wait()
        found.extend(limits_of(limited, 3, ip="192.0.2.7"))

    threads = [Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found.count(Limit.NONE) == 5


def test_the_window_slides(throttle, clock):
    limited = throttle(per_ip=10)
    assert limits_of(limited, 11, ip="192.0.2.7").count(Limit.NONE) == 10

    clock.on(minutes=90)  # half of the hour before still counts
    assert limits_of(limited, 11, ip="192.0.2.7").count(Limit.NONE) == 5
    clock.on(hours=3)
    assert limits_of(limited, 11, ip="192.0.2.7").count(Limit.NONE) == 10


@pytest.mark.parametrize("minutes", [0, 20, 59])
@pytest.mark.parametrize("before", [0, 4])
def test_after_the_time_that_is_told_one_more_is_allowed_and_not_before(throttle, clock, minutes, before):
    limited = throttle(per_ip=5)
    limits_of(limited, before, ip="192.0.2.7")
    clock.on(hours=1 if before else 0, minutes=minutes)
    limits_of(limited, 6, ip="192.0.2.7")

    wait = limited.allow("sign-up", ip="192.0.2.7").retry_after

    clock.on(seconds=wait - 2)
    assert not limited.allow("sign-up", ip="192.0.2.7").allowed
    clock.on(seconds=2)
    assert limited.allow("sign-up", ip="192.0.2.7").allowed


def test_a_day_counts_for_an_address(throttle, clock):
    limited = throttle(per_address=1)
    assert limited.allow("sign-up", address="ari@example.org").allowed

    clock.on(hours=23)
    assert not limited.allow("sign-up", address="ari@example.org").allowed
    clock.on(hours=25)
    assert limited.allow("sign-up", address="ari@example.org").allowed


def test_what_is_refused_aloud_counts_for_nobody(throttle):
    limited = throttle(per_ip=1, overall=2, per_address=2)
    limits_of(limited, 9, ip="192.0.2.7", address="ari@example.org")

    assert limited.allow("sign-up", ip="192.0.2.8", address="ari@example.org").allowed


def test_what_is_refused_in_silence_counts_for_who_asks(throttle):
    limited = throttle(per_ip=3, per_address=1)

    known = limits_of(limited, 4, ip="192.0.2.7", address="ari@example.org")

    # From when the IP address is full nobody can tell whether the mail address was.
    assert known == [Limit.NONE, Limit.ADDRESS, Limit.ADDRESS, Limit.IP]


def test_no_address_is_written_down_and_everything_goes_by_itself(throttle, broker):
    limited = throttle(per_ip=9, per_network=9, per_address=9, per_domain=9, overall=9)
    limits_of(limited, 2, ip="192.0.2.7", address="ari@example.org")

    with Redis.from_url(broker) as redis:
        keys = redis.keys("*")
        written = b" ".join([*keys, *(value for key in keys for pair in redis.hgetall(key).items() for value in pair)])
        lives = [redis.ttl(key) for key in keys]

    assert len(keys) == 5
    assert b"ari" not in written
    assert b"example" not in written
    assert b"192.0.2" not in written
    assert all(0 < life <= 2 * 86400 for life in lives)


def test_a_flood_that_is_refused_leaves_nothing_behind(throttle, broker):
    limited = throttle(per_ip=1, per_network=1)
    for number in range(200):
        limited.allow("sign-up", ip=f"192.0.2.{number}", address=f"reader{number}@example.org")

    with Redis.from_url(broker) as redis:
        assert redis.dbsize() == 2


def test_a_clock_that_goes_back_opens_nothing(throttle, clock):
    limited = throttle(per_ip=1)
    limits_of(limited, 1, ip="192.0.2.7")

    clock.on(hours=-3)
    assert not limited.allow("sign-up", ip="192.0.2.7").allowed


def test_without_redis_nothing_is_allowed(throttle, valkey_url):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nobody = f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
    with capture_logs() as logs:
        found = throttle(nobody, per_ip=9).allow("sign-up", ip="192.0.2.7", address="ari@example.org")

    assert (found.allowed, found.limit, found.is_silent, found.retry_after > 0) == (False, Limit.UNREACHABLE, False, True)
    assert "ari@" not in str(logs)


def test_without_a_broker_in_the_settings_nothing_is_allowed(clock):
    def unset():
        raise SettingsError("No broker is set.")

    with closing(Throttle(unset, Limits(per_ip=9), SECRET, clock)) as closed:
        assert closed.allow("sign-up", ip="192.0.2.7").limit is Limit.UNREACHABLE


def test_a_redis_that_keeps_silent_holds_up_one_request_not_all(throttle):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        limited = throttle(f"redis://127.0.0.1:{listener.getsockname()[1]}/0", per_ip=9)
        started = time.monotonic()
        found = limits_of(limited, 50, ip="192.0.2.7")
        took = time.monotonic() - started

    assert set(found) == {Limit.UNREACHABLE}
    assert took < 3


def test_a_redis_that_was_emptied_or_restarted_is_used_again(throttle, broker):
    limited = throttle(per_ip=1)
    limits_of(limited, 1, ip="192.0.2.7")
    with Redis.from_url(broker) as redis:
        redis.script_flush()
        redis.flushdb()
        redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    assert limited.allow("sign-up", ip="192.0.2.7").allowed
