"""The site around the journey: the archive, headers, errors, health, and what the log holds."""

from dataclasses import replace
from datetime import timedelta

import pytest
from factories import DAY, LINKS
from fastapi.testclient import TestClient
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs
from web_parts import Site, join, sign_up, stamp_of

from newsletter import db
from newsletter.tokens import Links
from newsletter.web import create_app
from newsletter.web.archive import PAGE_SIZE

PRIVATE = ("no-store", "noindex, nofollow")


@pytest.fixture
def database_kind():
    return "sqlite"  # nothing here is asked of the database that the journey does not ask of both


@pytest.fixture
def site(make):
    return Site(make)


@pytest.fixture
def visit(site):
    return site.visitor()


# The archive


def test_the_archive_lists_what_is_out_and_nothing_else(site, visit):
    site.publish()
    site.make.issue(site.newsletter, numbers=(3,), day=DAY + timedelta(days=1))  # ready, not published

    page = visit.get("/archive/daily-papers").text

    assert '<time datetime="2024-03-14">Thursday, March 14, 2024</time> · 2 papers' in page
    assert 'href="/archive/daily-papers/2024-03-14"' in page
    assert "2024-03-15" not in page
    assert visit.get("/archive/daily-papers/2024-03-15").status_code == 404


def test_a_long_archive_is_read_page_by_page(site, visit):
    days = [DAY + timedelta(days=number) for number in range(PAGE_SIZE + 1)]
    for number, day in enumerate(days):
        site.publish(day, numbers=(number,))

    newest, older = visit.get("/archive/daily-papers").text, visit.get(f"/archive/daily-papers?before={days[1]}").text

    assert newest.count("<time") == PAGE_SIZE
    assert f'href="?before={days[1]}&amp;lang=en"' in newest
    assert older.count("<time") == 1
    assert "Newest issues" in older
    assert "no older issues" in visit.get("/archive/daily-papers?before=0001-01-01").text


@pytest.mark.parametrize(("language", "more"), [("en", "and 2 more"), ("ko", "외 2편")])
def test_the_archive_says_what_each_issue_is_about(site, visit, language, more):
    site.publish(numbers=(1, 2, 3, 4, 5))
    site.publish(DAY + timedelta(days=1), numbers=(6, 7, 8))

    page = visit.get(f"/archive/daily-papers?lang={language}").text

    assert [f"Paper {number} on small models" in page for number in range(1, 9)] == [True] * 3 + [False] * 2 + [True] * 3
    assert page.count(more) == 1


def test_an_issue_is_shown_as_its_mail_was(site, visit):
    site.publish()

    response = visit.get("/archive/daily-papers/2024-03-14")

    assert "Paper 1 on small models" in response.text
    assert "\x01" not in response.text
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'" in policy


@pytest.mark.parametrize("path", ["nobody", "daily-papers?before=yesterday", "daily-papers/yesterday", "daily-papers/2024-W99"])
def test_what_is_not_in_the_archive_is_not_found(visit, path):
    assert visit.get(f"/archive/{path}").status_code == 404


# Headers and links


@pytest.mark.parametrize("path", ["/", "/check-your-inbox", "/static/style.css", "/robots.txt", "/healthz", "/nowhere", "/c/x"])
def test_every_answer_has_the_security_headers(visit, path):
    headers = visit.get(path).headers

    assert headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'; img-src 'self';")
    assert "form-action 'self'; frame-ancestors 'none'; base-uri 'none'" in headers["content-security-policy"]
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"
    assert "set-cookie" not in headers


def test_pages_behind_a_token_are_kept_by_nobody(site, visit):
    sign_up(visit)

    for path in (site.confirm_path(), site.unsubscribe_path(), "/c/x", "/u/x", "/u/x/y/z"):
        headers = visit.get(path).headers
        assert (headers["cache-control"], headers["x-robots-tag"]) == PRIVATE
    assert "x-robots-tag" not in visit.get("/").headers


def test_a_forged_host_changes_no_link(site, visit):
    forged = {"Host": "evil.test", "X-Forwarded-Host": "evil.test", "X-Forwarded-Proto": "gopher"}
    site.publish()

    pages = [
        visit.get(path, headers=forged) for path in ("/", "/archive/daily-papers", "/archive/daily-papers/2024-03-14", "/c/x/")
    ]
    given = {"email": "ari@example.org", "newsletter": "daily-papers", "stamp": stamp_of(pages[0])}
    asked = visit.post("/subscribe", data=given, headers=forged)
    pages.append(visit.post(site.confirm_path(), headers=forged))

    assert asked.headers["location"] == "/check-your-inbox?lang=en"
    assert not [page for page in pages if "evil.test" in page.text or "evil.test" in str(page.headers)]
    assert not [mail for mail in site.mails() if "evil.test" in str(mail.values)]
    assert site.mails()[-1].values["latest_url"] == LINKS.issue("daily-papers", "2024-03-14")


