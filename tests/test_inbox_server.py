import smtplib
import socket
import ssl
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_network

import pytest
from factories import NOW
from inbox_parts import DOMAIN, DOOR, OFFICE, handled, letter, mails, running
from smtp_certificates import make_certificate

from newsletter import alarms, db
from newsletter.db import Sessions
from newsletter.inbox import Border, server
from newsletter.lifecycle import SubscriptionStatus
from newsletter.local import until
from newsletter.models import InboundStatus

READER = "ari@example.org"


class Lmtp(smtplib.LMTP):
    """A client that keeps all the lines of the answers to a mail."""

    def deliver(self, content, *recipients):
        """Return the answers: for each recipient, then one for each that was taken."""
        self.ehlo()
        self.mail(READER)
        taken = [self.rcpt(recipient)[0] for recipient in recipients]
        self.putcmd("data")
        self.getreply()
        self.send(content.replace(b"\r\n.", b"\r\n..") + b"\r\n.\r\n")
        return taken, [self.getreply()[0] for code in taken if code == 250]


@pytest.fixture
def daily(make):
    """Return a newsletter."""
    return make.newsletter(slug="daily", reply_to="editor@example.com")


@pytest.fixture
def client(sessions, daily):
    """Return a connection to a running server, greeted."""
    with running(sessions) as port, smtplib.SMTP("127.0.0.1", port) as connection:
        connection.ehlo()
        yield connection


def test_a_mail_is_kept_and_handled(client, make):
    assert client.sendmail(READER, [f"daily@{DOMAIN}"], letter(subject="Hello", text="A question\n..\n.dot")) == {}

    assert handled(make)
    (row,) = mails(make)
    assert (row.sender, row.recipient, row.peer) == (READER, f"daily@{DOMAIN}", "127.0.0.1")
    assert row.status is InboundStatus.FORWARDED
    assert row.content == letter(subject="Hello", text="A question\n..\n.dot")


def test_a_proven_reader_leaves_through_the_border(sessions, make, daily):
    reader = make.reader("ari", daily)
    border = Border((ip_network("127.0.0.0/8"),), "mx.example.net")
    with running(sessions, office=replace(OFFICE, border=border)) as port, smtplib.SMTP("127.0.0.1", port) as client:
        client.sendmail(READER, [f"daily@{DOMAIN}"], letter(subject="unsubscribe"))
        assert handled(make)

    assert make.again(reader).status is SubscriptionStatus.UNSUBSCRIBED


def test_what_is_offered_is_what_is_done(client):
    assert set(client.esmtp_features) == {"size", "8bitmime", "smtputf8"}
    assert client.esmtp_features["size"] == "200000"


@pytest.mark.parametrize("address", ["nobody@news.example.net", "daily@example.org", "daily@sub.news.example.net", "daily-x@x.y"])
def test_addresses_that_are_not_ours_are_refused(client, address):
    client.mail(READER)

    assert client.rcpt(address) == (550, b"5.1.1 There is no such address here")


def test_who_asks_for_many_unknown_addresses_is_sent_away(client):
    client.mail(READER)
    answers = [client.rcpt(f"guess{number}@{DOMAIN}")[0] for number in range(21)]

    assert answers == [550] * 20 + [421]
    assert until(lambda: _is_closed(client))


def _is_closed(client):
    try:
        client.noop()
    except smtplib.SMTPServerDisconnected:
        return True
    return False


def test_a_mail_that_is_too_large_is_refused_before_and_after_it_came(client, make):
    assert client.mail(READER, ["size=200001"])[0] == 552
    client.rset()
    client.mail(READER)
    client.rcpt(f"daily@{DOMAIN}")

    assert client.data(b"x\r\n" * 100_000)[0] == 552
    assert mails(make) == []


def test_mail_is_put_off_when_as_much_as_is_allowed_is_kept_and_the_operator_is_told(sessions, daily, make):
    small = letter(text="x" * 4000)
    with running(sessions, replace(DOOR, max_kept_bytes=3 * len(small))) as port, smtplib.SMTP("127.0.0.1", port) as connection:
        connection.sendmail(READER, [f"daily@{DOMAIN}", f"daily-help@{DOMAIN}"], small)
        with pytest.raises(smtplib.SMTPDataError) as refused:
            connection.sendmail(READER, [f"daily@{DOMAIN}", f"daily-help@{DOMAIN}"], small + b"more\r\n")

    assert refused.value.smtp_code == 452
    assert len(mails(make)) == 2


def test_no_more_room_is_an_alarm_until_there_is_some_again(sessions):
    room = server.Room(100)

    assert not room.takes(sessions, 101, now=NOW)
    with sessions.read() as session:
        assert [row.cause for row in alarms.open_alarms(session)] == ["inbox:full"]

    assert room.takes(sessions, 100, now=NOW + timedelta(minutes=2))
    with sessions.read() as session:
        assert alarms.open_alarms(session) == []


