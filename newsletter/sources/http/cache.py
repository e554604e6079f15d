"""What sites answered, kept on disk: who has an ETag or a date asks whether there is anything newer, and is often told no.

A file is a line of JSON and the body. It is written beside and put in place whole, so that two processes at once do no harm;
one that is torn, foreign or of another address counts as none. The folder is bounded: what was not used longest goes first.
"""

import hashlib
import json
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

log = structlog.get_logger()
LARGEST_PAGE = 5_000_000  # bytes
LARGEST_FOLDER = 50_000_000  # bytes
_LONGEST_HEAD = 20_000  # bytes


@dataclass(frozen=True)
class Kept:
    """An answer of a site, and by which words it can be asked whether that still holds."""

    url: str  # as it was asked for
    final: str  # where redirects ended
    etag: str
    modified: str
    content_type: str
    body: bytes

    def conditions(self) -> dict[str, str]:
        """Return the headers that ask for something newer (RFC 9110 section 13.1)."""
        given = {"If-None-Match": self.etag, "If-Modified-Since": self.modified}
        return {name: value for name, value in given.items() if value}


@dataclass(frozen=True)
class Cache:
    """A folder of answers; None: nothing is kept."""

    folder: Path | None

    def find(self, url: str) -> Kept | None:
        """Return what is kept of `url`."""
        if self.folder is None:
            return None
        try:
            head, body = _split(_path(self.folder, url))
            found = Kept(url, head["final"], head["etag"], head["modified"], head["content_type"], body)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        texts = (found.final, found.etag, found.modified, found.content_type)
        whole = all(isinstance(text, str) for text in texts) and head.get("body") == hashlib.sha256(body).hexdigest()
        return found if whole and head.get("url") == url else None

    def keep(self, page: Kept) -> None:
        """Keep an answer, in place of an older one; what cannot be kept is asked for again."""
        if self.folder is None or len(page.body) > LARGEST_PAGE or not all(map(str.isascii, page.conditions().values())):
            return
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _make_room(self.folder, LARGEST_FOLDER - len(page.body))
            _replace(_path(self.folder, page.url), _joined(page))
        except OSError as error:
            log.warning("cache_unusable", folder=str(self.folder), error=str(error))

    def forget(self, page: Kept) -> None:
        """Keep an answer no longer."""
        if self.folder is not None:
            with suppress(OSError):
                _path(self.folder, page.url).unlink(missing_ok=True)

    def touch(self, page: Kept) -> None:
        """Note that an answer was of use."""
        if self.folder is not None:
            with suppress(OSError):
                os.utime(_path(self.folder, page.url))


def _path(folder: Path, url: str) -> Path:
    return folder / f"{hashlib.sha256(url.encode()).hexdigest()[:32]}.page"


def _joined(page: Kept) -> bytes:
    head = {
        "url": page.url,
        "final": page.final,
        "etag": page.etag,
        "modified": page.modified,
        "content_type": page.content_type,
        "body": hashlib.sha256(page.body).hexdigest(),
    }
    return json.dumps(head).encode() + b"\n" + page.body


def _split(path: Path) -> tuple[dict[str, str], bytes]:
    with path.open("rb") as file:
        head = json.loads(file.readline(_LONGEST_HEAD))
        return head, file.read(LARGEST_PAGE + 1)


def _replace(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def _make_room(folder: Path, most: int) -> None:
    """Delete what was not used longest until no more than `most` bytes are there; whoever else deletes is welcome."""
    found = []
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            about = path.stat()
            found.append((about.st_mtime, about.st_size, path))
    there = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if there <= most:
            return
        path.unlink(missing_ok=True)
        there -= size
