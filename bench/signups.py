"""Signing up: what one sign-up costs, and whether the pages stand while one machine sends 200 of them a second."""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from sqlalchemy import func, select

from bench.measure import Run, database_cpu, in_turns, median
from bench.results import Aim, Result
from newsletter import subscribers
from newsletter.embedded.valkey import free_port, start_valkey
from newsletter.models import Consent
from newsletter.subscribers import Policy, Request, parse_address
from newsletter.tokens import Keyring, Links
from newsletter.web import forms

if TYPE_CHECKING:
    from bench.cases import Floor
    from bench.places import Place

SECRET = "a-secret-of-the-benchmarks-of-no-use-elsewhere"  # noqa: S105 -- it guards nothing
FLOOD = 200  # sign-ups a second
FLOOD_SECONDS = 10
OTHERS = 10  # confirmations a second meanwhile, and as many departures
AT_ONCE = 48  # sign-ups on their way, where their cost is measured
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class Visits:
    """What visitors got: how often which status, and the seconds they waited."""

    statuses: Counter[int] = field(default_factory=Counter)
    waits: list[float] = field(default_factory=list)

    def slowest(self, share: float) -> float:
        """Return the milliseconds that this share of all waits stays under."""
        return sorted(self.waits)[min(len(self.waits) - 1, int(len(self.waits) * share))] * 1000


