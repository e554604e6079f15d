"""What an email is cut into: pieces, with slots in them, and the width of its text.

Apart from how it is rendered, so that a process that only sends loads no templates.
"""

import re
import unicodedata
from dataclasses import dataclass

HEAD, WHY, MORE, FOOT = "head", "why", "more", "foot"
TEXT_WIDTH = 76  # columns of the text part; a Hangul syllable takes two
SLOT = re.compile("\x01([a-z_]+)\x02")


@dataclass(frozen=True)
class Piece:
    """A part of an email that is chosen or left out as a whole.

    `name` is "head", "why" (these papers), "card:<paper id>", "lines" (the heading over the one-line forms),
    "line:<paper id>", "more" (than there was room for) or "foot".
    """

    name: str
    content: str


@dataclass(frozen=True)
class Rendered:
    """An email in words: the subject is one line, the parts are pieces in their order."""

    subject: str
    text: tuple[Piece, ...]
    html: tuple[Piece, ...]


def wrap(text: str, first: str = "", rest: str = "") -> str:
    """Wrap `text` at spaces to TEXT_WIDTH columns; lines begin with `first`, then with `rest`. Long words stay whole."""
    lines, line, taken = [], first, _columns(first)
    for position, word in enumerate(text.split()):
        gap, columns = " " if position and line != rest else "", _columns(word)
        if gap and taken + 1 + columns > TEXT_WIDTH:
            lines.append(line)
            line, taken, gap = rest, _columns(rest), ""
        line += gap + word
        taken += len(gap) + columns
    return "\n".join([*lines, line])


def _columns(text: str) -> int:
    if text.isascii():
        return len(text)
    return len(text) + sum(unicodedata.east_asian_width(character) in "WF" for character in text)
