"""How long, how much and how often a site may be asked, and what an attempt that may be repeated is called."""

from dataclasses import dataclass

from newsletter.errors import SourceUnavailable


@dataclass(frozen=True)
class Limits:
    """How long, how much and how often; times in seconds, sizes in bytes after decompression."""

    connect: float = 10.0
    read: float = 30.0  # between two pieces of an answer
    total: float = 60.0  # one attempt, from the first byte asked to the last one read
    size: int = 20_000_000
    redirects: int = 5
    attempts: int = 4
    altogether: float = 120.0  # no attempt begins later than that after the first
    first_wait: float = 1.0  # doubles with each attempt, with up to `jitter` more
    longest_wait: float = 30.0  # who asks for more (Retry-After) is asked again at a later tick, not in this call
    jitter: float = 1.0
    turn: float = 60.0  # for other processes that ask the same site
    leave_alone: float = 86_400.0  # no site is left alone for longer, whatever it asks for


DEFAULT = Limits()


class Later(SourceUnavailable):
    """An attempt that may be repeated; `wait` is the server's Retry-After in seconds, if it gave one."""

    def __init__(self, what: str, *, wait: float | None = None) -> None:
        """Keep how long the server wants to be left alone."""
        super().__init__(
            what, hint="Nothing to do: it is asked again at the next collection. If it lasts, open the address in a browser."
        )
        self.wait = wait
