import json
from datetime import timedelta

import pytest
from factories import LINKS
from web_parts import ARI, Site

from newsletter.lifecycle import DeliveryStatus
from newsletter.models import (
    AddressChange,
    Bounce,
    BounceKind,
    Consent,
    Delivery,
    DeliveryKind,
    Subscriber,
    Subscription,
    Suppression,
)
from newsletter.subscribers.mine import LINK_LASTS


@pytest.fixture
def site(make):
    """Return a site that ari reads, and about whom there is a row of each kind."""
    site = Site(make)
    site.reader = make.reader("ari", site.newsletter, topics=["cs.CL"])
    mail = make.delivery(subscriber_id=site.reader.subscriber_id, newsletter_id=site.newsletter.id, reply_text="250 fine")
    make.add(Bounce(delivery_id=mail.id, kind=BounceKind.SOFT, report_key="1", reason="full", received_at=site.now))
    change = {"old_address": ARI, "new_address": "ari@example.net", "new_address_key": "ari@example.net"}
    when = {"requested_at": site.now, "expires_at": site.now}
    make.add(AddressChange(subscriber_id=site.reader.subscriber_id, **change, **when))
    return site


@pytest.fixture
def visit(site):
    return site.visitor()


@pytest.fixture
def preferences(site):
    return LINKS.preferences(site.reader.subscriber_id).removeprefix(LINKS.base_url)


@pytest.fixture
def mine(site):
    return LINKS.my_data(site.reader.subscriber_id, site.now + LINK_LASTS).removeprefix(LINKS.base_url)


def test_the_link_goes_to_the_address_and_expires_within_the_hour(site, make, visit, preferences):
    answer = visit.post(f"{preferences}/data", data={"lang": "en"})

    assert "Check your inbox" in answer.text
    (mail,) = make.all(Delivery, kind=DeliveryKind.MY_DATA)
    assert mail.address == ARI
    link = LINKS.my_data(site.reader.subscriber_id, site.now.replace(microsecond=0) + LINK_LASTS)
    path = link.removeprefix(LINKS.base_url)
    assert visit.get(path).status_code == 200
    site.now += LINK_LASTS + timedelta(seconds=1)
    assert visit.get(path).status_code == 410
    assert visit.post(f"{path}/erase", data={"sure": "yes"}).status_code == 410


def test_the_link_is_not_sent_without_end(site, make, visit, preferences):
    for _ in range(3):
        visit.post(f"{preferences}/data")

    assert "often enough for today" in visit.post(f"{preferences}/data").text
    assert len(make.all(Delivery, kind=DeliveryKind.MY_DATA)) == 3


def test_a_suppressed_address_is_sent_no_link(make, visit, preferences):
    make.suppression("ari")

    assert "not even this link" in visit.post(f"{preferences}/data").text
    assert make.all(Delivery, kind=DeliveryKind.MY_DATA) == []


def test_looking_at_the_preferences_sends_nothing(make, visit, preferences):
    assert visit.get(f"{preferences}/data").status_code == 405
    assert make.all(Delivery, kind=DeliveryKind.MY_DATA) == []


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_page_tells_all_that_is_kept(visit, mine, language):
    page = visit.get(f"{mine}?lang={language}").text

    for told in (ARI, "cs.CL", "I want it.", "ari@example.net", "Daily Papers"):
        assert told in page


def test_the_file_holds_every_row(visit, mine):
    answer = visit.get(f"{mine}/data.json")

    assert "attachment" in answer.headers["content-disposition"]
    assert answer.headers["cache-control"] == "no-store"
    data = json.loads(answer.text)
    assert data["person"]["address"] == ARI
    assert data["subscriptions"][0]["topics"] == ["cs.CL"]
    assert data["consents"][0]["wording"] == "I want it."
    assert data["mails_to_you"][0]["reply_text"] == "250 fine"
    assert data["changes_of_address"][0]["new_address"] == "ari@example.net"
    assert data["reports_of_failed_mail"][0]["reason"] == "full"


def test_a_preferences_link_shows_none_of_it(visit, preferences, mine):
    token = preferences.removeprefix("/p/")

    assert visit.get(f"/me/{token}").status_code == 400
    assert visit.get(f"/p/{mine.removeprefix('/me/')}").status_code == 400


def test_nothing_is_erased_without_the_tick(make, visit, mine):
    visit.get(f"{mine}/erase")

    answer = visit.post(f"{mine}/erase", data={"lang": "en"})

    assert "Tick the box" in answer.text
    assert len(make.all(Subscriber)) == 1


def test_erased_is_everything_but_a_keyed_hash_and_no_mail_follows(site, make, visit, mine):
    answer = visit.post(f"{mine}/erase", data={"lang": "en", "sure": "yes"})

    assert "Everything is erased" in answer.text
    assert not any(make.all(table) for table in (Subscriber, Subscription, Consent, AddressChange))
    (mail,) = make.all(Delivery)
    assert (mail.status, mail.address, mail.subscriber_id) == (DeliveryStatus.SKIPPED, "", None)
    assert len(make.all(Suppression)) == 1
    for path in (mine, LINKS.preferences(site.reader.subscriber_id).removeprefix(LINKS.base_url)):
        assert visit.get(path).status_code == 400


def test_the_links_of_who_was_erased_never_open_another_readers_page(site, make, visit, mine):
    visit.post(f"{mine}/erase", data={"sure": "yes"})
    bora = make.reader("bora", site.newsletter)

    assert bora.subscriber_id != site.reader.subscriber_id
    assert visit.get(mine).status_code == 400
