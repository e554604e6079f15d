"""From the name in a newsletter's settings to the source that it means."""

from dataclasses import dataclass, field
from pathlib import Path

from newsletter.sources import Source, arxiv, names
from newsletter.sources.arxiv import announcements, api
from newsletter.sources.documents import Directory
from newsletter.sources.facts import HUGGING_FACE
from newsletter.sources.feeds import Feed
from newsletter.sources.http import Web
from newsletter.sources.huggingface import HuggingFace
from newsletter.sources.sample import Sample


@dataclass(frozen=True)
class Sites:
    """Where the sites are that papers come from, and how they are asked."""

    web: Web = field(default_factory=Web)
    huggingface: str = HUGGING_FACE
    arxiv: str = api.URL
    arxiv_feed: str = announcements.URL


def open_source(name: str, sites: Sites | None = None) -> Source:
    """Return the source called `name`. Raises SettingsError, naming those there are, for any other."""
    kind, given = names.split(name)
    sites = sites or Sites()
    if kind == "huggingface":
        return HuggingFace(sites.huggingface, sites.web)
    if kind == "feed":
        return Feed(given, sites.web)
    if kind == "arxiv":
        return arxiv.Announcements(given, sites.arxiv_feed, api_of(sites), sites.web)
    if kind == "arxiv-query":
        return arxiv.Query(given, api_of(sites))
    return Directory(Path(given).expanduser(), name) if kind == "documents" else Sample()


def api_of(sites: Sites) -> arxiv.Api:
    """Return arXiv's API."""
    return arxiv.Api(sites.arxiv, sites.web)
