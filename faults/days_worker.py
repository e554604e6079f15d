"""A worker whose time is that of a clock in a file: `python faults/days_worker.py CLOCK CHILDREN`; for the rest as any."""

import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from clockwork import Clock

from newsletter import wiring
from newsletter.config import Settings
from newsletter.sources.http import turns
from newsletter.sources.http.limits import Limits
from newsletter.sources.registry import Sites
from newsletter.summarisers.model import LanguageModel

# Sites are on this machine: who hangs is found out soon, and who is broken is asked again at the next tick.
SOON = Limits(connect=2, read=0.5, total=1, attempts=2, first_wait=0.01, longest_wait=0.05, jitter=0.01)
_sites_of, _model_of = wiring.sites_of, wiring.model_of


def sites_of(settings: Settings) -> Sites:
    """Return the sites of an installation, asked hastily."""
    sites = _sites_of(settings)
    return replace(sites, web=replace(sites.web, limits=SOON))


def model_of(settings: Settings) -> LanguageModel | None:
    """Return the model of an installation, which does not wait between repeats."""
    model = _model_of(settings)
    if model:
        model.endpoint.pause = lambda _: None
    return model


def main(path: Path, children: int) -> None:
    """Become the worker; 0 children: it works by itself."""
    clock = Clock(path)
    wiring.utcnow, wiring.sites_of, wiring.model_of = clock.now, sites_of, model_of
    vars(turns)["time"] = SimpleNamespace(time=clock.seconds, sleep=time.sleep, monotonic=time.monotonic)
    from worker import app  # noqa: PLC0415 -- its tasks take what was replaced above

    pool = ("--concurrency", str(children)) if children else ("--pool", "solo")
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "INFO")
    app.worker_main(["--quiet", "worker", *pool, *quiet])


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
