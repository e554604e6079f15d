import os
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from datetime import date, timedelta

import pytest
from factories import NOW
from redis import Redis
from worker_parts import broker

from newsletter.embedded.valkey import start_valkey
from newsletter.limits import REST, SHARE_ALONE, Allowance, Grant, Limits, RelayLimits, WarmUp

__all__ = ["broker"]
RELAY = "mail.example.net:587"


@pytest.fixture
def limits(broker):
    """Return `limits(**of_the_relay)`, as another process would open them."""
    opened = []

    def open_them(url=broker, **given):
        opened.append(Limits(lambda: url, {RELAY: RelayLimits(**given)}))
        return opened[-1]

    yield open_them
    for each in opened:
        each.close()


def ask(limits, wanted, *, most=1000, in_hand=None, holder="one", now=NOW):
    """Ask for messages and return what is granted by domain."""
    return limits.grant(RELAY, wanted, most=most, in_hand=in_hand or {}, holder=holder, now=now)


def nowhere():
    """Fail whoever asks for Redis."""
    raise AssertionError("nothing is limited")


def test_where_nothing_is_limited_redis_is_never_asked():
    limits = Limits(nowhere, {RELAY: RelayLimits()})

    assert not limits.counts(RELAY)
    assert not limits.counts("another:25")
    assert ask(limits, {REST: 5}) == Grant({REST: 5})
    assert limits.lease_connections(RELAY, 8, holder="one") == 8
    limits.give_back(RELAY, {REST: 5}, now=NOW)
    limits.release(RELAY, holder="one")


def test_a_rate_holds_over_all_who_ask(limits):
    several = [limits(whole=Allowance(rate=40)) for _ in range(3)]
    started = time.monotonic()
    granted = 0
    for number in range(60):
        granted += ask(several[number % 3], {REST: 50}).counts[REST]
        time.sleep(0.005)
    most = 40 + 40 * (time.monotonic() - started)

    assert 40 <= granted <= most + 1


def test_a_rate_below_one_a_second_lets_one_begin_first(limits):
    given = limits(whole=Allowance(rate=0.01))

    assert [ask(given, {REST: 5}) for _ in range(2)] == [Grant({REST: 1}, used_up=True), Grant({REST: 0}, used_up=True)]


def test_a_domains_rate_is_its_own(limits):
    given = limits(domains={"example.org": Allowance(rate=0.01)})

    assert ask(given, {"example.org": 5, REST: 5}).counts == {"example.org": 1, REST: 5}
    second = ask(given, {"example.org": 5, REST: 5})
    assert (second.counts, second.used_up) == ({"example.org": 0, REST: 5}, False)
    assert (given.own(RELAY, "example.org"), given.own(RELAY, "example.com")) == ("example.org", REST)
    assert (given.rate(RELAY, "example.org"), given.rate(RELAY, "example.com")) == (0.01, 0)


def test_what_all_may_have_together_goes_to_the_first(limits):
    given = limits(daily_quota=100, domains={"example.org": Allowance(rate=10)})

    assert ask(given, {"example.org": 6, REST: 9}, most=10).counts == {"example.org": 6, REST: 4}


def test_a_days_quota_is_used_up_and_there_is_a_new_one_after_midnight_utc(limits):
    given, late = limits(daily_quota=10), NOW.replace(hour=23, minute=59)

    assert ask(given, {REST: 7}, now=late) == Grant({REST: 7})
    assert ask(given, {REST: 7}, now=late) == Grant({REST: 3}, used_up=True)
    assert ask(given, {REST: 7}, now=late) == Grant({REST: 0}, used_up=True, spent=True)
    assert ask(given, {REST: 7}, now=late + timedelta(minutes=1)) == Grant({REST: 7})


def test_what_was_not_begun_may_be_granted_again(limits):
    given = limits(whole=Allowance(rate=0.01), daily_quota=1, domains={"example.org": Allowance(rate=0.01)})
    assert ask(given, {"example.org": 1}).counts == {"example.org": 1}
    assert ask(given, {"example.org": 1}).spent

    given.give_back(RELAY, {"example.org": 1}, now=NOW)

    assert ask(given, {"example.org": 1}).counts == {"example.org": 1}


def test_giving_back_makes_no_more_than_there_was(limits):
    given = limits(whole=Allowance(rate=2), daily_quota=3)
    given.give_back(RELAY, {REST: 50}, now=NOW)

    assert ask(given, {REST: 50}).counts == {REST: 2}


def test_a_new_sender_warms_up_day_by_day():
    ramp = WarmUp(date(2024, 3, 15), first=50, factor=2, days=4)

    quotas = [ramp.quota(date(2024, 3, day)) for day in range(14, 21)]

    assert quotas == [50, 50, 100, 200, 400, None, None]


def test_the_smaller_of_quota_and_ramp_holds(limits):
    given = limits(daily_quota=70, warm_up=WarmUp(NOW.date()))

    granted = [ask(given, {REST: 100}, now=NOW + timedelta(days=days)).counts[REST] for days in range(3)]

    assert granted == [50, 70, 70]


