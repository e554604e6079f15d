"""The form that anybody can send: people get through it, programs and floods do not, and nobody learns who is known."""

import re
from dataclasses import replace
from datetime import timedelta
from html import unescape

import pytest
from factories import NOW, SECRET
from structlog.testing import capture_logs
from web_parts import ARI, AT_ONCE, BORA, CHAN, Site, join, sign_up, stamp_of
from worker_parts import broker

from newsletter.lifecycle import SubscriptionStatus
from newsletter.models import Cadence, Consent, DeliveryKind, Subscriber
from newsletter.throttle import Limits, Throttle
from newsletter.web import SignUp
from newsletter.web.embedding import snippet

__all__ = ["broker"]
FORM = {"email": ARI, "newsletter": "daily-papers"}


@pytest.fixture
def database_kind():
    return "sqlite"  # what is stored is tested on both with the module that stores it


@pytest.fixture
def site(make):
    return Site(make)


@pytest.fixture
def visit(site):
    return site.visitor()


@pytest.fixture
def limited(site, broker):
    """Return `limited(**limits)`: a browser on the site that keeps to them."""
    opened = []

    def visitor(url=broker, **limits):
        site.throttle = Throttle(lambda: url, Limits(**limits), SECRET, lambda: NOW)
        opened.append(site.throttle)
        return site.visitor()

    yield visitor
    for each in opened:
        each.close()


def fields_of(page):
    """Return what the form on a page would send if its button were pressed."""
    inputs = re.findall(r"<input [^>]*>", page.text)
    kept = [one for one in inputs if ("checkbox" not in one and "radio" not in one) or " checked" in one]
    pairs = [(re.search(r'name="([^"]*)"', one), re.search(r'value="([^"]*)"', one)) for one in kept]
    found = {}
    for name, value in pairs:
        found.setdefault(name[1], []).append(unescape(value[1]) if value else "")
    return found


# Programs


@pytest.mark.parametrize("seconds", [0, 1.9])
def test_who_fills_the_form_in_no_time_gets_the_answer_and_no_mail(site, seconds):
    site.sign_up = replace(AT_ONCE, seconds=2.0 + 1)  # the clock goes on by a second at the request
    visit = site.visitor()
    stamp = stamp_of(visit.get("/"))
    site.now += timedelta(seconds=seconds)

    assert visit.post("/subscribe", data=FORM | {"stamp": stamp}).headers["location"] == "/check-your-inbox?lang=en"
    assert (site.mails(), site.woken) == ([], 0)

    site.now += timedelta(seconds=2)
    visit.post("/subscribe", data=FORM | {"stamp": stamp})
    assert site.kinds() == ["confirm"]


@pytest.mark.parametrize("stamp", [None, "", "forged", "A" * 500, "\0"])
def test_a_form_without_a_good_stamp_is_shown_filled_for_one_more_press(site, stamp):
    site.add("weekly", title="The Week", cadences=["daily", "weekly"])
    site.sign_up = replace(AT_ONCE, seconds=2.0)
    visit = site.visitor()
    given = {"email": ARI, "newsletter": "weekly", "cadence-weekly": "weekly"} | ({"stamp": stamp} if stamp is not None else {})

    shown = visit.post("/subscribe", data=given)

    assert (shown.status_code, site.mails()) == (200, [])
    assert "press the button once more" in shown.text
    again = fields_of(shown)
    assert (again["email"], again["newsletter"], again["cadence-weekly"]) == ([ARI], ["weekly"], ["weekly"])
    assert visit.post("/subscribe", data=again).status_code == 303  # at once
    assert site.kinds() == ["confirm"]


def test_a_page_left_open_for_a_day_is_shown_again(site, visit):
    stamp = stamp_of(visit.get("/"))
    site.now += timedelta(days=1)

    assert "press the button once more" in visit.post("/subscribe", data=FORM | {"stamp": stamp}).text


def test_a_link_of_ours_is_no_stamp(site, visit):
    join(visit, site)

    token = site.unsubscribe_path().removeprefix("/u/")
    assert "press the button once more" in visit.post("/subscribe", data=FORM | {"stamp": token}).text


