"""A digest from the command line to the readers' mailboxes: signed, checked on arrival, whole; and who could not be reached."""

import re
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.utils import parseaddr

import dkim as verifier
import pytest
from factories import Make
from installation import installed

from newsletter.cli import previewing
from newsletter.mail import keys
from newsletter.mail.dkim import record
from newsletter.models import Delivery
from newsletter.wiring import sessions_of, utcnow

DAY = "2024-03-14"
SITE, FROM, READERS = "https://news.example.org", "digest.example.org", "inbox.example.org"
TITLES = {"en": "Daily Papers", "ko": "데일리 페이퍼스"}
POSTAL = "Daily Papers, 1 Example Road, Seoul"
REFUSED = ("nosuch", "full", "defer", "greylist")
NOT_TOLD = re.compile(rf"{SITE}/[up]/[\w-]+|{SITE}/w/[\w/-]+|{SITE}/archive/daily-papers(-\w\w)?")  # whose it is


@pytest.fixture(scope="module")
def installation(mail_host, tmp_path_factory):
    """Return an installation after a day on which it sent two digests, signed with two keys, over STARTTLS."""
    relay = {"host": "127.0.0.1", "port": mail_host.port, "ca_file": mail_host.certificate}
    settings = {f"smtp__{name}": value for name, value in relay.items()} | {"base_url": SITE}
    with installed(tmp_path_factory.mktemp("installation"), **settings) as installation:
        say(installation, "migrate")
        key = keys.create(installation.settings.dkim_folder, FROM, "s1", ed25519=True, now=utcnow())
        keys.activate(installation.settings.dkim_folder, FROM, "s1")
        mail_host.publish(record(half) for half in key.keys)
        with tables(installation) as make:
            fill(make)
        say(installation, "run", DAY)
        yield installation


def fill(make):
    """Add a newsletter of each language with its readers, those who cannot be reached among them."""
    users = {"en": ["reader-en", *REFUSED], "ko": ["reader-ko"]}
    for language, title in TITLES.items():
        names = {"slug": f"daily-papers-{language}", "title": title, "from_name": title, "language": language}
        newsletter = make.newsletter(**names, from_address=f"news@{FROM}", postal_address=POSTAL)
        for user in users[language]:
            make.reader(f"{user}@{READERS}", newsletter)


@contextmanager
def tables(installation):
    """Give the installation's tables."""
    sessions = sessions_of(installation.settings)
    try:
        yield Make(sessions)
    finally:
        sessions.engine.dispose()


def say(installation, *words):
    """Give a command that must go well, and return what it said."""
    done = installation.command(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(params=sorted(TITLES))
def language(request):
    return request.param


@pytest.fixture
def content(installation, mail_host, language):
    """Return the digest that came for a reader of a language."""
    (content,) = mail_host.mailbox(f"reader-{language}", count=1)
    return content


@pytest.fixture
def previewed(tmp_path, language):
    """Return the message that `newsletter preview` writes."""
    previewing.preview("sample", tmp_path, language=language)
    return parsed((tmp_path / "digest.eml").read_bytes())


def parsed(content):
    return message_from_bytes(content, policy=policy.default)


def test_both_signatures_are_found_good_on_arrival(content):
    said = "".join(parsed(content)["Authentication-Results"].split())

    assert said.startswith("mx.inbox.test;")
    assert said.count("dkim=pass") == 2
    for algorithm, selector in (("rsa-sha256", "s1"), ("ed25519-sha256", "s1-ed")):
        assert f"header.d={FROM}header.i=@{FROM}header.a={algorithm}header.s={selector}header.b=" in said


def test_a_verifier_of_another_kind_finds_it_good(content, mail_host):
    assert verifier.verify(content, dnsfunc=lambda name, **_: mail_host.records[name.decode().rstrip(".")])
    assert not verifier.verify(content + b"More.\r\n", dnsfunc=lambda name, **_: mail_host.records[name.decode().rstrip(".")])


def test_it_came_over_a_secured_connection(content):
    assert "using TLSv1.3" in parsed(content).get_all("Received")[-1]


def test_what_is_read_is_what_the_preview_shows(content, previewed):
    message = parsed(content)

    assert message["Subject"] == previewed["Subject"]
    for kind in ("plain", "html"):
        told, shown = (NOT_TOLD.sub("…", each.get_body((kind,)).get_content()) for each in (message, previewed))
        assert told == shown
        assert told.count("…") >= 2


def test_a_mail_program_learns_whose_list_it_is_and_how_to_leave(content, language):
    message = parsed(content)

    assert re.fullmatch(rf"<{SITE}/u/[\w-]+>(, <mailto:[^>]+>)?", message["List-Unsubscribe"])
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message["List-Id"].endswith(f"<daily-papers-{language}.{FROM}>")
    assert parseaddr(message["From"]) == (TITLES[language], f"news@{FROM}")
    assert message["To"] == f"reader-{language}@{READERS}"
    signed = re.findall(r"h=([^;]+);", message["DKIM-Signature"])[0].lower().split(":")
    for name in ("from", "list-unsubscribe", "list-unsubscribe-post"):
        assert [each.strip() for each in signed].count(name) == 2  # named once more, so that none can be added


def delivery(installation, user):
    """Return what is known of the mail for a user."""
    with tables(installation) as make:
        (row,) = make.all(Delivery, address=f"{user}@{READERS}")
    return row


@pytest.mark.parametrize(
    ("user", "status", "said"),
    [
        ("nosuch", "failed", (550, "5.1.1", "There is no such mailbox")),
        ("full", "failed", (552, "5.2.2", "The mailbox is full")),
        ("defer", "deferred", (450, "4.2.1", "The mailbox is busy, come back later")),
    ],
)
def test_who_is_not_reached_is_listed_with_the_servers_words(installation, mail_host, user, status, said):
    row = delivery(installation, user)
    shown = say(installation, "deliveries", "show", row.id)

    assert (row.status, row.reply_phase, row.reply_code, row.reply_enhanced) == (status, "rcpt", *said[:2])
    for words in (status, *said, f"127.0.0.1:{mail_host.port}"):
        assert str(words) in shown


def test_who_is_greylisted_gets_it_at_the_second_try(installation, mail_host):
    before = delivery(installation, "greylist")
    with tables(installation) as make, make.sessions.begin() as session:  # as if the minutes had passed
        session.get_one(Delivery, before.id).due_at = before.created_at
    say(installation, "send")
    after = delivery(installation, "greylist")

    assert (before.status, before.reply_code, before.reply_enhanced) == ("deferred", 450, "4.7.1")
    assert (after.status, after.reply_code) == ("sent", 250)
    assert len(mail_host.mailbox("greylist", to=f"greylist@{READERS}", count=1)) == 1
