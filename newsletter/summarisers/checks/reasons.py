"""What the checks say: a reason names its rule, the words it stumbled over, and says in one sentence what is wrong."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Reason:
    """One thing that speaks against a summary or its source."""

    rule: str  # as "magnitude": stable, for counting
    words: tuple[str, ...]  # the offending words as they stand
    sentence: str  # plain English, whole


@dataclass(frozen=True)
class Verdict:
    """All reasons against one summary; none is a pass."""

    reasons: tuple[Reason, ...] = ()

    @property
    def passes(self) -> bool:
        """Tell whether nothing speaks against the summary."""
        return not self.reasons
