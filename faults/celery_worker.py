"""A worker of another host, with short leases: `python faults/celery_worker.py HOST`; for the rest it is `newsletter worker`."""

import socket
import sys
from dataclasses import replace
from datetime import timedelta
from functools import partial

from tree import IDLE, LEASES

from newsletter import db, wiring
from newsletter.config import Settings
from newsletter.deliveries import Pace

_pace_of = wiring.pace_of


def short_pace(settings: Settings, *, budget: timedelta) -> Pace:
    """Return the pace of an installation, but for its leases."""
    return replace(_pace_of(settings, budget=min(budget, timedelta(seconds=5))), batch=50, leases=LEASES)


def main(host: str) -> None:
    """Become the worker."""
    socket.gethostname = lambda: host
    db.connect = partial(db.connect, idle_seconds=IDLE)
    wiring.pace_of = short_pace
    from worker import app  # noqa: PLC0415 -- its tasks take what was replaced above

    words = (
        "--concurrency",
        "2",
        "--hostname",
        f"newsletter@{host}",
        "--without-gossip",
        "--without-mingle",
        "--loglevel",
        "INFO",
    )
    app.worker_main(["--quiet", "worker", *words])


if __name__ == "__main__":
    main(sys.argv[1])
