"""The names by which newsletters choose their sources: a kind, and after a colon what it has to be told."""

from newsletter.errors import SettingsError
from newsletter.sources import facts
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


def split(name: str) -> tuple[str, str]:
    """Return the kind of a source and what it is told; raises SettingsError, naming those there are, for a name that is none."""
    kind, colon, given = name.partition(":")
    if not (_is_told(kind, given) if colon else name in {"huggingface", "sample"}):
        raise SettingsError(f"there is no source {name!r}", hint=f"The sources are: {', '.join(KNOWN)}.")
    return kind, given.strip()


def _is_told(kind: str, given: str) -> bool:
    if kind == "feed":
        return bool(safe_link(given))
    if kind == "arxiv":
        return all(facts.CATEGORY.fullmatch(category) for category in given.split("+"))
    if kind == "arxiv-query":
        return bool(given.strip()) and given.isprintable() and len(given) <= _LONGEST_QUERY
    return kind == "documents" and bool(given)
