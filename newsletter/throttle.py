"""How often things may be asked for that anybody can ask for: what signing up, a link by mail and mail to us go through.

Counted in Redis (or Valkey) for all processes together, by a sliding window for each IP address, its network, the address
asked for, its domain, and all together. No address is written there: a keyed hash stands for it, and goes when its window
has passed. Where Redis does not answer nothing is allowed: the form must not become a weapon because a server is down.
Leaving and confirming never ask here.

Too many from an IP address, a network or all together may be said aloud. Too many for an address or its domain may not: the
answer would tell that somebody asked for it before. `Decision.is_silent` tells them apart.
"""

import hmac
import ipaddress
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog

from newsletter.errors import SettingsError

if TYPE_CHECKING:  # imported where it is connected to
    from redis import Redis

log = structlog.get_logger()
HOUR, DAY = 3600, 86400  # seconds
PATIENCE = 0.5  # seconds to wait for Redis
ASK_AGAIN = 2.0  # seconds until a Redis that did not answer is asked again: requests must not queue up behind it
RETRY_UNREACHABLE = 120  # seconds that somebody is asked to wait while it does not answer
_KEYS = "newsletter:throttle"


class Limit(StrEnum):
    """Which limit keeps something from being done."""

    NONE = ""
    IP = "ip"
    NETWORK = "network"
    OVERALL = "overall"
    ADDRESS = "address"
    DOMAIN = "domain"
    UNREACHABLE = "unreachable"  # Redis gives no answer


_SILENT = frozenset({Limit.ADDRESS, Limit.DOMAIN})


@dataclass(frozen=True)
class Limits:
    """How many requests of a kind are allowed; 0: as many as come."""

    per_ip: int = 0  # an hour
    per_network: int = 0  # an hour, of an IPv4 /24 or an IPv6 /64
    per_address: int = 0  # a day
    per_domain: int = 0  # an hour
    overall: int = 0  # an hour

    def of(self, limit: Limit) -> tuple[int, int]:
        """Return how many are allowed in how many seconds."""
        number = {
            Limit.IP: self.per_ip,
            Limit.NETWORK: self.per_network,
            Limit.OVERALL: self.overall,
            Limit.ADDRESS: self.per_address,
            Limit.DOMAIN: self.per_domain,
        }[limit]
        return number, DAY if limit is Limit.ADDRESS else HOUR


class Decision(NamedTuple):
    """Whether a request may be followed; if not, in how many seconds another may be, and what it was too much for."""

    allowed: bool
    retry_after: int = 0
    limit: Limit = Limit.NONE

    @property
    def is_silent(self) -> bool:
        """Whether it must look to whoever asked as if all had been done."""
        return self.limit in _SILENT


ALLOWED = Decision(allowed=True)

# KEYS: a window each. ARGV: the time, how many of the windows are open ones; most and seconds of each. Answers the number of
# the first window that is full, 0 for none, and the seconds until it takes one more. An open one that is full counts
# nothing; a silent one that is full lets the open ones count, or from how soon they are full one could tell.
_ALLOW = """
local now, open = tonumber(ARGV[1]), tonumber(ARGV[2])
local kept, full, wait = {}, 0, 0
for i = 1, #KEYS do
  local most, seconds = tonumber(ARGV[2 * i + 1]), tonumber(ARGV[2 * i + 2])
  local found = redis.call('HMGET', KEYS[i], 'slot', 'count', 'before')
  local slot, count, before = math.floor(now / seconds), 0, 0
  local last = tonumber(found[1] or '-2')
  if last >= slot then slot, count, before = last, tonumber(found[2]), tonumber(found[3])
  elseif last == slot - 1 then before = tonumber(found[2]) end
  local past = math.max(0, now / seconds - slot)
  kept[i] = {slot, count, before, seconds}
  if before * (1 - past) + count + 1 > most and full == 0 then
    full = i
    if count + 1 > most then wait = seconds * (1 - past + 1 - (most - 1) / count)
    else wait = seconds * (1 - (most - 1 - count) / before - past) end
  end
end
if full > 0 and full <= open then return {full, math.ceil(wait)} end
for i = 1, full > 0 and open or #KEYS do
  local slot, count, before, seconds = unpack(kept[i])
  redis.call('HSET', KEYS[i], 'slot', slot, 'count', count + 1, 'before', before)
  redis.call('EXPIRE', KEYS[i], 2 * seconds)
end
return {full, math.ceil(wait)}
"""


