import re
from datetime import date, timedelta

import pytest
from factories import DAY, LINKS
from fixtures_servers import KINDS
from web_parts import ARI, Site

from newsletter.lifecycle import SubscriptionStatus
from newsletter.models import Cadence, Delivery, Subscriber, Subscription
from newsletter.topics import category, offered
from newsletter.throttle import Decision, Limit
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
