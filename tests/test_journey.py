"""The whole way of a reader, everything real but the wire: pages, broker, worker, clock, database, mail server."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from email import message_from_bytes, policy

import pytest
from factories import LONG_AGO, Make
from fastapi.testclient import TestClient
from installation import BASE_URL, Installation, eventually, installed
from sources_server import Answer, site
from web_parts import sign_up
from worker_parts import broker, pages

from newsletter import pipeline, wiring
from newsletter.lifecycle import DeliveryStatus, IssueStatus
from newsletter.mailbox.smtp import serve_smtp
from newsletter.mailbox.store import Mailbox
from newsletter.models import Cadence, Delivery, DeliveryKind, Issue, Newsletter
from newsletter.wiring import utcnow

__all__ = ["broker"]

ARI, BORA = "ari@example.org", "bora@example.org"
SAMPLE_DAY = date(2024, 3, 14)
YESTERDAY = utcnow().date() - timedelta(days=1)


def listed(path: str) -> Answer:
    """Answer as the site does: one paper for yesterday, none for any other day."""
    paper = {"id": "2403.00001", "title": "A paper of yesterday", "summary": "We look back. It was a day.", "upvotes": 7}
    found = [{"paper": paper | {"authors": [{"name": "Ari Kim"}]}}] if f"date={YESTERDAY}" in path else []
    return Answer(json.dumps(found).encode())


@dataclass
class Journey:
    """A running installation, seen from outside."""

    installation: Installation
    make: Make
    mailbox: Mailbox
    visitor: TestClient
    newsletter: Newsletter

    def mails(self, address: str, subject: str = "") -> list:
        """Return the mails that came for an address, oldest first."""
        found = [message_from_bytes(each.content(), policy=policy.default) for each in reversed(self.mailbox.messages(address))]
        return [mail for mail in found if subject in str(mail["Subject"])]

    def wait_for_mails(self, address: str, number: int) -> list:
        """Wait until that many mails came for an address in all, and return them."""
        eventually(lambda: len(self.mails(address)) >= number, self.installation.log, seconds=60)
        return self.mails(address)

    def join(self, address: str) -> None:
        """Sign up on the page, follow the link of the mail, press the button."""
        asked = sign_up(self.visitor, address, self.newsletter.slug)
        assert asked.status_code == 303
        (mail,) = self.wait_for_mails(address, 1)
        link = re.search(rf"{BASE_URL}(/c/\S+)", mail.get_body(("plain",)).get_content())[1]
        assert self.visitor.get(link).status_code == 200
        assert self.visitor.post(link).status_code == 200
        self.wait_for_mails(address, 2)

    def twice(self, task: str, *arguments: object) -> None:
        """Ask for a task, doubled."""
        for _ in range(2):
            self.installation.ask(task, *arguments)

    def issue(self, day: date) -> Issue | None:
        """Return the issue of a day."""
        return next(iter(self.make.all(Issue, newsletter_id=self.newsletter.id, first_day=day)), None)

    def wait_for_issue(self, day: date, status: IssueStatus) -> Issue:
        """Wait until the issue of a day is in a state."""
        eventually(lambda: (found := self.issue(day)) and found.status is status, self.installation.log, seconds=60)
        return self.issue(day)


@pytest.fixture
def journey(tmp_path, sessions, make, database, broker) -> Iterator[Journey]:
    """Run a worker and a clock on a broker and a database, with a mailbox and a site that lists papers."""
    newsletter = make.newsletter(slug="daily-papers", sources=["huggingface"], created_at=LONG_AGO)
    mailbox = Mailbox(tmp_path / "mail")
    with serve_smtp(mailbox) as relay, site(listed) as papers:
        settings = {"DATABASE_URL": database, "REDIS_URL": broker, "huggingface_url": papers.url}
        settings |= {"smtp__host": "127.0.0.1", "smtp__port": relay.port, "smtp__security": "none"}
        with installed(tmp_path, **settings) as installation:
            installation.start("worker", "--concurrency", "3")
            installation.start("beat")
            yield Journey(installation, make, mailbox, pages(installation.settings, sessions), newsletter)


def test_a_reader_signs_up_reads_one_digest_a_day_and_leaves(journey):
    journey.join(ARI)
    journey.join(BORA)

    # The clock's own tasks, each doubled, do the day of yesterday.
    journey.twice("collect_due")
    eventually(lambda: not pipeline.readings_due(journey.make.sessions, now=utcnow())[1:], journey.installation.log)
    journey.twice("assemble_due")
    issue = journey.wait_for_issue(YESTERDAY, IssueStatus.SENT)
    for address in (ARI, BORA):
        journey.wait_for_mails(address, 3)

    # All of them once more, late and doubled: nothing is left for them to do.
    before = counts(journey)
    journey.twice("collect", "huggingface", YESTERDAY.isoformat())
    journey.twice("assemble", journey.newsletter.id, "daily", YESTERDAY.isoformat())
    for task in ("freeze", "publish"):
        journey.twice(task, issue.id)
    journey.twice("sweep")
    journey.join("chan@example.org")  # behind all of those in the queue
    journey.wait_for_issue(YESTERDAY, IssueStatus.SENT)
    assert counts(journey) == before | {"chan@example.org": 2}

    # Bora leaves by the mail program's button.
    header = journey.mails(BORA, issue.subject)[0]["List-Unsubscribe"]
    path = re.search(rf"<{BASE_URL}(/u/[^>]+)>", header)[1]
    assert journey.visitor.post(path, data={"List-Unsubscribe": "One-Click"}).status_code == 200
    journey.wait_for_mails(BORA, 4)

    # The tasks of the next issue are lost: it is published, and nobody is told. The clock finds it.
    second = second_issue(journey)
    journey.wait_for_issue(SAMPLE_DAY, IssueStatus.SENT)
    assert [len(journey.mails(address, second.subject)) for address in (ARI, BORA, "chan@example.org")] == [1, 0, 1]
    assert [len(journey.mails(address, issue.subject)) for address in (ARI, BORA, "chan@example.org")] == [1, 1, 0]
    assert {row.status for row in journey.make.all(Delivery)} == {DeliveryStatus.SENT}
    assert len(journey.make.all(Delivery, kind=DeliveryKind.DIGEST)) == 4


def counts(journey: Journey) -> Counter:
    """Return how many mails came for whom."""
    return Counter(address for received in journey.mailbox.messages() for address in received.recipients)


def second_issue(journey: Journey) -> Issue:
    """Make and publish an issue of another day in this process, as a worker that dies before it asks for the next task."""
    sessions, settings, now = journey.make.sessions, journey.installation.settings, utcnow()
    journey.make.papers(7, 8, day=SAMPLE_DAY, source="huggingface", seen_at=now)
    issue = pipeline.assemble(sessions, journey.newsletter.id, Cadence.DAILY, SAMPLE_DAY, now=now)
    pipeline.freeze(sessions, issue.id, wiring.summarisers_of(settings), wiring.links_of(settings), now=now)
    pipeline.publish(sessions, issue.id, now=now)
    return journey.make.again(issue)
