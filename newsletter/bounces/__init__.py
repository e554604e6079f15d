"""Bounces and complaints: what other servers report about the mail we sent, and what follows from it.

`reading` understands reports, `naming` finds the mail each is about, `ingesting` records it, `following` does what the `rules`
say, and `webhooks` hear the providers that report in their own way.
"""

from newsletter.bounces.following import Followed, follow, follow_all
from newsletter.bounces.ingesting import Origin, take, take_reports
from newsletter.bounces.rules import Rules, Terms, Threshold

__all__ = ["Followed", "Origin", "Rules", "Terms", "Threshold", "follow", "follow_all", "take", "take_reports"]
