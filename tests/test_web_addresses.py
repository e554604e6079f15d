"""Pages of addresses: the change of one, the link to one's preferences, and the privacy notice."""

from datetime import timedelta

import pytest
from factories import LINKS
from web_parts import ARI, Site

from newsletter.models import AddressChange, Delivery, DeliveryKind, Subscriber
from newsletter.subscribers.changing import AGREE_WITHIN

NEW = "ari.kim@example.net"


@pytest.fixture
def database_kind():
    return "sqlite"  # what the pages do is tried on both by test_changing and test_preferences


@pytest.fixture
def site(make):
    site = Site(make)
    site.reader = make.reader("ari", site.newsletter)
    return site


@pytest.fixture
def visit(site):
    return site.visitor()


@pytest.fixture
def path(site):
    return LINKS.preferences(site.reader.subscriber_id).removeprefix(LINKS.base_url)


def ends(make):
    """Return the paths of the links that the two mails hold, the old end's first."""
    (change,) = make.all(AddressChange)
    links = [LINKS.change_of_address(change.id, change.requested_at + AGREE_WITHIN, new=new) for new in (False, True)]
    return [link.removeprefix(LINKS.base_url) for link in links]


def test_both_ends_agree_by_a_button_and_looking_changes_nothing(make, visit, path):
    assert "Your new email address" in visit.get(f"{path}/address").text
    assert "Two mails are on their way" in visit.post(f"{path}/address", data={"email": NEW, "lang": "en"}).text
    old, new = ends(make)
    for end in (old, new, old):
        page = visit.get(end).text
        assert "a•••@example.org" in page
        assert ARI not in page
        assert NEW not in page
        assert "I agree" in page
        visit.head(end)

    assert "You have agreed" in visit.post(new, data={"lang": "en"}).text
    assert "The address is changed" in visit.post(old, data={"lang": "ko"} | {"lang": "en"}).text
    assert [row.address for row in make.all(Subscriber)] == [NEW]
    assert "a•••@example.net" in visit.get(path).text


def test_the_old_end_stops_what_it_did_not_ask_for(make, visit, path):
    visit.post(f"{path}/address", data={"email": NEW})
    old, new = ends(make)

    assert "Nothing is changed" in visit.post(f"{old}/stop", data={"lang": "en"}).text

    visit.post(new)
    visit.post(old)
    assert [row.address for row in make.all(Subscriber)] == [ARI]


def test_a_link_of_a_change_that_is_too_old_says_so(site, make, visit, path):
    visit.post(f"{path}/address", data={"email": NEW})
    old, _ = ends(make)
    site.now += AGREE_WITHIN + timedelta(minutes=1)

    assert visit.get(old).status_code == 410
    assert visit.post(old).status_code == 410


def test_what_is_no_address_stays_in_the_field(make, visit, path):
    answer = visit.post(f"{path}/address", data={"email": "ari@", "lang": "ko"})

    assert answer.status_code == 422
    assert 'value="ari@"' in answer.text
    assert make.all(AddressChange) == []


def test_too_many_wishes_and_a_suppressed_address_are_told(make, visit, path):
    for _ in range(3):
        visit.post(f"{path}/address", data={"email": NEW})
    assert "often enough for today" in visit.post(f"{path}/address", data={"email": NEW}).text
    make.suppression("ari")

    assert "sign up with the new address" in visit.get(f"{path}/address").text
    assert "sign up with the new address" in visit.post(f"{path}/address", data={"email": NEW}).text


@pytest.mark.parametrize("email", [ARI, "ARI@Example.org", "bora@example.org", "dana@example.org"])
def test_the_link_is_mailed_to_who_is_known_and_the_answer_is_the_same_for_all(make, visit, email):
    make.suppression("dana")
    make.subscriber("dana")

    answer = visit.post("/preferences", data={"email": email, "lang": "en"})

    assert (answer.status_code, answer.text) == (
        200,
        visit.post("/preferences", data={"email": "x@example.net", "lang": "en"}).text,
    )
    mails = [mail.address for mail in make.all(Delivery, kind=DeliveryKind.PREFERENCES)]
    assert mails == ([ARI] if email.lower() == ARI else [])


def test_the_link_is_not_mailed_without_end(make, visit):
    for _ in range(5):
        visit.post("/preferences", data={"email": ARI})

    assert len(make.all(Delivery, kind=DeliveryKind.PREFERENCES)) == 3


def test_a_mistyped_address_is_told(visit):
    answer = visit.post("/preferences", data={"email": "ari", "lang": "en"})

    assert (answer.status_code, 'value="ari"' in answer.text) == (422, True)
    assert visit.get("/preferences").status_code == 200


@pytest.mark.parametrize(("language", "said"), [("en", "90 days after you confirmed"), ("ko", "확인하신 뒤 90일까지")])
def test_the_privacy_notice_names_who_and_how_long(visit, language, said):
    page = visit.get(f"/privacy?lang={language}").text

    for told in (said, "news@example.org", "1 Example Road, Seoul", "14"):
        assert told in page
