"""The mail host itself does what a receiving host does: a test that builds on it can believe it."""

import os
import re
import shutil
import smtplib
import ssl
import subprocess
import sys
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import dkim as verifier
import mail_host as mail_host_program
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP
from installation import ROOT, eventually
from mail_host import running

from newsletter.embedded.valkey import free_port

READER = "bounce+7@digest.test"


def letter(sender, to, **fields):
    message = EmailMessage(policy.SMTP)
    message["From"], message["To"], message["Subject"], message["Message-ID"] = sender, to, "오늘의 논문", "<1@digest.test>"
    for name, value in fields.items():
        message[name.replace("_", "-")] = value
    message.set_content("Three papers today.")
    return message.as_bytes()


def send(host, to, sender="news@digest.test", **fields):
    host.send(letter(sender, to, **fields), sender=sender, to=to)


def parsed(content):
    return message_from_bytes(content, policy=policy.default)


def test_mail_is_taken_and_kept(mail_host):
    send(mail_host, "taken+daily@inbox.test")

    message = parsed(mail_host.mailbox("taken", count=1)[0])

    assert (message["Subject"], message["Return-Path"]) == ("오늘의 논문", "<news@digest.test>")
    assert message["Delivered-To"] == "taken+daily@inbox.test"
    assert message["Authentication-Results"].startswith("mx.inbox.test; dkim=none")


@pytest.mark.parametrize(
    ("user", "code", "enhanced"), [("nosuch", 550, "5.1.1"), ("full", 552, "5.2.2"), ("defer", 450, "4.2.1")]
)
def test_some_are_refused_in_the_dialogue(mail_host, user, code, enhanced):
    with pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
        send(mail_host, f"{user}+daily@inbox.test")

    said = caught.value.recipients[f"{user}+daily@inbox.test"]
    assert said[0] == code
    assert said[1].decode().startswith(f"{enhanced} ")


def test_who_is_greylisted_is_let_in_the_second_time(mail_host):
    for to in ("greylist+one@inbox.test", "greylist+two@inbox.test"):
        with pytest.raises(smtplib.SMTPRecipientsRefused, match="Greylisted"):
            send(mail_host, to)
        send(mail_host, to)

        assert len(mail_host.mailbox("greylist", to=to, count=1)) == 1


def test_nothing_leaves_the_house(mail_host):
    with pytest.raises(smtplib.SMTPRecipientsRefused, match="sends nothing elsewhere"):
        send(mail_host, "ari@example.org")


def test_its_certificate_can_be_checked(mail_host):
    with smtplib.SMTP("127.0.0.1", mail_host.port, timeout=20) as server:
        server.starttls(context=ssl.create_default_context(cafile=mail_host.certificate))
        server.sendmail("news@digest.test", "secret@inbox.test", letter("news@digest.test", "secret@inbox.test"))

    assert "using TLSv1.3" in parsed(mail_host.mailbox("secret", count=1)[0]).get_all("Received")[-1]


def test_a_forged_result_of_a_check_is_taken_off(mail_host):
    send(mail_host, "forged@inbox.test", Authentication_Results="mx.inbox.test; dkim=pass header.d=bank.example")

    (content,) = mail_host.mailbox("forged", count=1)

    assert b"bank.example" not in content


class Ours:
    """A server of ours that the host sends to; `taken` is by envelope: sender, recipients, content."""

    def __init__(self):
        self.taken = []

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802 -- the hook's name is aiosmtpd's
        """Take a mail."""
        self.taken.append((envelope.mail_from, tuple(envelope.rcpt_tos), envelope.content))
        return "250 2.0.0 taken"

    def next(self, host):
        """Wait for one mail, and return it, parsed."""
        eventually(lambda: self.taken, host.log)
        sender, recipients, content = self.taken.pop(0)
        return sender, recipients, parsed(content)


class Inbox(Controller):
    """Runs it."""

    def factory(self):
        """Return what speaks with one client."""
        return self.SMTP_kwargs["protocol"](self.handler)


@pytest.fixture(scope="module", params=[(SMTP, "smtp:[127.0.0.1]:{}"), (LMTP, "lmtp:inet:127.0.0.1:{}")], ids=["smtp", "lmtp"])
def inbox(request):
    """Return a server of ours, as Postfix names the way to it and as we see it."""
    protocol, transport = request.param
    server = Inbox(Ours(), hostname="127.0.0.1", port=free_port(), protocol=protocol)
    server.start()
    yield transport.format(server.port), server.handler
    server.stop()


@pytest.fixture(scope="module")
def host(inbox):
    """Return a host that sends mail for digest.test to a server of ours."""
    with running(routes={"digest.test": inbox[0]}) as host:
        yield host


@pytest.fixture
def ours(inbox):
    """Return the server of ours."""
    inbox[1].taken.clear()
    return inbox[1]


@pytest.mark.parametrize(("user", "status"), [("late-nosuch", "5.1.1"), ("quota", "5.2.2")])
def test_what_cannot_be_delivered_comes_back_to_us(host, ours, user, status):
    send(host, f"{user}@inbox.test", READER)

    sender, recipients, bounce = ours.next(host)

    assert (sender, recipients) == ("<>", (READER,))
    assert (bounce.get_content_type(), bounce.get_param("report-type")) == ("multipart/report", "delivery-status")
    _, about = bounce.get_payload(1).get_payload()
    assert (about["Action"], about["Status"]) == ("failed", status)
    assert about["Final-Recipient"].endswith(f"{user}@inbox.test")
    assert bounce.get_payload(2).get_payload(0)["Message-ID"] == "<1@digest.test>"


def test_who_is_away_answers_us_but_no_list(host, ours):
    send(host, "away@inbox.test", "a@digest.test", List_Id="<daily.digest.test>")
    send(host, "away@inbox.test", READER)

    sender, recipients, reply = ours.next(host)

    assert (sender, recipients) == ("<>", (READER,))
    assert reply["Auto-Submitted"].startswith("auto-replied")
    assert "until Monday" in reply.get_content()
    assert len(host.mailbox("away", count=2)) == 2
    assert ours.taken == []


def test_its_users_write_to_us_signed(host, ours):
    send(host, "unsubscribe@digest.test", "ari@inbox.test")
    eventually(lambda: ours.taken, host.log)

    ((sender, recipients, content),) = ours.taken

    assert (sender, recipients) == ("ari@inbox.test", ("unsubscribe@digest.test",))
    assert verifier.verify(content, dnsfunc=lambda name, **_: host.records[name.decode().rstrip(".")])


def test_nothing_of_it_stays_behind():
    with running() as host:
        folder = host.place.folder
        assert programs_of(folder)

    eventually(lambda: programs_of(folder) == [], lambda: programs_of(folder))
    assert not folder.exists()


def test_nothing_of_it_runs_on_when_what_started_it_is_killed():
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    words = [sys.executable, mail_host_program.__file__]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": path}) as process:
        folder = Path(re.search(r"STARTTLS with (.*)/certificate.pem", process.stdout.readline())[1])
        assert programs_of(folder)
        process.kill()

    eventually(lambda: programs_of(folder) == [], lambda: programs_of(folder))
    shutil.rmtree(folder)


def programs_of(folder):
    """Return the processes that were told of a folder, by command line, or that work in it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            where, words = str((process / "cwd").readlink()), (process / "cmdline").read_bytes().decode()
        except OSError:  # it has ended
            continue
        if f"{folder}" in where + words:
            found.append(words)
    return found
