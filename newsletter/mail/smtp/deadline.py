"""A time-out that is set anew with every reply and hardly ever goes off."""

import asyncio
from collections.abc import Callable
from math import inf


class Deadline:
    """One timer of the event loop, moved without touching the loop as long as the time does not come nearer."""

    __slots__ = ("_at", "_expired", "_handle", "_loop", "seconds")

    def __init__(self, expired: Callable[[], None]) -> None:
        """Wait for nothing yet; `expired` is called when the time is up."""
        self._loop = asyncio.get_running_loop()
        self._expired = expired
        self._handle: asyncio.TimerHandle | None = None
        self._at = inf
        self.seconds = 0.0  # how long was granted last

    def set(self, seconds: float) -> None:
        """Grant so many seconds from now, whatever was granted before."""
        self.seconds = seconds
        self._at = at = self._loop.time() + seconds
        if self._handle is None or self._handle.when() > at:
            self._plan()

    def clear(self) -> None:
        """Wait for nothing; the timer is kept for the next time."""
        self._at = inf

    def cancel(self) -> None:
        """Let go of the timer."""
        self._at = inf
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _plan(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._handle = self._loop.call_at(self._at, self._ring)

    def _ring(self) -> None:
        self._handle = None
        if self._at == inf:
            return
        if self._loop.time() < self._at:
            self._plan()
        else:
            self._at = inf
            self._expired()
