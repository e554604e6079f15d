"""A digest on its way through a real mail server: what comes out is what was composed."""

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import date
from email import message_from_bytes, policy
from uuid import uuid4

import pytest
from factories import LINKS, mailer
from sqlalchemy import update

from newsletter import deliveries, pipeline
from newsletter.deliveries import Journal, worker_name
from newsletter.lifecycle import DeliveryStatus
from newsletter.mail.smtp import Relay
from newsletter.mail.transports import OutgoingMessage
from newsletter.models import Cadence, Delivery
from newsletter.sources.sample import Sample
from newsletter.summarisers.extractive import Extractive
from newsletter.wiring import utcnow

DAY = date(2024, 3, 14)
ADDED = re.compile(rb"^(Return-Path|Delivered-To|Received|Authentication-Results):", re.IGNORECASE)  # by the server, on top


class Remembering:
    """A mailer that remembers what it made."""

    def __init__(self) -> None:
        self.made: list[OutgoingMessage] = []
        self._mailer = mailer()
        self.load, self.return_path, self.finds_nothing = self._mailer.load, self._mailer.return_path, self._mailer.finds_nothing

    def message(self, *given, **named):
        """Make a message."""
        self.made.append(self._mailer.message(*given, **named))
        return self.made[-1]


@pytest.fixture
def database_kind():
    return "sqlite"  # a mail server sees no difference


@pytest.fixture(params=["ko", "en"])
def sent(request, make, mail_host, tmp_path):
    """Send the issue of the bundled day to one reader; return what went out, and what lies in their mailbox."""
    language, mail = request.param, Remembering()
    newsletter = make.newsletter(
        slug=f"daily-{language}",
        title="데일리 페이퍼스",
        from_name="데일리 페이퍼스",
        language=language,
        from_address="news@digest.test",
    )
    address = f"{uuid4().hex}@inbox.test"  # a mailbox of its own for each test
    make.reader("ari", newsletter)
    publish(make, newsletter)
    with make.sessions.begin() as session:  # nobody could subscribe with an address of a domain that is for tests
        session.execute(update(Delivery).values(address=address))
    way = deliveries.over(Relay("127.0.0.1", mail_host.port, ca_file=mail_host.certificate), connections=2)
    # In a thread of its own: the browser's tests keep a loop running in this one.
    with closing(Journal.open(tmp_path, worker_name())) as journal, ThreadPoolExecutor(1) as thread:
        thread.submit(deliveries.drain, make.sessions, way, mail, journal, clock=utcnow).result()
    (delivery,), (message,) = make.all(Delivery), mail.made
    assert delivery.status is DeliveryStatus.SENT
    assert delivery.reply_code == 250
    return message.content, mail_host.mailbox(address.partition("@")[0], count=1)[-1]


def publish(make, newsletter):
    now, sessions = utcnow(), make.sessions
    pipeline.collect(sessions, lambda _: Sample(), "sample", DAY, now=now)
    issue = pipeline.assemble(sessions, newsletter.id, Cadence.DAILY, DAY, now=now)
    pipeline.freeze(sessions, issue.id, [Extractive()], LINKS, now=now)
    assert pipeline.publish(sessions, issue.id, now=now) == 1


def without_added(content):
    """Return a message without the fields that servers put on top of it."""
    lines = content.splitlines(keepends=True)
    while lines and (ADDED.match(lines[0]) or lines[0][:1] in b" \t"):
        lines.pop(0)
    return b"".join(lines)


def test_the_bytes_arrive_as_they_were_composed(sent):
    composed, delivered = sent

    assert without_added(delivered) == composed


def test_every_line_is_seven_bit_and_short_enough(sent):
    _, delivered = sent

    assert delivered.isascii()
    assert max(map(len, delivered.splitlines())) <= 998
    assert b"\r" not in delivered.replace(b"\r\n", b"")


def test_the_mail_says_what_list_it_is_of_and_how_to_leave(sent):
    _, delivered = sent
    head = delivered.partition(b"\r\n\r\n")[0].decode().replace("\r\n", "\n")

    assert re.search(r"^List-Unsubscribe: <https://news\.example\.com/u/[\w-]+>", head, re.MULTILINE)
    assert re.search(r"^List-Unsubscribe-Post: List-Unsubscribe=One-Click$", head, re.MULTILINE)
    assert re.search(r"^List-Id: .*<daily-(ko|en)\.digest\.test>", head, re.MULTILINE | re.DOTALL)
    assert re.search(r"^Message-ID: <[a-z0-9]+@digest\.test>$", head, re.MULTILINE)
    assert re.search(r"^Return-Path: <news@digest\.test>$", head, re.MULTILINE)


def test_a_reader_finds_all_papers_in_both_parts(sent):
    _, delivered = sent
    message = message_from_bytes(delivered, policy=policy.default)

    text, html = (message.get_body((kind,)).get_content() for kind in ("plain", "html"))
    for paper in Sample().listing(DAY).papers:
        assert paper.url in text
        assert paper.url in html
    assert "데일리 페이퍼스" in str(message["From"])
