"""How much may be begun now over all workers: the rates, connections and day's quota of a relay and of recipients' domains.

What counts for all of them is kept in Redis (or Valkey) and goes by its clock, for workers' clocks differ; days are UTC's.
Where nothing is limited it is never asked. While it does not answer, each process keeps to a small share of every limit,
and tells it afterwards what it has sent.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog

if TYPE_CHECKING:  # imported where it is connected to: where nothing is limited nobody needs it
    from redis import Redis

log = structlog.get_logger()
SHARE_ALONE = 0.1  # of every limit that a process keeps to while Redis does not answer
ASK_AGAIN = 5.0  # seconds until a Redis that did not answer is asked again
PATIENCE = 0.5  # seconds to wait for it
LEASE = 120  # seconds that what a process holds counts without its renewing it
WARM_DAYS = 100  # of warming up at most: any ramp is steep by then
REST = "*"  # all domains without limits of their own
_KEYS = "newsletter:limits:"


@dataclass(frozen=True)
class Allowance:
    """Messages a second and connections at once; 0: as many as there are."""

    rate: float = 0
    connections: int = 0


NO_LIMIT = Allowance()


@dataclass(frozen=True)
class WarmUp:
    """What a sender nobody knows yet may send a day: `first`, then `factor` times as much each day, for `days` days."""

    start: date
    first: int = 50
    factor: float = 2.0
    days: int = 30

    def quota(self, day: date) -> int | None:
        """Return how much may be sent on a day, None if it is over."""
        past = (day - self.start).days
        return None if past >= min(self.days, WARM_DAYS) else int(self.first * self.factor ** max(past, 0))


@dataclass(frozen=True)
class RelayLimits:
    """What a relay takes, and what may go over it to single domains (lower case)."""

    whole: Allowance = NO_LIMIT
    daily_quota: int = 0  # messages; 0: as many as there are
    warm_up: WarmUp | None = None
    domains: Mapping[str, Allowance] = field(default_factory=dict)

    def quota(self, day: date) -> int | None:
        """Return how many messages a day may have, None where nobody counts them."""
        quotas = [self.daily_quota or None, self.warm_up.quota(day) if self.warm_up else None]
        return min((quota for quota in quotas if quota is not None), default=None)

    @property
    def counts(self) -> bool:
        """Whether there is anything to ask before a message begins."""
        return bool(self.whole.rate or self.daily_quota or self.warm_up or self.domains)


UNLIMITED = RelayLimits()


class Grant(NamedTuple):
    """How many messages may begin, by domain (`REST` for those without limits of their own)."""

    counts: Mapping[str, int]
    used_up: bool = False  # the relay's own limits let no more begin now
    spent: bool = False  # nor today: its quota is used up


_COMMON = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local function tokens(key, rate)
  local kept = redis.call('HMGET', key, 'tokens', 'at')
  local burst = math.max(1, rate)
  if not kept[1] then return burst end
  return math.min(burst, tonumber(kept[1]) + math.max(0, now - tonumber(kept[2])) * rate)
end
local function keep(key, rate, left)
  redis.call('HSET', key, 'tokens', string.format('%.6f', left), 'at', string.format('%.6f', now))
  redis.call('EXPIRE', key, math.ceil(math.max(1, rate) / rate) + 60)
end
local function of_others(key, holder)
  local sum, all = 0, redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    local count, till = string.match(all[i + 1], '(%d+) (%S+)')
    if tonumber(till) < now then redis.call('HDEL', key, all[i])
    elseif all[i] ~= holder then sum = sum + tonumber(count) end
  end
  return sum
end
local function hold(key, holder, count, lease)
  if count > 0 then redis.call('HSET', key, holder, count .. ' ' .. string.format('%.3f', now + lease))
  else redis.call('HDEL', key, holder) end
  redis.call('EXPIRE', key, lease + 60)
end
"""
# KEYS: relay's bucket, day; bucket and holders of each domain. ARGV: most, rate, quota (-1: none), not told yet, holder,
# lease; wanted, rate, connections and in hand of each domain.
_GRANT = (
    _COMMON
    + """
local room, rate, quota = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local given, short, spent, left = {}, 0, 0, -1
local bucket = rate > 0 and tokens(KEYS[1], rate) or math.huge
if math.floor(bucket) < room then room = math.floor(bucket); short = 1 end
if quota >= 0 then
  local used = redis.call('INCRBY', KEYS[2], ARGV[4])
  left = math.max(0, quota - used)
  if left == 0 then spent = 1 end
  if left < room then room = left; short = 1 end
end
local total = 0
for i = 1, (#KEYS - 2) / 2 do
  local at = 6 + (i - 1) * 4
  local want, most = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local connections, in_hand = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  local own, holders = KEYS[2 * i + 1], KEYS[2 * i + 2]
  local give, kept = math.min(want, room), nil
  if most > 0 then
    kept = tokens(own, most)
    give = math.min(give, math.floor(kept))
  end
  if connections > 0 then
    give = math.max(0, math.min(give, connections - of_others(holders, ARGV[5]) - in_hand))
    hold(holders, ARGV[5], in_hand + give, tonumber(ARGV[6]))
  end
  if kept then keep(own, most, kept - give) end
  given[i], room, total = give, room - give, total + give
end
if rate > 0 then keep(KEYS[1], rate, bucket - total) end
if quota >= 0 then
  redis.call('INCRBY', KEYS[2], total)
  redis.call('EXPIRE', KEYS[2], 259200)
  left = left - total
end
return {short == 1 and room == 0 and 1 or 0, spent, left, unpack(given)}
"""
)
# KEYS: relay's bucket, day; bucket of each domain. ARGV: rate, counted (1 or 0); unused and rate of each domain.
_GIVE_BACK = (
    _COMMON
    + """
local total = 0
for i = 3, #KEYS do
  local unused, rate = tonumber(ARGV[2 * i - 3]), tonumber(ARGV[2 * i - 2])
  if rate > 0 then keep(KEYS[i], rate, math.min(math.max(1, rate), tokens(KEYS[i], rate) + unused)) end
  total = total + unused
end
local rate = tonumber(ARGV[1])
if rate > 0 then keep(KEYS[1], rate, math.min(math.max(1, rate), tokens(KEYS[1], rate) + total)) end
if ARGV[2] == '1' then
  local used = tonumber(redis.call('GET', KEYS[2]) or '0')
  redis.call('SET', KEYS[2], math.max(0, used - total), 'KEEPTTL')
end
return total
"""
)
# KEYS: holders. ARGV: wanted, limit, holder, lease.
_CONNECTIONS = (
    _COMMON
    + """
local given = math.max(0, math.min(tonumber(ARGV[1]), tonumber(ARGV[2]) - of_others(KEYS[1], ARGV[3])))
hold(KEYS[1], ARGV[3], given, tonumber(ARGV[4]))
return given
"""
)