def test_a_site_below_a_path_links_below_it(site):
    site.links = Links("https://example.org/letters", LINKS.keyring)
    visit = TestClient(create_app(site.services()), follow_redirects=False)

    page = visit.get("/").text

    assert 'action="/letters/subscribe"' in page
    assert 'href="/letters/static/style.css?v=' in page
    assert sign_up(visit).headers["location"] == "/letters/check-your-inbox?lang=en"


def test_the_style_sheet_is_kept_for_ever_under_its_version(visit):
    path = visit.get("/").text.split('rel="stylesheet" href="')[1].split('"')[0]

    assert "immutable" in visit.get(path).headers["cache-control"]
    assert visit.get(path).headers["content-type"].startswith("text/css")
    assert "immutable" not in visit.get("/static/style.css?v=old").headers["cache-control"]


def test_browsers_and_crawlers_find_what_they_ask_for(visit):
    assert visit.get("/favicon.ico").headers["content-type"] == "image/svg+xml"
    assert (
        visit.get("/robots.txt").text
        == "User-agent: *\nDisallow: /c/\nDisallow: /u/\nDisallow: /p/\nDisallow: /a/\nDisallow: /me/\nDisallow: /w/\n"
    )
    assert visit.get("/subscribe").headers["location"] == "/?lang=en"


# What goes wrong


@pytest.mark.parametrize("path", ["/nowhere", "/admins", "/adminer", "/docs", "/openapi.json", "/archive/", "/u/"])
def test_what_is_not_there_is_a_page_too(visit, path):
    response = visit.get(path, headers={"Accept-Language": "ko"})

    assert response.status_code == 404
    assert "페이지를 찾을 수 없습니다" in response.text


def test_a_method_that_is_not_meant_is_refused(visit):
    response = visit.put("/subscribe")

    assert (response.status_code, "could not be read" in response.text) == (405, True)


@pytest.fixture
def broken(site):
    """Return a site whose clock fails: as good a fault as any."""

    def fail():
        raise RuntimeError("the secret of ari@example.org")

    return TestClient(create_app(replace(site.services(), clock=fail)))


def test_a_fault_shows_a_number_and_the_log_says_the_rest(broken):
    with capture_logs(processors=[merge_contextvars]) as logs:
        response = broken.get("/c/x")

    assert response.status_code == 500
    assert "Something broke on our side" in response.text
    assert "secret" not in response.text
    fault = next(line for line in logs if line["event"] == "a page broke")
    assert fault["route"] == "/c/{token}"
    assert f"under the number {fault['request_id']}." in response.text
    assert fault["exc_info"]


def test_the_log_names_the_route_and_never_the_token(site, visit):
    with capture_logs() as logs:
        join(visit, site)
        visit.get(site.unsubscribe_path())
        visit.get("/u/made-up-token")
        visit.get("/nowhere/made-up-token")

    routes = [(line["method"], line["route"], line["status"]) for line in logs if line["event"] == "request"]
    assert routes == [
        ("GET", "/", 200),
        ("POST", "/subscribe", 303),
        ("POST", "/c/{token}", 200),
        ("GET", "/u/{token}", 200),
        ("GET", "/u/{token}", 400),
        ("GET", "-", 404),
    ]
    for secret in (site.confirm_path()[3:], site.unsubscribe_path()[3:], "made-up-token", "ari@"):
        assert secret not in str(logs)


# Health


def test_health_is_the_process_and_readiness_the_database(site, visit, tmp_path):
    elsewhere = replace(site.services(), sessions=db.connect(f"sqlite:///{tmp_path}/empty.sqlite3"))
    nothing = TestClient(create_app(elsewhere))

    assert [visit.get(path).status_code for path in ("/healthz", "/readyz")] == [200, 200]
    assert nothing.get("/healthz").status_code == 200
    answer = nothing.get("/readyz")
    assert (answer.status_code, "Run `newsletter migrate`" in answer.text) == (503, True)
    elsewhere.sessions.engine.dispose()
