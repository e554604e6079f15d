import re
from datetime import date, timedelta

import pytest
from factories import DAY, LINKS
from fixtures_servers import KINDS
from web_parts import ARI, Site

from newsletter.lifecycle import IssueStatus, SubscriptionStatus
from newsletter.models import Cadence, Delivery, Newsletter, NoMatch, Subscriber, Subscription
from newsletter.throttle import Decision, Limit
from newsletter.topics import category, offered
from newsletter.web.preference_form import LONGEST_KEYWORD, MOST_KEYWORDS

A_WEEK = timedelta(days=7)
MANY = (
    " ".join(f"math.{one}{two}" for one in "ACDGHIKLMNOPQRS" for two in "ACDGHIKLMNOPRTV" if category(f"math.{one}{two}"))
    + " cs.CL stat.ML"
)


@pytest.fixture
def database_kind():
    return "sqlite"  # what a page does is tried on both


@pytest.fixture
def site(make):
    """Return a site with a newsletter that comes daily or weekly, and one that ari has not asked for."""
    site = Site(make)
    both = {"cadences": ["daily", "weekly"], "title": "Papers", "zone": "Asia/Seoul", "send_hour": 7}
    site.newsletter = site.add("papers", **both)
    make.reader("ari", site.newsletter)
    return site


@pytest.fixture
def visit(site):
    return site.visitor()


@pytest.fixture
def path(site):
    return LINKS.preferences(site.make.subscriber("ari").id).removeprefix(LINKS.base_url)


def form(**changes):
    """Return the form as the page shows it, with changes; None takes a field away."""
    fields = {
        "lang": "en",
        "shown": "papers",
        "receive": "papers",
        "cadence-papers": "daily",
        "hour-papers": "",
        "papers-papers": "",
        "pause-papers": "",
        "topics-papers": "",
        "keywords-papers": "",
        "zone": "",
        "language": "en",
    }
    changed = {name.replace("_", "-"): value for name, value in changes.items()}
    return {name: value for name, value in (fields | changed).items() if value is not None}


@pytest.mark.parametrize("database_kind", KINDS)
def test_what_is_chosen_is_saved_and_shown(site, visit, path):
    day = site.now.date() + A_WEEK
    chosen = form(
        cadence_papers="weekly",
        hour_papers="21",
        papers_papers="10",
        pause_papers=day.isoformat(),
        topic_papers=["cs.CL", "cs.RO"],
        topics_papers="MATH.oc, q-bio.nc",
        keywords_papers="한국어\r\nmixture of experts, 한국어",
        zone="Europe/Berlin",
        language="ko",
    )

    answer = visit.post(path, data=chosen)

    assert answer.headers["location"] == f"{path}?lang=ko&saved=1"
    row = site.subscription()
    assert (row.cadence, row.send_hour, row.max_papers, row.paused_until) == (Cadence.WEEKLY, 21, 10, day)
    assert row.topics == ["cs.CL", "cs.RO", "math.OC", "q-bio.NC"]
    assert row.keywords == ["한국어", "mixture of experts"]
    (ari,) = site.make.all(Subscriber)
    assert (ari.zone, ari.language) == ("Europe/Berlin", "ko")
    page = visit.get(answer.headers["location"]).text
    assert "저장했습니다" in page
    for shown in ('value="21" selected', 'value="Europe/Berlin" selected', "math.OC, q-bio.NC", f'value="{day}"', "한국어"):
        assert shown in page


def test_the_page_hides_the_address_and_changes_nothing(site, visit, path):
    before = site.subscription()

    for method in ("GET", "HEAD", "GET"):
        answer = visit.request(method, path)

    assert answer.status_code == 200
    assert ARI not in answer.text
    assert "a•••@example.org" in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert site.subscription() == before


@pytest.mark.parametrize("page", ["/p/none", LINKS.preferences(99).removeprefix(LINKS.base_url)])
def test_a_link_that_is_nobodys_shows_nothing(visit, page):
    assert visit.get(page).status_code == 400
    assert visit.post(page, data=form()).status_code == 400


def test_leaving_works_at_once_even_where_the_rest_cannot_be_used(site, visit, path):
    answer = visit.post(path, data=form(receive=None, zone="Mars/Olympus"))

    assert answer.status_code == 422
    assert "You have left Papers" in answer.text
    assert "Choose a time zone of the list." in answer.text
    left = site.subscription()
    assert (left.status, left.unsubscribed_by) == (SubscriptionStatus.UNSUBSCRIBED, "preferences")
    assert site.kinds()[-1] == "goodbye"


def test_a_form_that_was_cut_short_ends_nothing(site, visit, path):
    assert visit.post(path, data={}).status_code == 422
    assert visit.post(path, data={"lang": "en", "language": "en"}).status_code == 303

    assert site.subscription().status is SubscriptionStatus.ACTIVE


