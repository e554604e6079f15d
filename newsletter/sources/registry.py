"""From the name in a newsletter's settings to the source that it means."""

from dataclasses import dataclass, field
from pathlib import Path

from newsletter.errors import SettingsError
from newsletter.sources import Source
from newsletter.sources.documents import Directory
from newsletter.sources.facts import HUGGING_FACE
from newsletter.sources.http import Web
from newsletter.sources.huggingface import HuggingFace
from newsletter.sources.sample import Sample

KNOWN = ("huggingface", "sample", "documents:/path/to/folder")


@dataclass(frozen=True)
class Sites:
    """Where the sites are that papers come from, and how they are asked."""

    web: Web = field(default_factory=Web)
    huggingface: str = HUGGING_FACE
    arxiv: str = "https://export.arxiv.org"
    arxiv_feed: str = "https://rss.arxiv.org"


def open_source(name: str, sites: Sites | None = None) -> Source:
    """Return the source called `name`. Raises SettingsError, naming those there are, for any other."""
    kind, _, rest = name.partition(":")
    sites = sites or Sites()
    if name == "huggingface":
        return HuggingFace(sites.huggingface, sites.web)
    if name == "sample":
        return Sample()
    if kind == "documents" and rest:
        return Directory(Path(rest).expanduser(), name)
    raise SettingsError(f"there is no source {name!r}", hint=f"The sources are: {', '.join(KNOWN)}.")
