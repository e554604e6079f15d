from datetime import timedelta

import pytest
from factories import DAY, LINKS, NOW, paper
from hypothesis import given
from hypothesis import strategies as st

from newsletter import issues
from newsletter.errors import BadInput, Conflict, NotFound, Stale
from newsletter.issues import control, desk, editing, freezing, previewing
from newsletter.issues.editing import BULLETS, NOTE_LIMIT, Hand, Place
from newsletter.lifecycle import IssueStatus
from newsletter.mail.render import render
from newsletter.models import (
    AttemptStatus,
    Issue,
    IssueEdit,
    IssuePaper,
    IssuePiece,
    Newsletter,
    Paper,
    Summary,
    SummaryAttempt,
    SummaryOrigin,
)

LATER = NOW + timedelta(minutes=5)


@pytest.fixture
def draft(make):
    """Return a draft of four papers."""
    return make.issue(make.newsletter(), IssueStatus.DRAFT, numbers=(1, 2, 3, 4))


@pytest.fixture
def edit(sessions, draft):
    """Return what does a change to the draft by ari."""

    def do(change, *arguments, seen=None, **more):
        with sessions.begin() as session:
            return change(session, Hand(draft.id, "ari", LATER, seen), *arguments, **more)

    return do


def _order(make):
    return [row.paper_id for row in sorted(make.all(IssuePaper), key=lambda row: row.position) if not row.dropped]


def _history(make):
    return [(row.action, row.paper_id, row.before, row.after) for row in make.all(IssueEdit)]


def test_a_paper_moves_up_and_the_others_make_room(make, edit):
    edit(editing.move, 4, 1)
    edit(editing.move, 1, 3)

    assert _order(make) == [4, 2, 1, 3]
    assert [row.position for row in make.all(IssuePaper)] == [3, 2, 4, 1]
    assert _history(make) == [("move", 4, "4", "1"), ("move", 1, "2", "3")]
    assert [(row.editor, row.at) for row in make.all(IssueEdit)] == [("ari", LATER)] * 2


@pytest.mark.parametrize(("rank", "order"), [(0, [2, 1, 3, 4]), (-9, [2, 1, 3, 4]), (99, [1, 3, 4, 2])])
def test_a_rank_beyond_the_ends_is_the_end(make, edit, rank, order):
    edit(editing.move, 2, rank)

    assert _order(make) == order


def test_to_move_a_paper_to_where_it_is_is_no_edit(make, edit):
    edit(editing.move, 2, 2)

    assert (_order(make), _history(make)) == ([1, 2, 3, 4], [])


def test_a_dropped_paper_keeps_its_place_while_the_others_move(make, edit):
    edit(editing.drop, 2)
    edit(editing.move, 4, 2)
    assert _order(make) == [1, 4, 3]

    edit(editing.restore, 2)

    assert _order(make) == [1, 2, 4, 3]
    assert [row[0] for row in _history(make)] == ["drop", "move", "restore"]


def test_a_dropped_paper_does_not_move(edit):
    edit(editing.drop, 2)

    with pytest.raises(Conflict, match="left out"):
        edit(editing.move, 2, 1)


def test_the_last_paper_stays(make, edit):
    for number in (1, 2, 3):
        edit(editing.drop, number)

    with pytest.raises(Conflict, match="without papers"):
        edit(editing.drop, 4)
    assert _order(make) == [4]


def test_a_dropped_paper_comes_in_no_later_issue(sessions, make, draft, edit):
    edit(editing.drop, 2)
    issues.freeze(sessions, draft.id, LINKS, now=LATER)
    newsletter = make.all(Newsletter)[0]

    make.papers(2, 5, day=DAY + timedelta(days=1))
    following = make.issue(newsletter, IssueStatus.DRAFT, numbers=(5,), day=DAY + timedelta(days=1), now=NOW + timedelta(days=1))

    five = make.all(Paper, source_id=paper(5).source_id)[0]
    assert [row.paper_id for row in make.all(IssuePaper, issue_id=following.id)] == [five.id]


