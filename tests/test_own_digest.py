"""A digest of one's own: from what a reader chose to the mail they get, or do not get."""

from email import message_from_bytes, policy

import pytest
from drains import send_through
from factories import NOW, POLICY, mailer
from fakes import Outbox
from sqlalchemy import update
from sqlmodel import col

from newsletter.deliveries import ledger
from newsletter.deliveries.frozen import paper_facts
from newsletter.errors import NotFound
from newsletter.issues import control
from newsletter.lifecycle import DeliveryStatus, IssueStatus
from newsletter.mail.selecting import EVERYTHING, Wish
from newsletter.models import Delivery, IssuePaper, Lane, NoMatch
from newsletter.subscribers import parse_address

TOPICS = {1: "cs.CL", 2: "cs.CV", 3: "cs.CL", 4: "cs.RO"}


@pytest.fixture
def published(sessions, make):
    """Return a function that publishes an issue of four papers of three topics to readers with these wishes, by name."""

    def publish(readers, **changes):
        newsletter = make.newsletter(**changes)
        for number, topic in TOPICS.items():
            make.papers(number, categories=(topic,), keywords=("sparse attention",) if number == 4 else ())
        for name, wishes in readers.items():
            make.reader(name, newsletter, **wishes)
        return make.issue(newsletter, IssueStatus.PUBLISHED, numbers=())

    return publish


def claim(sessions, worker="one"):
    with sessions.begin() as session:
        return ledger.claim(session, Lane.LIST, worker=worker, limit=100, now=NOW)


def mails(sessions):
    """Claim what is due and return the text of each mail, by name; None for who finds nothing."""
    rows, made = claim(sessions), mailer()
    with sessions.read() as session:
        made.load(session, rows)
    said = {}
    for row in rows:
        content = text(made.message(row, now=NOW).content)
        said[row.address.partition("@")[0]] = None if made.finds_nothing(row) else content
    return said


def text(content):
    return message_from_bytes(content, policy=policy.default).get_body(("plain",)).get_content()


def numbers(content):
    return [number for number in TOPICS if f"Paper {number} on" in content]


def test_each_reader_gets_the_papers_they_wish_for_and_is_told_why(sessions, published):
    published(
        {
            "ari": {"topics": ["cs.CL"]},
            "bora": {"keywords": ["Sparse Attentions"], "topics": ["cs.CV"], "match_first": True},
            "chan": {},
            "dana": {"max_papers": 3},
        }
    )

    said = mails(sessions)

    assert {name: numbers(content) for name, content in said.items()} == {
        "ari": [1, 3],
        "bora": [2, 4],
        "chan": [1, 2, 3, 4],
        "dana": [1, 2, 3],
    }
    assert "2 of 4 papers, for your topics: Language and text." in said["ari"]
    assert "for your topics: Images and video; your keywords: Sparse Attentions." in " ".join(said["bora"].split())
    assert "of 4 papers" not in said["chan"] + said["dana"]


def test_who_finds_nothing_is_skipped_and_the_ledger_says_so(sessions, make, published):
    published({"ari": {"topics": ["math.OC"]}, "bora": {"topics": ["cs.RO"]}})
    outbox = Outbox()

    report = send_through(sessions, outbox)

    assert (report.sent, report.skipped) == (1, 1)
    assert [message.recipient for message in outbox.sent] == ["bora@example.org"]
    skipped = {row.address: row for row in make.all(Delivery)}["ari@example.org"]
    assert (skipped.status, skipped.reason) == (DeliveryStatus.SKIPPED, "no paper matches")


def test_who_finds_nothing_gets_a_short_mail_where_the_newsletter_says_so(sessions, published):
    published({"ari": {"topics": ["math.OC"]}}, no_match=NoMatch.SHORT)

    content = mails(sessions)["ari"]

    assert "None of these 4 papers is about your topics or keywords." in " ".join(content.split())
    assert numbers(content) == [1, 2, 3, 4]
    assert "Ari Kim" not in content  # lines, not cards


def test_an_editors_choice_reaches_everybody_and_what_was_dropped_nobody(sessions, make, published):
    issue = published({"ari": {"topics": ["math.OC"]}})
    with sessions.begin() as session:
        session.execute(update(IssuePaper).where(col(IssuePaper.position) == 4).values(pinned=True))

    content = mails(sessions)["ari"]

    assert numbers(content) == [4]
    assert "The editors chose 1 for everybody." in " ".join(content.split())
    with sessions.begin() as session:
        session.execute(update(IssuePaper).where(col(IssuePaper.position) == 1).values(dropped=True))
        assert [paper.id for paper in paper_facts(session, issue.id)] == [2, 3, 4]


def test_words_of_the_summary_find_a_paper_too(sessions, make):
    newsletter = make.newsletter()
    make.reader("ari", newsletter, keywords=["확산"])
    make.papers(7, 8)
    make.summary(2, "확산 모델을 씁니다.")
    make.issue(newsletter, IssueStatus.PUBLISHED, numbers=())

    content = mails(sessions)["ari"]

    assert "Paper 8 on" in content
    assert "Paper 7 on" not in content


def test_a_claim_tells_the_wishes_of_those_who_have_some(sessions, published):
    published({"ari": {"topics": ["cs.CL"], "keywords": ["sound"], "max_papers": 5, "match_first": True}, "bora": {}})

    wishes = {row.address: row.wish for row in claim(sessions)}

    assert wishes == {
        "ari@example.org": Wish(("cs.CL",), ("sound",), 5, match_first=True),
        "bora@example.org": EVERYTHING,
    }


def test_a_test_of_an_issue_shows_what_a_reader_gets_and_is_never_skipped(sessions, make, published):
    issue = published({"ari": {"topics": ["cs.RO"]}, "bora": {"topics": ["math.OC"]}})
    dana = parse_address("dana@example.org")
    with sessions.begin() as session:
        for reader in ("ari@example.org", "bora@example.org"):
            assert control.send_test(session, issue, dana, POLICY, reader=parse_address(reader), now=NOW)
        with pytest.raises(NotFound, match="no subscription"):
            control.send_test(session, issue, dana, POLICY, reader=dana, now=NOW)
    outbox = Outbox()

    send_through(sessions, outbox)

    tests = [text(message.content) for message in outbox.sent if message.recipient == dana.text]
    assert [numbers(content) for content in tests] == [[4], [1, 2, 3, 4]]
    assert "None of these 4 papers" in tests[1]