def test_connections_are_leased_first_come_first_served(limits):
    one, two = limits(whole=Allowance(connections=10)), limits(whole=Allowance(connections=10))

    assert one.lease_connections(RELAY, 8, holder="one") == 8
    assert two.lease_connections(RELAY, 8, holder="two") == 2
    assert one.lease_connections(RELAY, 8, holder="one") == 8  # renewed
    one.release(RELAY, holder="one")
    assert two.lease_connections(RELAY, 8, holder="two") == 8


def test_a_lease_that_nobody_renews_runs_out(limits, broker):
    given = limits(whole=Allowance(connections=8))
    given.lease_connections(RELAY, 8, holder="dead")
    with Redis.from_url(broker, decode_responses=True) as redis:
        (key,) = redis.keys("newsletter:limits:*connections")
        assert 0 < redis.ttl(key) <= 180
        redis.hset(key, "dead", f"8 {time.time() - 1}")

    assert given.lease_connections(RELAY, 8, holder="one") == 8


def test_so_many_at_once_go_to_a_domain_over_all_workers(limits):
    domains = {"example.org": Allowance(connections=3)}
    one, two = limits(domains=domains), limits(domains=domains)

    assert ask(one, {"example.org": 2}).counts == {"example.org": 2}
    assert ask(two, {"example.org": 2}, holder="two").counts == {"example.org": 1}
    assert ask(one, {"example.org": 2}, in_hand={"example.org": 2}).counts == {"example.org": 0}
    assert ask(one, {"example.org": 2}, in_hand={"example.org": 1}).counts == {"example.org": 1}
    two.release(RELAY, holder="two")
    assert ask(one, {"example.org": 2}, in_hand={"example.org": 2}).counts == {"example.org": 1}


def test_without_redis_a_process_keeps_to_a_share(limits):
    given = limits("redis://127.0.0.1:1/0", daily_quota=100, whole=Allowance(connections=30))
    started = time.monotonic()

    granted = [ask(given, {REST: 7}).counts[REST] for _ in range(5)]

    assert granted == [7, 3, 0, 0, 0]
    assert given.lease_connections(RELAY, 8, holder="one") == 30 * SHARE_ALONE
    given.give_back(RELAY, {REST: 1}, now=NOW)
    given.release(RELAY, holder="one")
    assert time.monotonic() - started < 3  # it is not asked again each time


def test_without_redis_rates_are_kept_to_a_share_too(limits):
    given = limits(
        "redis://127.0.0.1:1/0", whole=Allowance(rate=100), domains={"example.org": Allowance(rate=50, connections=20)}
    )
    started, granted = time.monotonic(), Counter()
    while time.monotonic() - started < 0.4:
        granted.update(ask(given, {"example.org": 5, REST: 5}).counts)
        time.sleep(0.01)
    passed = time.monotonic() - started

    assert granted["example.org"] <= passed * 50 * SHARE_ALONE + 1
    assert 1 <= granted.total() <= passed * 100 * SHARE_ALONE + 1


def test_what_was_sent_alone_is_told_when_redis_is_back(limits, broker, monkeypatch):
    given = limits(daily_quota=100)
    ask(given, {REST: 10})
    monkeypatch.setattr(given, "_ask_at", time.monotonic() + 60)
    assert ask(given, {REST: 50}).counts == {REST: 9}  # a tenth of the 90 that were left
    monkeypatch.setattr(given, "_ask_at", 0.0)

    assert ask(given, {REST: 100}).counts == {REST: 81}


ASKER = """
import sys, time
from datetime import UTC, datetime
from newsletter.limits import REST, Allowance, Limits, RelayLimits

url, relay, holder = sys.argv[1:]
limits = Limits(lambda: url, {relay: RelayLimits(Allowance(rate=100), daily_quota=150)})
sys.stdin.read(1)
until = time.time() + 1.5
while time.time() < until:
    now = datetime.now(UTC)
    given = limits.grant(relay, {REST: 20}, most=20, in_hand={}, holder=holder, now=now).counts[REST]
    for _ in range(given):
        print(now.timestamp())
    time.sleep(0.002)
"""


def test_limits_hold_across_processes(broker):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", ASKER, broker, RELAY]
    several = [
        subprocess.Popen([*command, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True)
        for number in range(2)
    ]
    for process in several:
        process.stdin.write("\n")
        process.stdin.flush()
    times = sorted(float(line) for process in several for line in process.communicate(timeout=60)[0].split())

    assert len(times) == 150  # what the day has, and within any half second no more than the rate and its first burst
    assert max(sum(1 for at in times if start <= at < start + 0.5) for start in times) <= 100 + 100 * 0.5 + 20


def test_limits_survive_a_restart_of_everything(limits, tmp_path):
    given = {"whole": Allowance(rate=0.001), "daily_quota": 5}
    first = start_valkey(tmp_path)
    assert ask(limits(first.url, **given), {REST: 3}).counts == {REST: 1}
    first.stop()

    second = start_valkey(tmp_path)
    try:
        again = ask(limits(second.url, **given), {REST: 3})
        with closing(Redis.from_url(second.url)) as redis:
            used = redis.get(f"newsletter:limits:{RELAY}:day:{NOW.date()}")
    finally:
        second.stop()

    assert again == Grant({REST: 0}, used_up=True)
    assert used == b"1"
