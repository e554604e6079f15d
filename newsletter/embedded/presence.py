"""That we are at work in a folder: a file with what other commands of this machine need, locked for as long as it is true.

The kernel gives a lock back when its process ends, however that ends; so a file that is left behind is known by it, also
where process ids are used again or belong to another container.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from newsletter.embedded import tether
from newsletter.errors import Conflict

NAME = "running.json"
PATIENCE = 1.0  # seconds: whoever asks holds the lock for a moment


@dataclass(frozen=True)
class Running:
    """Who is at work: its process, its broker's URL and where its pages answer (host:port); empty until they are started."""

    pid: int
    redis_url: str = ""
    pages: str = ""


@contextmanager
def present(folder: Path) -> Iterator[Callable[[Running], None]]:
    """Be at work in the folder, and give what tells others about it; raises Conflict where somebody else is.

    The file is for its owner alone, for the broker's URL holds a password; it is removed in the end.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / NAME
    descriptor = _lock(path)
    try:
        _write(descriptor, Running(os.getpid()))
        yield lambda running: _write(descriptor, running)
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _lock(path: Path) -> int:
    """Lock the file that has this name now: the one before us removes its own while we wait for it."""
    while True:
        try:
            descriptor = tether.hold_lock(str(path), patience=PATIENCE)
        except BlockingIOError:
            running = find(path.parent)
            raise Conflict(
                f"The newsletter is running in {path.parent} already" + (f", as process {running.pid}." if running else "."),
                hint="End it there, or set NEWSLETTER_DATA_DIR to another folder.",
            ) from None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        os.close(descriptor)


def _write(descriptor: int, running: Running) -> None:
    content = json.dumps(asdict(running)).encode()
    os.pwrite(descriptor, content, 0)
    os.ftruncate(descriptor, len(content))


def find(folder: Path) -> Running | None:
    """Return who is at work in the folder; None where nobody is, or nobody we may know of."""
    try:
        with (folder / NAME).open("rb") as file:
            return None if _is_left(file.fileno()) else Running(**json.load(file))
    except (OSError, ValueError, TypeError):  # none, another user's, or just being made
        return None


def is_abandoned(folder: Path) -> bool:
    """Tell whether somebody was at work in the folder and ended without a farewell, as by `kill -9`."""
    try:
        with (folder / NAME).open("rb") as file:
            return _is_left(file.fileno())
    except OSError:
        return False


def _is_left(descriptor: int) -> bool:
    """Tell whether nobody holds the lock of the file."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
