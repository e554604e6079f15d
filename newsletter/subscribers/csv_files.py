"""CSV files of others: encoding, delimiter, which row on which line; and cells that no spreadsheet takes for orders."""

import codecs
import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import BinaryIO, TextIO

from newsletter.errors import BadInput

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8 with a mark"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
_UNMARKED = (
    ("utf-8", "UTF-8"),
    ("cp949", "CP949 (Korean, EUC-KR)"),
    ("cp1252", "Windows-1252 (Latin-1)"),
    ("latin-1", "Latin-1"),
)
_PIECE = 1 << 20
_ORDERS = "=+-@\t\r\n＝＋－＠"  # what a spreadsheet begins to reckon at; the wide ones in some languages
_DANGEROUS = re.compile(rf"'*[{re.escape(_ORDERS)}]")
_HANGUL_SHARE = 0.5  # of what is not ASCII: bytes of Latin-1 that happen to be CP949 are rarely Hangul throughout


def defuse(cell: str) -> str:
    """Return a cell that a spreadsheet takes for text: an apostrophe before what it would take for a formula."""
    return f"'{cell}" if _DANGEROUS.match(cell) else cell


def fuse(cell: str) -> str:
    """Take off the apostrophe that `defuse` set, and no other."""
    return cell[1:] if cell.startswith("'") and _DANGEROUS.match(cell) else cell


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it stands in the file, and the line on which it begins, counted from 1."""

    line: int
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Sheet:
    """An open CSV file: what it is, its columns as written, and its rows, one after the other."""

    path: Path
    encoding: str  # in words
    delimiter: str  # in words
    columns: tuple[str, ...]
    rows: Iterator[Row]
    size: int  # octets
    _raw: BinaryIO

    @property
    def read(self) -> int:
        """How many octets have been read; a little ahead of the rows."""
        return self._raw.tell()


@contextmanager
def open_sheet(path: Path) -> Iterator[Sheet]:
    """Open a CSV file and read its first line, the names of the columns; raises BadInput for what is no CSV file."""
    with path.open("rb") as raw:
        codec, encoding = _encoding(path, raw)
        raw.seek(0)
        with TextIOWrapper(raw, encoding=codec, newline="") as text:
            delimiter = _delimiter(text.readline(_PIECE))
            text.seek(0)
            rows = _rows(path, text, delimiter)
            columns = _columns(path, rows)
            yield Sheet(path, encoding, _DELIMITERS[delimiter], columns, rows, path.stat().st_size, raw)


def _columns(path: Path, rows: Iterator[Row]) -> tuple[str, ...]:
    for first in rows:
        return tuple(cell.strip() for cell in first.cells)
    raise BadInput(f"{path}: the file is empty.", hint="Its first line names the columns: email, and what else there is.")


def _encoding(path: Path, raw: BinaryIO) -> tuple[str, str]:
    """Return the codec and what to call it; the whole file is looked at, a piece at a time."""
    start = raw.read(4096)
    if start.startswith(b"PK\x03\x04"):
        raise BadInput(f"{path}: this is a ZIP archive or a spreadsheet.", hint="Unpack it, or save the sheet as CSV.")
    for mark, codec, words in _MARKS:
        if start.startswith(mark):
            return codec, words
    if start.count(b"\0") > len(start) // 4:
        return ("utf-16-be", "UTF-16") if start[:1] == b"\0" else ("utf-16-le", "UTF-16")
    return next((codec, words) for codec, words in _UNMARKED if _fits(raw, codec))


def _fits(raw: BinaryIO, codec: str) -> bool:
    raw.seek(0)
    decoder = codecs.getincrementaldecoder(codec)()
    foreign = hangul = 0
    try:
        while piece := raw.read(_PIECE):
            text = decoder.decode(piece)
            if codec == "cp949":
                others = [letter for letter in text if not letter.isascii()]
                foreign += len(others)
                hangul += sum("가" <= letter <= "힣" for letter in others)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return codec != "cp949" or hangul >= foreign * _HANGUL_SHARE


def _delimiter(header: str) -> str:
    """Return what parts the names of the columns: whichever stands there most often, outside quotation marks."""
    bare = re.sub(r'"[^"]*"', "", header)
    return max(_DELIMITERS, key=bare.count)


def _rows(path: Path, text: TextIOWrapper, delimiter: str) -> Iterator[Row]:
    """Yield the rows that hold anything."""
    reader = csv.reader(text, delimiter=delimiter)
    line = 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _unreadable(path, line, str(error)) from None
        except UnicodeError as error:
            raise _unreadable(path, line, f"what follows is not of one encoding: {error}") from None
        if any(cell and not cell.isspace() for cell in cells):
            yield Row(line, tuple(cells))
        line = reader.line_num + 1


def _unreadable(path: Path, line: int, why: str) -> BadInput:
    hint = "Is a quotation mark opened there and never closed? Rows before it are done; repeating them changes nothing."
    return BadInput(f"{path}:{line}: the row cannot be read: {why}.", hint=hint)


def private_file(path: Path, *, encoding: str = "utf-8") -> TextIO:
    """Open a file anew for its owner alone, to write addresses to it."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    return path.open("w", encoding=encoding, newline="")


class RefusedRows:
    """The file of the rows that were not taken, each with its line and why; made when there is one."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        """Take where it goes; nothing is written yet."""
        self.path = path
        self.number = 0
        self._columns = columns
        self._file: TextIO | None = None

    def add(self, row: Row, why: str) -> None:
        """Write down a row as it was, defused."""
        if self._file is None:
            self._file = private_file(self.path, encoding="utf-8-sig")
            csv.writer(self._file).writerow(["line", "reason", *map(defuse, self._columns)])
        csv.writer(self._file).writerow([row.line, defuse(why), *map(defuse, row.cells)])
        self.number += 1

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._file is not None:
            self._file.close()
