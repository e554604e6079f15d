"""Summaries: kept for good, written by a language model where there is one, quoted from the abstract where there is none."""

from newsletter.summaries.attempts import due, unsettled
from newsletter.summaries.keeping import Filled, best, fill, ranked
from newsletter.summaries.spending import Spent, usage, usage_by_day
from newsletter.summaries.terms import Terms
from newsletter.summaries.writing import Round, write, write_again

__all__ = [
    "Filled",
    "Round",
    "Spent",
    "Terms",
    "best",
    "due",
    "fill",
    "ranked",
    "unsettled",
    "usage",
    "usage_by_day",
    "write",
    "write_again",
]
