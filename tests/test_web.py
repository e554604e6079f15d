import re
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from factories import LINKS, NOW, POLICY
from fastapi.testclient import TestClient
from fixtures_servers import KINDS
from structlog.testing import capture_logs
from web_parts import ARI, BORA, CHAN, Site, join, sign_up

from newsletter import i18n
from newsletter.lifecycle import SubscriptionStatus
from newsletter.models import Consent, DeliveryKind, Subscriber
from newsletter.web import Services, create_app, forms

ONE_CLICK = "List-Unsubscribe=One-Click"
BOUNDARY = "----abc"
MULTIPART = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--{BOUNDARY}--\r\n'
ENCODED = ("application/x-www-form-urlencoded", ONE_CLICK)
IN_PARTS = (f"multipart/form-data; boundary={BOUNDARY}", MULTIPART)


@pytest.fixture
def database_kind():
    return "sqlite"  # the journey alone is made on both


@pytest.fixture
def site(make):
    return Site(make)


@pytest.fixture
def visit(site):
    return site.visitor()


def post(visit, path, content_type, body):
    return visit.post(path, content=body, headers={"Content-Type": content_type})


def look_often(visit, path):
    for method in ("GET", "HEAD", "GET"):
        assert visit.request(method, path).status_code == 200


# The journey


@pytest.mark.parametrize("database_kind", KINDS)
@pytest.mark.parametrize("one_click", [ENCODED, IN_PARTS], ids=["urlencoded", "multipart"])
def test_a_reader_joins_leaves_and_comes_back(site, visit, one_click):
    assert sign_up(visit).headers["location"] == "/check-your-inbox?lang=en"
    (asked,) = site.mails()
    assert (asked.kind, asked.address) == (DeliveryKind.CONFIRM, ARI)
    look_often(visit, site.confirm_path())
    assert site.subscription().status is SubscriptionStatus.PENDING

    assert "You are in" in visit.post(site.confirm_path()).text
    assert site.subscription().status is SubscriptionStatus.ACTIVE
    assert "Confirmed already" in visit.get(site.confirm_path()).text

    look_often(visit, site.unsubscribe_path())
    assert site.subscription().status is SubscriptionStatus.ACTIVE
    left = post(visit, site.unsubscribe_path(), *one_click)
    assert (left.status_code, "You have left Daily Papers" in left.text) == (200, True)
    assert site.subscription().unsubscribed_by == "one-click"

    assert visit.post(f"{site.unsubscribe_path()}/back").headers["location"] == "/check-your-inbox?lang=en"
    assert site.subscription().status is SubscriptionStatus.PENDING
    visit.post(site.confirm_path())
    assert site.subscription().status is SubscriptionStatus.ACTIVE
    assert site.kinds() == ["confirm", "welcome", "goodbye", "confirm", "welcome"]
    assert site.woken == 5


# Signing up


def test_the_form_offers_every_newsletter_with_its_latest_issue(site, visit):
    site.add("daily-nonmun", title="오늘의 논문", language="ko", description="매일 아침 여는 논문 한 꾸러미")
    site.publish()

    page = visit.get("/").text

    assert all(words in page for words in ("Daily Papers", "오늘의 논문", "매일 아침 여는 논문 한 꾸러미"))
    assert 'href="/archive/daily-papers/2024-03-14"' in page
    assert page.count('type="checkbox"') == 2
    assert "checked" not in page


def test_a_newsletter_can_be_chosen_beforehand(site, visit):
    site.add("weekly", title="The Week")

    assert visit.get("/?newsletter=weekly").text.count(" checked") == 1


def test_a_site_without_newsletters_says_so(sessions):
    services = Services(sessions, LINKS, POLICY, lambda: None, lambda: NOW)

    assert "no newsletter here yet" in TestClient(create_app(services)).get("/").text


@pytest.mark.parametrize(
    ("query", "header", "language", "words"),
    [
        ("", "ko-KR,ko;q=0.9", "ko", "구독하기"),
        ("", "fr,en;q=0.5", "en", "Subscribe"),
        ("?lang=ko", "en", "ko", "구독하기"),
        ("?lang=../../x", "ko", "ko", "구독하기"),
    ],
)
def test_the_page_speaks_the_visitors_language(visit, query, header, language, words):
    response = visit.get(f"/{query}", headers={"Accept-Language": header})

    assert f'<html lang="{language}"' in response.text
    assert words in response.text
    assert response.headers["content-language"] == language