@pytest.mark.parametrize("database_kind", KINDS)
def test_a_further_newsletter_begins_by_a_confirmation_alone(site, visit, path):
    answer = visit.post(path, data=form(receive=["papers", "daily-papers"]))

    assert "asked=daily-papers" in answer.headers["location"]
    assert "confirm in it that you want Daily Papers" in visit.get(answer.headers["location"]).text
    asked = site.make.all(Subscription)[-1]
    assert asked.status is SubscriptionStatus.PENDING
    visit.post(site.confirm_path())
    assert site.make.again(asked).status is SubscriptionStatus.ACTIVE


def test_one_press_leaves_everything(site, visit, path):
    answer = visit.post(f"{path}/leave", data={"lang": "en"})

    assert "You have left Papers" in visit.get(answer.headers["location"]).text
    assert site.subscription().status is SubscriptionStatus.UNSUBSCRIBED
    assert "Leave all newsletters" not in visit.get(path).text


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("cadence-papers", "hourly", "Choose how often"),
        ("hour-papers", "24", "Choose an hour"),
        ("papers-papers", "many", "Write a number from 1 to 200"),
        ("papers-papers", "0", "Write a number from 1 to 200"),
        ("pause-papers", "soon", "Write a day"),
        ("pause-papers", "2024-03-15", "Choose a day after today"),
        ("pause-papers", "2034-03-15", "within a year"),
        ("topics-papers", "cs.CL, cs.LLM", "“cs.LLM” is no category"),
        ("topics-papers", MANY, "more than 30 topics"),
        ("keywords-papers", "a" * 61, "60 characters"),
        ("keywords-papers", "\n".join(map(str, range(41))), "more than 40 keywords"),
        ("keywords-papers", ",".join(map(str, range(10_000)))[:9000], "more than 40 keywords"),
        ("zone", "Mars/Olympus", "Choose a time zone"),
        ("zone", "../../etc/passwd", "Choose a time zone"),
        ("language", "tlh", "Choose a language"),
    ],
)
def test_what_cannot_be_used_is_told_beside_its_field_and_nothing_typed_is_lost(  # noqa: PLR0917 -- pytest names them
    site, visit, path, field, typed, said
):
    sent = form(hour_papers="5", keywords_papers="kept") | {field: typed}

    answer = visit.post(path, data=sent)

    assert answer.status_code == 422
    assert "Nothing is saved yet" in answer.text
    error = answer.text.split(f'id="{field}-error">')[1].split("<")[0]
    assert said in error
    assert f'aria-describedby="{field}-error' in answer.text
    (target,) = re.findall(r'<li><a class="goto" href="#([^"]+)"', answer.text)
    assert f'id="{target}"' in answer.text
    if field not in {"hour-papers", "cadence-papers"}:
        assert 'value="5" selected' in answer.text
    if "keywords" not in field:
        assert "kept" in answer.text
    assert site.subscription().send_hour is None


def test_a_pause_can_be_ended_before_its_day(site, visit, path):
    day = (site.now.date() + A_WEEK).isoformat()
    visit.post(path, data=form(pause_papers=day))
    assert "Begin again now" in visit.get(path).text

    visit.post(path, data=form(pause_papers=day, resume_papers="1"))

    assert site.subscription().paused_until is None


def test_what_an_import_brought_may_stay_as_it_is(site, make, visit, path):
    row = site.subscription()
    words = [f"word {number}" for number in range(50)]
    with make.sessions.begin() as session:
        stored = session.get_one(Subscription, row.id)
        stored.topics, stored.keywords, stored.zone = ["LLM", "cs.CL"], words, "US/Pacific"

    page = visit.get(path).text
    answer = visit.post(
        path, data=form(topic_papers="cs.CL", topics_papers="LLM", keywords_papers="\n".join(words), zone="US/Pacific")
    )

    assert 'value="US/Pacific" selected' in page
    assert answer.status_code == 303
    kept = site.subscription()
    assert (set(kept.topics), kept.keywords, kept.zone) == ({"LLM", "cs.CL"}, words, "US/Pacific")


def test_a_pause_that_is_over_is_no_pause(site, make, visit, path):
    with make.sessions.begin() as session:
        session.get_one(Subscription, site.subscription().id).paused_until = date(2024, 3, 1)

    assert "Begin again now" not in visit.get(path).text


def test_who_is_suppressed_is_told_so(site, make, visit, path):
    make.suppression("ari")

    assert "Nothing is sent to your address at present" in visit.get(path).text


def test_nobody_changes_another_readers_choice_by_its_name(site, make, visit, path):
    bora = make.reader("bora", site.newsletter)

    visit.post(path, data=form(cadence_papers="weekly"))

    assert make.again(bora).cadence is Cadence.DAILY


@pytest.mark.parametrize("database_kind", KINDS)
def test_a_paused_reader_gets_nothing_before_the_day_and_begins_again_by_themselves(site, make, visit, path):
    visit.post(path, data=form(pause_papers=(site.now + timedelta(days=2)).date().isoformat()))

    came = {}
    for number in range(4):
        issue = site.publish(DAY + timedelta(days=number), numbers=(number + 1,))
        came[number] = [mail.address for mail in make.all(Delivery, issue_id=issue.id)]
        site.now += timedelta(days=1)

    assert came == {0: [], 1: [], 2: [ARI], 3: [ARI]}


