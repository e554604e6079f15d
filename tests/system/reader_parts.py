"""A reader with a browser and a mailbox, before an installation that runs: pages, worker, broker and mail server are real."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from hashlib import sha256
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

import axe_playwright_python
import httpx2
from factories import Make
from installation import Installation, eventually, installed
from playwright.sync_api import Browser, BrowserContext, Page
from smtp_sink import Sink
from smtp_sink import running as taking_mail
from sqlalchemy import text
from sqlmodel import SQLModel

from newsletter.embedded.valkey import free_port
from newsletter.lifecycle import ENDED
from newsletter.models import Delivery

LOOKS = [(width, scheme) for width in (360, 1200) for scheme in ("light", "dark")]
AXE = (resources.files(axe_playwright_python) / "axe.min.js").read_text()
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
LOOK_RULES = {"type": "rule", "values": ["color-contrast", "target-size"]}  # what another width or colour may break
FAULTS = """async only => (await axe.run(document, {runOnly: only, resultTypes: ['violations']})).violations
    .filter(one => ['serious', 'critical'].includes(one.impact))
    .map(one => one.id + ': ' + one.nodes.map(node => node.html).join(' '))"""
SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
LINK = re.compile(r"https?://[^\s<>\"]+")


@dataclass
class Place:
    """An installation that runs, with its database and the mail server it sends to."""

    installation: Installation
    make: Make
    sink: Sink
    base_url: str

    def mails(self, address: str) -> list[EmailMessage]:
        """Return what came for an address, oldest first."""
        return [
            message_from_bytes(taken.content, policy=policy.default) for taken in self.sink.taken if taken.recipient == address
        ]

    def link(self, address: str, kind: str, *, after: int = 0) -> str:
        """Wait for a mail with a link of a kind ("/c/"), the first `after` so many mails, and return the link."""
        wanted = re.compile(rf"{re.escape(self.base_url)}{kind}[\w-]+")

        def found() -> list[str]:
            return [link[0] for mail in self.mails(address)[after:] if (link := wanted.search(plain(mail)))]

        eventually(found, lambda: f"no mail to {address} with {kind}\n{self.installation.log()}\n{self.installation.log('web')}")
        return found()[0]

    def state(self) -> str:
        """Wait until no mail is on its way, and return a hash of all that the database holds."""
        eventually(lambda: all(row.status in ENDED for row in self.make.all(Delivery)), self.installation.log)
        with self.make.sessions.read() as session:
            rows = {
                name: sorted(map(repr, session.execute(text(f'SELECT * FROM "{name}"'))))
                for name in sorted(SQLModel.metadata.tables)
            }
        return sha256(repr(rows).encode()).hexdigest()


def plain(mail: EmailMessage) -> str:
    """Return the text of a mail."""
    part = mail.get_body(("plain",))
    return str(part.get_content()) if part is not None else ""


def links(mail: EmailMessage) -> list[str]:
    """Return every link of a mail: of its text, of its HTML and of its header, each once."""
    part = mail.get_body(("html",))
    html = str(part.get_content()).replace("&amp;", "&") if part is not None else ""
    return sorted(set(LINK.findall(f"{plain(mail)} {html} {mail['List-Unsubscribe'] or ''}")))


def answers(page: str) -> bool:
    """Say whether there is a page."""
    try:
        return httpx2.get(page).is_success
    except httpx2.HTTPError:
        return False


@contextmanager
def running(folder: Path, make: Make, database: str, broker: str) -> Iterator[Place]:
    """Give an installation whose pages and worker run."""
    port = free_port()
    base_url = f"http://127.0.0.1:{port}"
    with taking_mail() as sink:
        settings = {"DATABASE_URL": database, "REDIS_URL": broker, "base_url": base_url, "inbox__domain": "in.example.org"}
        settings |= {"smtp__host": "127.0.0.1", "smtp__port": sink.port, "smtp__security": "none"}
        settings |= {"sign_up__trials": "true", "sign_up__per_ip": 0, "sign_up__per_network": 0}
        with installed(folder, **settings) as installation:
            installation.start("web", "--port", str(port))
            installation.start("worker", "--concurrency", "1")
            eventually(lambda: answers(f"{base_url}/readyz"), lambda: installation.log("web"), seconds=60)
            yield Place(installation, make, sink, base_url)


@dataclass
class Reader:
    """A person at a browser, who looks at each page closely."""

    place: Place
    page: Page
    language: str
    shots: Path  # where what they saw is kept

    def look(self, name: str) -> None:
        """See that the page is as it should be on a phone and on a desk, by day and by night, and keep how it looked."""
        self.page.evaluate(AXE)
        assert self.page.locator("html").get_attribute("lang") == self.language, name
        for number, (width, scheme) in enumerate(LOOKS):
            self.page.set_viewport_size({"width": width, "height": 800})
            self.page.emulate_media(color_scheme=scheme)
            self.page.screenshot(path=self.shots / f"{self.language}-{name}-{width}-{scheme}.png", full_page=True)
            assert self.page.evaluate(FAULTS, LOOK_RULES if number else TAGS) == [], (name, width, scheme)
            assert self.page.evaluate(SIDEWAYS) <= 0, (name, width)

    def open(self, link: str, name: str) -> None:
        """Open a link and look at its page."""
        answer = self.page.goto(link)
        assert answer is not None
        assert answer.status == 200, (link, answer.status)
        self.look(name)

    def press(self, selector: str, name: str = "") -> None:
        """Press a button, and look at what comes if it has a name."""
        self.page.set_viewport_size({"width": 1200, "height": 800})
        with self.page.expect_navigation():
            self.page.locator(selector).first.click()
        if name:
            self.look(name)


@contextmanager
def at_the_browser(browser: Browser, place: Place, language: str, shots: Path) -> Iterator[Reader]:
    """Give a reader whose browser asks for a language."""
    context = browser.new_context(locale=language, base_url=place.base_url)
    try:
        yield Reader(place, context.new_page(), language, shots)
    finally:
        context.close()


def scan(place: Place, context: BrowserContext, found: Sequence[str]) -> None:
    """Open each link of this installation as scanners do: by HEAD, by GET, and in a browser with JavaScript."""
    page = context.new_page()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(f"{request.method} {urlsplit(request.url).netloc}"))
    for link in found:
        if not link.startswith(place.base_url):
            continue
        for method in ("HEAD", "GET"):
            assert context.request.fetch(link, method=method).ok, (method, link)
        page.goto(link)
    assert set(sent) == {f"GET {urlsplit(place.base_url).netloc}"}, sent
    assert context.cookies() == []
    page.close()
