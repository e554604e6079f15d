"""A site to visit: the application over a test's database, and the links out of its mails."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from factories import DAY, LINKS, NOW, POLICY, Make
from fastapi.testclient import TestClient

from newsletter.lifecycle import IssueStatus
from newsletter.models import Delivery, DeliveryKind, Issue, Newsletter, Subscription
from newsletter.throttle import UNTHROTTLED, Throttle
from newsletter.tokens import Links
from newsletter.web import Services, SignUp, create_app

AT_ONCE = SignUp(seconds=0, answer_seconds=0)  # forms are filled, and answered, in no time
OPERATOR = "operator@example.org"
ARI, BORA, CHAN = "ari@example.org", "bora@example.org", "chan@example.org"


@dataclass
class Site:
    """The site with one newsletter, "daily-papers"; its clock goes on by a second at each look."""

    make: Make
    links: Links = LINKS
    now: datetime = NOW
    woken: int = 0
    bell: Callable[[], None] = lambda: None
    throttle: Throttle = UNTHROTTLED
    sign_up: SignUp = AT_ONCE
    newsletter: Newsletter = field(init=False)

    def __post_init__(self) -> None:
        """Add the newsletter."""
        self.newsletter = self.add("daily-papers")

    def add(self, slug: str, **changes: str) -> Newsletter:
        """Add a newsletter."""
        return self.make.newsletter(slug=slug, **changes)

    def publish(self, day: date = DAY, *, numbers: tuple[int, ...] = (1, 2)) -> Issue:
        """Publish an issue of the newsletter."""
        return self.make.issue(self.newsletter, IssueStatus.PUBLISHED, numbers=numbers, day=day, now=self._clock())

    def services(self) -> Services:
        """Return what the application is made with."""
        given = (self.make.sessions, self.links, POLICY, self._wake, self._clock, self.throttle, self.sign_up)
        return Services(*given, operator=OPERATOR)

    def visitor(self) -> TestClient:
        """Return a browser that follows no redirects."""
        return TestClient(create_app(self.services()), base_url=self.links.base_url, follow_redirects=False)

    def _clock(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def _wake(self) -> None:
        self.woken += 1
        self.bell()

    def mails(self) -> list[Delivery]:
        """Return what is in the outbox."""
        return self.make.all(Delivery)

    def kinds(self) -> list[str]:
        """Return what kinds of mails are in the outbox."""
        return [mail.kind.value for mail in self.mails()]

    def subscription(self) -> Subscription:
        """Return the subscription that was made first."""
        return self.make.all(Subscription)[0]

    def confirm_path(self) -> str:
        """Return the path of the link in the last mail that asks to confirm."""
        values = self.make.all(Delivery, kind=DeliveryKind.CONFIRM)[-1].values
        return self._path(self.links.confirm(values["consent_id"], datetime.fromisoformat(values["expires_at"])))

    def unsubscribe_path(self) -> str:
        """Return the path of the link that ends the first subscription."""
        return self._path(self.links.unsubscribe(self.subscription().id))

    def preferences_path(self) -> str:
        """Return the path of the link to the preferences of the first subscriber."""
        return self._path(self.links.preferences(self.subscription().subscriber_id))

    def _path(self, link: str) -> str:
        assert link.startswith(self.links.base_url)
        return link.removeprefix(self.links.base_url)


def stamp_of(page):
    """Return the stamp of the form on a page."""
    return re.search(r'name="stamp" value="([^"]+)"', page.text)[1]


def sign_up(visit, email=ARI, newsletter="daily-papers", **more):
    """Open the form, fill it in, and send it."""
    given = {"stamp": stamp_of(visit.get("/")), "email": email, "newsletter": newsletter}
    return visit.post("/subscribe", data=given | more)


def join(visit, site, **more):
    """Sign up and confirm."""
    sign_up(visit, **more)
    visit.post(site.confirm_path())
