"""Running senders in turns and reckoning what they cost.

On a small machine shared with others the same code costs up to twice as much from one minute to the next. So what is
compared is run in turns, the yardstick (one signature and one hash) is taken before and after every run, and what is
reported is the median of the ratios, not the ratio of the medians.
"""

import hashlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bench.places import Receiver
from bench.sender import Cost, Spec

MESSAGE_BYTES = 112_000
_TICK = os.sysconf("SC_CLK_TCK")
_SIGNATURES = 150  # for one reading of the yardstick: a twentieth of a second


@dataclass(frozen=True)
class Run:
    """One repetition: seconds of CPU of the workers, of the database and of the receiver; the yardstick beside it."""

    messages: int
    wall_s: float
    cpu_s: float
    peak_mb: float
    database_cpu_s: float = 0.0
    receiver_cpu_s: float = 0.0
    signature_s: float = 0.0
    turns_per_message: float = 0.0
    octets_per_message: float = 0.0
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def per_message(self) -> float:
        """Seconds of the workers' CPU for one message."""
        return self.cpu_s / self.messages

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.messages / self.wall_s


def database_cpu(pid: int) -> float:
    """Return the seconds of CPU that the PostgreSQL with this first process took so far, ended processes included."""
    if not pid:
        return 0.0
    return _ended_children(pid) + sum(_own(child) for child in [pid, *_children(pid)])


def _children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]


def _own(pid: int) -> float:
    """Return a process's own CPU in seconds; 0 where it is gone."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
    except OSError:
        return 0.0


def _ended_children(pid: int) -> float:
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(stat[13]) + int(stat[14])) / _TICK


class Yardstick:
    """What a message must cost: one RSA-2048 signature and the SHA-256 of its body."""

    def __init__(self, key: Path) -> None:
        """Load the key."""
        private = load_pem_private_key(key.read_bytes(), None)
        assert isinstance(private, RSAPrivateKey)
        self._private = private
        self._body = bytes(MESSAGE_BYTES)

    def read(self) -> float:
        """Return the seconds of CPU it costs now."""
        started = time.process_time()
        for _ in range(_SIGNATURES):
            self._private.sign(hashlib.sha256(self._body).digest(), PKCS1v15(), SHA256())
        return (time.process_time() - started) / _SIGNATURES


def run_senders(specs: Sequence[Spec]) -> list[Cost]:
    """Run one process for each spec, all starting at the same moment; raises RuntimeError where one fails."""
    started = [_start(spec) for spec in specs]
    for process in started:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise RuntimeError(f"a sender did not start:\n{process.communicate()[1]}")
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return [_finish(process) for process in started]


def _start(spec: Spec) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "bench.sender", json.dumps(asdict(spec))]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _finish(process: subprocess.Popen[str]) -> Cost:
    said, complaint = process.communicate()
    if process.returncode:
        raise RuntimeError(f"a sender failed:\n{complaint}")
    return Cost(**json.loads(said.splitlines()[-1]))


def together(costs: Sequence[Cost]) -> Run:
    """Add up processes that worked at the same time."""
    return Run(
        messages=sum(cost.messages for cost in costs),
        wall_s=max(cost.wall_s for cost in costs),
        cpu_s=sum(cost.cpu_s for cost in costs),
        peak_mb=max(cost.peak_mb for cost in costs),
        details={"processes": [cost.details for cost in costs]} if len(costs) > 1 else costs[0].details,
    )


def send(specs: Sequence[Spec], *, database_pid: int = 0, delay_ms: int = 0) -> Run:
    """Run senders against a sink of their own."""
    receiver = Receiver(delay_ms=delay_ms)
    before = database_cpu(database_pid)
    try:
        run = together(run_senders([replace(spec, port=receiver.port) for spec in specs]))
    finally:
        seen = receiver.close()
    database = database_cpu(database_pid) - before
    taken = sum(each.messages for each in seen)
    turns = sum(each.turns - 2 * each.connections for each in seen)  # the greeting and EHLO are no message's
    return replace(
        run,
        database_cpu_s=database,
        receiver_cpu_s=sum(each.cpu_s for each in seen),
        turns_per_message=turns / max(1, taken),
        octets_per_message=sum(each.octets for each in seen) / max(1, taken),
        details={**run.details, "taken": taken},
    )


def in_turns(rounds: int, yardstick: Yardstick, ways: Mapping[str, Callable[[], Run]]) -> dict[str, list[Run]]:
    """Run each way once a round, the yardstick before and after it."""
    found: dict[str, list[Run]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            before = yardstick.read()
            run = way()
            found[name].append(replace(run, signature_s=(before + yardstick.read()) / 2))
    return found


def median(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def ratio(over: Sequence[Run], under: Sequence[Run], of: Callable[[Run], float]) -> float:
    """Return the median of the ratios, round by round."""
    return median([of(one) / of(other) for one, other in zip(over, under, strict=True)])
