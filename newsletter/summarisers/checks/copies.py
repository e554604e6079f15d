"""Is it its own summary? A near-copy of another paper's, or one sentence again and again, is none."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from zlib import crc32

from newsletter.summarisers.checks.reasons import Reason

NEAR = 0.6  # of the runs of letters in common
_RUN = 6  # letters
_FEWEST = 40  # runs; less says nothing
_SAMPLED = 8  # one of so many runs leads to what to compare with


def shingles(bullets: Sequence[str]) -> frozenset[str]:
    """Return the runs of six letters and digits of a text, spaces and signs left out."""
    letters = re.sub(r"[\W_]+", "", " ".join(bullets).lower())
    return frozenset(letters[place : place + _RUN] for place in range(len(letters) - _RUN + 1))


def near(ours: frozenset[str], theirs: frozenset[str]) -> bool:
    """Tell whether one text is mostly the other."""
    smaller = min(len(ours), len(theirs))
    return smaller >= _FEWEST and len(ours & theirs) >= NEAR * smaller


def copied(bullets: Sequence[str], others: Iterable[Sequence[str]]) -> Reason | None:
    """Return which other summary this one is a near-copy of, or that it repeats itself."""
    ours = shingles(bullets)
    for other in others:
        if near(ours, shingles(other)):
            return copy_of(other)
    return repeated(bullets)


def copy_of(other: Sequence[str]) -> Reason:
    """Return the reason that names another summary by its beginning."""
    begins = " ".join(other)[:60]
    return Reason("copy", (begins,), f"The summary is nearly the one of another paper, which begins “{begins}”.")


def repeated(bullets: Sequence[str]) -> Reason | None:
    """Return a bullet that stands there twice."""
    seen: list[frozenset[str]] = []
    for bullet in bullets:
        runs = shingles([bullet])
        if any(len(runs) > _RUN and len(runs & each) > 0.9 * max(len(runs), len(each)) for each in seen):
            return Reason("repeated", (bullet[:60],), f"The summary says the same twice: “{bullet[:60]}”.")
        seen.append(runs)
    return None


class Seen:
    """The summaries seen so far, so that each further one is held against those it has runs in common with."""

    def __init__(self) -> None:
        self._known: list[tuple[str, Sequence[str], frozenset[str]]] = []
        self._places: dict[str, list[int]] = {}

    def add(self, paper: str, bullets: Sequence[str]) -> Reason | None:
        """Remember a paper's summary; return the reason if it is nearly that of another paper seen before."""
        ours = shingles(bullets)
        sample = [run for run in ours if crc32(run.encode()) % _SAMPLED == 0]
        shared = Counter(place for run in sample for place in self._places.get(run, ()))
        copied_from = next((other for place, _ in shared.most_common(3) if (other := self._near(place, paper, ours))), None)
        for run in sample:
            self._places.setdefault(run, []).append(len(self._known))
        self._known.append((paper, bullets, ours))
        return copy_of(copied_from) if copied_from else None

    def _near(self, place: int, paper: str, ours: frozenset[str]) -> Sequence[str] | None:
        other, bullets, theirs = self._known[place]
        return bullets if other != paper and near(ours, theirs) else None
