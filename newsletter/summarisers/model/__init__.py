"""Summaries by a language model: any endpoint that speaks as OpenAI's chat completions do.

Asked, read, checked, mended once, or given up with reasons in words. Nothing here knows the database.
"""

from newsletter.summarisers.model.endpoint import MOST_TOKENS, Endpoint
from newsletter.summarisers.model.reading import Usage
from newsletter.summarisers.model.writing import Audit, Fate, LanguageModel, Written, prompt_version

__all__ = ["MOST_TOKENS", "Audit", "Endpoint", "Fate", "LanguageModel", "Usage", "Written", "prompt_version"]
