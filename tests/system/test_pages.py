"""The pages as a reader sees them: in Chromium, on a phone and on a desk, by day and by night, with the keyboard alone."""

import socket
import threading
from datetime import timedelta

import pytest
import uvicorn
from factories import DAY, LINKS
from web_parts import ARI, Site, join, sign_up

from newsletter.tokens import Links
from newsletter.web import create_app

LOOKS = [(width, scheme) for width in (320, 360, 1200) for scheme in ("light", "dark")]
TARGET = 44  # pixels, the least height of what a thumb should hit
SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
SMALL = """() => [...document.querySelectorAll('a, button, input:not([type=hidden]):not([tabindex="-1"])')]
    .filter(one => (one.closest('label') || one).getBoundingClientRect().height < %d)
    .map(one => one.outerHTML)"""


@pytest.fixture
def database_kind():
    return "sqlite"  # a browser sees no difference


@pytest.fixture
def site(make):
    """Serve a site with two newsletters and an archive on loopback."""
    listener = socket.create_server(("127.0.0.1", 0))
    site = Site(make, Links(f"http://127.0.0.1:{listener.getsockname()[1]}", LINKS.keyring))
    words = "매일 아침, 어제 나온 인공지능 논문을 세 줄로 읽습니다."
    site.add("nonmun", title="오늘의 논문", language="ko", description=words, cadences=["daily", "weekly"])
    for back in range(3):
        site.publish(DAY - timedelta(days=back), numbers=(3 * back + 1, 3 * back + 2, 3 * back + 3))
    web = uvicorn.Server(uvicorn.Config(create_app(site.services()), log_level="error", lifespan="off", ws="none"))
    thread = threading.Thread(target=web.run, kwargs={"sockets": [listener]})
    thread.start()
    yield site
    web.should_exit = True
    thread.join()
    listener.close()


@pytest.fixture
def paths(site):
    """Return the path of each page, by the name its screenshot gets."""
    visit = site.visitor()
    join(visit, site)
    confirmed = site.confirm_path()
    sign_up(visit, "bora@example.org", ["daily-papers", "nonmun"])
    return {
        "home": "/",
        "home-ko": "/?lang=ko",
        "inbox": "/check-your-inbox",
        "confirm": site.confirm_path(),
        "confirmed": confirmed,
        "preferences": site.preferences_path(),
        "find": "/preferences",
        "address": f"{site.preferences_path()}/address",
        "privacy": "/privacy",
        "leave": site.unsubscribe_path(),
        "archive": "/archive/daily-papers",
        "issue": f"/archive/daily-papers/{DAY}",
        "link": "/u/none",
        "absent": "/nowhere",
    }


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_every_page_fits_its_window(browser, site, paths, tmp_path, look):
    width, scheme = look
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    refused = []
    page.on("console", lambda message: refused.append(message.text))

    for name, path in paths.items():
        page.goto(f"{site.links.base_url}{path}")
        page.screenshot(path=tmp_path / f"{name}-{width}-{scheme}.png", full_page=True)
        assert page.evaluate(SIDEWAYS) <= 0, name
        if name != "issue":  # a mail, with a mail's links in its lines
            assert page.evaluate(SMALL % TARGET) == [], name

    assert [text for text in refused if "Content Security Policy" in text] == []
    context.close()


def test_the_keyboard_alone_joins_and_leaves(browser, site):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site.links.base_url}/")

    tab_to(page, "#newsletter-1")
    page.keyboard.press("Space")
    tab_to(page, "#email")
    page.keyboard.type("ari@")
    page.keyboard.press("Enter")
    page.locator("#email[aria-invalid]:focus").fill("")  # the focus is where the error is
    page.keyboard.type(ARI)
    page.keyboard.press("Enter")
    page.wait_for_url("**/check-your-inbox*")

    page.goto(f"{site.links.base_url}{site.confirm_path()}")
    tab_to(page, "button")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="You are in").wait_for()

    page.goto(f"{site.links.base_url}{site.unsubscribe_path()}")
    tab_to(page, "button")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="You have left Daily Papers").wait_for()
    assert site.kinds() == ["confirm", "welcome", "goodbye"]
    context.close()


def test_the_keyboard_alone_chooses_and_is_led_to_what_is_wrong(browser, site):
    join(site.visitor(), site)
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site.links.base_url}{site.preferences_path()}")

    tab_to(page, "#papers-daily-papers")
    page.keyboard.type("ten")
    page.keyboard.press("Enter")
    page.locator("a[href='#papers-daily-papers']:focus").wait_for()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.locator("#papers-daily-papers[aria-invalid]").fill("10")
    page.keyboard.press("Enter")
    page.get_by_role("status").get_by_text("Saved.").wait_for()

    assert site.subscription().max_papers == 10
    context.close()


def tab_to(page, selector):
    """Press Tab until the element has the focus, and see that the focus can be seen."""
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.locator(f"{selector}:focus-visible").count():
            return
    pytest.fail(f"no way to {selector} by the keyboard")