def test_another_newsletter_is_not_asked_for_without_end(site, visit, path):
    for _ in range(5):
        visit.post(path, data=form(receive=["papers", "daily-papers"]))

    assert site.kinds() == ["confirm"] * 3


def test_leaving_needs_nobody_who_counts_and_joining_does(make, site, visit, path):
    site.throttle = Closed()

    answer = site.visitor().post(path, data=form(receive="daily-papers"))

    assert answer.status_code == 503
    assert site.subscription().status is SubscriptionStatus.UNSUBSCRIBED
    assert len(make.all(Subscription)) == 1


class Closed:
    """A throttle without its Redis."""

    def allow(self, kind, **who):
        """Allow nothing."""
        del kind, who
        return Decision(allowed=False, retry_after=60, limit=Limit.UNREACHABLE)


@pytest.mark.parametrize(("language", "region", "city"), [("en", "Asia", "Seoul"), ("ko", "아시아", "서울")])
def test_time_zones_are_named_in_the_readers_language(visit, path, language, region, city):
    page = visit.get(f"{path}?lang={language}").text

    assert f'<optgroup label="{region}">' in page
    assert f'<option value="Asia/Seoul">{city} (' in page


def test_who_reads_much_and_says_much_can_save_it(site, make, visit, path):
    sent = form()
    words = "\r\n".join(f"{number:02}" + "한" * (LONGEST_KEYWORD - 2) for number in range(MOST_KEYWORDS))
    for slug in (f"more-{number}" for number in range(9)):
        make.reader("ari", site.add(slug))
        sent |= {f"{name.removesuffix('papers')}{slug}": value for name, value in form().items() if name.endswith("-papers")}
        sent |= {f"keywords-{slug}": words, f"topic-{slug}": list(offered("en"))}
    sent |= {"receive": ["papers", *(f"more-{number}" for number in range(9))]}

    assert visit.post(path, data=sent).status_code == 303
    assert [len(row.keywords) for row in make.all(Subscription)] == [0, *[MOST_KEYWORDS] * 9]


@pytest.fixture
def last_issue(site):
    """Publish an issue of three papers, two of them on language."""
    for number, topic in ((1, "cs.CL"), (2, "cs.CV"), (3, "cs.CL")):
        site.make.papers(number, categories=(topic,))
    return site.make.issue(site.newsletter, IssueStatus.PUBLISHED, numbers=())


def test_matching_papers_of_the_last_issue_are_counted_and_nothing_is_saved(site, visit, path, last_issue):
    typed = form(topic_papers=["cs.CL"], keywords_papers="diffusion", order_papers="match")

    counted = visit.post(f"{path}/count", data=typed)
    said = visit.post(f"{path}/count", data=typed, headers={"Accept": "application/json"})

    assert "2 of the 3 papers of the last issue (Mar 14, 2024) match." in counted.text
    assert "diffusion</textarea>" in counted.text
    assert said.json() == {"papers": "2 of the 3 papers of the last issue (Mar 14, 2024) match."}
    row = site.make.all(Subscription)[0]
    assert (row.topics, row.keywords, row.match_first) == ([], [], False)


def test_where_no_paper_matches_the_page_says_what_comes_then(site, visit, path, last_issue):
    asked = {"headers": {"Accept": "application/json"}, "data": form(keywords_papers="diffusion", lang="ko")}

    assert visit.post(f"{path}/count", **asked).json() == {
        "papers": "지난 호(2024. 3. 14.)의 논문 3편 가운데 맞는 논문이 없습니다. 이런 날에는 메일을 보내 드리지 않습니다."
    }
    with site.make.sessions.begin() as session:
        session.get(Newsletter, site.newsletter.id).no_match = NoMatch.SHORT
    assert "짧은 메일" in visit.post(f"{path}/count", **asked).json()["papers"]


def test_nothing_is_counted_of_what_cannot_be_used_or_of_no_issue(visit, path):
    for typed in ({"topics_papers": "cs.LLM"}, {"topic_papers": ["cs.CL"]}, {}):
        said = visit.post(f"{path}/count", data=form(**typed), headers={"Accept": "application/json"})
        assert said.json() == {"papers": ""}


def test_the_order_is_saved_and_the_one_script_is_ours(site, visit, path):
    visit.post(path, data=form(order_papers="match"))

    shown = visit.get(path)
    assert site.make.all(Subscription)[0].match_first
    assert "script-src 'self'" in shown.headers["content-security-policy"]
    script = re.search(r'src="([^"]*count\.js[^"]*)"', shown.text)[1]
    assert visit.get(script).headers["content-type"].startswith("text/javascript")
    assert "script-src" not in visit.get("/").headers["content-security-policy"]
