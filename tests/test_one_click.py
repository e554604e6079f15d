"""RFC 8058, sentence by sentence: what a mail program may send to the link of List-Unsubscribe, and what comes of it."""

from datetime import timedelta

import pytest
from factories import LINKS, NOW, SECRET
from fixtures_servers import KINDS
from web_parts import ARI, Site, join

from newsletter import subscribers
from newsletter.lifecycle import SubscriptionStatus
from newsletter.models import Suppression
from newsletter.subscribers import parse_address
from newsletter.throttle import Limits, Throttle
from newsletter.tokens import Keyring, Links

URLENCODED = ("application/x-www-form-urlencoded", b"List-Unsubscribe=One-Click")  # 26 bytes: as Gmail sends it
PART = b'Content-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click'
IN_PARTS = ("multipart/form-data; boundary=b", b"--b\r\n" + PART + b"\r\n--b--\r\n")
QUOTED = ('Multipart/Form-Data; charset=utf-8; boundary="=_b c"', b"preamble\r\n--=_b c\r\n" + PART + b"\r\n--=_b c--\r\n")
ELSEWHERE = {
    "Origin": "https://mail.example.net",
    "Referer": "https://mail.example.net/inbox",
    "Sec-Fetch-Site": "cross-site",
    "Cookie": "session=somebody",
    "Authorization": "Bearer none",
}


@pytest.fixture
def database_kind():
    return "sqlite"


@pytest.fixture
def site(make):
    site = Site(make)
    join(site.visitor(), site)
    return site


@pytest.fixture
def visit(site):
    return site.visitor()


def one_click(visit, path, form=URLENCODED, **headers):
    """Send what a mail program sends: no cookies, no context."""
    content_type, body = form
    return visit.post(path, content=body, headers={"Content-Type": content_type, **headers})


def left(site):
    return site.subscription().status is SubscriptionStatus.UNSUBSCRIBED


@pytest.mark.parametrize("database_kind", KINDS)
@pytest.mark.parametrize("form", [URLENCODED, IN_PARTS, QUOTED], ids=["urlencoded", "multipart", "quoted"])
def test_both_forms_of_the_body_unsubscribe(site, visit, form):
    answer = one_click(visit, site.unsubscribe_path(), form)

    assert (answer.status_code, left(site), site.subscription().unsubscribed_by) == (200, True, "one-click")


def test_the_answer_is_no_redirect_and_sets_no_cookie(site, visit):
    answer = one_click(visit, site.unsubscribe_path())

    assert answer.status_code == 200
    assert not {"location", "refresh", "set-cookie"} & set(answer.headers)
    assert "http-equiv" not in answer.text


def test_neither_where_it_comes_from_nor_who_is_logged_in_matters(site, visit):
    assert one_click(visit, site.unsubscribe_path(), **ELSEWHERE).status_code == 200
    assert left(site)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"])
def test_no_other_method_changes_anything(site, visit, method):
    before = (site.subscription(), len(site.mails()))

    visit.request(method, site.unsubscribe_path(), headers=ELSEWHERE)

    assert (site.subscription(), len(site.mails())) == before


def test_looking_at_the_link_shows_a_form_that_does_it(site, visit):
    page = visit.get(site.unsubscribe_path()).text

    assert '<form method="post"' in page
    assert visit.head(site.unsubscribe_path()).status_code == 200


def test_doing_it_again_is_answered_alike_and_changes_nothing_more(site, visit):
    first = one_click(visit, site.unsubscribe_path())
    before = (site.subscription(), len(site.mails()))

    again = [one_click(visit, site.unsubscribe_path(), form) for form in (URLENCODED, IN_PARTS)]

    assert [(answer.status_code, answer.text) for answer in again] == [(200, first.text)] * 2
    assert (site.subscription(), len(site.mails())) == before


@pytest.mark.parametrize("years", [1, 20])
def test_the_link_holds_as_long_as_the_mail_lives(site, visit, years):
    site.now += timedelta(days=365 * years)

    assert one_click(visit, site.unsubscribe_path()).status_code == 200
    assert left(site)


def test_the_link_holds_when_keys_are_rotated(site):
    old = site.unsubscribe_path()
    site.links = Links(LINKS.base_url, Keyring([b"a new secret of the tests, the newest", SECRET]))

    assert site.unsubscribe_path() != old
    assert one_click(site.visitor(), old).status_code == 200
    assert left(site)


def test_a_link_of_another_installation_ends_nothing(site, visit):
    forged = Links(LINKS.base_url, Keyring([b"another secret of the tests, of nobody"])).unsubscribe(1)

    assert one_click(visit, forged.removeprefix(LINKS.base_url)).status_code == 400
    assert not left(site)


def test_the_link_names_nobody_in_clear_and_belongs_to_one_subscription(site):
    path = site.unsubscribe_path()

    assert "ari" not in path
    assert len(f"{LINKS.base_url}{path}") < 75
    assert LINKS.unsubscribe(1) != LINKS.unsubscribe(2)


def test_it_needs_no_redis(site):
    site.throttle = Throttle(lambda: "redis://127.0.0.1:1/0", Limits(per_ip=1, overall=1), SECRET, lambda: NOW)
    site.bell = lambda: 1 / 0

    assert one_click(site.visitor(), site.unsubscribe_path()).status_code == 200
    assert left(site)


# Who was mailed never again comes back by their own new double opt-in alone


def test_who_was_erased_comes_back_by_signing_up_anew(site, visit):
    with site.make.sessions.begin() as session:
        subscribers.erase(session, parse_address(ARI), site.services().policy, now=site.now)
    assert len(site.make.all(Suppression)) == 1

    site.now += timedelta(days=1)
    join(visit, site)

    assert site.make.all(Suppression) == []
    assert site.subscription().status is SubscriptionStatus.ACTIVE


def test_the_link_of_an_erased_person_is_nobody_elses(site, visit):
    path = site.unsubscribe_path()
    with site.make.sessions.begin() as session:
        subscribers.erase(session, parse_address(ARI), site.services().policy, now=site.now)
    join(visit, site, email="bora@example.org")

    assert one_click(visit, path).status_code == 400
    assert not left(site)
