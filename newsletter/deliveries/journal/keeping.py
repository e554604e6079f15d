"""Writing a journal, by the process whose it is."""

import errno
import fcntl
import os
import re
import secrets
import socket
import time
import weakref
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Self

from newsletter.deliveries.journal import layout
from newsletter.deliveries.journal.layout import BOOT, ENDED_AT, SLOT, Header
from newsletter.errors import NewsletterError, Reply

ENTRIES = 4096  # messages there is room for at first: those under way and those the database has not yet heard of
SYNC_EVERY = 50  # messages: how many outcomes the loss of the machine may cost
_UNWRITTEN = Reply(0, "", "its answer could not be written down", "", "dot")
_WORKER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class JournalFull(NewsletterError):
    """It cannot be written down that a message begins, for want of room or because of the disk: it must not be sent."""


def _full(path: Path, why: str) -> JournalFull:
    return JournalFull(f"{path}: {why}", hint="Make room there, or mend the disk or the permissions; nothing is sent until then.")


def worker_name() -> str:
    """Return a name for this process that no other has: on this machine or another, now or later."""
    host = re.sub(r"[^a-z0-9]+", "-", socket.gethostname().lower()).strip("-")[:40] or "host"
    return f"{host}-{os.getpid()}-{secrets.token_hex(6)}"


class Journal:
    """The file of this process: for one thread, `sync` excepted. After a fork it is the parent's alone."""

    def __init__(self, path: Path, descriptor: int, head: Header) -> None:
        """Take over a locked file; `open` makes one."""
        self.path = path
        self.worker = head.worker
        self._fd = descriptor
        self._head = head
        self._grows_by = head.slots
        self._seed = layout.seed(head.worker)
        self._free = _offsets(0, head.slots)
        self._open: dict[int, int] = {}  # where each message under way stands
        self._ended: dict[int, int] = {}  # where each outcome stands that the database may not know yet
        self._unsynced = 0
        self._broken = ""  # why no further message may begin
        _kept.add(self)

    @classmethod
    def open(cls, folder: Path, worker: str, *, entries: int = ENTRIES, boot: str = BOOT) -> Self:
        """Make this process's journal, with room for `entries` messages at first; raises JournalFull where that cannot be."""
        if not _WORKER.fullmatch(worker) or entries < 1:
            raise ValueError(f"{worker!r} with {entries} entries is no journal")
        path, head = folder / f"{worker}.journal", Header(worker, boot, time.time(), entries)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return cls(path, _create(path, head), head)
        except OSError as error:
            raise _full(path, f"the journal cannot be made: {error.strerror}") from None

    @property
    def usable(self) -> bool:
        """Whether a message may begin: False for good once the file could not be written, or was let go of."""
        return not self._broken

    @property
    def under_way(self) -> list[int]:
        """Which messages have begun and not ended."""
        return list(self._open)

    @property
    def sync_due(self) -> bool:
        """Whether enough messages have ended since the last `sync`."""
        return self._unsynced >= SYNC_EVERY

    def begun(self, delivery_id: int) -> None:
        """Write down that a message begins, before its content leaves; raises JournalFull, and then it must not be sent."""
        offset = self._open.get(delivery_id) or self._ended.pop(delivery_id, 0)
        if not offset:
            offset = self._free.pop() if self._free else self._more_room()
        try:
            os.pwrite(self._fd, layout.begun(delivery_id, self._seed), offset)
        except OSError as error:
            self._break(error)
            raise _full(self.path, self._broken) from None
        self._open[delivery_id] = offset

    def ended(self, delivery_id: int, reply: Reply) -> None:
        """Write down how a message that had begun ended; for a connection that broke, a reply of code 0.

        Never raises for the disk: the outcome is still in the caller's hands. But no further message may begin.
        """
        offset = self._open.pop(delivery_id)
        try:
            os.pwrite(self._fd, layout.ended(delivery_id, reply, self._seed), offset + ENDED_AT)
        except OSError as error:
            self._break(error)
        self._ended[delivery_id] = offset
        self._unsynced += 1

    def settled(self, delivery_ids: Iterable[int]) -> None:
        """Forget messages whose outcome is committed to the database; one that is under way (again) is kept."""
        known = {delivery_id for delivery_id in delivery_ids if delivery_id in self._ended}
        try:
            for first, slots in _runs(self._ended[delivery_id] for delivery_id in known):
                os.pwrite(self._fd, bytes(slots * SLOT), first)
        except OSError as error:
            self._break(error)
            return
        freed = sorted((self._ended.pop(delivery_id) for delivery_id in known), reverse=True)
        if not self._broken:
            self._free.extend(freed)

    def unsettled(self) -> dict[int, Reply]:
        """Read back the outcomes the database may not know: for a process that was cut off from it. Raises OSError."""
        if not self._ended:
            return {}
        outcomes = layout.read(self._fd, self._head.slots, self._seed).outcomes
        return {delivery_id: outcomes.get(delivery_id, _UNWRITTEN) for delivery_id in self._ended}

    def sync(self) -> None:
        """Bring to the disk what was written so far: milliseconds, so run it in a thread. Never raises, as `ended`."""
        self._unsynced = 0
        try:
            getattr(os, "fdatasync", os.fsync)(self._fd)
        except OSError as error:
            self._break(error)

    def __enter__(self) -> Self:
        """Return the journal, to be closed after the block; if that breaks off, the file stays and proves what never began."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Close it, or leave it to whoever settles it."""
        if kind is None:
            self.close()
        else:
            self.disown("what it was kept for broke off")

    def close(self) -> None:
        """Let go of the file: it is deleted where all is settled, and left to whoever settles it where not."""
        if self._fd < 0:
            return
        if self._open or self._ended:
            self.sync()
        else:
            self.path.unlink(missing_ok=True)
        self.disown("the journal is closed")

    def disown(self, why: str) -> None:
        """Close the file as it is; in a forked child, whose copy would keep the lock after the parent's death."""
        with suppress(OSError):
            os.close(self._fd)
        self._fd = -1
        self._broken = why
        self._free.clear()

    def _break(self, error: OSError) -> None:
        """Let no further message begin: without a free slot `begun` asks for more room and is told why there is none."""
        self._broken = self._broken or f"the journal cannot be written: {error.strerror}"
        self._free.clear()

    def _more_room(self) -> int:
        """Lengthen the file, while messages are under way, and return the offset of a free slot."""
        if self._broken:
            raise _full(self.path, self._broken)
        longer = replace(self._head, slots=self._head.slots + self._grows_by)
        try:
            _reserve(self._fd, (1 + self._head.slots) * SLOT, self._grows_by * SLOT)
            os.pwrite(self._fd, layout.header(longer), 0)
        except OSError as error:
            raise _full(self.path, f"the journal has no room for another message: {error.strerror}") from None
        self._free = _offsets(self._head.slots, longer.slots)
        self._head = longer
        return self._free.pop()