def test_pinned_papers_stand_first_in_the_order_they_were_pinned(make, edit):
    edit(editing.pin, 3)
    edit(editing.pin, 2)
    assert _order(make) == [3, 2, 1, 4]

    edit(editing.move, 4, 1)  # as near as the pins allow
    assert _order(make) == [3, 2, 4, 1]

    edit(editing.pin, 3, pinned=False)
    assert _order(make) == [2, 3, 4, 1]


def test_doing_a_thing_twice_is_one_edit(make, edit):
    for change in (editing.drop, editing.drop, editing.restore, editing.restore, editing.pin, editing.pin):
        edit(change, 1)

    assert [row[0] for row in _history(make)] == ["drop", "restore", "pin"]


places = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=12).map(
    lambda flags: [Place(number, *both) for number, both in enumerate(flags)]
)


@given(places, st.data())
def test_moving_loses_no_paper_and_keeps_pins_first(given, data):
    kept = [place.paper_id for place in given if not place.dropped]
    if not kept:
        return

    after = editing.moved(given, data.draw(st.sampled_from(kept)), data.draw(st.integers(-3, 15)))

    assert sorted(place.paper_id for place in after) == [place.paper_id for place in given]
    pins = [place.pinned for place in after if not place.dropped]
    assert pins == sorted(pins, reverse=True)
    assert [number for number, place in enumerate(after) if place.dropped] == [
        number for number, place in enumerate(given) if place.dropped
    ]


def test_an_editors_words_are_kept_as_a_persons(make, edit):
    make.summary(1, "A model says so.", origin=SummaryOrigin.MODEL, model="small")

    edit(editing.edit_bullets, 1, "- It does well.\n\n•  Its code\tis public.\n-3 dB is the loss.")

    written = make.all(Summary, origin=SummaryOrigin.HUMAN)[0]
    assert written.bullets == ["It does well.", "Its code is public.", "-3 dB is the loss."]
    assert (written.checks, written.created_at) == ({"editor": "ari"}, LATER)
    assert _history(make) == [("edit", 1, "A model says so.", "\n".join(written.bullets))]


def test_a_second_edit_leaves_the_first_to_the_issues_that_told_it(sessions, make, draft, edit):
    edit(editing.edit_bullets, 1, "First words.")
    with sessions.begin() as session:
        editing.edit_bullets(session, Hand(draft.id, "bora", LATER + timedelta(minutes=1)), 1, "Second words.")

    assert [row.bullets for row in make.all(Summary)] == [["First words."], ["Second words."]]
    issues.freeze(sessions, draft.id, LINKS, now=LATER)
    assert make.all(IssuePaper, paper_id=1)[0].summary_id == make.all(Summary)[1].id


def test_unchanged_words_are_no_edit(make, edit):
    make.summary(1, "A model says so.", origin=SummaryOrigin.MODEL)

    edit(editing.edit_bullets, 1, " A model  says so. \n")

    assert _history(make) == []


@pytest.mark.parametrize("words", ["", " \n\u200b\n - ", "\n".join(["Too many."] * (BULLETS + 1)), "long " * 200])
def test_words_that_are_no_summary_are_refused(make, edit, words):
    with pytest.raises(BadInput):
        edit(editing.edit_bullets, 1, words)
    assert make.all(Summary) == []


def test_an_english_edit_in_a_korean_newsletter_is_marked_as_english(sessions, make):
    draft = make.issue(make.newsletter(language="ko"), IssueStatus.DRAFT, numbers=(1, 2))
    with sessions.begin() as session:
        editing.edit_bullets(session, Hand(draft.id, "ari", LATER), 1, "We train small models.")
        editing.edit_bullets(session, Hand(draft.id, "ari", LATER), 2, "작은 모델을 학습합니다.")

    assert [(row.language, row.written_in) for row in make.all(Summary)] == [("ko", "en"), ("ko", "ko")]


def test_an_editor_chooses_another_summary_for_this_issue(sessions, make, draft, edit):
    make.summary(1, "A model says so.", origin=SummaryOrigin.MODEL, model="small")
    extract = make.summary(1, "We train small models.", origin=SummaryOrigin.EXTRACT)

    edit(editing.choose, 1, extract.id)

    issues.freeze(sessions, draft.id, LINKS, now=LATER)
    assert make.all(IssuePaper, paper_id=1)[0].summary_id == extract.id
    assert _history(make) == [("choose", 1, "", "extract")]


