"""What an attacker would try at the pages behind links: other purposes, other sites, other people, other markup."""

from datetime import timedelta

import pytest
from factories import LINKS
from sqlmodel import SQLModel
from web_parts import Site, sign_up

from newsletter.models import AddressChange, Delivery, Subscriber
from newsletter.subscribers.changing import AGREE_WITHIN

FOREIGN = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
PAGES = ["/c/{}", "/u/{}", "/p/{}", "/p/{}/address", "/a/{}", "/me/{}", "/me/{}/data.json"]
FORMS = [
    "/c/{}",
    "/u/{}",
    "/u/{}/back",
    "/p/{}",
    "/p/{}/leave",
    "/p/{}/data",
    "/p/{}/address",
    "/a/{}",
    "/a/{}/stop",
    "/me/{}/erase",
]
SENT = {"lang": "en", "language": "en", "zone": "", "sure": "yes", "email": "new@example.net", "shown": "daily-papers"}
HOSTILE = '"><script>alert(1)</script>'


@pytest.fixture
def database_kind():
    return "sqlite"  # the tokens and the pages are the same


@pytest.fixture
def site(make):
    """Return a site that ari and bora read, where ari is changing her address and chan has been asked to confirm."""
    site = Site(make)
    site.ari, site.bora = (make.reader(name, site.newsletter) for name in ("ari", "bora"))
    site.change = make.add(
        AddressChange(
            subscriber_id=site.ari.subscriber_id,
            old_address="ari@example.org",
            new_address="ari@example.net",
            new_address_key="ari@example.net",
            requested_at=site.now,
            expires_at=site.now + AGREE_WITHIN,
        )
    )
    sign_up(site.visitor(), "chan@example.org")
    return site


@pytest.fixture
def visit(site):
    return site.visitor()


@pytest.fixture
def tokens(site):
    """Return a good token of each purpose, by the path of its page."""
    soon = site.now + timedelta(minutes=30)
    links = (
        LINKS.unsubscribe(site.ari.id),
        LINKS.preferences(site.ari.subscriber_id),
        LINKS.my_data(site.ari.subscriber_id, soon),
        LINKS.change_of_address(site.change.id, site.change.expires_at, new=True),
    )
    paths = [site.confirm_path(), *(link.removeprefix(LINKS.base_url) for link in links)]
    return {path[: path.rindex("/") + 1]: path.rpartition("/")[2] for path in paths}


def rows(make):
    """Return all that the database holds."""
    tables = [mapper.class_ for mapper in SQLModel._sa_registry.mappers]  # noqa: SLF001 -- it has no other list of them
    return {table.__name__: [row.model_dump() for row in make.all(table)] for table in tables if "id" in table.model_fields}


def test_a_token_opens_its_own_pages_alone(make, visit, tokens):
    before = rows(make)

    for purpose, token in tokens.items():
        for page in (each for each in PAGES if not each.startswith(purpose)):
            assert visit.get(page.format(token)).status_code == 400, (purpose, page)
        for form in (each for each in FORMS if not each.startswith(purpose)):
            assert visit.post(form.format(token), data=SENT).status_code == 400, (purpose, form)

    assert rows(make) == before


def test_what_is_changed_of_a_token_is_no_token(make, visit, tokens):
    before = rows(make)

    for purpose, token in tokens.items():
        for other in (token[:-1], f"{token}A", f"{token[:-1]}{'A' if token[-1] != 'A' else 'B'}", token.swapcase(), f"{token}/x"):
            for form in (each for each in FORMS if each.startswith(purpose)):
                assert visit.post(form.format(other), data=SENT).status_code in {400, 404, 405}, (form, other)

    assert rows(make) == before


@pytest.mark.parametrize("headers", [FOREIGN, {"Origin": "https://evil.example"}], ids=["Fetch Metadata", "Origin"])
def test_no_form_behind_a_link_is_sent_from_another_site(make, visit, tokens, headers):
    before = rows(make)

    for form in FORMS:
        token = tokens[form[: form.index("{")]]
        if form == "/u/{}":
            continue  # what mail programs send to
        assert visit.post(form.format(token), data=SENT, headers=headers).status_code == 403, form
    assert visit.post("/preferences", data={"email": "ari@example.org"}, headers=headers).status_code == 403

    assert rows(make) == before


