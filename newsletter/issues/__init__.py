"""Issues: chosen, ordered, frozen, published. Every step can be repeated; a doubled or late one changes nothing."""

from newsletter.issues.assembling import Candidate, assemble, cutoff_of, due_periods, period_of, select_papers, untried_periods
from newsletter.issues.freezing import digest_of, freeze
from newsletter.issues.publishing import cancel, finish, is_catch_up, publish, publish_late
from newsletter.issues.records import archive, export, find, page, waiting

__all__ = [
    "Candidate",
    "archive",
    "assemble",
    "cancel",
    "cutoff_of",
    "digest_of",
    "due_periods",
    "export",
    "find",
    "finish",
    "freeze",
    "is_catch_up",
    "page",
    "period_of",
    "publish",
    "publish_late",
    "select_papers",
    "untried_periods",
    "waiting",
]