def test_a_summary_of_another_paper_or_language_is_not_to_be_chosen(make, edit):
    for stranger in (make.summary(2, "Of another."), make.summary(1, "다른 언어입니다.", language="ko")):
        with pytest.raises(NotFound):
            edit(editing.choose, 1, stranger.id)


def test_asking_again_lets_go_of_what_was_chosen(make, edit):
    extract = make.summary(1, "We train small models.", origin=SummaryOrigin.EXTRACT)
    edit(editing.choose, 1, extract.id)

    assert edit(editing.ask_again, 1) == "en"

    assert make.all(IssuePaper, paper_id=1)[0].summary_id is None
    assert [row[0] for row in _history(make)] == ["choose", "regenerate"]


def test_a_note_is_plain_text_in_paragraphs(make, draft, edit):
    edit(editing.note, "Dear\u202e readers,\r\nall is well.\r\n\r\n\r\nSee https://example.org/a?b=c.")

    assert make.again(draft).note == "Dear readers, all is well.\n\nSee https://example.org/a?b=c."
    assert _history(make) == [("note", None, "", make.again(draft).note)]


def test_a_long_note_is_refused(edit):
    with pytest.raises(BadInput, match="characters"):
        edit(editing.note, "a" * (NOTE_LIMIT + 1))


@pytest.mark.parametrize("status", [IssueStatus.READY, IssueStatus.PUBLISHED, IssueStatus.CANCELLED])
def test_only_a_draft_can_be_edited(sessions, make, edit, draft, status):
    with sessions.begin() as session:
        session.get(Issue, draft.id).status = status

    for change, *arguments in ((editing.move, 1, 2), (editing.drop, 1), (editing.note, "Hello.")):
        with pytest.raises(Conflict, match=status.value):
            edit(change, *arguments)
    assert make.all(IssueEdit) == []


def test_what_an_editor_changes_while_an_issue_is_rendered_is_in_it(sessions, make, draft, edit, monkeypatch):
    def busy(email):
        edit(editing.note, "Just in time.")
        return render(email)

    monkeypatch.setattr(freezing, "render", busy)
    issue = issues.freeze(sessions, draft.id, LINKS, now=LATER)
    assert (issue.status, make.all(IssuePiece)) == (IssueStatus.DRAFT, [])

    monkeypatch.undo()
    issues.freeze(sessions, draft.id, LINKS, now=LATER)
    assert "Just in time." in "".join(row.content for row in make.all(IssuePiece, part="text"))


def test_an_issue_is_frozen_without_what_was_left_out(sessions, make, draft, edit):
    edit(editing.drop, 2)
    edit(editing.move, 4, 1)

    issues.freeze(sessions, draft.id, LINKS, now=LATER)

    names = [row.name for row in sorted(make.all(IssuePiece, part="html"), key=lambda row: row.position)]
    assert [name for name in names if name.startswith("card:")] == ["card:4", "card:1", "card:3"]
    assert "Paper 2 on" not in "".join(row.content for row in make.all(IssuePiece))
    with sessions.read() as session:
        assert "Paper 2 on" not in issues.export(session, session.get(Issue, draft.id))


def _drafts_due(sessions, now):
    with sessions.read() as session:
        return issues.drafts_due(session, patience=timedelta(), unsettled=lambda *_: set(), now=now)


def test_a_held_issue_waits_for_an_approval_whatever_its_deadline(sessions, make, draft, edit):
    assert _drafts_due(sessions, LATER) == [draft.id]
    edit(editing.hold)
    edit(editing.hold)
    assert _drafts_due(sessions, LATER + timedelta(days=9)) == []
    with sessions.read() as session:
        assert [issue.id for issue, _ in issues.waiting_for_approval(session)] == [draft.id]

    edit(editing.approve)

    assert _drafts_due(sessions, LATER) == [draft.id]
    assert [row[0] for row in _history(make)] == ["hold", "approve"]


def test_holding_takes_an_approval_back(make, draft, edit):
    edit(editing.approve)
    edit(editing.hold)

    again = make.again(draft)
    assert (again.approved_at, again.approved_by, again.held_at) == (None, "", LATER)


