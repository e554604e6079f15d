"""Reading the journals of processes that are gone."""

import fcntl
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from newsletter.deliveries.journal import layout
from newsletter.deliveries.journal.layout import BOOT, Contents, Header
from newsletter.errors import Reply


@dataclass(frozen=True)
class Abandoned:
    """What a process left behind; it stays locked until the loop over `abandoned` goes on."""

    path: Path
    worker: str
    intact: bool  # the header can be read; False: nothing in it can be believed
    same_boot: bool  # the machine has not been restarted since: all that was written is there
    damaged: int  # slots that make no sense or are missing
    outcomes: Mapping[int, Reply]  # by delivery: begun and ended
    open: frozenset[int]  # deliveries begun and, as far as the file knows, not ended

    @property
    def proves_absence(self) -> bool:
        """Whether a delivery that is not in here had certainly not begun, or its outcome was in the database already."""
        return self.intact and self.same_boot and not self.damaged

    def remove(self) -> None:
        """Delete the file once the database has all of it; one that is not intact is set aside, as `*.damaged`."""
        if self.intact:
            self.path.unlink(missing_ok=True)
        else:
            with suppress(FileNotFoundError):
                self.path.rename(self.path.with_suffix(".damaged"))


def abandoned(folder: Path, *, boot: str = BOOT) -> Iterator[Abandoned]:
    """Yield the journals nobody holds, each under its lock: of two that settle at once, one gets it.

    To settle one again, after a crash between settling and `remove`, changes nothing.
    """
    for leftover in folder.glob(".*.new"):  # of a process that died while making it, before its first message
        if (descriptor := _lock(leftover)) is not None:
            leftover.unlink(missing_ok=True)
            os.close(descriptor)
    for path in sorted(folder.glob("*.journal")):
        if (descriptor := _lock(path)) is not None:
            try:
                yield _look(path, descriptor, boot)
            finally:
                os.close(descriptor)


def _lock(path: Path) -> int | None:
    """Lock a file that nobody else holds and return its descriptor; None where it is held, gone, or no file we may read."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        ours, there = os.fstat(descriptor), path.stat()
        if stat.S_ISREG(ours.st_mode) and os.path.samestat(ours, there):
            return descriptor  # otherwise somebody settled and deleted it just before we had the lock
    os.close(descriptor)
    return None


def _look(path: Path, descriptor: int, boot: str) -> Abandoned:
    """Read a locked journal; one that the disk does not give back is not intact."""
    head, contents = None, Contents()
    with suppress(OSError):
        head, contents = _read(path.stem, descriptor)
    return Abandoned(
        path=path,
        worker=path.stem,
        intact=head is not None,
        same_boot=head is not None and bool(boot) and head.boot == boot,
        damaged=contents.damaged,
        outcomes=contents.outcomes,
        open=frozenset(contents.open),
    )


def _read(worker: str, descriptor: int) -> tuple[Header | None, Contents]:
    """Return what stands in the file of this worker; one that says it is another's is none."""
    head = layout.read_header(os.pread(descriptor, layout.HEADER_SIZE, 0))
    if head is None or head.worker != worker:
        return None, Contents()
    return head, layout.read(descriptor, head.slots, layout.seed(worker))
