r"""One line of Markdown into plain text, and plain text into a line that reads the same again.

Only what daily documents hold is known here: links, bold keys, HTML tags, TeX, and Python's way of printing a
dictionary, which slips in where a language model answered with more structure than it was asked for.
"""

import ast
import html
import re
import warnings
from contextlib import suppress

from newsletter.text import one_line, tex_to_unicode

_ESCAPABLE = "\\[]{$*<&~`"
_IN_NAMES = ",+"
# While markup is removed, an escaped character is a noncharacter, which clean text cannot hold.
_HIDDEN = {character: chr(0xFDD0 + place) for place, character in enumerate(_ESCAPABLE + _IN_NAMES)}
_SHOWN = str.maketrans({hidden: character for character, hidden in _HIDDEN.items()})
_ESCAPED = re.compile(r"\\([\\\[\]{$*<&~`])")
_ESCAPED_IN_NAMES = re.compile(r"\\([\\\[\]{$*<&~`,+])")
_TO_ESCAPE = re.compile(r"[\\\[\]{$`]|(?<=\*)\*|\*(?=\*)|<(?=[A-Za-z/!])|&(?=[A-Za-z#])|~(?=\w)")

_ENTITY = re.compile(r"(?<!\\)&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_TAG = re.compile(
    r"</?(?:a|abbr|b|big|br|center|code|div|em|font|h[1-6]|hr|i|img|li|mark|ol|p|pre|s|script|small|span|strong|style|sub|sup"
    r"|table|td|th|tr|tt|u|ul|video)(?:\s[^<>]*)?/?>",
    re.IGNORECASE,
)
_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*\)")
_BOLD = re.compile(r"\*{2,3}([^*]+)\*{1,3}")
_CODE = re.compile(r"`([^`]*)`")
_LONGEST_LITERAL = 20_000  # characters


def plain(line: str) -> str:
    """Return a line of Markdown as plain text: `**Key**: [text](url)` is "Key: text", `{'a': 'b'}` is "a: b"."""
    return _shown(_bare(_hide(_ESCAPED, _flat(_cleaned(line)))))


def names(line: str) -> tuple[tuple[str, ...], bool]:
    """Return the names of a list with commas, or of a Python list, and whether a "+" says that there are more."""
    line = _cleaned(line)
    listed = _literal(line) if line.startswith("[") else None
    if isinstance(listed, list):
        parts = [one_line(tex_to_unicode(part)) for part in listed if isinstance(part, str)]
    else:
        parts = [_bare(part) for part in _hide(_ESCAPED_IN_NAMES, line).split(",")]
    found = dict.fromkeys(_shown(part) for part in parts if part not in {"", "+"})
    return tuple(name for name in found if name), "+" in parts


def link(line: str) -> tuple[str, str] | None:
    """Return the two halves of `[label](target)` as they stand, the label with what is before its bracket; None if it is none."""
    line = line.strip()
    wrapped = line.endswith(">)")
    at = line.rfind("](<" if wrapped else "](")
    if at < 0 or not line.endswith(")"):
        return None
    target = line[at + 3 : -2] if wrapped else line[at + 2 : -1]
    return line[:at], target.strip()


def escape(text: str) -> str:
    """Return plain text so that `plain` gives it back."""
    return _TO_ESCAPE.sub(r"\\\g<0>", text)


def escape_name(name: str) -> str:
    """Return a name so that `names` gives it back."""
    return "\\+" if name == "+" else escape(name).replace(",", "\\,")


def escape_target(url: str) -> str:
    """Return an address for the round brackets of a link."""
    return f"<{url}>" if "(" in url or ")" in url else url


def _cleaned(line: str) -> str:
    line = one_line(line)
    return one_line(_ENTITY.sub(lambda entity: html.unescape(entity[0]), line)) if "&" in line else line


def _hide(escaped: re.Pattern[str], line: str) -> str:
    return escaped.sub(lambda found: _HIDDEN[found[1]], line)


def _shown(text: str) -> str:
    return text.translate(_SHOWN)


def _bare(line: str) -> str:
    """Return the line without its markup, escaped characters still hidden."""
    line = _BOLD.sub(r"\1", _LINK.sub(r"\1", _TAG.sub("", line)))
    return " ".join(_CODE.sub(r"\1", tex_to_unicode(line)).split())


def _flat(line: str) -> str:
    """Return the line with a dictionary or list, all of it or after its key, as words."""
    key, colon, rest = line.partition(": ")
    for before, value in (("", line), (key + colon, rest)):
        found = _literal(value) if value[:1] in {"{", "["} else None
        if isinstance(found, dict | list):
            with suppress(ValueError):  # a number of thousands of digits
                return before + _words(found)
    return line


def _literal(text: str) -> object:
    """Return the Python value that `text` spells; None if it spells none, or at too great a length."""
    if len(text) > _LONGEST_LITERAL or text[-1:] not in {"}", "]"}:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a stray backslash in it is no concern of the operator
            value: object = ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None
    return value


def _words(value: object) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{_words(key)}: {_words(inner)}" for key, inner in value.items())
    return "; ".join(map(_words, value)) if isinstance(value, list | tuple | set) else str(value)
