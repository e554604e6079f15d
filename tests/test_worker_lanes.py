"""Who waits in person goes before a list that waits."""

import os
import time
from contextlib import closing
from datetime import timedelta

import pytest
from factories import Make, mailer
from installation import add_readers, eventually, installed
from smtp_sink import running
from sources_server import Answer, site
from worker_parts import broker, sink

from newsletter import deliveries
from newsletter.deliveries import Journal, Pace, over, worker_name
from newsletter.lifecycle import DeliveryStatus, IssueStatus
from newsletter.mail.smtp import Relay
from newsletter.models import Delivery, DeliveryKind
from newsletter.wiring import utcnow

__all__ = ["broker", "sink"]
READERS = 1000
CONNECTIONS = 4
PATIENCE = 2.0  # seconds; the list takes several times as long
EVERY = 100  # messages of the list between two who sign up


class Newcomers:
    """Sign up while the list is being sent: one at every hundredth message, and remember when."""

    def __init__(self, make: Make, newsletter_id: int) -> None:
        self.came_at: dict[str, float] = {}  # seconds, monotonic
        self._make = make
        self._newsletter_id = newsletter_id

    def look(self, sink) -> None:
        """Let somebody come at every hundredth message; the server calls it before it answers."""
        number = len(sink.taken)
        if number % EVERY == 0:
            name = f"newcomer{number}"
            self.came_at[f"{name}@example.org"] = time.monotonic()
            self._make.delivery(name, newsletter_id=self._newsletter_id, due_at=utcnow(), give_up_at=utcnow().replace(year=9999))


def test_a_confirmation_overtakes_the_list_within_two_seconds(make, tmp_path):
    newsletter = make.newsletter()
    addresses = add_readers(make, newsletter, READERS)
    make.issue(newsletter, IssueStatus.PUBLISHED, now=utcnow())
    newcomers = Newcomers(make, newsletter.id)

    with running(delay=0.02, on_message=newcomers.look) as sink, closing(Journal.open(tmp_path, worker_name())) as journal:
        way = over(Relay("127.0.0.1", sink.port, security="none"), connections=CONNECTIONS)
        report = deliveries.drain(make.sessions, way, mailer(), journal, clock=utcnow, pace=Pace(window=2 * CONNECTIONS))

    reached_at = {message.recipient: message.at for message in sink.taken}
    waited = [reached_at[address] - came_at for address, came_at in newcomers.came_at.items()]
    assert report.sent == READERS + len(waited)
    assert sorted(sink.recipients()) == sorted([*addresses, *newcomers.came_at])
    assert len(waited) >= READERS // EVERY
    assert sink.taken[-1].at - sink.taken[0].at > 2 * PATIENCE  # or the list would have been no hindrance
    assert max(waited) < PATIENCE


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_mails_do_not_wait_for_a_source_that_hangs(make, tmp_path, sink, database, broker):
    children = (os.cpu_count() or 1) + 1
    make.newsletter(sources=["huggingface"], created_at=utcnow() - timedelta(days=2 * children))
    relay = {"smtp__host": "127.0.0.1", "smtp__port": sink.port, "smtp__security": "none"}
    urls = {"DATABASE_URL": database, "REDIS_URL": broker}
    with site(Answer(drip=0.5)) as papers, installed(tmp_path, huggingface_url=papers.url, **urls, **relay) as installation:
        installation.start("worker", "--concurrency", str(children))  # it reads at once
        eventually(lambda: papers.asked, installation.log)
        make.delivery("ari", due_at=utcnow(), give_up_at=utcnow().replace(year=9999))
        installation.ask("drain")

        eventually(lambda: sink.taken, installation.log, seconds=30)
        assert "Traceback" not in installation.log()


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_every_mail_of_a_list_ends_as_sent(make, tmp_path):
    newsletter = make.newsletter()
    add_readers(make, newsletter, 20)
    make.issue(newsletter, IssueStatus.PUBLISHED, now=utcnow())

    with running() as sink, closing(Journal.open(tmp_path, worker_name())) as journal:
        way = over(Relay("127.0.0.1", sink.port, security="none"), connections=CONNECTIONS)
        deliveries.drain(make.sessions, way, mailer(), journal, clock=utcnow)

    rows = make.all(Delivery, kind=DeliveryKind.DIGEST)
    assert {row.status for row in rows} == {DeliveryStatus.SENT}
    assert len({message.message_id for message in sink.taken}) == len(rows) == 20
