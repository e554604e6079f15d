import http.client
import json
import smtplib
import socket
import threading
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY

import pytest
import uvicorn

from newsletter.errors import NotFound
from newsletter.mailbox import letters
from newsletter.mailbox.smtp import serve_smtp
from newsletter.mailbox.store import Mailbox
from newsletter.mailbox.web import PAGE_SIZE, create_mailbox_app

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


@pytest.fixture
def browse(mailbox):
    """Serve the mailbox on loopback and give a function that gets a page of it: (status, headers, text)."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(create_mailbox_app(mailbox), log_level="error", lifespan="off", ws="none")
    web = uvicorn.Server(config)
    thread = threading.Thread(target=web.run, kwargs={"sockets": [listener]})
    thread.start()

    def get(path, language="en"):
        connection = http.client.HTTPConnection(*listener.getsockname(), timeout=5)
        connection.request("GET", path, headers={"Accept-Language": language, "Connection": "close"})
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response.status, dict(response.headers.items()), body

    yield get
    web.should_exit = True
    thread.join()
    listener.close()


def keep(mailbox, content=PLAIN, recipient=ARI, mail_from="bounce@papers.example"):
    return mailbox.save(content, mail_from=mail_from, recipients=[recipient], now=NOW)


def digest(html="<p>Nine papers.</p>", subject="오늘의 논문 9편"):
    message = EmailMessage(policy=SMTP_POLICY)
    message["From"] = "오늘의 논문 <news@papers.example>"
    message["Subject"] = subject
    message.set_content("Confirm: https://papers.example/c/token.\n")
    message.add_alternative(html, subtype="html")
    return message.as_bytes()


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


# Reading


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"Subject: plain", "plain"),
        (b"Subject: =?utf-8?b?7Jik64qY7J2Y?= =?utf-8?b?IOuFvOusuA==?=", "오늘의 논문"),
        (b"Subject: folded\r\n subject", "folded subject"),
        ("Subject: 논문".encode(), "논문"),
        (b"Subject: odd \xff byte", "odd \ufffd byte"),
        (b"Subject: =?nonsense?q?caf=E9?=", "=?nonsense?q?caf=E9?="),
        (b"Subject: =?utf-8?b?A?= x", "=?utf-8?b?A?= x"),
        (b"Subject: =?utf-8?q?one=0D=0ABcc:_two=00?=", "one Bcc: two"),
        (b"Subject:", ""),
        (b"X-Other: there is none", ""),
    ],
)
def test_a_subject_is_shown_in_words_or_as_it_stands(raw, shown):
    assert letters.read_headers(raw + b"\r\n\r\nbody\r\n").subject == shown


def test_a_message_is_taken_apart():
    letter = letters.read(digest())

    assert letter.headers.sender == "오늘의 논문 <news@papers.example>"
    assert letter.text == "Confirm: https://papers.example/c/token.\n"
    assert letter.html == "<p>Nine papers.</p>\n"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\xff" * 50,
        b"Content-Type: text/plain; charset=nobody-knows\r\n\r\n\xea\xb0\x80",
        b'Content-Type: text/plain; charset="\x00"\r\n\r\nx',
        b"Content-Type: multipart/alternative\r\n\r\nno boundary",
        b"Content-Transfer-Encoding: base64\r\n\r\n!not base64!",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n--b--",
    ],
)
def test_no_message_is_too_odd_to_be_read(content):
    letter = letters.read(content)

    json.dumps([letter.text, letter.html, letter.headers.subject]).encode("ascii")


def test_an_unknown_charset_is_read_as_utf8():
    letter = letters.read(b"Content-Type: text/plain; charset=nobody-knows\r\n\r\n\xea\xb0\x80")

    assert letter.text == "가"


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<!DOCTYPE html><html><head lang=ko><title>", '<!DOCTYPE html><html><head lang=ko><base target="_blank"><title>'),
        ("<!doctype html>\n<html><body>", '<!doctype html>\n<html><base target="_blank"><body>'),
        ("<p>bare</p>", '<base target="_blank"><p>bare</p>'),
        ("<header>x</header>", '<base target="_blank"><header>x</header>'),
    ],
)
def test_links_open_in_new_tabs_without_disturbing_the_doctype(html, expected):
    assert letters.for_new_tabs(html) == expected


def test_addresses_in_text_become_links_and_all_else_is_escaped():
    shown = letters.with_links('<b> https://papers.example/?a=1&b="2". (https://papers.example/x)')

    assert shown.count("<a ") == 2
    assert 'href="https://papers.example/?a=1&amp;b="' in shown
    assert 'href="https://papers.example/x"' in shown
    assert shown.startswith("&lt;b&gt; ")


# The pages


def test_the_list_shows_recipient_subject_and_sender(mailbox, browse):
    keep(mailbox, digest())

    status, headers, body = browse("/mailbox")

    assert status == 200
    assert all(word in body.decode() for word in (ARI, "오늘의 논문 9편", "news@papers.example", "1 message"))
    assert "script" not in body.decode()
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"


def test_the_list_can_be_narrowed_to_a_recipient(mailbox, browse):
    keep(mailbox, digest(subject="for ari"), recipient=ARI)
    keep(mailbox, digest(subject="for bora"), recipient=BORA)

    _, _, body = browse("/mailbox?to=BORA")

    assert b"for bora" in body
    assert b"for ari" not in body


def test_a_long_list_has_pages(mailbox, browse):
    for number in range(PAGE_SIZE + 1):
        keep(mailbox, digest(subject=f"number {number}."))

    _, _, first = browse("/mailbox")
    _, _, second = browse("/mailbox?page=2")
    _, _, beyond = browse("/mailbox?page=99")

    assert b"number 0." not in first
    assert b"page=2" in first
    assert b"number 0." in second
    assert beyond.count(b'class="row"') == 1


def test_an_empty_mailbox_says_so(browse):
    assert b"Nothing has come yet" in browse("/mailbox")[2]


def test_a_message_shows_as_html_text_and_source(mailbox, browse):
    path = f"/mailbox/{keep(mailbox, digest()).id}"

    html, text, source = (browse(f"{path}?view={view}")[2].decode() for view in ("html", "text", "source"))

    assert f'<iframe src="{path}/html"' in html
    assert '<a href="https://papers.example/c/token"' in text
    assert "Content-Type: multipart/alternative" in source


def test_the_width_of_the_frame_is_chosen_by_a_link(mailbox, browse):
    path = f"/mailbox/{keep(mailbox, digest()).id}"

    assert b'class="stage desktop"' in browse(f"{path}?width=odd")[2]
    assert b'class="stage phone"' in browse(f"{path}?width=phone")[2]


def test_a_message_without_html_opens_as_text(mailbox, browse):
    _, _, body = browse(f"/mailbox/{keep(mailbox).id}")

    assert b"<iframe" not in body
    assert b"A line." in body


def test_the_html_part_is_given_into_a_sandbox(mailbox, browse):
    kept = keep(mailbox, digest("<script>alert(1)</script><a href='https://papers.example'>go</a>"))

    _, headers, body = browse(f"/mailbox/{kept.id}/html")

    policy = headers["content-security-policy"]
    assert policy.startswith("sandbox allow-popups")
    assert "allow-scripts" not in policy
    assert "allow-same-origin" not in policy
    assert "default-src 'none'; img-src https: data:; style-src 'unsafe-inline'" in policy
    assert body.startswith(b'<base target="_blank">')


def test_the_download_is_the_message_as_received(mailbox, browse):
    content = digest() + b"\xff\x00odd"
    kept = keep(mailbox, content)

    _, headers, body = browse(f"/mailbox/{kept.id}/raw")

    assert body == content
    assert headers["content-disposition"] == f'attachment; filename="{kept.id}.eml"'
    assert headers["content-type"] == "message/rfc822"


@pytest.mark.parametrize("tail", ["", "/html", "/raw"])
def test_a_message_that_is_not_there_is_a_page_too(browse, tail):
    status, headers, body = browse(f"/mailbox/%3Cscript%3E{tail}")

    assert status == 404
    assert b"<script>" not in body
    assert "text/html" in headers["content-type"]


def test_hostile_headers_are_shown_as_text(mailbox, browse):
    kept = keep(mailbox, b'Subject: <img src=x onerror=y>"\r\n\r\n</pre><script>', recipient='"<b>"@example.org')

    pages = [browse(path)[2].decode() for path in ("/mailbox", f"/mailbox/{kept.id}", f"/mailbox/{kept.id}?view=source")]

    assert not any(word in page for page in pages for word in ("<img", "<script>", "<b>"))


def test_the_style_sheet_asks_nobody_else(browse):
    status, headers, body = browse("/mailbox/style.css")

    assert (status, headers["content-type"]) == (200, "text/css; charset=utf-8")
    assert b"url(" not in body
    assert b"@import" not in body


def test_the_application_alone_begins_at_the_list(browse):
    status, headers, _ = browse("/")

    assert (status, headers["location"]) == (307, "/mailbox")
