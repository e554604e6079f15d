"""Postfix's own load generator and its receiver: what a sender in C that signs nothing does on this machine."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from bench.measure import MESSAGE_BYTES, Run
from newsletter.embedded.valkey import free_port

_FOLDERS = (*os.get_exec_path(), "/usr/sbin")


def program(name: str) -> str | None:
    """Return where a program of Postfix is; None where it is not installed."""
    return shutil.which(name, path=os.pathsep.join(_FOLDERS))


def is_here() -> bool:
    """Say whether both ends are installed."""
    return program("smtp-source") is not None and program("smtp-sink") is not None


@contextmanager
def smtp_sink() -> Iterator[int]:
    """Run Postfix's receiver; give its port."""
    command, port = program("smtp-sink"), free_port()
    assert command is not None
    as_nobody = ["-u", "nobody"] if os.geteuid() == 0 else []
    process = subprocess.Popen([command, *as_nobody, f"127.0.0.1:{port}", "512"])
    try:
        _wait(port)
        yield port
    finally:
        process.terminate()
        process.wait()


def _wait(port: int) -> None:
    for _ in range(200):
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.02)
    raise RuntimeError("smtp-sink did not start")


def smtp_source(port: int, *, number: int, connections: int = 8) -> Run:
    """Send so many messages of the usual size over kept connections; return what it cost."""
    command = program("smtp-source")
    assert command is not None
    size = ["-l", str(MESSAGE_BYTES), "-m", str(number), "-s", str(connections)]
    envelope = ["-f", "news@news.example.org", "-t", "reader@inbox.example.net"]
    started = time.perf_counter()
    process = subprocess.Popen([command, "-d", *size, *envelope, f"127.0.0.1:{port}"])
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"smtp-source ended with {process.returncode}")
    return Run(number, wall, used.ru_utime + used.ru_stime, peak_mb=used.ru_maxrss / 1024)
