"""A mail server's replies: read off the wire, and kept as our errors and records keep them.

A reply is one or more lines of a three-digit code and text; the last line has no hyphen after its code (RFC 5321
section 4.2.1). Replies arrive split or several at once (RFC 2920), longer than the 512 octets of section 4.5.3.1.5.
"""

import re

from newsletter.errors import Reply

READY, OK, START_CONTENT, CLOSING = 220, 250, 354, 421  # 421 may be the answer to anything (RFC 5321 section 3.8)
LONGEST = 1 << 16  # bytes of one reply; a server that says more talks nonsense

_ENHANCED = re.compile(r"([245])\.\d{1,3}\.\d{1,3}(?!\S)")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_TEXT = 1000  # characters kept of what a server says


class Replies:
    """Turns received bytes into replies; `nonsense` is what could not be one, after which nothing more is read."""

    __slots__ = ("_lines", "_rest", "_size", "nonsense")

    def __init__(self) -> None:
        """Begin with nothing read."""
        self._rest = b""
        self._lines: list[bytes] = []
        self._size = 0  # bytes of the lines kept
        self.nonsense = ""

    @property
    def partial(self) -> bool:
        """Whether a reply has begun that is not yet whole."""
        return bool(self._rest or self._lines)

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Return the replies that `data` completes: the code (of the last line, should they differ) and the lines' text."""
        found: list[tuple[int, bytes]] = []
        lines = (self._rest + data if self._rest else data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            if self.nonsense or not self._is_reply(line):
                break
            mark = line[3:4]
            if mark == b"-":
                self._keep(line)
            elif self._lines:
                found.append((int(line[:3]), b"\n".join([*self._lines, line[4:]])))
                self._lines, self._size = [], 0
            else:
                found.append((int(line[:3]), line[4:]))
        if len(self._rest) + self._size > LONGEST:
            self._refuse(self._rest[:80])
        return found

    def _keep(self, line: bytes) -> None:
        self._lines.append(line[4:])
        self._size += len(line)
        if self._size > LONGEST:
            self._refuse(line)

    def _is_reply(self, line: bytes) -> bool:
        if line[:3].isdigit() and b"2" <= line[:1] <= b"5" and line[3:4] in {b" ", b"-", b"", b"\r"}:
            return True
        self._refuse(line)
        return False

    def _refuse(self, line: bytes) -> None:
        self.nonsense = f"the server said {one_line(line.decode('utf-8', 'replace'))[:80]!r}"


def make_reply(code: int, text: bytes | str, *, server: str, phase: str) -> Reply:
    """Return a reply as it is kept: on one line, without control characters, the enhanced code (RFC 3463) apart."""
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    enhanced, words = _split(code, words)
    return Reply(code, enhanced, one_line(words), server, phase)


def one_line(text: str) -> str:
    """Return a server's words without control characters, cut where they grow long."""
    return " ".join((text if text.isprintable() else _CONTROL.sub(" ", text)).split())[:_TEXT]


def _split(code: int, text: str) -> tuple[str, str]:
    """Return the enhanced code (empty if none) and the text without it; each line may repeat it."""
    found = _ENHANCED.match(text)
    if not found or found[1] != str(code)[0]:
        return "", text
    return found[0], " ".join(line.removeprefix(found[0]) for line in text.split("\n"))
