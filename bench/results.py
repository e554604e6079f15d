"""What a case found: the figures in one shape for all cases, and how they stand beside what was aimed at."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.measure import Run, median, ratio


@dataclass(frozen=True)
class Aim:
    """A figure, its bound, and whether it is to stay below (`most`) or above it."""

    what: str
    found: float | None
    bound: float
    most: bool = True

    @property
    def met(self) -> bool | None:
        """Whether it is; None where it could not be measured."""
        if self.found is None:
            return None
        return self.found <= self.bound if self.most else self.found >= self.bound

    def __str__(self) -> str:
        """One line: what, how much, what was aimed at."""
        found = "not measured" if self.found is None else f"{self.found:.3g}"
        mark = {True: "met", False: "MISSED", None: "-"}[self.met]
        return f"{self.what}: {found} ({'≤' if self.most else '≥'} {self.bound:g}: {mark})"


@dataclass(frozen=True)
class Result:
    """One case: `runs` are the repetitions of each way that was run in turns; the first way is the one it is about."""

    case: str
    runs: Mapping[str, Sequence[Run]]
    aims: Sequence[Aim] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def main(self) -> Sequence[Run]:
        """The repetitions of what the case is about."""
        return next(iter(self.runs.values()))

    def as_json(self) -> dict[str, Any]:
        """Return the case as bench.json has it; a figure that was not measured is null."""
        main = self.main
        return {
            "case": self.case,
            "n": main[0].messages,
            "cpu_s_per_1000": _median_of(main, lambda run: run.per_message * 1000),
            "database_cpu_s_per_1000": _median_of(main, lambda run: run.database_cpu_s / run.messages * 1000),
            "messages_per_s": _median_of(main, lambda run: run.rate),
            "peak_mb": round(max(run.peak_mb for run in main), 1),
            "ratio_to_naive": self._times_less_than("naive"),
            "ratio_to_once": self._times_less_than("once"),
            "signature_ratio": signature_ratio(main),
            "ratio_to_smtp_source": self._rate_beside("smtp-source", "to smtp-sink"),
            "aims": [{**asdict(aim), "met": aim.met} for aim in self.aims],
            **self.extra,
            "repetitions": {name: [asdict(run) for run in runs] for name, runs in self.runs.items()},
        }

    def _times_less_than(self, other: str) -> float | None:
        """Return how many times the CPU of ours the other one took, message by message."""
        if other not in self.runs:
            return None
        return round(ratio(self.runs[other], self.main, lambda run: run.per_message), 2)

    def _rate_beside(self, other: str, ours: str) -> float | None:
        if other not in self.runs:
            return None
        return round(ratio(self.runs[ours], self.runs[other], lambda run: run.rate), 3)


def signature_ratio(runs: Sequence[Run]) -> float | None:
    """Return the CPU of a message in signatures of the same minute."""
    measured = [run.per_message / run.signature_s for run in runs if run.signature_s]
    return round(median(measured), 3) if measured else None


def _median_of(runs: Sequence[Run], of: Callable[[Run], float]) -> float:
    return round(median([of(run) for run in runs]), 4)


_COLUMNS = (
    ("case", "case", "{}"),
    ("n", "n", "{:,}"),
    ("CPU s/1000", "cpu_s_per_1000", "{:.3f}"),
    ("DB s/1000", "database_cpu_s_per_1000", "{:.3f}"),
    ("mails/s", "messages_per_s", "{:,.0f}"),
    ("peak MB", "peak_mb", "{:.0f}"),
    ("/naive", "ratio_to_naive", "{:.1f}x"),
    ("/once", "ratio_to_once", "{:.1f}x"),
    ("/signature", "signature_ratio", "{:.2f}"),
    ("rate/smtp-source", "ratio_to_smtp_source", "{:.2f}"),
)


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """Return the results as a table for a terminal; "–" where a figure was not measured or means nothing."""
    rows = [[title for title, _, _ in _COLUMNS]]
    rows += [["–" if each[key] is None else shape.format(each[key]) for _, key, shape in _COLUMNS] for each in results]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
