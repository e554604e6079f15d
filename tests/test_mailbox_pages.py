import http.client
import json
import socket
import threading
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY

import pytest
import uvicorn

from newsletter.mailbox import letters
from newsletter.mailbox.store import Mailbox
from newsletter.mailbox.web import PAGE_SIZE, create_mailbox_app

NOW = datetime(2024, 3, 15, 0, 30, tzinfo=UTC)
ARI, BORA = "ari@example.org", "bora@example.org"
PLAIN = b"From: news@papers.example\r\nSubject: hello\r\n\r\nA line.\r\n"


@pytest.fixture
def mailbox(tmp_path):
    return Mailbox(tmp_path / "mail")


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


def keep(mailbox, content=PLAIN, recipient=ARI):
    return mailbox.save(content, mail_from="bounce@papers.example", recipients=[recipient], now=NOW)


def digest(html="<p>Nine papers.</p>", subject="오늘의 논문 9편"):
    message = EmailMessage(policy=SMTP_POLICY)
    message["From"] = "오늘의 논문 <news@papers.example>"
    message["Subject"] = subject
    message.set_content("Confirm: https://papers.example/c/token.\n")
    message.add_alternative(html, subtype="html")
    return message.as_bytes()


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


def test_of_parts_nested_beyond_all_sense_the_header_is_shown():
    nested = b"".join(b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (each, each) for each in range(3000))

    assert letters.read(b"Subject: Deep\r\n" + nested) == letters.Letter(letters.Headers("Deep", "", ""), None, None)


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


def test_the_pages_speak_the_language_of_the_browser(mailbox, browse):
    keep(mailbox, digest())

    _, headers, body = browse("/mailbox", language="ko-KR,ko;q=0.9")

    assert headers["content-language"] == "ko"
    assert '<html lang="ko">' in body.decode()
