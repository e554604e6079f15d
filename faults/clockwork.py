"""A clock for many processes: whoever runs the days sets it, and between two settings it goes as clocks do."""

import mmap
import struct
import time
from datetime import UTC, datetime
from pathlib import Path

_FORM = struct.Struct("<dd")  # the time told, in seconds since 1970, and the monotonic time at which it was


class Clock:
    """The clock in a file."""

    def __init__(self, path: Path) -> None:
        """Open it, made if it is not there."""
        if not path.exists():
            path.write_bytes(_FORM.pack(time.time(), time.monotonic()))
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), _FORM.size)

    def seconds(self) -> float:
        """Return the time as seconds since 1970."""
        told, then = _FORM.unpack(self._shared[: _FORM.size])
        return float(told + time.monotonic() - then)

    def now(self) -> datetime:
        """Return the time."""
        return datetime.fromtimestamp(self.seconds(), UTC)

    def set(self, moment: datetime) -> None:
        """Let it be that time now."""
        self._shared[: _FORM.size] = _FORM.pack(moment.timestamp(), time.monotonic())
