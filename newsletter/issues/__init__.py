"""Issues: chosen, ordered, frozen, published. Every step can be repeated; a doubled or late one changes nothing."""

from newsletter.issues.assembling import Candidate, assemble, select_papers
from newsletter.issues.freezing import digest_of, freeze
from newsletter.issues.periods import (
    Standing,
    cutoff_of,
    days_to_read_again,
    due_periods,
    period_of,
    readings_of,
    standings_of,
    untried_periods,
    wanted_from,
)
from newsletter.issues.publishing import cancel, finish, is_catch_up, publish, publish_late
from newsletter.issues.quiet import Quiet, quiet_days
from newsletter.issues.readiness import approve, drafts_due, remind, waiting_for_approval, waits_for_approval
from newsletter.issues.records import archive, export, find, latest, page, waiting
from newsletter.issues.telling import kept

__all__ = [
    "Candidate",
    "Quiet",
    "Standing",
    "approve",
    "archive",
    "assemble",
    "cancel",
    "cutoff_of",
    "days_to_read_again",
    "digest_of",
    "drafts_due",
    "due_periods",
    "export",
    "find",
    "finish",
    "freeze",
    "is_catch_up",
    "kept",
    "latest",
    "page",
    "period_of",
    "publish",
    "publish_late",
    "quiet_days",
    "readings_of",
    "remind",
    "select_papers",
    "standings_of",
    "untried_periods",
    "waiting",
    "waiting_for_approval",
    "waits_for_approval",
    "wanted_from",
]