_kept: weakref.WeakSet[Journal] = weakref.WeakSet()


def _leave_to_parent() -> None:
    for journal in list(_kept):
        journal.disown("this process was forked from the one whose journal it is")


os.register_at_fork(after_in_child=_leave_to_parent)


def _runs(offsets: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield where slots begin that lie next to each other, and how many those are: one write for all of them."""
    start = end = -1
    for offset in sorted(offsets):
        if offset != end:
            if end > start:
                yield start, (end - start) // SLOT
            start = offset
        end = offset + SLOT
    if end > start:
        yield start, (end - start) // SLOT


def _offsets(first: int, end: int) -> list[int]:
    """Return where slots begin, the foremost last: it is taken first, so that few pages are written again and again."""
    return [(1 + slot) * SLOT for slot in reversed(range(first, end))]


def _create(path: Path, head: Header) -> int:
    """Make and lock a journal under another name, then give it its own: nobody sees it unlocked. Raises OSError."""
    if path.exists():
        raise FileExistsError(errno.EEXIST, "another process has this name")
    while True:
        fresh = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.new")
        descriptor = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _reserve(descriptor, 0, (1 + head.slots) * SLOT)
            os.pwrite(descriptor, layout.header(head), 0)
            os.fsync(descriptor)
            fresh.rename(path)
            _sync_folder(path.parent)
        except (BlockingIOError, FileNotFoundError):
            os.close(descriptor)  # it was swept away as a leftover between its making and its locking: make another
        except OSError:
            os.close(descriptor)
            fresh.unlink(missing_ok=True)
            raise
        else:
            return descriptor


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reserve(descriptor: int, start: int, length: int) -> None:
    """Have the disk set room aside, so that no later write into it fails for want of it. Raises OSError."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(descriptor, start, length)
        except OSError as error:
            if error.errno not in {errno.EOPNOTSUPP, errno.EINVAL}:
                raise
        else:
            return
    end = start + length
    while start < end:
        start += os.pwrite(descriptor, bytes(min(end - start, 1 << 20)), start)
