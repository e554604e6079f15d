"""Run a command that ends when its parent does: `python tether.py PARENT_PID LOCK_FILE COMMAND …`.

The new process asks the kernel for a SIGTERM at its parent's death and then becomes the command, so even `kill -9` of
the parent leaves nobody behind. Only Linux has such a signal; elsewhere the command runs untethered. LOCK_FILE may be
empty; where it is not, its lock is held for as long as the command lives, whoever started it. Standard library only,
so that it starts in a few hundredths of a second under `python -I -S`.
"""

import ctypes
import fcntl
import os
import signal
import sys
import time

PR_SET_PDEATHSIG = 1  # prctl(2)
LOCK_PATIENCE = 10.0  # seconds: the one before may still be writing its last bytes


def die_with_parent(with_signal: signal.Signals = signal.SIGTERM) -> None:
    """Have the kernel send us `with_signal` when the thread that started us ends; changing user afterwards undoes it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(with_signal))


def hold_lock(path: str, *, patience: float = LOCK_PATIENCE) -> int:
    """Lock the file and return its descriptor, which holds the lock while open; BlockingIOError if somebody keeps it locked."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    give_up = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > give_up:
                os.close(descriptor)
                raise
            time.sleep(0.05)
        else:
            return descriptor


def main(parent: str, lock: str, *command: str) -> None:
    """Tether, lock, become the command; leave with a word on stderr if that cannot be."""
    die_with_parent()
    if os.getppid() != int(parent):
        sys.exit("the parent died before its child began")
    if lock:
        try:
            os.set_inheritable(hold_lock(lock), True)
        except BlockingIOError:
            sys.exit(f"{lock} is locked: another process is at work in this folder")
    os.execvp(command[0], command)  # noqa: S606 -- the command is our own program's, no shell is meant


if __name__ == "__main__":
    main(*sys.argv[1:])
