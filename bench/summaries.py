"""`python -m bench.summaries`: what the checks of summaries catch, real and seeded faults apart, and what they cost.

A folder of real days (--corpus) has daily documents in Markdown, the same days' lists as JSON and, in `invented.txt` files or
TSV tables under labels/, which summaries are invented. Without one, a few papers of our own stand in.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bench import summary_days, summary_faults
from bench.summary_calls import calls_made
from bench.summary_days import Pair
from newsletter.summarisers import audit
from newsletter.summarisers.checks import check
from newsletter.summarisers.checks.reasons import Reason

_LONG_ENOUGH = 100  # characters; of less, nobody can tell that it is a copy


@dataclass(frozen=True)
class Row:
    """One kind of summary: how many there were, and how many were refused."""

    kind: str
    real: bool  # as it was published; else made from a true one
    n: int
    caught: int
    target: float  # share; 0: none is set
    most: bool = False  # the target is the most that may be refused, not the least

    @property
    def share(self) -> float:
        """Refused of all."""
        return self.caught / self.n if self.n else 0.0

    @property
    def met(self) -> bool | None:
        """Whether the target is; None where there is none, or nothing to measure."""
        if not self.n or not self.target:
            return None
        return self.share <= self.target if self.most else self.share >= self.target


def measure(pairs: Sequence[Pair], *, refused: Callable[[Pair], bool]) -> list[Row]:
    """Return a row for each kind of fault, the false alarms first."""
    real = [pair for pair in pairs if not pair.invented and pair.labelled]
    invented = [pair for pair in pairs if pair.invented]
    unlabelled = [pair for pair in pairs if not pair.labelled]
    passing = [pair for pair in real if not refused(pair)]
    slips: dict[str, list[Pair]] = {}
    for how, pair, landed in summary_faults.magnitudes(passing):
        slips.setdefault("the source has that one too" if landed else how, []).append(pair)
    sources = [
        replace(pair, paper=replace(pair.paper, abstract=text)) for pair in passing[:20] for text in summary_faults.SOURCES
    ]
    rows = [
        _row("true summaries (false alarms)", real, refused, 0.02, real=True, most=True),
        _row("invented summaries", invented, refused, 0.6, real=True),
        _row("of days with invented ones, unlabelled", unlabelled, refused, real=True),
        _row("summary of another paper", list(summary_faults.swapped(passing)), refused, 0.6),
        _row("empty or boilerplate source", sources, refused, 1.0),
        *(_row(f"number: {how}", each, refused, 0 if "source" in how else 0.98) for how, each in sorted(slips.items())),
        _row("all wrong magnitudes", [pair for each in slips.values() for pair in each], refused, 0.98),
        _copies(passing),
        *(_row(f"form: {how}", [spoil(pair) for pair in passing], refused, 0.98) for how, spoil in summary_faults.FORMS.items()),
    ]
    return [row for row in rows if row.n]


def _copies(pairs: Sequence[Pair]) -> Row:
    """Return how many papers with nearly another's summary are found out, all others' summaries being known."""
    others = [pair.bullets for pair in pairs]
    copies = [pair for pair in summary_faults.nearly(pairs) if len("".join(pair.bullets)) >= _LONG_ENOUGH]
    verdicts = [check(copy.paper, copy.bullets, language=copy.language, others=others, strict=False) for copy in copies]
    caught = sum(any(each.rule == "copy" for each in verdict.reasons) for verdict in verdicts)
    return Row("near-copy of another paper's", real=False, n=len(copies), caught=caught, target=0.98)


def _row(  # noqa: PLR0913 -- a row has as many columns
    kind: str,
    pairs: Sequence[Pair],
    refused: Callable[[Pair], bool],
    target: float = 0,
    *,
    real: bool = False,
    most: bool = False,
) -> Row:
    return Row(kind, real, len(pairs), sum(map(refused, pairs)), target, most)


def by_rule(pairs: Sequence[Pair]) -> dict[str, dict[str, int]]:
    """Return how many true and how many invented summaries each rule refuses."""
    counted: dict[str, dict[str, int]] = {}
    for pair in pairs:
        kind = "invented" if pair.invented else "true" if pair.labelled else "unlabelled"
        for reason in reasons(pair):
            counted.setdefault(reason.rule, {"true": 0, "invented": 0, "unlabelled": 0})[kind] += 1
    return counted


def reasons(pair: Pair) -> tuple[Reason, ...]:
    """Return what `summaries check` would say of a line."""
    return check(pair.paper, pair.bullets, language=pair.language, strict=False).reasons


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a table for people."""
    lines = [f"{'kind':42} {'':6} {'n':>6} {'caught':>6} {'share':>7} {'target':>8}"]
    for row in rows:
        target = f"{'≤' if row.most else '≥'} {row.target:.0%}" if row.target else "-"
        met = {True: "met", False: "MISSED", None: ""}[row.met]
        lines.append(
            f"{row.kind:42} {'real' if row.real else 'seeded':6} {row.n:6} {row.caught:6} {row.share:7.1%} {target:>8} {met}"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(prog="make bench-summaries", description="What the checks of summaries catch.")
    parser.add_argument("--corpus", type=Path, help="a folder of published days: documents (.md), lists (.json), labels (.tsv)")
    parser.add_argument("--audit", action="store_true", help="true and invented summaries once more, with the embedding model")
    parser.add_argument("--out", type=Path, default=Path("bench-summaries.json"), help="where the figures go")
    given = parser.parse_args(arguments)
    pairs = summary_days.published(given.corpus) if given.corpus else summary_days.own()
    begun = time.perf_counter()
    rows = measure(pairs, refused=lambda pair: bool(reasons(pair)))
    if given.audit:
        rows += list(_audited(pairs))
    took, rules, (calls, honest) = time.perf_counter() - begun, by_rule(pairs), calls_made()
    cost = took / sum(row.n for row in rows)
    figures = {
        "rows": [asdict(row) | {"met": row.met} for row in rows],
        "rules": rules,
        "calls": calls,
        "honest_calls": honest,
        "seconds_each": cost,
    }
    given.out.write_text(json.dumps(figures, ensure_ascii=False, indent=1) + "\n")
    print(table(rows))
    print(f"\nRefused by rule: {json.dumps(rules)}")
    print(f"Calls made for empty or boilerplate sources: {calls} (for an honest one: {honest})")
    print(f"{1000 * cost:.1f} ms a summary. All figures: {given.out}")


def _audited(pairs: Sequence[Pair]) -> Iterator[Row]:
    model = audit.load()

    def refused(pair: Pair) -> bool:
        return bool(reasons(pair)) or model.reason(pair.paper, pair.bullets) is not None

    asked = [pair for pair in pairs if pair.day != "list"]
    yield _row(
        "audit: true (false alarms)",
        [pair for pair in asked if not pair.invented and pair.labelled],
        refused,
        0.02,
        real=True,
        most=True,
    )
    yield _row("audit: invented", [pair for pair in asked if pair.invented], refused, 0.9, real=True)
    yield _row("audit: another paper's", list(summary_faults.swapped(asked[:20])), refused, 0.9)


if __name__ == "__main__":
    main(sys.argv[1:])
