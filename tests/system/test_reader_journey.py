"""The whole way of a reader by browser and mail, in both languages; and what opens all links and changes nothing."""

import json
import re
from dataclasses import replace
from datetime import timedelta

import httpx2
import pytest
from factories import DAY, LONG_AGO, SECRET, Make
from inbox_parts import OFFICE, PASSED, come, letter
from reader_parts import at_the_browser, links, running, scan
from web_parts import sign_up

from newsletter import db
from newsletter.models import Subscriber, Subscription
from newsletter.tokens import Keyring, Links
from newsletter.wiring import utcnow

OLD_READER = "dana@example.org"


@pytest.fixture(scope="module")
def place(tmp_path_factory, databases, migrated, valkey_url):
    """Run an installation with a newsletter in each language, the day after each had an issue; OLD_READER got both."""
    url = databases.make("sqlite", migrated("sqlite"))  # a browser sees no difference
    sessions = db.connect(url)
    make = Make(sessions)
    words = "매일 아침, 어제 나온 인공지능 논문을 세 줄로 읽습니다."
    both = {"cadences": ["daily", "weekly"], "created_at": LONG_AGO}
    english = make.newsletter(slug="papers", description="What came out yesterday, in three lines.", **both)
    korean = make.newsletter(slug="nonmun", title="오늘의 논문", language="ko", zone="Asia/Seoul", description=words, **both)
    for newsletter in (english, korean):
        make.reader(OLD_READER, newsletter)
    with running(tmp_path_factory.mktemp("place"), make, url, valkey_url) as place:
        done = place.installation.command("run", DAY.isoformat())
        assert done.returncode == 0, done.stdout + done.stderr
        yield place
    sessions.engine.dispose()


@pytest.fixture(params=["en", "ko"])
def reader(request, browser, place, tmp_path):
    """Return a reader of each language."""
    with at_the_browser(browser, place, request.param, tmp_path) as reader:
        yield reader


def test_a_reader_joins_chooses_moves_leaves_comes_back_and_is_forgotten(reader):
    old, new = f"ari-{reader.language}@example.org", f"bora-{reader.language}@example.org"
    join(reader, old)
    choose(reader, old)
    move(reader, old, new)
    take_their_data(reader, old, new)
    leave_and_come_back(reader, old, new)
    be_forgotten(reader, new)


def person_of(reader, address):
    """Return the subscriber at an address."""
    (person,) = reader.place.make.all(Subscriber, address=address)
    return person


def subscriptions(reader, address):
    """Return what is subscribed at an address."""
    return reader.place.make.all(Subscription, subscriber_id=person_of(reader, address).id)


def join(reader, address):
    """Sign up for both newsletters, weekly, and confirm by the mail."""
    page = reader.page
    reader.open("/", "home")
    for slug in ("papers", "nonmun"):
        page.check(f"[name=newsletter][value={slug}]")
        page.check(f"[name=cadence-{slug}][value=weekly]")
    page.fill("#email", "ari@")
    reader.press("form button", "home-wrong")
    page.locator("#email[aria-invalid]:focus").fill(address)
    reader.press("form button", "check-your-inbox")
    reader.open(reader.place.link(address, "/c/"), "confirm")
    reader.press("form button", "confirmed")
    assert [(row.status, row.cadence) for row in subscriptions(reader, address)] == [("active", "weekly")] * 2


def choose(reader, address):
    """Change what can be changed at the preferences."""
    page, day = reader.page, utcnow().date() + timedelta(days=9)
    save = "form[action*='/p/'] button:not([tabindex]):not([formaction])"  # the first one is there for the Enter key alone
    reader.open(reader.place.link(address, "/p/"), "preferences")
    page.select_option("#hour-papers", "7")
    page.select_option("#zone", "Europe/Berlin")
    page.fill("#papers-papers", "many")
    page.fill("#pause-papers", day.isoformat())
    page.locator("details").first.locator("summary").click()
    page.check("#topic-papers-1")
    page.fill("#keywords-papers", "small models\n한국어")
    reader.press(save, "preferences-wrong")
    page.fill("#papers-papers", "5")
    reader.press(save, "preferences-saved")
    assert "saved=1" in page.url
    (row, _) = subscriptions(reader, address)
    assert (row.send_hour, row.max_papers, row.paused_until) == (7, 5, day)
    assert (len(row.topics), row.keywords) == (1, ["small models", "한국어"])
    assert person_of(reader, address).zone == "Europe/Berlin"


