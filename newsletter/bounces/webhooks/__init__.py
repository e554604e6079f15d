"""Providers that report bounces and complaints by webhook: an adapter each, in a file of its own.

An adapter proves that a message is the provider's and reads it; which mail it is about, and what follows, is not its affair.
"""

from newsletter.bounces.webhooks.base import Hook, Hooks, Told
from newsletter.bounces.webhooks.mailgun import Mailgun
from newsletter.bounces.webhooks.ses import Ses

__all__ = ["Hook", "Hooks", "Mailgun", "Ses", "Told"]