def test_who_approves_has_seen_the_last_change(sessions, draft, edit):
    with sessions.read() as session:
        seen = editing.version(session, draft.id)
    edit(editing.note, "Hello.")

    with pytest.raises(Stale):
        edit(editing.approve, seen=seen)


def test_who_has_not_seen_the_last_change_is_refused(sessions, make, draft, edit):
    with sessions.read() as session:
        seen = editing.version(session, draft.id)
    edit(editing.drop, 1, seen=seen)

    with pytest.raises(Stale, match="changed"):
        edit(editing.drop, 2, seen=seen)
    assert _order(make) == [2, 3, 4]


def test_the_desk_shows_each_paper_with_its_words_and_what_else_there_is(sessions, make, draft, edit):
    model = make.summary(1, "A model says so.", origin=SummaryOrigin.MODEL, model="small")
    extract = make.summary(1, "We train small models.", origin=SummaryOrigin.EXTRACT)
    tried = {"paper_id": 2, "language": "en", "model": "small", "prompt_version": "1", "began_at": NOW}
    make.add(SummaryAttempt(**tried, status=AttemptStatus.FAILED, reasons=["It gave no answer."], ended_at=NOW))
    edit(editing.edit_bullets, 1, "It is so.")
    edit(editing.ask_again, 2)
    edit(editing.drop, 3)
    make.reader("bora", make.all(Newsletter)[0])

    with sessions.read() as session:
        shown = desk.desk(session, desk.named(session, make.all(Newsletter)[0].slug, DAY.isoformat()), now=LATER)
        later = desk.desk(session, draft, now=LATER + desk.ASKED_FOR)

    one, two, three, four = shown.rows
    assert (one.told.bullets, one.told.editor, [told.id for told in one.others]) == (
        ("It is so.",),
        "ari",
        [model.id, extract.id],
    )
    assert (two.told, two.last_try.reasons, two.asked_at) == (None, ("It gave no answer.",), LATER)
    assert ([row.rank for row in shown.rows], three.dropped, four.told) == ([1, 2, 0, 3], True, None)
    assert (shown.kept, shown.readers, [change.action for change in shown.changes]) == (3, 1, ["drop", "regenerate", "edit"])
    assert shown.changes[-1].paper == one.title
    assert later.rows[1].asked_at is None  # no worker came


def test_the_list_of_issues_counts_what_readers_get(sessions, make, draft, edit):
    edit(editing.drop, 3)

    with sessions.read() as session:
        (row,) = desk.listing(session, session.get(Newsletter, draft.newsletter_id))
        view = control.show(session, session.get(Issue, draft.id), now=LATER)

    assert (row.name, row.status, row.papers, row.mails, row.review_until) == (DAY.isoformat(), "draft", 3, 0, None)
    assert [paper.dropped for paper in view.papers] == [False, False, True, False]
    assert [change.action for change in view.edits] == ["drop"]


def test_a_preview_is_the_mail_that_comes(sessions, draft, edit):
    edit(editing.note, "A good day.")
    edit(editing.move, 4, 1)
    before = previewing.preview(sessions, draft.id, LINKS)

    issues.freeze(sessions, draft.id, LINKS, now=LATER)

    assert previewing.preview(sessions, draft.id, LINKS) == before
    assert before.text.index("A good day.") < before.text.index("1. Paper 4 on") < before.text.index("2. Paper 1 on")
    assert "\x01" not in before.text + before.html


@pytest.mark.parametrize("name", ["2020-01-01", "soon", ""])
def test_an_issue_that_is_none_is_not_found(sessions, make, draft, name):
    slug = make.all(Newsletter, id=draft.newsletter_id)[0].slug
    with sessions.read() as session, pytest.raises(NotFound):
        desk.named(session, slug, name)


def test_what_is_not_there_is_said(sessions, edit):
    with pytest.raises(NotFound, match="no paper 99"):
        edit(editing.drop, 99)
    with sessions.begin() as session, pytest.raises(NotFound, match="no issue 99"):
        editing.note(session, Hand(99, "ari", LATER), "Hello.")