def test_a_form_on_another_site_subscribes_nobody_without_a_press_on_ours(site, visit):
    headers = {"Origin": "https://blog.example.net", "Sec-Fetch-Site": "cross-site"}

    shown = visit.post("/subscribe", data=FORM, headers=headers)

    assert (shown.status_code, site.mails()) == (200, [])
    assert fields_of(shown)["email"] == [ARI]


@pytest.mark.parametrize(("site_of_the_form", "status"), [("cross-site", 403), ("same-origin", 200), ("none", 200), ("", 200)])
def test_no_other_form_is_sent_from_another_site(site, visit, site_of_the_form, status):
    sign_up(visit)

    answer = visit.post(site.confirm_path(), headers={"Sec-Fetch-Site": site_of_the_form} if site_of_the_form else {})

    assert answer.status_code == status
    assert (site.subscription().status is SubscriptionStatus.ACTIVE) == (status == 200)
    assert visit.get(site.confirm_path(), headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200  # a link in webmail


@pytest.mark.parametrize("cadences", [["daily"], ["daily", "weekly"]])
def test_the_form_that_we_give_away_leads_to_one_more_press(site, visit, cadences):
    newsletter = site.add("nonmun", title="오늘의 논문", language="ko", cadences=cadences)
    given = snippet(newsletter, site.links.base_url)
    fields = dict(re.findall(r'name="([^"]+)" value="([^"]+)"', given)) | {"email": ARI}
    if len(cadences) > 1:
        fields[re.search(r'<select name="([^"]+)"', given)[1]] = "weekly"

    shown = visit.post(re.search(r'action="([^"]+)"', given)[1], data=fields)
    visit.post("/subscribe", data=fields_of(shown))

    assert "구독하기" in given
    assert "<script" not in given
    assert "버튼을 한 번 더 눌러" in shown.text
    (consent,) = site.make.all(Consent)
    assert (consent.newsletter_ids, consent.language) == ([newsletter.id], "ko")
    assert consent.cadences == ({str(newsletter.id): "weekly"} if len(cadences) > 1 else {})


def test_a_mistake_can_be_mended_at_once(site):
    site.sign_up = replace(AT_ONCE, seconds=2.0)
    visit = site.visitor()

    wrong = fields_of(visit.post("/subscribe", data=FORM | {"email": "ari@"}))

    visit.post("/subscribe", data=wrong | {"email": ARI})
    assert site.kinds() == ["confirm"]


# Limits


def test_too_many_from_one_place_are_told_to_wait(site, limited):
    visit = limited(overall=2)
    sign_up(visit, ARI)
    sign_up(visit, BORA)

    refused = sign_up(visit, CHAN)

    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 0
    assert "Not just now" in refused.text
    assert len(site.mails()) == 2


def test_the_page_speaks_the_forms_language(limited):
    visit = limited(overall=1)
    sign_up(visit, ARI, lang="ko")

    assert "다시 시도해 주세요" in sign_up(visit, BORA, lang="ko").text


@pytest.mark.parametrize("limits", [{"per_address": 1}, {"per_domain": 1}])
def test_too_many_for_an_address_look_as_ever_and_are_not_mailed(site, limited, limits):
    visit = limited(**limits)

    answers = [sign_up(visit, ARI) for _ in range(3)]

    assert {(answer.status_code, answer.headers["location"], answer.text) for answer in answers} == {
        (303, "/check-your-inbox?lang=en", "")
    }
    assert site.kinds() == ["confirm"]


def test_what_leads_to_no_mail_uses_up_nobodys_share(site, limited):
    visit = limited(per_address=1, per_domain=1)
    stamp = stamp_of(visit.get("/"))

    for _ in range(3):
        refused = visit.post("/subscribe", data={"email": ARI, "newsletter": "no-such-paper", "stamp": stamp})
        assert refused.status_code == 422
    sign_up(visit, ARI)

    assert site.kinds() == ["confirm"]


def test_two_spellings_are_one_address(site, limited):
    visit = limited(per_address=1)
    sign_up(visit, ARI)
    sign_up(visit, ARI.upper())

    assert len(site.mails()) == 1


def test_a_domain_that_takes_no_mail_is_told_to_all_alike(site, limited):
    site.sign_up = replace(AT_ONCE, takes_mail=lambda domain: domain != "example.org")
    visit = limited(per_address=1)

    pages = [sign_up(visit, ARI) for _ in range(2)]  # the second is over the limit

    assert [page.status_code for page in pages] == [422, 422]
    assert all('aria-describedby="email-error email-hint" aria-invalid="true"' in page.text for page in pages)
    assert "No mail can arrive there" in pages[0].text
    assert site.mails() == []
    assert sign_up(visit, "ari@example.net").status_code == 303


def test_without_redis_nobody_signs_up_and_everybody_confirms_and_leaves(site, limited):
    visit = site.visitor()
    sign_up(visit, ARI)
    with capture_logs():
        closed = limited("redis://127.0.0.1:1/0", per_ip=1, overall=9)
        refused = sign_up(closed, BORA)

        assert (refused.status_code, int(refused.headers["retry-after"]) > 0) == (503, True)
        assert "cannot take this at the moment" in refused.text
        assert "You are in" in closed.post(site.confirm_path()).text
        assert closed.post(site.unsubscribe_path()).status_code == 200
    assert site.subscription().status is SubscriptionStatus.UNSUBSCRIBED
    assert len(site.make.all(Subscriber)) == 1


# What is chosen, and what is kept


def test_who_can_choose_how_often_is_asked(site, visit):
    site.add("both", title="Both", cadences=["daily", "weekly"])

    page = visit.get("/").text

    assert re.findall(r'name="(cadence-[a-z]+)" value="([a-z]+)"( checked)?', page) == [
        ("cadence-both", "daily", " checked"),
        ("cadence-both", "weekly", ""),
    ]


@pytest.mark.parametrize(("given", "kept"), [("weekly", "weekly"), ("daily", "daily"), ("hourly", None), ("", None)])
def test_what_was_chosen_is_kept_with_the_request(site, visit, given, kept):
    both = site.add("both", cadences=["daily", "weekly"])
    sign_up(visit, newsletter="both", **{"cadence-both": given})
    visit.post(site.confirm_path())

    assert site.make.all(Consent)[0].cadences == ({str(both.id): kept} if kept else {})
    assert site.subscription().cadence is Cadence(kept or "daily")


def test_what_is_not_offered_cannot_be_chosen(site, visit):
    sign_up(visit, **{"cadence-daily-papers": "weekly"})

    assert site.make.all(Consent)[0].cadences == {}


def test_the_sample_shows_what_the_latest_issue_is_about(site, visit):
    site.publish(numbers=(1, 2, 3, 4))

    page = visit.get("/").text

    assert [f"Paper {number} on small models" in page for number in (1, 2, 3, 4)] == [True, True, True, False]


def test_the_evidence_holds_the_language_of_the_page(site, visit):
    sign_up(visit, lang="ko")

    (consent,) = site.make.all(Consent)
    assert (consent.language, consent.source, consent.requested_ip) == ("ko", "page", "testclient")
    assert consent.wording_version


def test_nothing_that_a_visitor_wrote_goes_into_the_mail_to_a_third_person(site, visit):
    words = {"name": "BUY NOW", "lang": "BUY NOW", "wording": "BUY NOW", "cadence-daily-papers": "BUY NOW", "zone": "BUY NOW"}
    sign_up(visit, **words)

    (mail,) = site.mails()
    assert mail.kind is DeliveryKind.CONFIRM
    assert "BUY NOW" not in str(vars(mail))
    assert set(mail.values) == {"slots", "consent_id", "expires_at"}
    assert set(mail.values["slots"]) == {"titles", "requested_at", "hours"}


# The time it takes


def test_every_answer_comes_after_a_multiple_of_the_same_time(site):
    site.sign_up = SignUp(seconds=0, answer_seconds=0.05)
    visit = site.visitor()
    page = stamp_of(visit.get("/"))
    answer = visit.post("/subscribe", data=FORM | {"stamp": page})

    assert answer.elapsed.total_seconds() >= 0.05