@dataclass(frozen=True)
class Web:
    """A process with the pages, and what it knows its links by."""

    pid: int
    port: int
    links: Links

    def cpu(self) -> float:
        """Return the seconds of CPU it took so far."""
        stat = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / _TICK

    def peak_mb(self) -> float:
        """Return the most memory it had."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024

    async def post(self, path: str, seen: Visits, **given: str) -> None:
        """Send a form and note what came of it."""
        body = urlencode(given).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
        started = time.perf_counter()
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(f"{head}Content-Type: application/x-www-form-urlencoded\r\n\r\n".encode() + body)
            status = int((await reader.readline()).split()[1])
            await reader.read()
            writer.close()
        except (OSError, IndexError):
            status = 0
        seen.statuses[status] += 1
        seen.waits.append(time.perf_counter() - started)

    async def sign_up(self, address: str, seen: Visits) -> None:
        """Send the form as somebody who looked at it for five seconds."""
        stamp = forms.stamp(self.links.keyring, datetime.now(UTC) - timedelta(seconds=5))
        await self.post("/subscribe", seen, newsletter="daily", email=address, stamp=stamp)


@contextmanager
def pages(place: "Place", folder: Path, **sign_up: str) -> Iterator[Web]:
    """Run the pages of an installation with a broker of its own; `sign_up` are settings of that part."""
    port, valkey = free_port(), start_valkey(folder / f"valkey-{free_port()}")
    base_url = f"http://127.0.0.1:{port}"
    own = {"BASE_URL": base_url, "SECRET_KEY": SECRET, "DATA_DIR": str(folder), "CONFIG": str(folder / "newsletter.toml")}
    own |= {f"SIGN_UP__{name.upper()}": value for name, value in sign_up.items()} | {"LOG_LEVEL": "WARNING"}
    (folder / "newsletter.toml").touch()
    environment = {**os.environ, **{f"NEWSLETTER_{name}": value for name, value in own.items()}}
    environment |= {"DATABASE_URL": place.url, "REDIS_URL": valkey.url}
    command = [sys.executable, "-m", "newsletter", "web", "--port", str(port)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        web = Web(process.pid, port, Links(base_url, Keyring([SECRET.encode()])))
        asyncio.run(_until_up(web))
        yield web
    finally:
        process.terminate()
        process.wait()
        valkey.stop()


async def _until_up(web: Web) -> None:
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        seen = Visits()
        await web.post("/healthz", seen)
        if 0 not in seen.statuses:
            await web.sign_up("first@example.org", seen)  # what is imported or opened at the first one is not counted
            return
        await asyncio.sleep(0.1)
    raise RuntimeError("the pages did not start")


def case(floor: "Floor", number: int) -> Result:
    """Sign up many, one by one and as a flood, while others confirm and leave."""
    with tempfile.TemporaryDirectory(dir=floor.folder) as folder, floor.postgres("signups", number) as place:
        turn = iter(range(100))
        ways = {
            "sign-ups": lambda: _many(place, Path(folder), number, f"{next(turn)}"),
            "flood": lambda: _flood(place, Path(folder), f"{next(turn)}"),
        }
        runs = in_turns(floor.rounds, floor.yardstick, ways)
    cost = median([run.per_message + run.database_cpu_s / run.messages for run in runs["sign-ups"]])
    flood = [run.details for run in runs["flood"]]
    aims = (
        Aim("CPU ms of a sign-up, pages and database", cost * 1000, 20),
        Aim("share of the flood that was answered", min(each["answered"] for each in flood), 1.0, most=False),
        Aim("mails that the flood came to", max(each["taken"] for each in flood), 60),
        Aim("ms of the 99th confirmation of 100 meanwhile", median([each["confirm_p99_ms"] for each in flood]), 500),
        Aim("ms of the 99th departure of 100 meanwhile", median([each["leave_p99_ms"] for each in flood]), 500),
        Aim("confirmations and departures that failed", sum(each["failed"] for each in flood), 0),
    )
    return Result("sign-up", runs, aims)


def _measured(place: "Place", web: Web, work: Callable[[], Awaitable[Visits]]) -> tuple[Run, Visits]:
    database, cpu, started = database_cpu(place.postgres_pid), web.cpu(), time.perf_counter()
    seen = asyncio.run(_awaited(work))
    wall = time.perf_counter() - started
    spent = database_cpu(place.postgres_pid) - database
    return Run(sum(seen.statuses.values()), wall, web.cpu() - cpu, web.peak_mb(), spent), seen


async def _awaited(work: Callable[[], Awaitable[Visits]]) -> Visits:
    return await work()


def _many(place: "Place", folder: Path, number: int, which: str) -> Run:
    """Sign up so many strangers where nothing is limited."""
    limits = dict.fromkeys(("per_ip", "per_network", "per_domain", "overall"), "0")
    with pages(place, folder, check_domain="false", **limits) as web:

        async def work() -> Visits:
            seen, places = Visits(), asyncio.Semaphore(AT_ONCE)

            async def one(each: int) -> None:
                async with places:
                    await web.sign_up(f"stranger{each}-{which}@inbox{each % 97}.example.net", seen)

            await asyncio.gather(*(one(each) for each in range(number)))
            return seen

        run, seen = _measured(place, web, work)
    if seen.statuses != {303: number}:
        raise RuntimeError(f"{number} sign-ups came to {seen.statuses}")
    run.details.update(median_ms=statistics.median(seen.waits) * 1000)
    return run


def _flood(place: "Place", folder: Path, which: str) -> Run:
    """Sign up 200 a second from one address, under the limits that an installation has."""
    others = OTHERS * FLOOD_SECONDS
    with pages(place, folder, check_domain="false") as web:
        confirm_paths = _confirm_paths(place, web.links, others, which)
        leave_paths = [urlsplit(web.links.unsubscribe(each + 1)).path for each in range(others)]
        confirmed, left = Visits(), Visits()

        async def work() -> Visits:
            seen = Visits()
            addresses = (f"victim{each}-{which}@inbox{each % 97}.example.net" for each in range(FLOOD * FLOOD_SECONDS))
            await asyncio.gather(
                _each(FLOOD, [partial(web.sign_up, address, seen) for address in addresses]),
                _each(OTHERS, [partial(web.post, path, confirmed) for path in confirm_paths]),
                _each(OTHERS, [partial(web.post, path, left, **{"List-Unsubscribe": "One-Click"}) for path in leave_paths]),
            )
            return seen

        run, seen = _measured(place, web, work)
    run.details.update(
        statuses={str(status): count for status, count in sorted(seen.statuses.items())},
        answered=(seen.statuses[303] + seen.statuses[429]) / run.messages,
        taken=seen.statuses[303],
        flood_p99_ms=seen.slowest(0.99),
        confirm_ms=confirmed.slowest(0.5),
        confirm_p99_ms=confirmed.slowest(0.99),
        leave_ms=left.slowest(0.5),
        leave_p99_ms=left.slowest(0.99),
        failed=2 * others - confirmed.statuses[200] - left.statuses[200],
    )
    return run


async def _each(rate: int, calls: list[Callable[[], Awaitable[None]]]) -> None:
    """Begin so many a second, whether those before have been answered or not."""
    started, begun = time.perf_counter(), []
    for number, call in enumerate(calls):
        await asyncio.sleep(max(0.0, started + number / rate - time.perf_counter()))
        begun.append(asyncio.ensure_future(call()))
    await asyncio.gather(*begun)


def _confirm_paths(place: "Place", links: Links, number: int, which: str) -> list[str]:
    """Ask for so many people and return the paths of their links."""
    now, paths = datetime.now(UTC), []
    policy = Policy(SECRET.encode())
    for each in range(number):
        with place.sessions.begin() as session:
            address = parse_address(f"friend{each}-{which}@inbox.example.net")
            subscribers.request(session, Request(address, (1,), "en", "page", "I want it."), policy, now=now)
            consent = session.scalar(select(func.max(Consent.id))) or 0
        paths.append(urlsplit(links.confirm(consent, now + timedelta(hours=72))).path)
    return paths
