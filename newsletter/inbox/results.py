"""Authentication-Results (RFC 8601): what a mail server found out about who wrote a mail. Pure.

What cannot be read as a whole is not believed at all: a field that two readers take apart differently proves nothing.
"""

import re
from dataclasses import dataclass

LIMIT = 10_000  # characters of a field

_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"|([^\s();"]+)|(;)|(\s+)')
_AROUND_EQUALS = re.compile(r"\s{0,100}=\s{0,100}")  # where white space says nothing
_PAIR = re.compile(r"([a-z0-9][a-z0-9._-]*)(?:/[0-9]+)?=(.+)", re.DOTALL | re.IGNORECASE)
_NO_RESULT = ["none"]


@dataclass(frozen=True)
class Result:
    """One method and what it came to, with the properties it looked at: `dmarc`, `pass`, `header.from` and its domain."""

    method: str
    result: str
    properties: tuple[tuple[str, str], ...]

    def only(self, name: str) -> str:
        """Return a property that stands there once; "" otherwise."""
        values = [value for known, value in self.properties if known == name]
        return values[0] if len(values) == 1 else ""


@dataclass(frozen=True)
class Results:
    """A field: who says it, and all that it says."""

    authserv_id: str  # in lower case
    results: tuple[Result, ...]

    def only(self, method: str) -> Result | None:
        """Return the result of a method that stands there once."""
        found = [result for result in self.results if result.method == method]
        return found[0] if len(found) == 1 else None


def parse(value: str) -> Results | None:
    """Return what an unfolded field says; None where it does not follow the grammar of RFC 8601 section 2.2."""
    bare = _without_comments(value) if len(value) <= LIMIT else None
    segments = _segments(bare) if bare is not None else None
    if not segments or not 1 <= len(segments[0]) <= 2:  # noqa: PLR2004 -- the name, and perhaps a version
        return None
    authserv_id, *version = segments[0]
    if version and version != ["1"]:
        return None
    stated = [segment for segment in segments[1:] if segment]  # some servers end with a semicolon
    results = [] if stated == [_NO_RESULT] else [_result(segment) for segment in stated]
    known = tuple(result for result in results if result is not None)
    return Results(authserv_id.lower(), known) if len(known) == len(results) else None


def _without_comments(value: str) -> str | None:
    """Return the value with a space for each comment, which may nest and hold quoted pairs; None where one does not end."""
    kept: list[str] = []
    depth, quoted, escaped = 0, False, False
    for character in value:
        if not depth:
            kept.append(" " if character == "(" and not quoted else character)
        if escaped:
            escaped = False
        elif character == "\\" and (depth or quoted):
            escaped = True
        elif character == '"' and not depth:
            quoted = not quoted
        elif not quoted:
            depth += (character == "(") - (character == ")" and depth > 0)
    return None if depth or quoted else "".join(kept)


def _segments(bare: str) -> list[list[str]] | None:
    """Return the words between the semicolons, a quoted string joined to what it touches; None for what is no word."""
    segments: list[list[str]] = [[]]
    end, touching = 0, False
    for found in _TOKEN.finditer(_AROUND_EQUALS.sub("=", bare)):
        if found.start() != end:
            return None
        end = found.end()
        if found[3]:
            segments.append([])
        word = re.sub(r"\\(.)", r"\1", found[1], flags=re.DOTALL) if found[1] is not None else found[2]
        if word is None:
            touching = False
        elif touching:
            segments[-1][-1] += word
        else:
            segments[-1].append(word)
            touching = True
    return segments


def _result(words: list[str]) -> Result | None:
    """Return `method=result` and its properties, which stand in pairs; None for anything else."""
    pairs = [_PAIR.fullmatch(word) for word in words]
    known = [(pair[1].lower(), pair[2]) for pair in pairs if pair is not None]
    if not known or len(known) != len(pairs) or "." in known[0][0]:
        return None
    (method, result), *properties = known
    return Result(method, result.lower(), tuple(properties))