def test_many_recipients_are_put_off(client):
    client.mail(READER)
    codes = [client.rcpt(f"daily@{DOMAIN}")[0] for _ in range(101)]

    assert codes == [250] * 100 + [452]


class Away(Sessions):
    """A database that cannot be written to for a while."""

    away = True

    def begin(self):
        """Fail, or open a transaction."""
        if self.away:
            raise ConnectionError("away")
        return super().begin()


def test_while_the_database_is_away_mail_is_put_off(sessions, daily, make):
    sometimes = Away(sessions.engine)
    with running(sometimes) as port, smtplib.SMTP("127.0.0.1", port) as client:
        for away, answer in ((True, 451), (False, 250)):
            sometimes.away = away
            client.ehlo()
            client.mail(READER)
            client.rcpt(f"daily@{DOMAIN}")
            assert client.data(letter())[0] == answer

    assert len(mails(make)) == 1


def test_unknown_addresses_are_put_off_while_the_database_is_away(tmp_path):
    nowhere = db.connect(f"sqlite:///{tmp_path}/empty.sqlite3")
    with running(nowhere) as port, smtplib.SMTP("127.0.0.1", port) as client:
        client.ehlo()
        client.mail(READER)
        assert client.rcpt(f"daily@{DOMAIN}")[0] == 451
    nowhere.engine.dispose()


def test_connections_too_many_are_told_to_come_again(sessions, daily):
    with running(sessions, replace(DOOR, connections=2)) as port:
        first, second = smtplib.SMTP("127.0.0.1", port), smtplib.SMTP("127.0.0.1", port)
        with pytest.raises(smtplib.SMTPConnectError, match="421"):
            smtplib.SMTP("127.0.0.1", port)
        first.quit()
        assert until(lambda: _takes(port))
        second.quit()


def _takes(port):
    try:
        smtplib.SMTP("127.0.0.1", port).quit()
    except (smtplib.SMTPConnectError, smtplib.SMTPServerDisconnected):
        return False
    return True


def test_who_says_nothing_is_sent_away(sessions, daily):
    with running(sessions, replace(DOOR, idle=0.2)) as port, socket.create_connection(("127.0.0.1", port), 10) as client:
        client.recv(1000)

        assert client.recv(1000) == b""


def test_a_certificate_makes_it_speak_tls(sessions, daily, make, tmp_path):
    context, authority = make_certificate(tmp_path)
    with running(sessions, replace(DOOR, tls=context)) as port, smtplib.SMTP("127.0.0.1", port) as client:
        client.starttls(context=ssl.create_default_context(cafile=str(authority)))
        client.ehlo()
        assert "auth" not in client.esmtp_features
        client.sendmail(READER, [f"daily@{DOMAIN}"], letter(subject="Hello"))

    assert len(mails(make)) == 1


def test_lmtp_answers_for_each_recipient(sessions, daily, make):
    with running(sessions, replace(DOOR, lmtp=True)) as port, Lmtp("127.0.0.1", port) as client:
        assert client.docmd("EHLO", "x")[0] == 500

        codes = client.deliver(letter(subject="Hello"), f"daily@{DOMAIN}", f"nobody@{DOMAIN}", f"abuse@{DOMAIN}")
        assert codes == ([250, 550, 250], [250, 250])
        assert client.deliver(b"x\r\n" * 100_000, f"daily@{DOMAIN}", f"abuse@{DOMAIN}") == ([250, 250], [552, 552])
        assert client.noop()[0] == 250

    assert sorted(row.recipient for row in mails(make)) == [f"abuse@{DOMAIN}", f"daily@{DOMAIN}"]


@pytest.mark.parametrize("end", [b"\n.\n", b"\r.\r", b"\r\n.\n", b"\n.\r\n", b"\r.\r\n"])
def test_a_mail_smuggled_behind_an_odd_end_stays_part_of_the_first(sessions, daily, make, end):
    smuggled = b"MAIL FROM:<evil@example.org>\r\nRCPT TO:<abuse@news.example.net>\r\nDATA\r\nSubject: two\r\n\r\nx"
    with running(sessions) as port, socket.create_connection(("127.0.0.1", port), 10) as client:
        reader = client.makefile("rb")
        for said in (b"EHLO x\r\n", b"MAIL FROM:<ari@example.org>\r\n", b"RCPT TO:<daily@news.example.net>\r\n", b"DATA\r\n"):
            client.sendall(said)
        while not reader.readline().startswith(b"354"):
            pass
        client.sendall(letter(subject="one") + end + smuggled + b"\r\n.\r\nQUIT\r\n")
        rest = reader.read()

    assert [line[:3] for line in rest.splitlines()] == [b"250", b"221"]
    (row,) = mails(make)
    assert b"RCPT TO" in row.content
