"""arXiv: what it announces in a category, what a query finds, and what it says of papers that others list.

A paper belongs to the day that arXiv announces it on: its daily list says so, and its API is asked for what was submitted in
the time that the day's announcement covers (`calendar`). Replaced and cross-listed papers are not new.
"""

from newsletter.sources.arxiv.announcements import Announcements
from newsletter.sources.arxiv.api import Api, Found
from newsletter.sources.arxiv.queries import Query

__all__ = ["Announcements", "Api", "Found", "Query"]
