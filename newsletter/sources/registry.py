"""From the name in a newsletter's settings to the source that it means."""

from dataclasses import dataclass, field
from pathlib import Path

from newsletter.errors import SettingsError
from newsletter.sources import Source, arxiv
from newsletter.sources.arxiv import announcements, api
from newsletter.sources.arxiv.entries import CATEGORY
from newsletter.sources.documents import Directory
from newsletter.sources.facts import HUGGING_FACE
from newsletter.sources.feeds import Feed
from newsletter.sources.http import Web
from newsletter.sources.huggingface import HuggingFace
from newsletter.sources.sample import Sample
from newsletter.text import safe_link

KNOWN = (
    "huggingface",
    "arxiv:cs.CL (or several: arxiv:cs.CL+cs.LG)",
    "arxiv-query:ti:transformer AND cat:cs.CL",
    "feed:https://example.org/feed.xml",
    "documents:/path/to/folder",
    "sample",
)
_LONGEST_QUERY = 1000  # characters


@dataclass(frozen=True)
class Sites:
    """Where the sites are that papers come from, and how they are asked."""

    web: Web = field(default_factory=Web)
    huggingface: str = HUGGING_FACE
    arxiv: str = api.URL
    arxiv_feed: str = announcements.URL


def open_source(name: str, sites: Sites | None = None) -> Source:
    """Return the source called `name`. Raises SettingsError, naming those there are, for any other."""
    kind, colon, rest = name.partition(":")
    sites = sites or Sites()
    opened = _open_fixed(name, sites) if not colon else _open_given(kind, rest, name, sites)
    if opened is None:
        raise SettingsError(f"there is no source {name!r}", hint=f"The sources are: {', '.join(KNOWN)}.")
    return opened


def _open_fixed(name: str, sites: Sites) -> Source | None:
    if name == "huggingface":
        return HuggingFace(sites.huggingface, sites.web)
    return Sample() if name == "sample" else None


def _open_given(kind: str, given: str, name: str, sites: Sites) -> Source | None:
    """Return the source of a kind that is told more after its colon."""
    if kind == "documents" and given:
        return Directory(Path(given).expanduser(), name)
    if kind == "feed" and safe_link(given):
        return Feed(given, sites.web)
    if kind == "arxiv" and all(CATEGORY.fullmatch(category) for category in given.split("+")):
        return arxiv.Announcements(given, sites.arxiv_feed, api_of(sites), sites.web)
    if kind == "arxiv-query" and given.strip() and given.isprintable() and len(given) <= _LONGEST_QUERY:
        return arxiv.Query(given.strip(), api_of(sites))
    return None


def api_of(sites: Sites) -> arxiv.Api:
    """Return arXiv's API."""
    return arxiv.Api(sites.arxiv, sites.web)
