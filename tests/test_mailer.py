from email import message_from_bytes, policy
from urllib.parse import urlsplit

import pytest
from factories import LINKS, NOW, mailer
from sqlalchemy import select
from sqlmodel import col

from newsletter.deliveries import ledger
from newsletter.deliveries.frozen import load_issue
from newsletter.deliveries.mailer import KEPT_ISSUES, TEST_OF
from newsletter.errors import NewsletterError
from newsletter.lifecycle import IssueStatus
from newsletter.mail.pieces import Piece
from newsletter.mail.selecting import EVERYTHING, HTML_BUDGET, facts_of
from newsletter.mail.selecting import select as select_papers
from newsletter.models import DeliveryKind, IssuePiece, Lane, Newsletter
from newsletter.tokens import Purpose


@pytest.fixture
def newsletter(make):
    """Return a newsletter."""
    return make.newsletter()


def _claimed(sessions, lane=Lane.PERSON):
    with sessions.begin() as session:
        return ledger.claim(session, lane, worker="one", limit=100, now=NOW)


def _loaded(sessions, rows, **settings):
    made = mailer(**settings)
    with sessions.read() as session:
        made.load(session, rows)
    return made


def _message(sessions, lane=Lane.PERSON, **settings):
    (row,) = _claimed(sessions, lane)
    outgoing = _loaded(sessions, [row], **settings).message(row, now=NOW)
    return outgoing, message_from_bytes(outgoing.content, policy=policy.default)


def _text(message, kind="plain"):
    return message.get_body((kind,)).get_content()


def _digest(make, newsletter, **changes):
    make.reader("ari", newsletter)
    return make.issue(newsletter, IssueStatus.PUBLISHED, **changes)


def test_a_digest_goes_from_the_newsletter_to_its_reader(sessions, make, newsletter):
    issue = _digest(make, newsletter)

    outgoing, message = _message(sessions, Lane.LIST)

    assert (outgoing.sender, outgoing.recipient) == ("news@example.org", "ari@example.org")
    assert message["From"] == "Daily Papers <news@example.org>"
    assert message["Subject"] == issue.subject
    assert message["Message-ID"] == LINKS.message_id(1, "example.org")
    for title in ("Paper 1 on small models", "Paper 2 on small models"):
        assert title in _text(message)
        assert title in _text(message, "html")
    assert LINKS.issue(newsletter.slug, "2024-03-14") in _text(message)


def test_a_digest_can_be_left_by_one_click_and_by_its_own_link(sessions, make, newsletter):
    _digest(make, newsletter)

    _, message = _message(sessions, Lane.LIST)

    url = LINKS.unsubscribe(1)
    assert message["List-Unsubscribe"] == f"<{url}>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message["List-Id"] == f'"Daily Papers" <{newsletter.slug}.example.org>'
    assert url in _text(message)
    assert url in _text(message, "html")


def test_a_confirmation_is_no_list_mail_and_holds_the_link_that_confirms(sessions, make, newsletter):
    make.delivery(newsletter_id=newsletter.id)

    _, message = _message(sessions)

    assert not [name for name in message.keys() if name.lower().startswith("list-")]  # noqa: SIM118 -- a message is no mapping
    token = next(word for word in _text(message).split() if "/c/" in word)
    assert LINKS.read_confirm(urlsplit(token).path.removeprefix("/c/"), now=NOW) == 1


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (DeliveryKind.WELCOME, {"send_hour": 7, "zone": "Asia/Seoul", "latest_url": "", "latest_title": ""}),
        (DeliveryKind.GOODBYE, {}),
        (DeliveryKind.ALREADY_SUBSCRIBED, {"slots": {"requested_at": "today"}}),
    ],
)
def test_every_other_kind_is_made_in_the_language_of_its_reader(sessions, make, newsletter, kind, values):
    reader = make.reader("ari", newsletter)
    owner = {"subscription_id": reader.id, "subscriber_id": reader.subscriber_id}
    make.delivery(newsletter_id=newsletter.id, kind=kind, values=values, language="ko", **owner)

    _, message = _message(sessions)

    assert any("\uac00" <= letter <= "\ud7a3" for letter in _text(message))
    assert ("List-Unsubscribe" in message) is (kind is not DeliveryKind.GOODBYE)


def test_an_alarm_comes_from_the_installation(sessions, make):
    slots = {"cause": "source:sample", "subject": "sample is away", "detail": "no answer", "opened_at": "today"}
    row = make.delivery(kind=DeliveryKind.ALARM, values={"slots": slots})
    with sessions.begin() as session:
        session.merge(row).newsletter_id = None

    outgoing, message = _message(sessions, operator_sender="ops@example.org", postal_address="1 Example Road")

    assert outgoing.sender == "ops@example.org"
    assert "sample is away" in message["Subject"] + _text(message)


def test_a_bounce_domain_makes_a_return_path_for_each_mail(sessions, make, newsletter):
    make.delivery(newsletter_id=newsletter.id)

    outgoing, _ = _message(sessions, bounce_domain="bounces.example.org")

    local, _, domain = outgoing.sender.rpartition("@")
    assert domain == "bounces.example.org"
    assert LINKS.keyring.unsign_local_part(local.removeprefix("b+"), Purpose.RETURN_PATH) == 1


