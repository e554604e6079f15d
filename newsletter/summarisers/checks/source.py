"""Is there anything to summarise? Every invented summary we know of was made from an empty or a boilerplate source."""

from newsletter.summarisers import SummaryInput
from newsletter.summarisers.checks.reasons import Reason

SHORTEST_SOURCE = 200  # characters of the abstract


def source_fault(paper: SummaryInput) -> Reason | None:
    """Return why nothing true can be said from this source, or None where it can be summarised."""
    length = len(paper.abstract.strip())
    if length >= SHORTEST_SOURCE:
        return None
    return Reason("source", (), f"The abstract has {length} characters, and {SHORTEST_SOURCE} are needed to summarise it.")