@pytest.mark.parametrize("language", i18n.languages())
@pytest.mark.parametrize("several", [False, True])
def test_what_is_agreed_to_is_kept_in_the_words_that_were_shown(site, visit, language, several):
    if several:
        site.add("weekly", title="The Week")
    shown = re.search(r'<p class="wording">(.*)</p>', visit.get(f"/?lang={language}").text)[1]

    sign_up(visit, lang=language)

    (consent,), (reader,) = site.make.all(Consent), site.make.all(Subscriber)
    assert reader.language == language
    assert consent.wording == shown
    assert (consent.source, consent.requested_ip) == ("page", "testclient")
    assert ("구독" in shown or "받겠습니다" in shown) == (language == "ko")


def test_the_answer_is_the_same_whatever_is_known_of_an_address(site, visit):
    join(visit, site)
    visit.post(site.unsubscribe_path())
    join(visit, site, email=BORA)

    answers = [sign_up(visit, email=email) for email in (ARI, BORA, CHAN)]

    assert {(answer.status_code, answer.headers["location"], answer.text) for answer in answers} == {
        (303, "/check-your-inbox?lang=en", "")
    }
    assert "Check your inbox" in visit.get("/check-your-inbox").text


def test_an_address_may_have_white_space_around_it(site, visit):
    sign_up(visit, email=f" {ARI}\n")

    assert site.mails()[0].address == ARI


@pytest.mark.parametrize(
    "email", ["", "ari", "ari@", "@example.org", "a b@example.org", "a\0@example.org", "<script>@x", "x" * 5000]
)
def test_an_address_that_is_none_is_shown_again_with_its_error(site, visit, email):
    response = sign_up(visit, email=email)

    assert response.status_code == 422
    assert 'aria-describedby="email-error email-hint" aria-invalid="true" autofocus' in response.text
    assert "This is no email address yet" in response.text
    assert "<title>Not yet: Daily Papers</title>" in response.text
    assert "<script>" not in response.text
    assert site.mails() == []


def test_what_was_written_into_the_form_is_kept(site, visit):
    site.add("weekly", title="The Week")

    response = sign_up(visit, email='ari "at" inbox', newsletter="weekly")

    assert 'value="ari &#34;at&#34; inbox"' in response.text
    assert re.search(r'value="weekly"[^>]* checked', response.text)
    assert not re.search(r'value="daily-papers"[^>]* checked', response.text)


@pytest.mark.parametrize("newsletter", [[], ["nobody-has-this"], ["1", "99999999999999999999"]])
def test_a_newsletter_has_to_be_chosen(site, visit, newsletter):
    site.add("weekly", title="The Week")

    response = sign_up(visit, newsletter=newsletter)

    assert response.status_code == 422
    assert 'id="newsletter-error"' in response.text
    assert f'value="{ARI}"' in response.text


def test_who_fills_the_field_that_people_do_not_see_gets_no_mail(site, visit):
    assert sign_up(visit, homepage="https://spam.example").headers["location"] == "/check-your-inbox?lang=en"
    assert site.mails() == []


# Confirming


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("path", ["/c/x", "/c/" + "A" * 500, "/u/x", "/u/%00", "/u/한글"])
def test_a_link_that_is_none_of_ours_says_what_to_do(visit, method, path):
    response = visit.request(method, path)

    assert response.status_code == 400
    assert method == "HEAD" or "copy the whole link" in response.text


def test_a_token_is_good_for_its_own_purpose_alone(site, visit):
    sign_up(visit)
    confirm, unsubscribe = site.confirm_path(), site.unsubscribe_path()

    assert visit.post(confirm.replace("/c/", "/u/")).status_code == 400
    assert visit.post(unsubscribe.replace("/u/", "/c/")).status_code == 400
    assert site.subscription().status is SubscriptionStatus.PENDING


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_a_link_that_has_expired_confirms_nothing(site, visit, method):
    sign_up(visit)
    path = site.confirm_path()
    site.now += timedelta(days=4)

    assert visit.request(method, path).status_code == 410
    assert site.subscription().status is SubscriptionStatus.PENDING
    assert site.kinds() == ["confirm"]


def test_a_link_that_has_expired_leads_to_the_form_of_its_newsletters(site, visit):
    site.add("weekly-papers")
    site.add("other-papers")
    sign_up(visit, newsletter=["daily-papers", "weekly-papers"])
    path = site.confirm_path()
    site.now += timedelta(days=4)

    page = visit.get(path).text
    again = re.search(r'href="(/\?lang=en&amp;newsletter[^"]*)"', page)[1].replace("&amp;", "&")

    assert "This link has expired" in page
    assert "works for 72 hours" in page
    assert "ari@" not in page
    assert re.findall(r'value="([a-z-]+)"[^>]* checked', visit.get(again).text) == ["daily-papers", "weekly-papers"]


