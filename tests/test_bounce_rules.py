from dataclasses import replace
from datetime import timedelta

import pytest
from factories import NOW

from newsletter.bounces.reading import Kind, Report
from newsletter.bounces.rules import Rules, Step, Subject, Threshold, is_watched, is_worst, own, step_of, why_ignored
from newsletter.lifecycle import DeliveryStatus
from newsletter.models import BounceKind, DeliveryKind

ARI = "ari@example.org"
HARD = Report(Kind.HARD, ARI, "5.1.1", action="failed")
SUBJECT = Subject(
    kind=DeliveryKind.DIGEST,
    status=DeliveryStatus.SENT,
    address=ARI,
    has_reader=True,
    went_at=NOW - timedelta(hours=1),
    tried=True,
    by_return_path=False,
)


@pytest.mark.parametrize(
    ("report", "step"),
    [
        (HARD, Step.COUNT),
        (Report(Kind.SOFT, ARI, "4.2.2", action="failed"), Step.COUNT),
        (Report(Kind.SOFT, ARI, "4.4.1", action="delayed"), Step.WAIT),
        (Report(Kind.HARD, ARI, "5.1.1", action="delayed"), Step.WAIT),
        (Report(Kind.NONE, ARI, "5.7.1", action="failed", about_us=True), Step.ALARM),
        (Report(Kind.NONE, ARI, "2.0.0", action="delivered"), Step.NOTHING),
        (Report(Kind.COMPLAINT, ARI, action="abuse"), Step.COUNT),
        (Report(Kind.COMPLAINT, ARI, action="opt-out"), Step.LEAVE),
        (Report(Kind.NONE, ARI, action="not-spam"), Step.NOTHING),
        (Report(Kind.NONE, ARI, action="auth-failure"), Step.NOTHING),
    ],
)
def test_a_report_asks_for_one_thing(report, step):
    assert step_of(report) is step


@pytest.mark.parametrize(
    ("threshold", "number", "met"),
    [
        (Threshold(1), 1, True),
        (Threshold(5), 4, False),
        (Threshold(5), 6, True),
        (Threshold(0), 9, False),
        (Threshold(1), 0, False),
    ],
)
def test_a_threshold_is_met_by_so_many_and_never_where_it_is_nought(threshold, number, met):
    assert threshold.is_met(number) is met


def test_one_hard_bounce_or_complaint_is_enough_and_five_soft_ones():
    assert [Rules().of(kind).count for kind in (BounceKind.HARD, BounceKind.SOFT, BounceKind.COMPLAINT)] == [1, 5, 1]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, ""),
        ({"kind": DeliveryKind.ALARM}, "the mail was no reader's"),
        ({"has_reader": False}, "the mail was no reader's"),
        ({"tried": False}, "the mail was never sent"),
        ({"went_at": NOW - timedelta(days=30, minutes=1)}, "it comes too late"),
        ({"address": "bora@example.org"}, "it is about another recipient"),
        ({"address": "bora@example.org", "by_return_path": True}, ""),
        ({"address": "ARI@Example.org"}, ""),
    ],
)
def test_what_cannot_be_about_a_readers_mail_is_ignored(changes, why):
    assert why_ignored(HARD, replace(SUBJECT, **changes), now=NOW) == why


def test_a_domain_is_told_in_ascii_by_servers():
    subject = replace(SUBJECT, address="ari@도메인.한국")

    assert why_ignored(replace(HARD, recipient="Ari@xn--hq1bm8jm9l.xn--3e0b707e"), subject, now=NOW) == ""


def test_whoever_calls_a_forwarded_mail_spam_speaks_for_its_reader():
    complaint = Report(Kind.COMPLAINT, "somebody@example.net", action="abuse")

    assert why_ignored(complaint, SUBJECT, now=NOW) == ""


def test_of_many_recipients_only_the_mails_own_counts_where_it_is_named():
    other = replace(HARD, recipient="list-member@example.org")

    assert own([other, HARD], ARI) == [HARD]
    assert own([other], ARI) == [other]


@pytest.mark.parametrize(
    ("complaints", "sent", "watched", "worst"),
    [(1, 10, False, False), (2, 10, True, True), (2, 2000, False, False), (3, 2000, True, False), (7, 2000, True, True)],
)
def test_complaints_are_judged_by_their_share(complaints, sent, watched, worst):
    assert (is_watched(complaints, sent), is_worst(complaints, sent)) == (watched, worst)
