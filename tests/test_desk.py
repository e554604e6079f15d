"""The editor's desk through its pages."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from admin_parts import MINA, Desk
from factories import DAY, LINKS, NOW

from newsletter import issues
from newsletter.issues import editing
from newsletter.issues.editing import Hand
from newsletter.lifecycle import DeliveryStatus, IssueStatus
from newsletter.models import (
    AttemptStatus,
    Delivery,
    Issue,
    IssueEdit,
    IssuePaper,
    Newsletter,
    Review,
    Summary,
    SummaryAttempt,
    SummaryOrigin,
)

PAGE = f"/admin/issues/daily-papers/{DAY}"


@pytest.fixture
def database_kind():
    return "sqlite"  # test_editing asks both


class _Desk(Desk):
    """A site whose workers write summaries when they are asked to."""

    def services(self):
        """Return what the application is made with."""
        self.asked = []
        return replace(super().services(), rewrite=lambda *what: self.asked.append(what))


@pytest.fixture
def site(make):
    return _Desk(make)


@pytest.fixture
def mina(site):
    return site.mina()


@pytest.fixture
def draft(make, site):
    """Return a draft of three papers."""
    return make.issue(site.newsletter, IssueStatus.DRAFT, numbers=(1, 2, 3))


def _do(visit, what, paper=None, path=PAGE, **fields):
    """Press a button of the page as it is now."""
    seen = re.search(r'name="seen" value="(\d+)"', visit.get(path).text)[1]
    return visit.post(path + (f"/papers/{paper}" if paper else ""), data={"do": what, "seen": seen} | fields)


def _order(make):
    rows = sorted(make.all(IssuePaper), key=lambda row: row.position)
    return [-row.paper_id if row.dropped else row.paper_id for row in rows]


@pytest.mark.parametrize("path", ["/admin/issues", PAGE, f"{PAGE}/mail.html", f"{PAGE}/mail.txt", f"{PAGE}/papers/1"])
def test_who_is_not_logged_in_sees_and_does_nothing(site, make, draft, path):
    stranger = site.browser()

    assert stranger.get(path).headers["location"].startswith("/admin/login?")
    assert stranger.post(PAGE, data={"do": "approve"}).status_code == 303
    assert stranger.post(f"{PAGE}/papers/1", data={"do": "drop"}).status_code == 303
    assert make.all(IssueEdit) == []
    assert make.again(draft).approved_at is None


def test_another_site_can_press_no_button(mina, make, draft):
    answer = mina.post(PAGE, data={"do": "approve"}, headers={"Sec-Fetch-Site": "cross-site"})

    assert answer.status_code == 403
    assert make.again(draft).approved_at is None


def test_the_list_shows_each_newsletters_issues_and_what_they_wait_for(mina, make, draft):
    make.issue(make.newsletter(slug="other", title="Other Papers"), IssueStatus.PUBLISHED, numbers=(8,))
    with make.sessions.begin() as session:
        session.get(Newsletter, draft.newsletter_id).review = Review.THEN_SEND
        session.get(Issue, draft.id).review_until = NOW + timedelta(hours=6)

    page = mina.get("/admin/issues").text

    assert "Other Papers" in page
    assert f'href="{PAGE}?lang=en"' in page
    assert "Waits for approval" in page
    assert "3 papers" in page


def test_the_desk_shows_how_each_paper_is_told_and_why_a_model_was_refused(mina, make, draft):
    assert "No summary yet" in mina.get(PAGE).text

    make.summary(1, "A model says so.", origin=SummaryOrigin.MODEL, model="small-1", checks={"passed": True})
    make.summary(2, "We train small models.", origin=SummaryOrigin.EXTRACT)
    make.summary(3, "A model said so once.", origin=SummaryOrigin.MODEL, model="small-0")
    make.add(
        SummaryAttempt(
            paper_id=2,
            language="en",
            model="small-1",
            prompt_version="1",
            status=AttemptStatus.REFUSED,
            reasons=["The number 50 is not in the abstract."],
            began_at=NOW,
            ended_at=NOW,
        )
    )

    page = mina.get(PAGE).text

    assert "Written by small-1, checked" in page
    assert "Written by small-0, unchecked" in page
    assert "From the abstract" in page
    assert "The number 50 is not in the abstract." in page
    assert page.index("Paper 1 on") < page.index("Paper 2 on") < page.index("Paper 3 on")


def test_buttons_move_pin_drop_and_restore(mina, make, draft):
    moved = _do(mina, "move", 3, to="1", rank="3")
    assert (moved.status_code, moved.headers["location"]) == (303, f"{PAGE}?lang=en#paper-3")
    _do(mina, "down", 3, rank="1")
    assert _order(make) == [1, 3, 2]

    _do(mina, "drop", 1)
    _do(mina, "up", 2, rank="2")
    assert _order(make) == [-1, 2, 3]

    _do(mina, "restore", 1)
    _do(mina, "pin", 3)
    assert _order(make) == [3, 1, 2]
    _do(mina, "unpin", 3)
    assert {row.editor for row in make.all(IssueEdit)} == {MINA}


def test_an_old_page_changes_nothing_and_keeps_the_words(mina, make, draft):
    with make.sessions.begin() as session:
        editing.note(session, Hand(draft.id, "ari", NOW), "Ari's words.")

    answer = mina.post(PAGE, data={"do": "note", "note": "Mina's <words>.", "seen": "0"})

    assert answer.status_code == 409
    assert "Somebody changed this issue" in answer.text
    assert "Mina&#39;s &lt;words&gt;." in answer.text
    assert make.again(draft).note == "Ari's words."
    words = mina.post(f"{PAGE}/papers/1", data={"do": "edit", "bullets": "My own.", "seen": "0"})
    assert (words.status_code, "My own." in words.text, make.all(Summary)) == (409, True, [])


def test_a_note_and_a_summary_are_kept_with_what_they_replaced(mina, make, draft):
    make.summary(1, "A model says so.", origin=SummaryOrigin.MODEL, model="small-1")

    _do(mina, "note", note="Welcome.\n\nSee https://example.org/more.")
    answer = _do(mina, "edit", 1, bullets="It is small.\nIt is fast.")

    assert answer.headers["location"].endswith("#paper-1")
    page = mina.get(PAGE).text
    assert "Edited by mina" in page
    assert "A model says so." in page  # what it said before
    mail = mina.get(f"{PAGE}/mail.html").text
    assert "It is small." in mail
    assert 'href="https://example.org/more"' in mail
    assert "Welcome." in mina.get(f"{PAGE}/mail.txt").text


@pytest.mark.parametrize(
    "wrong",
    [
        ("edit", 1, {"bullets": " \n "}),
        ("edit", 1, {"bullets": "\n".join(["line"] * 40)}),
        ("note", None, {"note": "x" * 2001}),
        ("move", 1, {"to": "first"}),
        ("move", 1, {"to": "9" * 400}),
        ("choose", 1, {"summary": ""}),
        ("drop", 1, {"seen": "9" * 5000}),
        ("explode", 1, {}),
        ("explode", None, {}),
        ("", None, {}),
    ],
)
def test_what_cannot_be_used_is_said_on_the_page(mina, make, draft, wrong):
    what, paper, fields = wrong
    answer = _do(mina, what, paper, **fields)

    assert answer.status_code == 422
    assert "That cannot be used" in answer.text
    assert make.all(IssueEdit) == []


def test_another_summary_is_chosen_on_the_papers_page(mina, make, draft):
    make.summary(1, "A model says so.", origin=SummaryOrigin.MODEL, model="small-1")
    extract = make.summary(1, "We train small models.", origin=SummaryOrigin.EXTRACT)
    assert "Use this one" in mina.get(f"{PAGE}/papers/1").text

    _do(mina, "choose", 1, summary=str(extract.id))

    assert "We train small models." in mina.get(f"{PAGE}/mail.txt").text
    assert make.all(IssuePaper, paper_id=1)[0].summary_id == extract.id


def test_writing_again_is_left_to_a_worker(mina, site, draft):
    answer = _do(mina, "again", 2)

    assert answer.status_code == 303
    assert site.asked == [(2, "en")]
    page = mina.get(PAGE).text
    assert "A worker is asked to write it again." in page
    assert page.count('value="again"') == 2


def test_a_persons_words_stay_when_a_model_writes_again(mina, make, draft):
    make.summary(2, "A person wrote this.")

    _do(mina, "again", 2)

    assert "words stay until you choose others" in mina.get(PAGE).text


def test_those_an_issue_did_not_reach_get_it_again(mina, make, site):
    make.reader("ari", site.newsletter)
    make.reader("bora", site.newsletter)
    site.publish()
    with make.sessions.begin() as session:
        for row, status in zip(make.all(Delivery), (DeliveryStatus.FAILED, DeliveryStatus.SENT), strict=True):
            session.get(Delivery, row.id).status = status
            session.get(Delivery, row.id).reason = "the mailbox was full"
    assert "Send again to the 1 it did not reach" in mina.get(PAGE).text

    mina.post(PAGE, data={"do": "resend"})

    assert [row.status for row in make.all(Delivery)] == [DeliveryStatus.QUEUED, DeliveryStatus.SENT]


def test_where_nobody_can_write_no_button_says_so(make):
    plain = Desk(make)
    make.issue(plain.newsletter, IssueStatus.DRAFT)

    assert 'value="again"' not in plain.mina().get(PAGE).text


@pytest.mark.parametrize(
    "case",
    [
        (Review.AUTOMATIC, None, "Nobody has to approve it"),
        (Review.THEN_SEND, 6, "it is sent as it is"),
        (Review.THEN_HOLD, 6, "it is held until somebody does"),
        (Review.THEN_SEND, -1, "it goes within a minute or two"),
        (Review.THEN_HOLD, -1, "passed and nobody approved it: it is held"),
    ],
)
def test_the_page_says_what_will_happen_and_when(mina, make, draft, case):
    review, hours, words = case
    with make.sessions.begin() as session:
        session.get(Newsletter, draft.newsletter_id).review = review
        session.get(Issue, draft.id).review_until = NOW + timedelta(hours=hours) if hours else None
    make.reader("ari", make.all(Newsletter)[0])

    page = mina.get(PAGE).text

    assert words in page
    assert "to 1 reader" in page
    assert ("in 5 hours" in page or "in 6 hours" in page) == (hours == 6)


def test_approving_and_holding(mina, make, draft):
    _do(mina, "approve")
    assert make.again(draft).approved_by == MINA
    assert "mina approved it" in mina.get(PAGE).text

    _do(mina, "hold")
    assert make.again(draft).approved_by == ""
    assert "It waits until somebody approves it." in mina.get(PAGE).text


@pytest.mark.parametrize("what", ["approve", "hold"])
def test_a_button_pressed_twice_does_it_once_and_complains_of_nothing(mina, make, draft, what):
    answers = [_do(mina, what, seen="0").status_code for _ in range(2)]

    assert answers == [303, 303]
    assert [edit.action for edit in make.all(IssueEdit)] == [what]


def test_an_issue_that_is_fixed_is_only_shown(mina, make, site):
    make.reader("ari", site.newsletter)
    site.publish()

    page = mina.get(PAGE).text
    assert 'value="drop"' not in page
    assert "0 of 1 sent" in page

    refused = mina.post(f"{PAGE}/papers/1", data={"do": "drop"})
    assert refused.status_code == 409
    assert "the issue is fixed by now" in refused.text


def test_an_issue_is_paused_resumed_and_cancelled(mina, make, site):
    make.reader("ari", site.newsletter)
    issue = site.publish()

    assert mina.post(PAGE, data={"do": "pause"}).headers["location"] == f"{PAGE}?lang=en&said=pause"
    assert "Paused by mina" in mina.get(PAGE).text
    mina.post(PAGE, data={"do": "resume"})
    assert "Paused by mina" not in mina.get(PAGE).text

    assert "said=unsure" in mina.post(PAGE, data={"do": "cancel", "reason": "wrong"}).headers["location"]
    mina.post(PAGE, data={"do": "cancel", "reason": "wrong day", "sure": "yes"})
    again = make.again(issue)
    assert (again.status, again.reason) == (IssueStatus.CANCELLED, "wrong day")
    assert 'class="said"' not in mina.get(f"{PAGE}?said=cancel").text  # the page says it, and no empty box beside it


def test_a_test_goes_to_one_address(mina, make, site):
    site.publish()

    assert "said=tested" in mina.post(PAGE, data={"do": "test", "email": "ari@example.org"}).headers["location"]
    assert [row.address for row in make.all(Delivery)] == ["ari@example.org"]
    assert site.woken == 1
    make.suppression("bora")
    for address in ("nobody", "bora@example.org"):
        assert "said=address" in mina.post(PAGE, data={"do": "test", "email": address}).headers["location"]
    assert "no address that mail can be sent to" in mina.get(f"{PAGE}?said=address").text


def test_the_mail_is_framed_by_the_desk_alone_and_runs_nothing(mina, make, draft):
    make.papers(1, title="<script>alert(1)</script> & co")
    page, mail = mina.get(PAGE), mina.get(f"{PAGE}/mail.html")

    assert "frame-src 'self'" in page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert page.headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'self'" in mail.headers["content-security-policy"]
    assert "script-src" not in mail.headers["content-security-policy"]
    assert mail.headers["x-frame-options"] == "SAMEORIGIN"
    assert "<script>" not in page.text + mail.text
    assert re.search(r"<iframe [^>]*sandbox(?!=)", page.text)
    assert mina.get(f"{PAGE}/mail.txt").headers["content-type"].startswith("text/plain")


def test_a_frozen_issues_mail_is_shown_as_it_was_fixed(mina, make, site):
    issue = site.publish()
    make.summary(1, "A later thought.")

    assert "A later thought." not in mina.get(f"{PAGE}/mail.html").text
    assert make.again(issue).subject in mina.get(f"{PAGE}/mail.html").text


@pytest.mark.parametrize("path", ["/admin/issues/none/2024-03-14", "/admin/issues/daily-papers/soon", f"{PAGE}/papers/99"])
def test_what_is_not_there_is_said(mina, draft, path):
    assert mina.get(path).status_code == 404


def test_the_desk_speaks_korean(mina, draft):
    page = mina.get(f"{PAGE}?lang=ko").text

    assert '<html lang="ko"' in page
    assert not re.search(r">\s*(Approve and send|Leave out|Keep the note|Papers|The mail)\s*<", page)


def test_who_did_what_is_shown_as_is_what_the_clock_did(mina, make, site, draft):
    _do(mina, "move", 3, to="1")
    with make.sessions.begin() as session:
        issue = session.get(Issue, draft.id)
        issue.review_until = NOW
        session.get(Newsletter, site.newsletter.id).review = Review.THEN_SEND
    issues.freeze(make.sessions, draft.id, LINKS, now=NOW + timedelta(hours=1))

    page = mina.get(PAGE).text

    assert "moved from 3 to 1" in page
    assert "sent at the deadline, as nobody had approved it" in page
