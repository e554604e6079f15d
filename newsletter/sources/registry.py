"""From the name in a newsletter's settings to the source that it means."""

from pathlib import Path

from newsletter.errors import SettingsError
from newsletter.sources import Source
from newsletter.sources.documents import Directory
from newsletter.sources.facts import HUGGING_FACE
from newsletter.sources.http import DEFAULT, Limits
from newsletter.sources.huggingface import HuggingFace
from newsletter.sources.sample import Sample

KNOWN = ("huggingface", "sample", "documents:/path/to/folder")


def open_source(name: str, *, our_url: str = "", huggingface_url: str = HUGGING_FACE, limits: Limits = DEFAULT) -> Source:
    """Return the source called `name`; sites are told `our_url`. Raises SettingsError, naming those there are, for any other."""
    kind, _, rest = name.partition(":")
    if name == "huggingface":
        return HuggingFace(huggingface_url, our_url=our_url, limits=limits)
    if name == "sample":
        return Sample()
    if kind == "documents" and rest:
        return Directory(Path(rest).expanduser(), name)
    raise SettingsError(f"there is no source {name!r}", hint=f"The sources are: {', '.join(KNOWN)}.")
