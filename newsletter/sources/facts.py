"""What every adapter has to know of papers: how arXiv writes its ids, and which addresses are pictures."""

import re
from urllib.parse import urlsplit

from newsletter.text import safe_link

HUGGING_FACE = "https://huggingface.co"

_ID = r"\d{4}\.\d{4,5}|[a-z-]+(?:\.[A-Z]{2})?/\d{7}"  # since April 2007, and before
_ARXIV_ID = re.compile(rf"({_ID})(?:v\d+)?", re.ASCII)
_ARXIV_PATH = re.compile(rf"/(?:abs|pdf|html)/({_ID})(?:v\d+)?(?:\.pdf)?/?", re.ASCII)
_ARXIV_NAME = re.compile(rf"(?:oai:)?arxiv(?:\.org)?:({_ID})(?:v\d+)?", re.ASCII | re.IGNORECASE)
_ARXIV_DOI = re.compile(rf"/10\.48550/arxiv\.({_ID})", re.ASCII | re.IGNORECASE)
CATEGORY = re.compile(r"[a-z]+(?:-[a-z]+)*(?:\.[A-Za-z]{2,}(?:-[A-Za-z]+)*)?")  # of arXiv: "cs.CL", "cond-mat.str-el", "cs"
_LISTED_PATH = re.compile(r"/papers/([A-Za-z0-9._-]{1,100})/?")
_ARXIV_HOSTS = {
    *("arxiv.org", "www.arxiv.org", "export.arxiv.org", "browse.arxiv.org", "ar5iv.labs.arxiv.org"),
    *("ar5iv.org", "www.ar5iv.org", "alphaxiv.org", "www.alphaxiv.org"),
}
_CODE = re.compile(r"https?://(?:www\.)?(?:github\.com|gitlab\.com)/[\w-]{1,100}/[\w.-]{1,100}", re.ASCII | re.IGNORECASE)
_PROJECT = re.compile(r"https?://[\w-]{1,63}\.(?:github|gitlab)\.io(?:/[\w./~-]{0,200})?", re.ASCII | re.IGNORECASE)
_VIDEO = (".mp4", ".m4v", ".mov", ".qt", ".webm", ".ogv", ".avi", ".mkv")
_NO_PICTURE = (*_VIDEO, ".svg", ".gif", ".pdf", ".html")  # mail programs show no SVG; an animation distracts


def arxiv_id(text: str) -> str:
    """Return the arXiv id that `text` is, without its version; "" if it is none."""
    found = _ARXIV_ID.fullmatch(text)
    return found[1] if found else ""


def identify(url: str) -> tuple[str, str]:
    """Return (source, source id) of the paper at a safe link: its arXiv id where it shows one, else the link itself."""
    parts = urlsplit(url)
    if parts.hostname in _ARXIV_HOSTS and (found := _ARXIV_PATH.fullmatch(parts.path)):
        return "arxiv", found[1]
    if parts.hostname in {"doi.org", "dx.doi.org"} and (found := _ARXIV_DOI.fullmatch(parts.path)):
        return "arxiv", found[1]
    if parts.hostname in {"huggingface.co", "hf.co"} and (found := _LISTED_PATH.fullmatch(parts.path)):
        return ("arxiv", arxiv_id(found[1])) if arxiv_id(found[1]) else ("huggingface", found[1])
    return "web", url


def identify_any(link: str, name: str) -> tuple[str, str]:
    """Return what `identify` does, of an entry's link and else of its name, as "oai:arXiv.org:2403.08295v1"."""
    found = identify(link)
    if found[0] != "web":
        return found
    if named := _ARXIV_NAME.fullmatch(name):
        return "arxiv", named[1]
    other = identify(name) if safe_link(name) else found
    return other if other[0] == "arxiv" else found


def code_and_project(prose: str) -> dict[str, str]:
    """Return the addresses of code and of a project's page that an abstract or a comment names, as links."""
    found = {"code": _CODE.search(prose), "project": _PROJECT.search(prose)}
    links = {kind: safe_link(match[0].rstrip(".,;:)")) for kind, match in found.items() if match}
    return {kind: url for kind, url in links.items() if url}


def picture(url: str) -> str:
    """Return `url` if it may be a paper's thumbnail: a safe link to no video, no SVG, and nobody's face; else ""."""
    link = safe_link(url)
    parts = urlsplit(link)
    face = (parts.hostname or "").startswith("cdn-avatars") or "/avatars/" in parts.path
    return "" if face or parts.path.lower().endswith(_NO_PICTURE) else link


def video(url: str) -> str:
    """Return `url` if it is a safe link to a video file; else ""."""
    link = safe_link(url)
    return link if urlsplit(link).path.lower().endswith(_VIDEO) else ""