class Throttle:
    """Counts requests; one a process, for any number of threads. Where nothing is limited Redis is never asked."""

    def __init__(self, url: Callable[[], str], limits: Limits, secret: bytes, clock: Callable[[], datetime]) -> None:
        """Take where Redis is, the limits, what the hashes are keyed with, and the clock; opens no connection yet."""
        self._url = url
        self._limits = limits
        self._key = hmac.new(secret, b"newsletter:throttle", sha256).digest()
        self._clock = clock
        self._script: Any = None
        self._redis: Redis | None = None
        self._ask_at = 0.0  # monotonic

    def allow(self, kind: str, *, ip: str = "", address: str = "") -> Decision:
        """Count a request of a kind, as "sign-up", and say whether to follow it; each kind is counted by itself.

        `ip` and `address` (in the form that is the same for all its spellings) are left out where there is none.
        """
        return self._allow(kind, [*_open_subjects(ip), *_silent_subjects(address)])

    def allow_address(self, kind: str, address: str) -> Decision:
        """Count for its address alone a request that was allowed without one: what leads to no mail uses up nobody's share."""
        return self._allow(kind, _silent_subjects(address))

    def _allow(self, kind: str, subjects: Sequence[tuple[Limit, str]]) -> Decision:
        windows = [(limit, subject) for limit, subject in subjects if self._limits.of(limit)[0]]
        if not windows:
            return ALLOWED
        keys = [f"{_KEYS}:{kind}:{limit.value}:{self._hashed(limit, subject)}" for limit, subject in windows]
        sizes = [value for limit, _ in windows for value in self._limits.of(limit)]
        is_open = sum(limit not in _SILENT for limit, _ in windows)
        answer = self._ask(keys, [f"{self._clock().timestamp():.3f}", is_open, *sizes])
        if answer is None:
            return Decision(allowed=False, retry_after=RETRY_UNREACHABLE, limit=Limit.UNREACHABLE)
        full, wait = answer
        if not full:
            return ALLOWED
        refused = Decision(allowed=False, retry_after=max(1, int(wait)), limit=windows[full - 1][0])
        log.info("throttled", kind=kind, limit=refused.limit.value)
        return refused

    def _hashed(self, limit: Limit, subject: str) -> str:
        return hmac.new(self._key, f"{limit.value}:{subject}".encode(), sha256).hexdigest()[:24]

    def _ask(self, keys: list[str], arguments: list[Any]) -> tuple[int, int] | None:
        """Return what the script answers, None where Redis gives no answer."""
        from redis import RedisError  # noqa: PLC0415 -- where nothing is limited nobody needs it

        if time.monotonic() < self._ask_at:
            return None
        try:
            full, wait = self._allowing()(keys=keys, args=arguments)
        except (RedisError, OSError, SettingsError) as error:
            self._ask_at = time.monotonic() + ASK_AGAIN
            log.warning("throttle_closed", error=type(error).__name__)
            return None
        return int(full), int(wait)

    def _allowing(self) -> Any:  # noqa: ANN401 -- redis types it loosely
        from redis import Redis  # noqa: PLC0415 -- as above
        from redis.backoff import NoBackoff  # noqa: PLC0415
        from redis.retry import Retry  # noqa: PLC0415

        if self._script is None:
            patience = {"socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE}
            # Tried once more, without a wait: a connection that is kept may have been closed by a restart.
            self._redis = Redis.from_url(self._url(), **patience, retry=Retry(NoBackoff(), 1))
            self._script = self._redis.register_script(_ALLOW)
        return self._script

    def close(self) -> None:
        """Close the connections to Redis."""
        if self._redis is not None:
            self._redis.close()
        self._redis = self._script = None


def _open_subjects(ip: str) -> list[tuple[Limit, str]]:
    """Return what a request is counted by whose limits may be told; who has no IP address is counted with all alone."""
    network = network_of(ip)
    return [*([(Limit.IP, ip), (Limit.NETWORK, network)] if network else []), (Limit.OVERALL, "")]


def _silent_subjects(address: str) -> list[tuple[Limit, str]]:
    return [(Limit.ADDRESS, address), (Limit.DOMAIN, address.rpartition("@")[2])] if address else []


def network_of(ip: str) -> str:
    """Return the network that one person may have all of: an IPv4 /24 or an IPv6 /64; "" for what is no address."""
    try:
        given = ipaddress.ip_address(ip.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(given, ipaddress.IPv6Address):
        given = given.ipv4_mapped or given
    return str(ipaddress.ip_network(f"{given}/{24 if given.version == 4 else 64}", strict=False))  # noqa: PLR2004 -- IPv4


def _nowhere() -> str:
    raise AssertionError("where nothing is limited Redis is never asked")


def _no_clock() -> datetime:
    raise AssertionError("where nothing is limited nobody looks at the clock")


UNTHROTTLED = Throttle(_nowhere, Limits(), b"", _no_clock)
