"""One request at a time for each site, over all processes of a machine, and none while the site wants to be left alone.

A file for each site is locked by whoever asks, and holds when it was asked last and until when it is left alone. A process
that dies loses its lock. Where the folder cannot be used, nobody waits: asking too often is better than not at all.
"""

import fcntl
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import httpx2
import structlog

from newsletter.errors import SourceUnavailable
from newsletter.sources.http.limits import Limits
from newsletter.sources.http.reach import port_of

log = structlog.get_logger()
PAUSES = {"arxiv.org": 3.0}  # seconds between two requests (arXiv's terms of use for its API); its hosts are one site
_LOOK_AGAIN = 0.05  # seconds


def site_of(url: httpx2.URL) -> str:
    """Return the name of the site that an address belongs to, fit for a file."""
    for site in PAUSES:
        if url.host == site or url.host.endswith(f".{site}"):
            return site
    return re.sub(r"[^a-z0-9.-]", "_", f"{url.host}.{port_of(url)}")[:150]


@dataclass(frozen=True)
class _State:
    """What the processes tell each other of a site; times are the clock's, as seconds since 1970."""

    asked: float = 0.0
    until: float = 0.0


@dataclass(frozen=True)
class Turns:
    """The sites of one machine; `folder` None: nobody waits."""

    folder: Path | None
    limits: Limits

    @contextmanager
    def hold(self) -> Iterator["Held"]:
        """Give back at the end what was taken."""
        with ExitStack() as stack:
            yield Held(self, stack)


@dataclass
class Held:
    """The sites whose turn one attempt has."""

    turns: Turns
    stack: ExitStack
    files: dict[str, IO[str]] = field(default_factory=dict)

    def take(self, url: httpx2.URL) -> None:
        """Wait for the turn to ask the site of `url`, unless it is ours already.

        Raises SourceUnavailable where that takes too long, or the site wants to be left alone.
        """
        site = site_of(url)
        if site in self.files or self.turns.folder is None:
            return
        try:
            file = self.stack.enter_context(_opened(self.turns.folder, site))
        except OSError as error:
            log.warning("turns_unusable", folder=str(self.turns.folder), error=str(error))
            return
        _lock(file, url, self.turns.limits.turn)
        self.files[site] = file
        self._wait(_read(file), site, url)
        self.stack.callback(_write, file, site)

    def leave_alone(self, url: httpx2.URL, seconds: float) -> None:
        """Note for all processes that the site of `url` wants no request for so long."""
        if file := self.files.get(site_of(url)):
            _put(file, _State(_read(file).asked, time.time() + seconds))

    def _wait(self, state: _State, site: str, url: httpx2.URL) -> None:
        limits, now = self.turns.limits, time.time()
        if state.until - now > limits.leave_alone:  # nobody wrote that but a clock that was wrong
            state = _State(state.asked)
        if state.until - now > limits.longest_wait:
            until = datetime.fromtimestamp(state.until, tz=UTC)
            raise SourceUnavailable(
                f"{url.host}: asked to be left alone until {until:%Y-%m-%d %H:%M} UTC",
                hint="Nothing to do: it is asked again after that.",
            )
        pause = PAUSES.get(site, 0.0)
        time.sleep(max(0.0, state.until - now, min(pause, state.asked + pause - now)))


def _opened(folder: Path, site: str) -> IO[str]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.fdopen(os.open(folder / site, os.O_RDWR | os.O_CREAT, 0o600), "r+", encoding="utf-8", errors="replace")


def _lock(file: IO[str], url: httpx2.URL, longest: float) -> None:
    ends = time.monotonic() + longest
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= ends:
                raise SourceUnavailable(
                    f"{url.host}: other requests to it were not done after {longest:g} s",
                    hint="Nothing to do: it is asked again at the next collection.",
                ) from None
            time.sleep(_LOOK_AGAIN)
        else:
            return


def _read(file: IO[str]) -> _State:
    """Return what the file tells; what makes no sense tells nothing."""
    file.seek(0)
    try:
        told = json.loads(file.read(1000))
        return _State(float(told["asked"]), float(told["until"]))
    except (ValueError, KeyError, TypeError):
        return _State()


def _write(file: IO[str], site: str) -> None:
    """Note that the site has been asked, where that matters."""
    if site in PAUSES:
        _put(file, _State(time.time(), _read(file).until))


def _put(file: IO[str], state: _State) -> None:
    file.seek(0)
    file.truncate()
    json.dump({"asked": state.asked, "until": state.until}, file)
    file.flush()