@dataclass
class _Alone:
    """What a process grants itself at a relay while Redis does not answer."""

    tokens: dict[str, float] = field(default_factory=dict)
    at: dict[str, float] = field(default_factory=dict)  # monotonic
    connections: int | None = None  # as last leased
    left: dict[date, int] = field(default_factory=dict)  # of the day's quota when Redis was last heard
    untold: dict[date, int] = field(default_factory=dict)  # granted since

    def take(self, key: str, rate: float, wanted: int) -> int:
        """Take up to so many tokens from a bucket of a share of the rate."""
        now, share = time.monotonic(), rate * SHARE_ALONE
        kept = min(max(1.0, share), self.tokens.get(key, 0.0) + (now - self.at.get(key, now)) * share)
        given = min(wanted, int(kept))
        self.tokens[key], self.at[key] = kept - given, now
        return given


class Limits:
    """The limits of each relay, by its name; one a process, its calls made by one thread at a time."""

    def __init__(self, url: Callable[[], str], relays: Mapping[str, RelayLimits]) -> None:
        self._url = url
        self._relays = relays
        self._redis: Redis | None = None
        self._scripts: dict[str, Any] = {}
        self._ask_at = 0.0  # monotonic
        self._alone = {relay: _Alone() for relay in relays}

    def counts(self, relay: str) -> bool:
        """Return whether messages over a relay want a grant."""
        return self._relays.get(relay, UNLIMITED).counts

    def own(self, relay: str, domain: str) -> str:
        """Return what a domain is counted as at a relay: itself, or `REST`."""
        return domain if domain in self._relays.get(relay, UNLIMITED).domains else REST

    def rate(self, relay: str, domain: str) -> float:
        """Return the messages a second that may go to a domain over a relay, 0 for no limit of its own."""
        return self._relays.get(relay, UNLIMITED).domains.get(domain, NO_LIMIT).rate

    def grant(  # noqa: PLR0913 -- who wants how much of what
        self,
        relay: str,
        wanted: Mapping[str, int],
        *,
        most: int,
        in_hand: Mapping[str, int],
        holder: str,
        now: datetime,
    ) -> Grant:
        """Return how many messages may begin now, up to `most`, by domain or `REST`; first come, first served.

        `in_hand` is what the holder, this worker, has begun or is about to, by domain.
        """
        limits, day = self._relays.get(relay, UNLIMITED), now.date()
        if not limits.counts:
            return Grant(wanted)
        quota, alone = limits.quota(day), self._alone[relay]
        untold = alone.untold.get(day, 0) if quota is not None else 0
        keys, arguments = [_key(relay, "bucket"), _key(relay, "day", str(day))], []
        for domain, number in wanted.items():
            allowance = limits.domains.get(domain, NO_LIMIT)
            keys += [_key(relay, "bucket", domain), _key(relay, "hold", domain)]
            arguments += [number, allowance.rate, allowance.connections, in_hand.get(domain, 0)]
        answer = self._run(
            _GRANT, keys, [most, limits.whole.rate, -1 if quota is None else quota, untold, holder, LEASE, *arguments]
        )
        if answer is None:
            return _granted_alone(alone, limits, wanted, most=most, in_hand=in_hand, day=day)
        used_up, spent, left, *given = answer
        alone.left, alone.untold = {day: left}, {}
        return Grant(dict(zip(wanted, given, strict=True)), bool(used_up), bool(spent))

    def give_back(self, relay: str, unused: Mapping[str, int], *, now: datetime) -> None:
        """Return what was granted and never begun; lost where Redis does not answer, and so nothing is sent too often."""
        limits, day = self._relays.get(relay, UNLIMITED), now.date()
        if not limits.counts or not unused:
            return
        keys = [_key(relay, "bucket"), _key(relay, "day", str(day)), *(_key(relay, "bucket", domain) for domain in unused)]
        rates = [(number, limits.domains.get(domain, NO_LIMIT).rate) for domain, number in unused.items()]
        counted = int(limits.quota(day) is not None)
        self._run(_GIVE_BACK, keys, [limits.whole.rate, counted, *(value for pair in rates for value in pair)])

    def lease_connections(self, relay: str, wanted: int, *, holder: str) -> int:
        """Return how many connections a worker may have open for the next two minutes; call it again to renew."""
        limit = self._relays.get(relay, UNLIMITED).whole.connections
        if not limit:
            return wanted
        alone, given = self._alone[relay], self._run(_CONNECTIONS, [_key(relay, "connections")], [wanted, limit, holder, LEASE])
        if given is not None:
            alone.connections = given
            return int(given)
        return min(wanted, alone.connections if alone.connections is not None else max(1, int(limit * SHARE_ALONE)))

    def release(self, relay: str, *, holder: str) -> None:
        """Give up all that a worker holds at a relay; what cannot be told expires."""
        limits = self._relays.get(relay, UNLIMITED)
        if limits.whole.connections:
            self._run(_CONNECTIONS, [_key(relay, "connections")], [0, limits.whole.connections, holder, LEASE])
            self._alone[relay].connections = None
        for domain, allowance in limits.domains.items():
            if allowance.connections:
                self._run(_CONNECTIONS, [_key(relay, "hold", domain)], [0, allowance.connections, holder, LEASE])

    def _run(self, script: str, keys: list[str], arguments: list[Any]) -> Any:  # noqa: ANN401 -- as the script answers
        """Return a script's answer, None where Redis gives none."""
        from redis import RedisError  # noqa: PLC0415 -- where nothing is limited nobody needs it

        if time.monotonic() < self._ask_at:
            return None
        try:
            return self._script(script)(keys=keys, args=arguments)
        except (RedisError, OSError) as error:
            self._ask_at = time.monotonic() + ASK_AGAIN
            log.warning("limits_alone", error=type(error).__name__, share=SHARE_ALONE)
            return None

    def _script(self, source: str) -> Any:  # noqa: ANN401 -- redis types it loosely
        from redis import Redis  # noqa: PLC0415
        from redis.backoff import NoBackoff  # noqa: PLC0415
        from redis.retry import Retry  # noqa: PLC0415

        if self._redis is None:
            patience = {"socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE}
            self._redis = Redis.from_url(self._url(), **patience, retry=Retry(NoBackoff(), 0), health_check_interval=30)
        if source not in self._scripts:
            self._scripts[source] = self._redis.register_script(source)
        return self._scripts[source]

    def close(self) -> None:
        """Close the connection to Redis."""
        if self._redis is not None:
            self._redis.close()
        self._redis, self._scripts = None, {}


def _nowhere() -> str:
    raise AssertionError("where nothing is limited Redis is never asked")


NO_LIMITS = Limits(_nowhere, {})


def _key(*parts: str) -> str:
    return _KEYS + ":".join(parts)


def _granted_alone(  # noqa: PLR0913 -- as `Limits.grant`
    alone: _Alone, limits: RelayLimits, wanted: Mapping[str, int], *, most: int, in_hand: Mapping[str, int], day: date
) -> Grant:
    """Grant a share of every limit."""
    room, quota = most, limits.quota(day)
    if quota is not None:
        room = min(room, int(alone.left.get(day, quota) * SHARE_ALONE) - alone.untold.get(day, 0))
    counts = {}
    for domain, number in wanted.items():
        allowance = limits.domains.get(domain, NO_LIMIT)
        given = max(0, min(number, room))
        if allowance.connections:
            given = max(0, min(given, max(1, int(allowance.connections * SHARE_ALONE)) - in_hand.get(domain, 0)))
        if allowance.rate and given:
            given = alone.take(domain, allowance.rate, given)
        if limits.whole.rate and given:
            given = alone.take("", limits.whole.rate, given)
        counts[domain] = given
        room -= given
    alone.untold[day] = alone.untold.get(day, 0) + sum(counts.values())
    return Grant(counts, used_up=room <= 0 or bool(limits.whole.rate))
