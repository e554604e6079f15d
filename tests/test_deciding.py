from itertools import product

import pytest

from newsletter.lifecycle import SubscriptionStatus
from newsletter.models import SuppressionReason
from newsletter.subscribers import parse_address
from newsletter.subscribers.deciding import Decision, Known, KnownSubscription, Outcome, decide
from newsletter.subscribers.wishes import Wish

ARI = parse_address("ari@example.org")
ACTIVE, PENDING, LEFT = SubscriptionStatus.ACTIVE, SubscriptionStatus.PENDING, SubscriptionStatus.UNSUBSCRIBED
WISHES = [
    Wish(ARI, status, suppressed, wanted={"send_hour": 7})
    for status, suppressed in product((None, *SubscriptionStatus), (None, *SuppressionReason))
]


def _known(status, *, suppressed=None, only_imported=True):
    subscription = KnownSubscription(1, 1, status, {"send_hour": None}, only_imported) if status else None
    return Known(1, {}, subscription, suppressed)


@pytest.mark.parametrize("wish", WISHES)
@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("only_imported", [False, True])
def test_no_row_brings_back_who_left(wish, recorded, only_imported):
    decision = decide(wish, _known(LEFT, only_imported=only_imported), recorded=recorded)

    assert (decision.status, decision.wanted, decision.person) == (None, {}, {})


@pytest.mark.parametrize("wish", WISHES)
@pytest.mark.parametrize("reason", list(SuppressionReason))
@pytest.mark.parametrize("status", [None, *SubscriptionStatus])
def test_no_row_gives_the_suppressed_anything(wish, reason, status):
    decision = decide(wish, _known(status, suppressed=reason), recorded=True)

    assert decision.status in {None, LEFT}
    assert (decision.wanted, decision.suppress) == ({}, False)


@pytest.mark.parametrize("wish", WISHES)
@pytest.mark.parametrize("status", [None, *SubscriptionStatus])
def test_nobody_becomes_active_without_consent_on_record(wish, status):
    assert decide(wish, _known(status), recorded=False).status is not ACTIVE


@pytest.mark.parametrize("wish", WISHES)
def test_who_was_asked_to_confirm_is_not_made_active_by_a_word(wish):
    assert decide(wish, _known(PENDING, only_imported=False), recorded=True).status is not ACTIVE


@pytest.mark.parametrize("wish", [wish for wish in WISHES if wish.leaves])
@pytest.mark.parametrize("status", [ACTIVE, PENDING])
def test_what_a_row_takes_away_is_gone(wish, status):
    decision = decide(wish, _known(status), recorded=True)

    assert decision.suppress or decision.status is LEFT


def test_only_what_is_new_is_an_update():
    known = _known(ACTIVE)

    assert decide(Wish(ARI, ACTIVE, wanted={"send_hour": None}), known, recorded=False) == Decision(Outcome.UNCHANGED)
    update = decide(Wish(ARI, ACTIVE, person={"language": "ko"}, wanted={"send_hour": 7}), known, recorded=False)
    assert (update.outcome, update.words) == (Outcome.UPDATE, "language ko; send_hour 7")
