import re
from datetime import timedelta

import pytest
from admin_parts import MINA, OWN, PASSWORD, Desk, log_in
from factories import LINKS
from fastapi.testclient import TestClient
from structlog.testing import capture_logs
from web_parts import Site

from newsletter import admins, alarms
from newsletter.admins import guesses
from newsletter.models import Admin, AdminSession
from newsletter.tokens import Links
from newsletter.web import create_app

FOREIGN = [
    {},
    {"Origin": "null"},
    {"Origin": "https://evil.example"},
    {"Origin": "http://news.example.com"},
    {"Origin": "https://news.example.com.evil.example"},
    {"Origin": "https://news.example.com:8443"},
    *({"Sec-Fetch-Site": site, "Origin": LINKS.base_url} for site in ("cross-site", "same-site", "none", "x")),
]
ELSEWHERE = [
    "https://evil.example/",
    "//evil.example",
    "/\\evil.example",
    "/admin\\@evil.example",
    "/admin//evil.example",
    "/admin/../u/x",
    "/admin/%2e%2e/x",
    "/admin/x?next=//evil",
    "/admin/\r\nSet-Cookie: a=b",
    "/admin/\t",
    "/adminevil",
    "javascript:alert(1)",
    "/admin/오늘",
    "",
]


@pytest.fixture
def database_kind():
    return "sqlite"  # test_admins asks both


@pytest.fixture
def desk(make):
    return Desk(make)


def _guess(desk, times, name=MINA, ip="192.0.2.7"):
    browser = desk.browser(ip)
    return [log_in(browser, name, "some other words here").status_code for _ in range(times)]


# In and out


def test_who_is_not_logged_in_is_sent_to_the_log_in_and_comes_back(desk):
    browser = desk.browser()

    sent = browser.get("/admin", headers={"Accept-Language": "ko"})
    form = browser.get(sent.headers["location"])
    entered = log_in(browser, next="/admin")

    assert (sent.status_code, sent.headers["location"]) == (303, "/admin/login?lang=ko&next=%2Fadmin")
    assert 'name="next" value="/admin"' in form.text
    assert 'lang="ko"' in form.text
    assert (entered.status_code, entered.headers["location"]) == (303, "/admin?lang=en")
    assert browser.get("/admin").status_code == 200


