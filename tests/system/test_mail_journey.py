"""A reader's whole way by mail: they ask, confirm, get the digest, and leave; mail servers check and carry all of it."""

import re
import socket
import urllib.request
from contextlib import suppress

import pytest
from correspondence import EDITOR, OURS, PATIENCE, corresponding, letter, link
from installation import eventually

from newsletter.embedded.valkey import free_port

DAY = "2024-03-14"
WORDS = {
    "en": {"subscribe": "subscribe", "unsubscribe": "Unsubscribe, please.", "goodbye": "You have left"},
    "ko": {"subscribe": "구독", "unsubscribe": "구독 해지 부탁드립니다.", "goodbye": "해지"},
}


@pytest.fixture(scope="module")
def port():
    return free_port()


@pytest.fixture(scope="module")
def post(tmp_path_factory, port):
    """Return an installation that runs as `newsletter up`, with a newsletter in each language."""
    folder = tmp_path_factory.mktemp("installation")
    with corresponding(folder, protocol="lmtp", base_url=f"http://127.0.0.1:{port}") as post:
        post.say("migrate")
        for language, title in {"en": "Daily Papers", "ko": "데일리 페이퍼스"}.items():
            words = ("--language", language, "--source", "sample", "--reply-to", EDITOR, "--postal-address", "1 Example Road")
            post.say(
                "newsletters", "add", f"daily-{language}", "--title", title, "--from-address", f"news-{language}@{OURS}", *words
            )
        post.installation.start("up", "--port", str(port))
        eventually(lambda: answers(port), lambda: post.installation.log("up"), seconds=PATIENCE)
        yield post


def answers(port):
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def press(port, path):
    """Open a page, which changes nothing, and press its button."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE) as page:
        assert 'method="post"' in page.read().decode()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", data=b"", timeout=PATIENCE) as page:
        assert page.status == 200


@pytest.fixture
def join(post, port):
    """Return what has a user subscribe by mail and confirm on the page."""

    def joins(user, to, **said):
        post.write(user, to, **said)
        (question,) = post.mails(user, 1)
        assert question["Auto-Submitted"] == "auto-replied"
        assert question["List-Unsubscribe"] is None
        assert post.statuses(user) == ["pending"]
        press(port, link(question, f"http://127.0.0.1:{port}", "/c/"))
        post.mails(user, 2)
        assert post.statuses(user) == ["active"]

    return joins


@pytest.mark.parametrize("language", sorted(WORDS))
def test_readers_join_read_and_leave_by_mail(post, join, language):
    slug, words = f"daily-{language}", WORDS[language]
    replier, clicker = f"replier-{language}", f"clicker-{language}"
    join(replier, f"{slug}-subscribe")
    join(clicker, slug, Subject=words["subscribe"])
    post.say("run", DAY, "--newsletter", slug)
    *_, read = post.mails(replier, 3)
    *_, other = post.mails(clicker, 3)

    post.write(replier, read["Reply-To"], text=words["unsubscribe"], Subject=f"Re: {read['Subject']}")
    mailto = re.search(r"<mailto:([^?>]+)\?subject=unsubscribe>", other["List-Unsubscribe"])[1]
    post.intrude(letter("Somebody <somebody@elsewhere.example>", mailto, Subject="unsubscribe"), mailto)

    for user in (replier, clicker):
        _, _, digest, goodbye = post.mails(user, 4)
        assert post.statuses(user) == ["unsubscribed"]
        assert digest["Subject"] in (read["Subject"], other["Subject"])
        assert words["goodbye"] in goodbye["Subject"]
        assert goodbye["Auto-Submitted"] == ("auto-replied" if user == replier else "auto-generated")


def test_the_operator_reads_what_each_mail_came_to(post):
    rows = post.installation.command("inbox", "list").stdout

    assert "quarantined" not in rows
    assert rows.count("left daily-") == 4
    assert rows.count("asked to confirm daily-") == 4
