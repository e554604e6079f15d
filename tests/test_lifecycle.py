from itertools import product

import pytest

from newsletter.lifecycle import (
    ENDED,
    DeliveryEvent,
    DeliveryStatus,
    IssueEvent,
    IssueStatus,
    SubscriptionEvent,
    SubscriptionStatus,
    advance_delivery,
    advance_issue,
    advance_subscription,
    before,
)

MACHINES = [
    (advance_subscription, SubscriptionStatus, SubscriptionEvent),
    (advance_issue, IssueStatus, IssueEvent),
    (advance_delivery, DeliveryStatus, DeliveryEvent),
]


@pytest.mark.parametrize(("advance", "states", "events"), MACHINES)
def test_every_event_has_an_answer_in_every_state(advance, states, events):
    assert all(advance(state, event) in states for state, event in product(states, events))


@pytest.mark.parametrize(("advance", "states", "events"), MACHINES)
def test_every_state_can_be_reached_and_every_event_does_something(advance, states, events):
    moves = [(state, event, advance(state, event)) for state, event in product(states, events)]

    assert {event for state, event, after in moves if after is not state} == set(events)
    assert {after for state, _, after in moves if after is not state} >= set(list(states)[1:])


@pytest.mark.parametrize(("advance", "states", "events"), MACHINES)
def test_a_report_that_comes_twice_changes_nothing_more(advance, states, events):
    repeatable = set(events) - {DeliveryEvent.CLAIM, DeliveryEvent.RESEND}
    for state, event in product(states, repeatable):
        once = advance(state, event)
        assert advance(once, event) is once


def test_only_a_confirmation_of_what_was_asked_for_makes_a_subscription_active():
    ways = {
        (state, event)
        for state, event in product(SubscriptionStatus, SubscriptionEvent)
        if advance_subscription(state, event) is SubscriptionStatus.ACTIVE and state is not SubscriptionStatus.ACTIVE
    }
    assert ways == {(SubscriptionStatus.PENDING, SubscriptionEvent.CONFIRM)}


def test_what_a_stranger_types_into_the_form_ends_no_subscription():
    assert advance_subscription(SubscriptionStatus.ACTIVE, SubscriptionEvent.REQUEST) is SubscriptionStatus.ACTIVE


def test_ended_deliveries_stay_ended_but_for_the_operator_and_late_answers():
    ways_out = {
        (state, event, advance_delivery(state, event))
        for state, event in product(ENDED, DeliveryEvent)
        if advance_delivery(state, event) is not state
    }
    assert ways_out == {
        (DeliveryStatus.SKIPPED, DeliveryEvent.ACCEPT, DeliveryStatus.SENT),
        (DeliveryStatus.HELD, DeliveryEvent.ACCEPT, DeliveryStatus.SENT),
        (DeliveryStatus.HELD, DeliveryEvent.REFUSE, DeliveryStatus.FAILED),
        (DeliveryStatus.HELD, DeliveryEvent.PUT_OFF, DeliveryStatus.DEFERRED),
        (DeliveryStatus.HELD, DeliveryEvent.GIVE_BACK, DeliveryStatus.QUEUED),
        (DeliveryStatus.HELD, DeliveryEvent.RESEND, DeliveryStatus.QUEUED),
        (DeliveryStatus.FAILED, DeliveryEvent.RESEND, DeliveryStatus.QUEUED),
    }


def test_what_was_begun_is_never_queued_again_unless_it_is_given_back_unsent():
    ways = {event for event in DeliveryEvent if advance_delivery(DeliveryStatus.SENDING, event) is DeliveryStatus.QUEUED}
    assert ways <= {DeliveryEvent.GIVE_BACK}


def test_a_cancelled_issue_stays_cancelled():
    assert all(advance_issue(IssueStatus.CANCELLED, event) is IssueStatus.CANCELLED for event in IssueEvent)


def test_before_is_the_inverse_of_advance():
    for event, after in product(DeliveryEvent, DeliveryStatus):
        moved = {old for old in DeliveryStatus if advance_delivery(old, event) is after and old is not after}
        assert set(before(event, after)) == moved