def test_a_change_of_the_newsletter_shows_in_the_next_mail(sessions, make, newsletter):
    make.delivery(newsletter_id=newsletter.id)
    rows = _claimed(sessions)
    made = _loaded(sessions, rows)
    with sessions.begin() as session:
        session.get(Newsletter, newsletter.id).from_name = "New Name"
    with sessions.read() as session:
        made.load(session, rows)

    assert b'From: "New Name" <news@example.org>' in made.message(rows[0], now=NOW).content


def test_a_window_may_hold_more_issues_than_are_kept(sessions, make):
    for _ in range(KEPT_ISSUES + 3):
        _digest(make, make.newsletter(), numbers=(1,))
    rows = _claimed(sessions, Lane.LIST)

    made = _loaded(sessions, rows)

    assert len({made.message(row, now=NOW).content for row in rows}) == KEPT_ISSUES + 3
    with sessions.read() as session:
        made.load(session, rows[:1])
    assert made.message(rows[0], now=NOW)


def test_an_issue_that_cannot_be_read_costs_only_its_own_mails(sessions, make):
    broken, whole = (_digest(make, make.newsletter(), numbers=(1,)) for _ in range(2))
    with sessions.begin() as session:
        session.add(IssuePiece(issue_id=broken.id, part="text", position=99, name="foot", content="again"))
    rows = {row.issue_id: row for row in _claimed(sessions, Lane.LIST)}

    made = _loaded(sessions, list(rows.values()))

    assert made.message(rows[whole.id], now=NOW)
    with pytest.raises(NewsletterError, match=f"Issue {broken.id}"):
        made.message(rows[broken.id], now=NOW)


def test_an_issue_that_uncovers_a_bug_costs_only_its_own_mails_and_they_wait(sessions, make, monkeypatch):
    broken, whole = (_digest(make, make.newsletter(), numbers=(1,)) for _ in range(2))
    rows = {row.issue_id: row for row in _claimed(sessions, Lane.LIST)}

    def load(session, issue):
        return load_issue(session, issue) if issue.id == whole.id else issue.subject[10_000]

    monkeypatch.setattr("newsletter.deliveries.mailer.load_issue", load)
    made = _loaded(sessions, list(rows.values()))

    assert made.message(rows[whole.id], now=NOW)
    with pytest.raises(IndexError):  # no NewsletterError: the delivery is put off, not failed
        made.message(rows[broken.id], now=NOW)


def test_fifty_long_papers_stay_below_what_gmail_shows(sessions, make):
    newsletter = make.newsletter()
    make.papers(*range(1, 51), title="A very long title on models of every size " * 4, authors=("Ari Kim",) * 30)
    for paper_id in range(1, 51):
        make.summary(paper_id, *["A bullet that says at length what the paper found, and why it matters to readers. " * 3] * 4)
    issue = _digest(make, newsletter, numbers=range(1, 51))

    _, message = _message(sessions, Lane.LIST)

    assert len(_text(message, "html").encode()) < 102 * 1024
    assert LINKS.unsubscribe(1) in _text(message, "html")
    with sessions.read() as session:
        chosen = load_issue(session, issue).select(EVERYTHING, False)
    assert chosen.cards + chosen.lines == tuple(range(1, 51))
    assert chosen.cards
    assert chosen.lines


@pytest.mark.parametrize(("sizes", "cards"), [([10, 10, 10], 3), ([HTML_BUDGET, 10, 10], 0), ([10, HTML_BUDGET, 10], 1), ([], 0)])
def test_cards_are_taken_in_order_until_the_budget_is_spent(sizes, cards):
    html = [Piece("head", "h" * 100), *(Piece(f"card:{paper}", "c" * size) for paper, size in enumerate(sizes, 1))]

    chosen = select_papers(facts_of((), html, "en"), EVERYTHING)

    assert len(chosen.cards) == cards
    assert chosen.cards + chosen.lines == tuple(range(1, len(sizes) + 1))


def test_a_digest_leads_its_reader_to_their_preferences_and_a_test_of_it_nobody(sessions, make, newsletter):
    issue = _digest(make, newsletter)
    make.delivery(newsletter_id=newsletter.id, kind=DeliveryKind.DIGEST, values={TEST_OF: issue.id})

    _, mine = _message(sessions, Lane.LIST)
    _, test = _message(sessions)

    for kind in ("plain", "html"):
        assert LINKS.preferences(1) in _text(mine, kind)
        assert "/p/" not in _text(test, kind)


def test_an_issue_that_was_frozen_without_the_link_is_still_sent(sessions, make, newsletter):
    _digest(make, newsletter)
    with sessions.begin() as session:
        for piece in session.scalars(select(IssuePiece).where(col(IssuePiece.name) == "foot")):
            piece.content = piece.content.replace("\x01preferences_url\x02", "")

    _, message = _message(sessions, Lane.LIST)

    assert LINKS.unsubscribe(1) in _text(message)


def test_a_welcome_that_was_queued_without_its_cadence_is_daily(sessions, make, newsletter):
    reader = make.reader("ari", newsletter)
    values = {"send_hour": 7, "zone": "Asia/Seoul", "latest_url": "", "latest_title": ""}
    mail = {"newsletter_id": newsletter.id, "subscription_id": reader.id, "subscriber_id": reader.subscriber_id}
    make.delivery(kind=DeliveryKind.WELCOME, values=values, **mail)

    _, message = _message(sessions)

    assert "every day at 07:00 (Asia/Seoul)" in " ".join(_text(message).split())
    assert LINKS.preferences(reader.subscriber_id) in _text(message)
