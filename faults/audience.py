"""Who gets what: two newsletters unlike each other, and readers with wishes of every kind."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session
from works import SECRET

from newsletter import newsletters
from newsletter.db import Sessions
from newsletter.lifecycle import SubscriptionStatus
from newsletter.models import Cadence, Consent, Newsletter, Subscriber, Subscription
from newsletter.newsletters import NewNewsletter
from newsletter.tokens import suppression_key

KOREAN = NewNewsletter(
    slug="haru",
    title="하루 논문",
    language="ko",
    from_address="news@haru.example.org",
    postal_address="서울시 보기로 1",
    zone="Asia/Seoul",
    send_hour=9,
    catch_up="each",
    no_match="skip",
    cadences=("daily", "weekly"),
)
ENGLISH = NewNewsletter(
    slug="papers",
    title="Papers of the day",
    language="en",
    from_address="news@papers.example.org",
    postal_address="1 Example Road, Seoul",
    sources=("huggingface", "arxiv:cs.MA"),
    cutoff_hours=20,
    catch_up="merged",
    no_match="short",
)


@dataclass(frozen=True)
class Reader:
    """One of them, and what they wish for."""

    name: str
    newsletter: str
    wish: dict[str, Any] = field(default_factory=dict)
    zone: str = ""
    cadence: Cadence = Cadence.DAILY

    @property
    def address(self) -> str:
        """Where their mail goes."""
        return f"{self.name}@inbox.example.net"


READERS = (
    Reader("ari", "haru"),
    Reader("bora", "haru", {"topics": ["cs.CL"], "send_hour": 7}, "Asia/Seoul"),
    Reader("chan", "haru", {"topics": ["math.AG"]}),
    Reader("dana", "haru", {"max_papers": 3, "send_hour": 22}, "America/New_York"),
    Reader("eun", "haru", cadence=Cadence.WEEKLY),
    Reader("finn", "papers"),
    Reader("gita", "papers", {"topics": ["cs.RO", "cs.SD"], "match_first": True, "send_hour": 6}, "Asia/Kolkata"),
    Reader("hana", "papers", {"keywords": ["lighthouses"], "send_hour": 18}, "Europe/Berlin"),
    Reader("ivo", "papers", {"topics": ["stat.ML"], "max_papers": 2, "send_hour": 0}, "Pacific/Auckland"),
    Reader("jun", "papers", {"topics": ["cs.MA"], "send_hour": 12}, "Asia/Seoul"),
)


@dataclass(frozen=True)
class Audience:
    """The newsletters by slug, and the readers by the id of their subscription."""

    newsletters: dict[str, Newsletter]
    readers: dict[int, Reader]


def gather(sessions: Sessions, *, now: datetime) -> Audience:
    """Add both newsletters and everybody."""
    with sessions.begin() as session:
        made = {wanted.slug: newsletters.add(session, wanted, now=now) for wanted in (KOREAN, ENGLISH)}
        found = {_subscribe(session, reader, made[reader.newsletter], now=now): reader for reader in READERS}
    return Audience(made, found)


def _subscribe(session: Session, reader: Reader, newsletter: Newsletter, *, now: datetime) -> int:
    long_ago = now - timedelta(days=9)
    person = Subscriber(
        address=reader.address,
        address_key=reader.address,
        suppression_key=suppression_key(SECRET.encode(), reader.address),
        language=newsletter.language,
        zone=reader.zone,
        created_at=long_ago,
    )
    session.add(person)
    session.flush()
    consent = Consent(
        subscriber_id=person.id,
        newsletter_ids=[newsletter.id],
        source="page",
        wording="I want it.",
        wording_version="days",
        requested_at=long_ago,
        expires_at=now,
        confirmed_at=long_ago,
    )
    session.add(consent)
    session.flush()
    wanted = Subscription(
        subscriber_id=person.id,
        newsletter_id=newsletter.id,
        consent_id=consent.id,
        status=SubscriptionStatus.ACTIVE,
        cadence=reader.cadence,
        created_at=long_ago,
        confirmed_at=long_ago,
        **reader.wish,
    )
    session.add(wanted)
    session.flush()
    return wanted.id
