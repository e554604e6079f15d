"""Messages as they lie in files: one for itself, an mbox, a Maildir."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from newsletter.bounces.reading.parts import SIZE_LIMIT
from newsletter.errors import BadInput

LINE_LIMIT = 65_536  # bytes of a line that are read at once

_SEPARATOR = re.compile(rb"From \S{0,300}\s.{0,60}\d\d:\d\d.{0,30}\d{4}\s*\Z")


def messages(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the messages of an mbox, or the only one of any other stream; of each what the reader looks at, and no more."""
    first = stream.readline(LINE_LIMIT)
    if not _SEPARATOR.match(first):
        yield first + stream.read(SIZE_LIMIT)
        return
    gathered, blank = bytearray(first), False
    while line := stream.readline(LINE_LIMIT):
        if blank and _SEPARATOR.match(line):
            yield bytes(gathered)
            gathered.clear()
        blank = not line.strip()
        if len(gathered) < SIZE_LIMIT:
            gathered += line
    yield bytes(gathered)


def files(path: Path) -> list[Path]:
    """Return the files that hold messages: those of a Maildir, or the one named; raises BadInput for another folder."""
    if not path.is_dir():
        return [path]
    folders = [path / name for name in ("cur", "new") if (path / name).is_dir()]
    if not folders:
        raise BadInput(f"{path} is a folder, but no Maildir.", hint="Name files, or a folder with `cur` and `new` in it.")
    return sorted(file for folder in folders for file in folder.iterdir() if file.is_file())