def test_a_link_that_has_expired_says_so_in_the_readers_language(site, visit):
    sign_up(visit, lang="ko")
    path = site.confirm_path()
    site.now += timedelta(days=4)

    assert "만료된 링크입니다" in visit.get(path).text
    assert "This link has expired" in visit.get(f"{path}?lang=en").text


def test_a_link_whose_request_is_gone_has_expired(site, visit):
    path = urlsplit(site.links.confirm(4711, site.now + timedelta(days=1))).path

    response = visit.get(path)

    assert response.status_code == 410
    assert "This link has expired" in response.text


def test_a_link_that_was_cut_short_says_so_in_both_languages(site, visit):
    sign_up(visit)
    path = site.confirm_path()[:-1]

    assert "damaged or incomplete" in visit.get(path).text
    assert "손상되었거나" in visit.get(f"{path}?lang=ko").text


def test_confirming_twice_is_kind_and_changes_nothing(site, visit):
    join(visit, site)

    assert "Confirmed already" in visit.post(site.confirm_path()).text
    assert site.kinds().count("welcome") == 1


def test_the_second_of_two_requests_can_be_confirmed_after_the_first(site, visit):
    sign_up(visit)
    first = site.confirm_path()
    sign_up(visit)

    visit.post(first)

    assert visit.post(site.confirm_path()).status_code == 200
    assert site.kinds().count("welcome") == 1


def test_an_old_request_does_not_undo_leaving(site, visit):
    sign_up(visit)
    visit.post(site.unsubscribe_path())

    response = visit.post(site.confirm_path())

    assert response.status_code == 409
    assert "You have left since" in response.text
    assert site.subscription().status is SubscriptionStatus.UNSUBSCRIBED


def test_the_pages_behind_a_link_speak_the_readers_language(site, visit):
    join(visit, site, lang="ko")

    assert "구독을 해지하시겠습니까?" in visit.get(site.unsubscribe_path(), headers={"Accept-Language": "en"}).text
    assert "Do you want to leave?" in visit.get(f"{site.unsubscribe_path()}?lang=en").text
    assert "구독이 해지되었습니다" in visit.post(site.unsubscribe_path()).text


# Leaving


def test_the_button_on_the_page_is_told_from_one_click(site, visit):
    join(visit, site)

    visit.post(site.unsubscribe_path(), data={"lang": "en"})

    assert site.subscription().unsubscribed_by == "page"


def test_one_click_needs_nothing_but_the_link(site, visit):
    join(visit, site)
    headers = {"Origin": "https://mail.example", "Sec-Fetch-Site": "cross-site", "Content-Type": ENCODED[0]}

    response = visit.post(site.unsubscribe_path(), content=ONE_CLICK, headers=headers)

    assert response.status_code == 200
    assert "set-cookie" not in response.headers


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b"{"),
        ("multipart/form-data", b"no boundary"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name*=utf-8''%ff\r\n\r\n\xff\r\n--x"),
        ("multipart/mixed; boundary=x", b"--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\n\r\n--y--\r\n--x--"),
        ("application/x-www-form-urlencoded; charset=none", b"\x00\xff=%zz&" * 300),
        ("", b"\x00" * 30_000),
    ],
)
def test_no_body_can_keep_a_reader_from_leaving(site, visit, content_type, body):
    join(visit, site)

    assert post(visit, site.unsubscribe_path(), content_type, body).status_code == 200
    assert site.subscription().status is SubscriptionStatus.UNSUBSCRIBED


@pytest.mark.parametrize("path", ["/subscribe", "/u/x"])
def test_a_body_that_is_too_large_is_refused(visit, path):
    response = post(visit, path, "application/x-www-form-urlencoded", b"x" * (forms.BODY_LIMIT + 1))

    assert response.status_code == 413


def test_leaving_twice_says_the_same_and_mails_once(site, visit):
    join(visit, site)

    pages = {visit.post(site.unsubscribe_path()).text for _ in range(2)} | {visit.get(site.unsubscribe_path()).text}

    assert len(pages) == 1
    assert site.kinds().count("goodbye") == 1


def test_workers_that_cannot_be_woken_harm_nobody(site, visit):
    site.bell = lambda: 1 / 0
    with capture_logs() as logs:
        join(visit, site)
        assert post(visit, site.unsubscribe_path(), *ENCODED).status_code == 200

    assert site.kinds() == ["confirm", "welcome", "goodbye"]
    assert sum(line["event"] == "workers could not be woken" for line in logs) == 3
