"""Is a summary true to its source, as far as a machine can tell without asking another? Pure, fast, and each no has its reason.

A summary that fails is never used: its reasons go back to the model once, then the abstract's own sentences stand in.
"""

import re
from collections.abc import Sequence

from newsletter.summarisers import SummaryInput
from newsletter.summarisers.checks import amounts, copies, form, names
from newsletter.summarisers.checks.reasons import Reason, Verdict
from newsletter.summarisers.checks.source import source_fault

__all__ = ["Reason", "Verdict", "check", "source_fault"]

_DIGITS = re.compile(r"\d{1000,}")  # noise, of which Python makes no number


def check(
    paper: SummaryInput, bullets: Sequence[str], *, language: str, others: Sequence[Sequence[str]] = (), strict: bool = True
) -> Verdict:
    """Return what speaks against these bullets as a summary of `paper` in `language`.

    `others` are the bullets of other papers' summaries: a near-copy of one of them is no summary of this paper.
    `strict` is for a summary made from title and abstract alone: every number must stand in them. Others were made from the
    whole paper, and know more numbers and links than its abstract; a number of the abstract at a wrong size is always a fault.
    """
    if fault := source_fault(paper):
        return Verdict((fault,))
    if large := form.too_large(bullets):  # nothing more is looked at: that would take time for what is never used
        return Verdict((large,))
    source, summary = _DIGITS.sub("", f"{paper.title}\n{paper.abstract}"), "\n".join(bullets)
    found = [
        *form.faults(source, bullets, language=language, strict=strict),
        names.stranger(source, summary),
        amounts.wrong_magnitudes(source, summary),
        amounts.unknown_numbers(source, summary) if strict else None,
        copies.copied(bullets, others),
    ]
    return Verdict(tuple(reason for reason in found if reason))
