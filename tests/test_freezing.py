from datetime import timedelta
from threading import Thread

import pytest
from factories import LINKS, NOW
from sqlalchemy import event

from newsletter import issues
from newsletter.errors import NotFound
from newsletter.issues import editing
from newsletter.issues.editing import Hand
from newsletter.lifecycle import IssueStatus
from newsletter.models import Issue, IssuePaper, IssuePiece, Newsletter, Paper, SummaryOrigin

LATER = NOW + timedelta(hours=1)


@pytest.fixture
def draft(make):
    """Return a draft of two papers."""
    return make.issue(make.newsletter(), IssueStatus.DRAFT)


def _freeze(sessions, issue, now=NOW):
    return issues.freeze(sessions, issue.id, LINKS, now=now)


def test_a_frozen_issue_is_ready_and_in_pieces(sessions, make, draft):
    issue = _freeze(sessions, draft)

    assert (issue.status, issue.frozen_at) == (IssueStatus.READY, NOW)
    assert issue.subject
    names = {part: [row.name for row in make.all(IssuePiece, part=part)] for part in ("text", "html")}
    assert sorted(names["text"]) == sorted(names["html"])
    assert {"head", "card:1", "card:2", "line:1", "line:2", "foot"} <= set(names["html"])


def test_freezing_again_changes_nothing(sessions, make, draft):
    first = _freeze(sessions, draft)
    before = make.all(IssuePiece)
    with sessions.begin() as session:
        session.get(Paper, 1).title = "Another title"

    assert _freeze(sessions, draft, LATER) == first
    assert make.all(IssuePiece) == before


def test_freezing_at_once_makes_one_set_of_pieces(sessions, make, draft):
    threads = [Thread(target=_freeze, args=(sessions, draft)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    names = [(row.part, row.name) for row in make.all(IssuePiece)]
    assert names
    assert len(names) == len(set(names))


def test_what_an_editor_writes_while_the_issue_is_read_is_not_lost(sessions, make, draft):
    edited = []

    def edit(_connection, _cursor, statement, *_):
        if "FROM summaries" in statement and not edited:
            edited.append(editor := Hand(draft.id, "ari", NOW))
            with sessions.begin() as session:
                editing.edit_bullets(session, editor, 1, "The editor's own words.")

    event.listen(sessions.engine, "after_cursor_execute", edit)
    assert _freeze(sessions, draft).status is IssueStatus.DRAFT
    _freeze(sessions, draft)

    assert "own words" in "".join(row.content for row in make.all(IssuePiece, part="text"))


def test_an_issue_keeps_which_summary_each_paper_was_told_by(sessions, make, draft):
    extract = make.summary(1, "We train small models.", origin=SummaryOrigin.EXTRACT)
    person = make.summary(1, "Small models do well.")

    _freeze(sessions, draft)
    make.summary(1, "A later thought.", model="later", created_at=LATER)

    assert [row.summary_id for row in make.all(IssuePaper)] == [person.id, None]
    assert extract.id != person.id
    assert "Small models do well." in "".join(row.content for row in make.all(IssuePiece, part="text"))


def test_an_english_abstract_in_a_korean_digest_is_marked(sessions, make):
    newsletter = make.newsletter(language="ko")
    draft = make.issue(newsletter, IssueStatus.DRAFT, numbers=(1,))
    make.summary(1, "We train small models.", language="ko", written_in="en", origin=SummaryOrigin.EXTRACT)

    with sessions.read() as session:
        email, _ = issues.digest_of(session, draft, LINKS)

    assert (email.papers[0].summary_language, email.papers[0].origin) == ("en", "extract")


def test_hostile_words_stay_words(sessions, make):
    newsletter = make.newsletter(title="Daily <script>alert(1)</script>")
    make.papers(1, title="{{ 7 * 7 }} <img src=x onerror=alert(1)> \u202e", authors=("<b>Ari</b>",))
    draft = make.issue(newsletter, IssueStatus.DRAFT, numbers=())

    _freeze(sessions, draft)

    html = "".join(row.content for row in make.all(IssuePiece, part="html"))
    assert "<script>alert" not in html
    assert "<img src=x" not in html
    assert "{{ 7 * 7 }}" in html


def test_the_page_of_an_issue_loads_no_picture_from_elsewhere(sessions, make):
    make.papers(1, thumbnail_url="https://cdn.example/1.png")
    draft = make.issue(make.newsletter(), IssueStatus.DRAFT, numbers=())

    _freeze(sessions, draft)

    mail, page = ("".join(row.content for row in make.all(IssuePiece, part=part)) for part in ("html", "page"))
    assert "https://cdn.example/1.png" in mail
    assert "<img" not in page


@pytest.mark.parametrize("status", [IssueStatus.EMPTY, IssueStatus.CANCELLED])
def test_what_is_no_draft_is_left_as_it_is(sessions, make, draft, status):
    with sessions.begin() as session:
        session.merge(draft).status = status

    assert _freeze(sessions, draft).status is status
    assert make.all(IssuePiece) == []


def test_an_issue_that_is_gone_is_not_found(sessions, make, draft):
    with pytest.raises(NotFound):
        issues.freeze(sessions, 99, LINKS, now=NOW)


def test_a_newsletters_change_after_freezing_does_not_touch_the_issue(sessions, make, draft):
    _freeze(sessions, draft)
    with sessions.begin() as session:
        session.get(Newsletter, draft.newsletter_id).postal_address = "2 New Road"

    assert "1 Example Road" in "".join(row.content for row in make.all(IssuePiece))


def test_an_issue_says_how_each_summary_was_made_and_where_to_say_what_is_wrong(sessions, make):
    make.papers(1, 2, links={"pdf": "https://arxiv.org/pdf/1"})
    first, second = make.all(Paper)
    made = {"origin": SummaryOrigin.MODEL, "model": "small"}
    make.summary(first.id, "Ours.", checks={"passed": True}, **made)
    make.summary(second.id, "Theirs.", **made)
    issue = make.issue(make.newsletter(slug="papers"), IssueStatus.DRAFT)
    with sessions.begin() as session:
        session.get_one(Issue, issue.id).note = "Read the first."

    _freeze(sessions, issue)

    text = {piece.name: piece.content for piece in make.all(IssuePiece, part="text")}
    assert "Read the first." in text["head"]
    assert "Summarised by small, a language model; machine-checked" in text[f"card:{first.id}"]
    assert "Summarised by small, a language model\n" in text[f"card:{second.id}"]
    for paper in (first, second):
        assert f"https://news.example.com/w/papers/2024-03-14/{paper.id}\n" in text[f"card:{paper.id}"]
        assert "PDF: https://arxiv.org/pdf/1" in text[f"card:{paper.id}"]
    assert "Read the first." in make.all(IssuePiece, part="page")[0].content