def test_the_cookie_is_for_us_alone_and_for_no_script(desk):
    cookies = log_in(desk.browser()).headers.get_list("set-cookie")

    names = [cookie.partition("=")[0] for cookie in cookies]
    assert names == ["__Host-newsletter-admin", "__Host-newsletter-known"]
    for cookie in cookies:
        assert {"HttpOnly", "Secure", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
        assert "Domain" not in cookie


def test_over_http_a_password_is_typed_on_the_machine_itself_alone(desk):
    for base_url, opened in (("http://127.0.0.1:8000", True), ("http://10.0.0.7", False)):
        desk.links = Links(base_url, LINKS.keyring)
        browser = desk.browser()
        assert ('name="password"' in browser.get("/admin/login").text) is opened
        entered = log_in(browser)
        assert entered.status_code == (303 if opened else 403)
        assert [cookie.partition("=")[0] for cookie in entered.headers.get_list("set-cookie")] == (
            ["newsletter-admin", "newsletter-known"] if opened else []
        )


def test_a_log_out_ends_it_on_the_server_and_takes_the_cookie(desk):
    mina = desk.mina()
    token = mina.cookies["__Host-newsletter-admin"]

    left = mina.post("/admin/logout")

    assert (left.status_code, left.headers["location"]) == (303, "/admin/login?lang=en")
    assert "__Host-newsletter-admin" not in mina.cookies
    mina.cookies.set("__Host-newsletter-admin", token)
    assert mina.get("/admin").status_code == 303
    assert desk.make.all(AdminSession) == []


def test_one_button_ends_all_log_ins(desk):
    one, other = desk.mina(), desk.mina()

    assert one.post("/admin/logout", data={"everywhere": "yes"}).status_code == 303

    assert other.get("/admin").status_code == 303


def test_looking_logs_nobody_in_or_out(desk):
    mina, before = desk.mina(), desk.make.all(AdminSession)

    for method in ("GET", "HEAD"):
        assert mina.request(method, "/admin/logout").status_code == 405
        assert mina.request(method, f"/admin/login?name={MINA}&password={PASSWORD}").status_code == 200
        assert mina.request(method, "/admin").status_code == 200

    assert desk.make.all(AdminSession) == before


def test_where_there_is_no_administrator_the_page_says_how_to_make_one(make):
    site = Site(make)
    page = site.visitor().get("/admin/login").text

    assert "newsletter admin create NAME" in page
    assert "<form" not in page


def test_somebody_removed_is_out_at_once(desk, sessions):
    mina = desk.mina()
    with sessions.begin() as session:
        admins.remove(session, MINA)

    assert mina.get("/admin").headers["location"] == "/admin/login?lang=en&next=%2Fadmin"


def test_a_log_in_is_over_when_it_was_not_used_for_a_day(desk):
    mina = desk.mina()
    desk.now += timedelta(hours=25)

    assert mina.get("/admin").status_code == 303


# What an attacker would try


def test_a_cookie_that_was_planted_is_never_a_log_in(desk):
    browser = desk.browser()
    browser.cookies.set("__Host-newsletter-admin", "planted")

    log_in(browser)

    tokens = [
        cookie.value for cookie in browser.cookies.jar if cookie.name == "__Host-newsletter-admin" and cookie.value != "planted"
    ]
    assert len(tokens) == 1
    thief = desk.browser()
    thief.cookies.set("__Host-newsletter-admin", "planted")
    assert thief.get("/admin").status_code == 303


def test_a_new_log_in_ends_the_one_before_in_the_same_browser(desk):
    mina = desk.mina()
    before = mina.cookies["__Host-newsletter-admin"]

    log_in(mina)

    assert mina.cookies["__Host-newsletter-admin"] != before
    assert len(desk.make.all(AdminSession)) == 1


@pytest.mark.parametrize("headers", FOREIGN, ids=lambda headers: str(sorted(headers.items())))
@pytest.mark.parametrize("path", ["/admin/login", "/admin/logout", "/admin", "/admin/"])
def test_what_other_sites_send_changes_nothing(desk, headers, path):
    cookies = desk.mina().cookies
    browser = TestClient(create_app(desk.services()), base_url=LINKS.base_url, cookies=cookies, follow_redirects=False)

    answer = browser.post(path, data={"name": MINA, "password": PASSWORD}, headers=headers)

    assert (answer.status_code, "own page" in answer.text) == (403, True)
    assert len(desk.make.all(AdminSession)) == 1


@pytest.mark.parametrize("headers", [OWN, {"Origin": "https://news.example.com"}, OWN | {"Origin": "null"}])
def test_our_own_forms_are_taken(desk, headers):
    browser = TestClient(create_app(desk.services()), base_url=LINKS.base_url, follow_redirects=False)

    assert browser.post("/admin/login", data={"name": MINA, "password": PASSWORD}, headers=headers).status_code == 303


@pytest.mark.parametrize("path", ELSEWHERE)
def test_a_log_in_leads_nowhere_else(desk, path):
    assert log_in(desk.browser(), next=path).headers["location"] == "/admin?lang=en"
    assert 'name="next" value="/admin"' in desk.browser().get("/admin/login", params={"next": path}).text


def test_a_log_in_leads_to_the_page_that_was_wanted(desk):
    assert log_in(desk.browser(), next="/admin/issues/daily-papers/2024-03-14").headers["location"] == (
        "/admin/issues/daily-papers/2024-03-14?lang=en"
    )


def test_a_wrong_name_and_a_wrong_password_are_told_alike(desk):
    pages = [log_in(desk.browser(), name, words) for name, words in ((MINA, "wrong words here"), ("nobo", PASSWORD))]

    assert {page.status_code for page in pages} == {403}
    one, other = (re.sub(r'id="name" name="name" value="\w+"', "", page.text) for page in pages)
    assert one == other


def test_guessing_is_soon_too_often_and_says_when_to_come_back(desk):
    assert _guess(desk, guesses.FREE["ip"] + 1) == [403] * guesses.FREE["ip"] + [429]

    desk.now -= timedelta(seconds=1)

    refused = log_in(desk.browser())

    assert refused.status_code == 429, "even the right password is not looked at"
    assert 0 < int(refused.headers["retry-after"]) <= 2
    assert log_in(desk.browser("198.51.100.7")).status_code == 303


def test_names_that_nobody_has_are_guessed_at_as_slowly(desk):
    for name in (MINA, "nobody"):
        for number in range(guesses.FREE["name"]):
            assert _guess(desk, 1, name, f"198.{number}.{len(name)}.1") == [403]
        assert _guess(desk, 1, name, "203.0.113.1") == [429]


def test_a_browser_that_was_logged_in_before_comes_in_whoever_guesses(desk):
    mina = desk.mina()
    mina.post("/admin/logout")
    for number in range(guesses.FREE["name"]):
        _guess(desk, 1, MINA, f"198.{number}.1.1")

    assert log_in(desk.browser("203.0.113.1")).status_code == 429
    assert log_in(mina).status_code == 303


def test_being_known_under_one_name_helps_at_no_other(desk, sessions):
    with sessions.begin() as session:
        admins.create(session, "hana", PASSWORD, now=desk.now)
    hana = desk.browser()
    log_in(hana, "hana")
    for number in range(guesses.FREE["name"]):
        _guess(desk, 1, MINA, f"198.{number}.1.1")

    assert log_in(hana).status_code == 429


def test_many_guesses_are_an_alarm(desk, sessions):
    for number in range(guesses.MANY):
        desk.now += min(timedelta(seconds=2 ** max(number - guesses.FREE["name"] + 2, 0)), guesses.LONGEST)
        _guess(desk, 1, MINA, f"198.{number}.1.1")

    with sessions.read() as session:
        (alarm,) = alarms.open_alarms(session)
    assert alarm.subject == "Somebody guesses at the password of mina"


def test_the_log_tells_who_tried_and_no_password_and_no_token(desk):
    with capture_logs() as entries:
        browser = desk.browser()
        log_in(browser, password="a wrong one, secretly")
        log_in(browser, name="my-password-in-the-wrong-field")
        log_in(browser)
        tokens = list(browser.cookies.values())
        browser.get("/admin")

    said = str(entries)
    assert [(entry["event"], entry["name"], entry["ip"]) for entry in entries if "name" in entry] == [
        ("log-in failed", "mina", "192.0.2.7"),
        ("log-in failed", "(nobody's)", "192.0.2.7"),
        ("logged in", "mina", "192.0.2.7"),
    ]
    assert not [word for word in (PASSWORD, "secretly", "wrong-field", *tokens) if word in said]


def test_every_page_is_kept_by_nobody_and_framed_by_nobody(desk):
    mina = desk.mina()

    for path in ("/admin", "/admin/login", "/admin/nothing", "/admin/"):
        headers = mina.get(path).headers
        assert (headers["cache-control"], headers["x-robots-tag"]) == ("no-store", "noindex, nofollow")
        assert (headers["x-frame-options"], headers["referrer-policy"]) == ("DENY", "same-origin")
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "script-src" not in headers["content-security-policy"]
        assert "default-src 'none'" in headers["content-security-policy"]


def test_the_host_that_a_request_names_is_nowhere(desk):
    sent = desk.browser().get("/admin", headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example"})

    assert sent.headers["location"].startswith("/admin/login?")


def test_hostile_fields_are_only_text(desk):
    page = log_in(desk.browser(), name='"><script>alert(1)</script>', next='"><b>')

    assert page.status_code == 403
    assert "<script" not in page.text
    assert "<b>" not in page.text


def test_a_form_without_fields_is_a_failed_log_in(desk):
    assert desk.browser().post("/admin/login").status_code == 403
    assert desk.browser().post("/admin/login", content=b"\x00\xff", headers={"Content-Type": "text/plain"}).status_code == 403


def test_a_password_in_the_database_that_cannot_be_read_lets_nobody_in(desk, sessions):
    with sessions.begin() as session:
        session.get_one(Admin, 1).password_hash = "$argon2id$broken"

    assert log_in(desk.browser()).status_code == 403
