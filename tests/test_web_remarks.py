"""The form behind "something wrong?": looked at by machines it does nothing, filled by a person it reaches the operator."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from factories import NOW, SECRET
from web_parts import ARI, AT_ONCE, OPERATOR, Site, stamp_of
from worker_parts import broker

from newsletter.models import Delivery, DeliveryKind, Issue, Matter, Paper, Remark, SummaryOrigin
from newsletter.throttle import Limits, Throttle

__all__ = ["broker"]
PAGE = "/w/daily-papers/2024-03-14"
WORDS = {"matter": "fact", "content": "It says 2, not 3."}


@pytest.fixture
def database_kind():
    return "sqlite"  # what is stored is tested on both with the module that stores it


@pytest.fixture
def site(make):
    site = Site(make)
    make.papers(1, 2)
    for paper in make.all(Paper):
        make.summary(paper.id, "We train small models.", origin=SummaryOrigin.EXTRACT)
    site.publish()
    return site


@pytest.fixture
def visit(site):
    return site.visitor()


@pytest.fixture
def path(make, site):
    return f"{PAGE}/{make.all(Paper)[0].id}"


def tell(visit, path, **more):
    """Open the form, fill it in, and send it."""
    return visit.post(path, data={"stamp": stamp_of(visit.get(path))} | WORDS | more)


def test_the_link_in_every_card_opens_the_form_about_that_paper(make, site, visit):
    page = visit.get("/archive/daily-papers/2024-03-14").text
    links = re.findall(r'href="https://news\.example\.com(/w/[^"]+)"', page)

    assert len(links) == 2
    for link, paper in zip(links, make.all(Paper), strict=True):
        shown = visit.get(link)
        assert shown.status_code == 200
        assert paper.title in shown.text
        assert "<li>We train small models.</li>" in shown.text
        assert shown.headers["x-robots-tag"] == "noindex, nofollow"


def test_looking_changes_nothing(site, visit, path):
    for _ in range(3):
        visit.head(path)
        visit.get(path)
        visit.get(f"{path}/thanks")

    assert (site.make.all(Remark), site.mails(), site.woken) == ([], [], 0)


def test_what_is_sent_is_kept_and_wakes_the_worker_for_the_operators_mail(site, visit, path):
    answer = tell(visit, path, email=f" {ARI} ")

    assert (answer.status_code, answer.headers["location"]) == (303, f"{path}/thanks?lang=en")
    (row,) = site.make.all(Remark)
    assert (row.matter, row.content, row.reply_to, row.ip) == (Matter.FACT, "It says 2, not 3.", ARI, "testclient")
    assert [(mail.kind, mail.address) for mail in site.mails()] == [(DeliveryKind.REMARK, OPERATOR)]
    assert site.woken == 1
    assert "Your remark is with the editors." in visit.get(answer.headers["location"]).text


def test_it_speaks_the_newsletters_language_unless_another_is_chosen(make, site, visit):
    korean = site.add("nonmun", language="ko")
    make.summary(make.all(Paper)[0].id, "We train small models.", origin=SummaryOrigin.EXTRACT, language="ko")
    make.issue(korean, make.all(Issue)[0].status, now=site.now)
    path = f"/w/nonmun/2024-03-14/{make.all(Paper)[0].id}"

    assert "무엇이 틀렸나요?" in visit.get(path, headers={"Accept-Language": "en"}).text
    assert '<ul lang="en">' in visit.get(path).text  # the abstract's own sentences
    assert "What is wrong?" in visit.get(f"{path}?lang=en").text
    assert tell(visit, path, lang="ko").headers["location"] == f"{path}/thanks?lang=ko"


@pytest.mark.parametrize("about", ["999", "x", "-1", "1" * 30, "1.0", "%F0%9F%98%80", "²"])
def test_what_no_issue_told_is_not_there(site, visit, about):
    stamp = stamp_of(visit.get("/"))

    for answer in (
        visit.get(f"{PAGE}/{about}"),
        visit.get(f"{PAGE}/{about}/thanks"),
        visit.post(f"{PAGE}/{about}", data=WORDS | {"stamp": stamp}),
    ):
        assert answer.status_code == 404
    for path in ("/w/daily-papers/2024-03-15/1", "/w/daily-papers/soon/1", "/w/nowhere/2024-03-14/1"):
        assert visit.get(path).status_code == 404
    assert site.make.all(Remark) == []


def test_nothing_chosen_and_nothing_written_is_asked_for_again(site, visit, path):
    for given in ({"matter": "", "content": " \n"}, {"matter": "other", "content": ""}, {"matter": "nonsense", "content": ""}):
        answer = tell(visit, path, **given)
        assert answer.status_code == 422
        assert "Choose what is wrong, or write it." in answer.text
    assert site.make.all(Remark) == []

    tell(visit, path, matter="paper", content="")
    tell(visit, path, matter="", content="Odd.")
    assert [row.matter for row in site.make.all(Remark)] == [Matter.PAPER, Matter.OTHER]


def test_an_address_that_is_none_is_shown_again_with_all_that_was_written(site, visit, path):
    answer = tell(visit, path, email="ari@", content="<b>It</b> says 2.")

    assert answer.status_code == 422
    assert "This is no email address yet" in answer.text
    assert "&lt;b&gt;It&lt;/b&gt; says 2.</textarea>" in answer.text
    assert re.search(r'value="fact" checked', answer.text)
    assert site.make.all(Remark) == []


@pytest.mark.parametrize("stamp", [None, "", "forged", "\0"])
def test_a_form_without_a_good_stamp_is_shown_filled_for_one_more_press(site, visit, path, stamp):
    shown = visit.post(path, data=WORDS | ({"stamp": stamp} if stamp is not None else {}))

    assert (shown.status_code, site.make.all(Remark)) == (200, [])
    assert "press the button once more" in shown.text
    assert visit.post(path, data=WORDS | {"stamp": stamp_of(shown)}).status_code == 303
    assert len(site.make.all(Remark)) == 1


def test_programs_get_the_thanks_and_are_not_kept(site, path):
    site.sign_up = replace(AT_ONCE, seconds=3.0)
    visit = site.visitor()

    assert tell(visit, path).headers["location"] == f"{path}/thanks?lang=en"
    site.now += timedelta(seconds=5)
    stamp = stamp_of(visit.get(path))
    site.now += timedelta(seconds=5)
    assert visit.post(path, data=WORDS | {"stamp": stamp, "homepage": "https://x.example"}).status_code == 303
    assert site.make.all(Remark) == []
    visit.post(path, data=WORDS | {"stamp": stamp})
    assert len(site.make.all(Remark)) == 1


def test_too_many_are_told_to_come_back(site, broker, path):
    site.throttle = Throttle(lambda: broker, Limits(overall=2), SECRET, lambda: NOW)
    visit = site.visitor()

    answers = [tell(visit, path, content=f"Number {number}") for number in range(3)]
    site.throttle.close()

    assert [answer.status_code for answer in answers] == [303, 303, 429]
    assert "Retry-After" in answers[2].headers
    assert len(site.make.all(Remark)) == 2


def test_another_site_cannot_send_it(site, visit, path):
    answer = visit.post(path, data=WORDS, headers={"Sec-Fetch-Site": "cross-site"})

    assert answer.status_code == 403
    assert site.make.all(Delivery) == []