def move(reader, old, new):
    """Have everything sent to another address, which both ends agree to."""
    reader.page.locator("a[href*='/address']").click()
    reader.look("address")
    reader.page.fill("#email", new)
    reader.press("form button", "address-asked")
    for address, name in ((old, "old"), (new, "new")):
        reader.open(reader.place.link(address, "/a/"), f"change-{name}")
        reader.press("form button", f"change-{name}-agreed")
    assert len(subscriptions(reader, new)) == 2


def take_their_data(reader, old, new):
    """Have the link to one's data mailed, look at them and take them along."""
    reader.page.goto(reader.place.link(old, "/p/"))
    reader.press("form[action$='/data'] button", "data-sent")
    reader.open(reader.place.link(new, "/me/"), "my-data")
    with reader.page.expect_download() as download:
        reader.page.locator("a[href$='data.json']").click()
    told = json.loads(download.value.path().read_text(encoding="utf-8"))
    assert told["person"]["address"] == new


def leave_and_come_back(reader, old, new):
    """Leave by the link of an old mail, and ask for it again."""
    reader.open(reader.place.link(old, "/u/"), "unsubscribe")
    reader.press("form button", "goodbye")
    assert sorted(row.status for row in subscriptions(reader, new)) == ["active", "unsubscribed"]
    before = len(reader.place.mails(new))
    reader.press("form button")
    reader.page.goto(reader.place.link(new, "/c/", after=before))
    reader.press("form button")
    assert [row.status for row in subscriptions(reader, new)] == ["active", "active"]


def be_forgotten(reader, address):
    """Erase everything."""
    reader.page.goto(reader.place.link(address, "/me/"))
    reader.press("form button", "erase-unsure")
    reader.page.locator("#sure:focus").check()
    reader.press("form button", "erased")
    assert reader.place.make.all(Subscriber, address=address) == []


def test_what_opens_every_link_of_every_mail_changes_nothing(place, browser):
    send_every_kind(place)
    context = browser.new_context()
    place.state()
    mails = [mail for address in ADDRESSES for mail in place.mails(address)]
    found = sorted({link for mail in mails for link in links(mail)})
    assert {re.sub(rf"{re.escape(place.base_url)}(/\w+/|).*", r"\1", link) for link in found} >= KINDS
    before = place.state()

    scan(place, context, found)

    assert place.state() == before
    context.close()


ADDRESSES = (OLD_READER, "chan@example.org", "eli@example.org", "fatou@example.org")
KINDS = {"/c/", "/u/", "/p/", "/me/", "/a/", "/archive/", "/w/"}


def send_every_kind(place):
    """Have each kind of mail sent whose links open something of one person."""
    office = replace(OFFICE, links=Links(place.base_url, Keyring([SECRET])))
    come(
        place.make.sessions,
        letter(From=OLD_READER, subject="help", proof=PASSED),
        to="papers",
        sender=OLD_READER,
        office=office,
        now=utcnow(),
    )
    with httpx2.Client(base_url=place.base_url) as visit:  # the first of which wakes the worker for the answer, too
        sign_up(visit, "chan@example.org", ["papers", "nonmun"])
        sign_up(visit, OLD_READER, "papers")
        sign_up(visit, "eli@example.org", "nonmun", lang="ko")
        visit.post(place.link("eli@example.org", "/c/"))
        visit.post("/preferences", data={"email": OLD_READER})
        path = place.link(OLD_READER, "/p/")
        visit.post(f"{path}/data", data={"lang": "en"})
        visit.post(f"{path}/address", data={"lang": "en", "email": "fatou@example.org"})
    for address, kind in ((OLD_READER, "/me/"), (OLD_READER, "/a/"), ("fatou@example.org", "/a/"), ("chan@example.org", "/c/")):
        place.link(address, kind)
