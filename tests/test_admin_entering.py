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
