import smtplib
import socket
import threading
from datetime import UTC, datetime

import pytest

from newsletter.errors import NotFound
from newsletter.mailbox.smtp import serve_smtp
from newsletter.mailbox.store import Mailbox

NOW = datetime(2024, 3, 15, 0, 30, tzinfo=UTC)
ARI, BORA = "ari@example.org", "bora@example.org"
PLAIN = b"From: news@papers.example\r\nSubject: hello\r\n\r\nA line.\r\n"


@pytest.fixture
def mailbox(tmp_path):
    return Mailbox(tmp_path / "mail")


@pytest.fixture
def server(mailbox):
    with serve_smtp(mailbox, clock=lambda: NOW) as running:
        yield running


@pytest.fixture
def client(server):
    with smtplib.SMTP(server.host, server.port, timeout=5) as connection:
        connection.ehlo()
        yield connection


def keep(mailbox, content=PLAIN, recipient=ARI):
    return mailbox.save(content, mail_from="bounce@papers.example", recipients=[recipient], now=NOW)


# The store


def test_a_message_is_kept_byte_for_byte_with_its_envelope(mailbox):
    content = b"Subject: \xff\xfe\r\n\r\nbare\nline, \x00 and \xea\xb0\x80\r\n"

    kept = keep(mailbox, content)

    assert mailbox.get(kept.id) == kept
    assert kept.content() == content
    assert (kept.mail_from, kept.recipients, kept.received_at, kept.size) == (
        "bounce@papers.example",
        (ARI,),
        NOW,
        len(content),
    )


def test_messages_come_newest_first(mailbox):
    ids = [keep(mailbox).id for _ in range(3)]

    assert [message.id for message in mailbox.messages()] == ids[::-1]


def test_messages_of_one_recipient_are_found_in_any_case(mailbox):
    keep(mailbox, recipient=ARI)
    keep(mailbox, recipient=f"m{ARI}")
    wanted = keep(mailbox, recipient="Bora@Example.org")

    assert mailbox.messages(BORA) == [wanted]
    assert len(mailbox.messages(ARI)) == 1


def test_a_second_process_reads_what_the_first_one_writes_and_numbers_on(mailbox):
    other = Mailbox(mailbox.folder)
    assert other.messages() == []

    first = keep(mailbox)

    assert other.messages() == [first]
    assert keep(Mailbox(mailbox.folder)).id[:8] == "00000002"


def test_readers_never_see_half_a_message(mailbox):
    content = PLAIN + b"x" * 200_000
    done = threading.Event()

    def write():
        for _ in range(40):
            keep(mailbox, content)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        reader = Mailbox(mailbox.folder)
        assert all(message.content() == content and message.recipients == (ARI,) for message in reader.messages())
    writer.join()

    assert len(mailbox.messages()) == 40


@pytest.mark.parametrize("identity", ["", "nothing", "../../etc/passwd", "00000001-00000000", "00000001-00000000\n"])
def test_an_id_that_is_none_is_not_found(mailbox, identity):
    with pytest.raises(NotFound):
        mailbox.get(identity)


def test_a_deleted_message_is_not_found(mailbox):
    kept = keep(mailbox)
    mailbox.messages()
    kept.path.unlink()

    assert mailbox.messages() == []
    with pytest.raises(NotFound):
        kept.content()


@pytest.mark.parametrize("envelope", [b"", b"[]", b"{}", b'{"mail_from": 1, "recipients": null, "received_at": 2}', b"\xff"])
def test_a_broken_envelope_costs_only_what_it_said(mailbox, envelope):
    kept = keep(mailbox)
    kept.path.with_suffix(".json").write_bytes(envelope)

    (message,) = Mailbox(mailbox.folder).messages()

    assert (message.recipients, message.content()) == ((), PLAIN)


def test_files_of_somebody_else_are_left_alone(mailbox):
    (mailbox.folder / "notes.eml").write_bytes(b"mine")

    assert keep(mailbox).id.startswith("00000001-")
    assert len(mailbox.messages()) == 1


def test_an_address_that_is_no_text_does_not_break_the_list(mailbox):
    keep(mailbox, recipient="\udcff@example.org")

    assert Mailbox(mailbox.folder).messages()[0].recipients == ("\ufffd@example.org",)


# The SMTP server


def test_what_is_sent_is_what_is_kept(client, mailbox):
    content = b"Subject: dots\r\n\r\n.\r\n..two\r\n" + "한글".encode() + b"\xff\r\nlast line\r\n"

    client.sendmail("bounce@papers.example", [ARI, BORA], content, ["BODY=8BITMIME"])

    (message,) = mailbox.messages()
    assert message.content() == content
    assert message.recipients == (ARI, BORA)
    assert message.mail_from == "bounce@papers.example"
    assert message.received_at == NOW


def test_the_server_offers_what_modern_mail_needs(client):
    assert {"8bitmime", "smtputf8", "size"} <= client.esmtp_features.keys()


def test_an_address_beyond_ascii_is_taken(client, mailbox):
    client.sendmail("", ["아리@example.org"], PLAIN, ["SMTPUTF8"])

    (message,) = mailbox.messages("아리@example.org")
    assert message.mail_from == ""


def test_one_connection_brings_many_messages(client, mailbox):
    for number in range(50):
        client.sendmail("b@papers.example", [f"reader{number}@example.org"], PLAIN)

    assert len(mailbox.messages()) == 50


def test_a_message_over_the_limit_is_refused_and_the_connection_goes_on(mailbox):
    with serve_smtp(mailbox, size_limit=1000) as small, smtplib.SMTP(small.host, small.port, timeout=5) as client:
        with pytest.raises(smtplib.SMTPResponseException) as refused:
            client.sendmail("b@papers.example", [ARI], PLAIN + b"long\r\n" * 1000)
        client.sendmail("b@papers.example", [ARI], PLAIN)

    assert refused.value.smtp_code == 552
    assert len(mailbox.messages()) == 1


def test_a_mailbox_that_cannot_be_written_says_later(client, mailbox):
    mailbox.folder.rmdir()

    with pytest.raises(smtplib.SMTPDataError) as answer:
        client.sendmail("b@papers.example", [ARI], PLAIN)

    assert answer.value.smtp_code == 452


def test_a_message_cut_off_before_its_end_is_not_kept(server, mailbox):
    with socket.create_connection((server.host, server.port), timeout=5) as raw, raw.makefile("rwb") as stream:
        stream.readline()
        for command in (b"HELO x", b"MAIL FROM:<a@b.example>", b"RCPT TO:<c@d.example>", b"DATA"):
            stream.write(command + b"\r\n")
            stream.flush()
            stream.readline()
        stream.write(b"Subject: half\r\n")
    server.stop()

    assert mailbox.messages() == []


def test_stopping_cuts_off_open_connections_and_frees_the_port(mailbox):
    server = serve_smtp(mailbox)
    server.start()
    with socket.create_connection((server.host, server.port), timeout=5) as idle:
        idle.recv(100)
        server.stop()
        assert idle.recv(100) == b""

    server.stop()
    with serve_smtp(mailbox, port=server.port) as again:
        assert again.port == server.port


def test_a_port_that_is_taken_is_an_error_at_the_start(server, mailbox):
    with pytest.raises(OSError, match="in use"):
        serve_smtp(mailbox, port=server.port).start()
