import json
import os
import signal
import smtplib
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from cli_parts import installed_terminal, terminal
from factories import Make
from inbox_parts import DOMAIN, letter, mails

from newsletter import db, inbox
from newsletter.deliveries import Mail, enqueue
from newsletter.embedded.valkey import free_port
from newsletter.inbox import QUARANTINE, Incoming
from newsletter.lifecycle import DeliveryStatus
from newsletter.local import until
from newsletter.models import Alarm, Delivery, DeliveryKind, InboundStatus

__all__ = ["installed_terminal", "terminal"]

NOW = datetime.now(UTC)


@pytest.fixture
def place(installed_terminal):
    """Return a terminal of an installation that takes mail in."""
    installed_terminal.set("NEWSLETTER_INBOX__DOMAIN", DOMAIN)
    return installed_terminal


@pytest.fixture
def make(place):
    """Return what fills the installation's database."""
    sessions = db.connect(os.environ["DATABASE_URL"])
    yield Make(sessions)
    sessions.engine.dispose()


def quarantine(make, subject="A letter"):
    """Receive a letter for postmaster, whom nobody is."""
    whole = letter(subject=subject, text="Where do the votes come from?")
    inbox.receive(make.sessions, Incoming("192.0.2.1", "ari@example.org", (f"postmaster@{DOMAIN}",), whole), now=NOW)
    return whole


def test_mail_in_quarantine_is_looked_through(place, make):
    whole = quarantine(make)
    with make.sessions.begin() as session:
        row = inbox.find(session, 1)
        row.status, row.reason = InboundStatus.QUARANTINED, "nobody reads it"

    assert "nobody reads it" in place.ok("inbox", "list", "--status", "quarantined")
    assert "no such mail" in place.ok("inbox", "list", "--status", "done")
    assert json.loads(place.ok("inbox", "list", "--json"))[0]["recipient"] == f"postmaster@{DOMAIN}"
    assert "Where do the votes come from?" in place.ok("inbox", "show", 1)
    assert "content" not in json.loads(place.ok("inbox", "show", 1, "--json"))
    place.ok("inbox", "save", 1, place.folder / "letter.eml")
    assert (place.folder / "letter.eml").read_bytes() == whole
    assert "exists" in place.refused("inbox", "save", 1, place.folder / "letter.eml")

    assert "nobody is set to read letters" in place.ok("inbox", "retry", 1)
    assert make.all(Alarm)[0].cause == QUARANTINE
    place.set("NEWSLETTER_OPERATOR_EMAIL", "operator@example.com")
    assert "forwarded" in place.ok("inbox", "retry", 1)
    assert make.all(Alarm)[0].closed_at is not None
    assert "not in quarantine" in place.refused("inbox", "retry", 1)


def test_mail_in_quarantine_is_dropped_and_the_alarm_ends(place, make):
    quarantine(make)
    quarantine(make, "Another")
    with make.sessions.begin() as session:
        for number in (1, 2):
            inbox.find(session, number).status = InboundStatus.QUARANTINED
    place.ok("inbox", "retry", 1)

    place.ok("inbox", "drop", 1)
    assert make.all(Alarm)[0].closed_at is None
    place.ok("inbox", "drop", 2)

    assert make.all(Alarm)[0].closed_at is not None
    assert [row.content for row in mails(make)] == [None, None]
    assert "no longer kept" in place.ok("inbox", "show", 1)
    assert "no longer kept" in place.refused("inbox", "save", 1, place.folder / "a.eml")
    assert "no mail 3" in place.refused("inbox", "show", 3)


def test_without_a_domain_no_mail_is_taken_in(installed_terminal):
    assert "inbox.domain is not set" in installed_terminal.refused("inbox", "run")


def test_a_certificate_that_cannot_be_used_is_named(place):
    place.set("NEWSLETTER_INBOX__CERTIFICATE", place.folder / "none.pem")

    assert "none.pem" in place.refused("inbox", "run")


def test_a_process_that_does_not_run_is_not_well(place):
    place.set("NEWSLETTER_INBOX__PORT", free_port())

    assert "inbox run" in place.refused("health", "inbox")


def test_letters_are_forgotten_when_they_have_arrived_and_all_mail_after_a_month(make):
    for subject in ("arrived", "on its way", "old", "waits"):
        quarantine(make, subject)
    with make.sessions.begin() as session:
        for number in (1, 2, 3):
            row = inbox.find(session, number)
            row.status, row.handled_at = InboundStatus.FORWARDED, NOW - timedelta(days=31 if number == 3 else 1)
            values = {"reply_to": "ari@example.org"}
            mail = Mail(kind=DeliveryKind.FORWARD, dedupe_key=f"forward:{number}", address="editor@example.com", values=values)
            enqueue(session, mail, now=NOW)
    with make.sessions.begin() as session:
        session.get_one(Delivery, 1).status = DeliveryStatus.SENT
    with make.sessions.begin() as session:
        purged = inbox.purge(session, now=NOW)

    assert (purged.letters, purged.rows) == (1, 1)
    assert [row.values for row in make.all(Delivery)] == [{}, values, values]
    assert [(row.id, row.content is None) for row in mails(make)] == [(1, True), (2, False), (4, False)]


@pytest.fixture
def process(place):
    """Return what starts `newsletter inbox run` and returns the process and its port."""
    started = []

    def start():
        port = free_port()
        words = [sys.executable, "-m", "newsletter", "inbox", "run", "--port", str(port)]
        program = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ))
        started.append(program)
        assert until(lambda: program.poll() is not None or _greets(port))
        place.set("NEWSLETTER_INBOX__PORT", port)
        return program, port

    yield start
    for program in started:
        program.kill()
        program.wait()


def _greets(port):
    try:
        smtplib.SMTP("127.0.0.1", port, timeout=5).quit()
    except OSError:
        return False
    return True


def test_mail_taken_in_by_a_process_that_is_killed_is_handled_once_by_the_next(place, process, make):
    place.set("NEWSLETTER_OPERATOR_EMAIL", "operator@example.com")
    program, port = process()
    place.ok("health", "inbox")
    with smtplib.SMTP("127.0.0.1", port) as client:
        for number in range(20):
            client.sendmail("ari@example.org", [f"daily@{DOMAIN}"], letter(subject="Hello", text=f"{number}"))
            if number == 9:
                os.kill(program.pid, signal.SIGSTOP)  # between its answer and its handling, as likely as anywhere
                os.kill(program.pid, signal.SIGKILL)
                break
    program.wait()
    taken = len(mails(make))

    again, _ = process()
    assert until(lambda: all(row.status is not InboundStatus.RECEIVED for row in mails(make)))
    again.send_signal(signal.SIGTERM)

    assert again.wait(30) == 0
    assert taken == 10
    assert [row.status for row in mails(make)] == [InboundStatus.FORWARDED] * 10
    assert len(make.all(Delivery)) == 10
