"""A feed for the SMTP client that keeps what happened to each parcel."""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from newsletter.mail.smtp import Answer, Kind, Parcel, Pool, Relay, Timeouts

SENDER = "bounce+1@news.example.net"
CONTENT = b"From: digest@news.example.net\r\nMessage-ID: <1.17@news.example.net>\r\n\r\nGood morning.\r\n"
SOON = Timeouts(connect=5, greeting=5, command=5, data=5, block=5, dot=5, quit=5)


def parcels(count: int, **options: object) -> list[Parcel]:
    """Return so many parcels to readers who do not exist."""
    options = {"size": len(CONTENT), "clean": True, **options}
    return [Parcel(number, SENDER, f"reader{number}@example.org", **options) for number in range(1, count + 1)]


@dataclass
class Post:
    """Gives out parcels in order; `content` may be an exception, to be raised, or None."""

    waiting: deque[Parcel]
    content: bytes | Exception | None = CONTENT
    taken: list[Parcel] = field(default_factory=list)
    begun: list[int] = field(default_factory=list)
    endings: list[tuple[int, Answer]] = field(default_factory=list)
    finished: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def of(cls, given: Iterable[Parcel], **options: object) -> "Post":
        """Return a feed of these parcels."""
        return cls(deque(given), **options)

    def next(self) -> Parcel | None:
        """Return the next parcel, if there is one."""
        if not self.waiting:
            return None
        self.taken.append(self.waiting.popleft())
        return self.taken[-1]

    def begin(self, parcel: Parcel) -> bytes | None:
        """Return the content, and remember for whom."""
        if isinstance(self.content, Exception):
            raise self.content
        self.begun.append(parcel.id)
        return self.content

    def ended(self, parcel: Parcel, answer: Answer) -> None:
        """Keep the answer."""
        self.endings.append((parcel.id, answer))
        if not self.waiting and len(self.endings) == len(self.taken):
            self.finished.set()

    def kinds(self, *, under_way: int = 0) -> dict[int, Kind]:
        """Return how each parcel ended, having seen that each that was taken did, once, but for those under way."""
        ended = {number for number, _ in self.endings}
        assert len(ended) == len(self.endings) == len(self.taken) - under_way
        assert ended <= {parcel.id for parcel in self.taken}
        return {number: answer.kind for number, answer in sorted(self.endings)}

    def answer(self, number: int = 1) -> Answer:
        """Return how a parcel ended."""
        return dict(self.endings)[number]


def deliver(post: Post, relay: Relay, *, until: str = "finished", **options: object) -> list[Exception]:
    """Run a pool until every parcel has ended (or, `until="troubled"`, it has a trouble), drain it, return its troubles."""
    troubles: list[Exception] = []

    async def run() -> None:
        troubled = asyncio.Event()

        def note(error: Exception) -> None:
            troubles.append(error)
            troubled.set()

        async with asyncio.timeout(20), Pool(relay, post, troubled=note, **{"connections": 1, **options}) as pool:
            pool.wake()
            await (post.finished if until == "finished" else troubled).wait()
            await pool.drain()

    asyncio.run(run())
    return troubles