@pytest.mark.parametrize("origin", ["null", LINKS.base_url, LINKS.base_url.upper()])
def test_our_own_forms_are_taken_from_browsers_that_tell_no_more_than_the_origin(visit, tokens, origin):
    answer = visit.post(f"/p/{tokens['/p/']}", data={"lang": "en", "language": "en"}, headers={"Origin": origin})

    assert answer.status_code == 303


def test_hostile_words_stay_words_on_every_page(site, make, visit, tokens):
    sent = SENT | {"receive": "daily-papers", "cadence-daily-papers": "daily", "keywords-daily-papers": HOSTILE}
    sent |= {"topics-daily-papers": HOSTILE, "papers-daily-papers": HOSTILE, "pause-daily-papers": HOSTILE, "zone": HOSTILE}
    page = f"/p/{tokens['/p/']}"
    with make.sessions.begin() as session:
        session.merge(site.newsletter).title = HOSTILE

    answers = [
        visit.post(page, data=sent),
        visit.post(page, data=sent | {"lang": HOSTILE}),
        visit.post(f"{page}/address", data={"email": f"{HOSTILE}@", "lang": HOSTILE}),
        visit.post("/preferences", data={"email": f"{HOSTILE}@", "lang": HOSTILE}),
        visit.get(page, params={"saved": HOSTILE, "left": HOSTILE, "lang": HOSTILE}),
        *(visit.get(each.format(tokens[each[: each.index("{")]])) for each in PAGES),
    ]

    for answer in answers:
        if answer.headers["content-type"].startswith("text/html"):
            assert "<script" not in answer.text.replace('<script src="/static/count.js?v=', "")  # the one of ours
            assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    "email",
    [
        "a@example.net\r\nBcc: b@example.net",
        "a@example.net\nX: y",
        "a@example.net,b@example.net",
        "<a@example.net>",
        "a\x00@e.net",
    ],
)
def test_no_address_adds_a_header_or_a_recipient(make, visit, tokens, email):
    before = make.all(Delivery)

    for form in (f"/p/{tokens['/p/']}/address", "/preferences", "/subscribe"):
        answer = visit.post(form, data={"email": email, "newsletter": "daily-papers", "lang": "en"})
        assert answer.status_code == 422, form

    assert make.all(Delivery) == before


@pytest.mark.parametrize("lang", ["en\r\nSet-Cookie: a=b", "//evil.example", "https://evil.example", "ko/../../evil"])
def test_no_answer_leads_to_another_site(visit, tokens, lang):
    for path in (f"/p/{tokens['/p/']}", f"/p/{tokens['/p/']}/leave", f"/u/{tokens['/u/']}", f"/u/{tokens['/u/']}/back"):
        headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
        answer = visit.post(path, params={"lang": lang}, data={"lang": lang, "language": "en"}, headers=headers)
        assert answer.headers.get("location", "/").startswith(("/p/", "/check-your-inbox", "/"))
        assert not answer.headers.get("location", "/").startswith("//")
        assert "evil.example" not in answer.headers.get("location", "") + answer.text
        assert "set-cookie" not in answer.headers


def test_what_is_behind_a_link_is_kept_by_nobody_and_told_to_nobody(visit, tokens):
    answers = [visit.get(each.format(tokens[each[: each.index("{")]])) for each in PAGES]
    answers += [visit.post(each.format("made-up"), data=SENT) for each in FORMS]
    answers += [visit.post(each.format("made-up"), data=SENT, headers=FOREIGN) for each in FORMS]
    answers += [visit.post(f"/p/{tokens['/p/']}", content=b"x" * 40_000), visit.delete(f"/p/{tokens['/p/']}")]

    for answer in answers:
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-robots-tag"] == "noindex, nofollow"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-frame-options"] == "DENY"


def test_one_readers_form_reaches_no_other_reader(site, make, visit, tokens):
    bora = [row.model_dump() for row in (make.again(site.bora), *make.all(Subscriber, id=site.bora.subscriber_id))]

    visit.post(f"/p/{tokens['/p/']}", data=SENT | {"shown": ["daily-papers"], "subscription_id": str(site.bora.id)})
    visit.post(f"/p/{tokens['/p/']}/leave", data=SENT | {"subscriber_id": str(site.bora.subscriber_id)})
    visit.post(f"/me/{tokens['/me/']}/erase", data=SENT | {"email": "bora@example.org"})

    assert [row.model_dump() for row in (make.again(site.bora), *make.all(Subscriber, id=site.bora.subscriber_id))] == bora
    assert make.all(Subscriber, id=site.ari.subscriber_id) == []
