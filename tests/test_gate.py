from collections import Counter, deque
from contextlib import suppress
from datetime import timedelta

import pytest
from factories import NOW

from newsletter.deliveries.brakes import Brakes
from newsletter.deliveries.gate import LONGEST, STEP, Gate
from newsletter.deliveries.ledger import Claimed, Outcome
from newsletter.deliveries.pauses import RESUMED, Pauses, wait_for
from newsletter.deliveries.verdicts import judge
from newsletter.errors import Reply
from newsletter.lifecycle import DeliveryEvent
from newsletter.limits import REST, Allowance, Grant, Limits, RelayLimits
from newsletter.models import Alarm, DeliveryKind

RELAY = "mail.example.net:587"
NOTHING = Pauses()
LATER = NOW + timedelta(hours=1)
ROW = Claimed(1, DeliveryKind.DIGEST, 1, 7, 1, 1, "ari@example.org", "en", {}, 1)
LIMITED = RelayLimits(daily_quota=100, domains={"example.org": Allowance(rate=0.5)})


class Bank(Limits):
    """Limits that grant what a test says and note what comes back."""

    def __init__(self, granted=None, relay=LIMITED):
        super().__init__(lambda: "", {RELAY: relay})
        self.granted, self.asked, self.back, self.leased = granted, [], Counter(), []

    def grant(self, _, wanted, **more):
        """Grant what a test said."""
        self.asked.append((dict(wanted), more["most"], dict(more["in_hand"])))
        return self.granted

    def give_back(self, _, unused, **__):
        """Note it."""
        self.back.update(unused)

    def lease_connections(self, _, wanted, **__):
        """Note it."""
        self.leased.append(wanted)
        return wanted


@pytest.fixture
def gate():
    """Return `gate(limits)` before a window of four."""
    return lambda limits=None: Gate(RELAY, "one", 4, Brakes(), limits or Limits(lambda: "", {}), connections=2)


def rows(*domains, issue=7):
    """Return claimed deliveries, numbered from 1, to these domains."""
    return deque(ROW._replace(id=at, address=f"ari@{domain}", issue_id=issue) for at, domain in enumerate(domains, 1))


def ids(some):
    return [row.id for row in some]


def test_where_nothing_is_paused_or_limited_the_first_begin(gate):
    chosen = gate().choose(rows("a.example", "b.example", "c.example"), 2, None, NOTHING, now=NOW)

    assert (ids(chosen.taking), ids(chosen.kept), chosen.waits, chosen.nothing_left) == ([1, 2], [3], {}, False)


@pytest.mark.parametrize(("room", "left"), [(2, True), (0, False)])
def test_nothing_is_left_where_there_is_room_and_nothing_claimed(gate, room, left):
    assert gate().choose(deque(), room, None, NOTHING, now=NOW).nothing_left is left


def test_it_does_not_matter_whom_a_mail_is_for_where_nothing_is_paused_limited_or_slowed(gate):
    before = gate()
    before.begun(rows("z.example"), None, now=NOW)

    assert (before.free(2, None, NOTHING), before.free(9, None, NOTHING)) == (2, 3)

    before.brakes.troubled(RELAY, Reply(421, "", "busy", RELAY, "greeting"))
    assert before.free(9, None, NOTHING) == 1  # two of four, one of them in hand
    before.begun(rows("y.example", "x.example", "w.example"), None, now=NOW)
    assert before.free(9, None, NOTHING) == 0


@pytest.mark.parametrize(
    "paused",
    [Pauses(relays={RELAY: LATER}), Pauses(domains={f"{RELAY} shut.example": LATER}), Pauses(issues={8: RESUMED})],
)
def test_it_matters_whom_a_mail_is_for_where_something_is_paused(gate, paused):
    assert gate().free(2, None, paused) is None
    assert gate().free(2, None, Pauses(relays={"another:25": LATER})) == 2


def test_it_matters_whom_a_mail_is_for_where_something_is_limited_or_slowed(gate):
    before = gate()
    assert before.free(2, Grant({REST: 9}), NOTHING) is None

    before.note(ROW, judge(Reply(421, "4.7.0", "slow down", RELAY, "rcpt")), Reply(421, "4.7.0", "slow down", RELAY, "rcpt"))
    assert before.free(2, None, NOTHING) is None


def test_over_a_paused_relay_nothing_begins_and_nothing_is_put_off(gate):
    chosen = gate().choose(rows("a.example"), 2, None, Pauses(relays={RELAY: LATER}), now=NOW)

    assert (chosen.taking, ids(chosen.kept), chosen.waits, chosen.nothing_left) == ([], [1], {}, True)


def test_what_a_pause_concerns_is_put_off_and_the_rest_begins(gate):
    paused = Pauses(domains={f"{RELAY} shut.example": LATER}, issues={8: RESUMED})
    claimed = rows("shut.example", "a.example") + deque([ROW._replace(id=3, issue_id=8), ROW._replace(id=4)])

    chosen = gate().choose(claimed, 4, None, paused, now=NOW)

    assert ids(chosen.taking) == [2, 4]
    assert chosen.waits == {wait_for(LATER, now=NOW): [1], wait_for(RESUMED, now=NOW): [3]}


def test_all_that_is_put_off_is_no_reason_to_end(gate):
    chosen = gate().choose(rows("a.example"), 4, None, Pauses(issues={7: LATER}), now=NOW)

    assert (chosen.taking, chosen.nothing_left) == ([], False)


def test_a_slowed_domain_is_in_no_others_way(gate):
    before = gate()
    before.brakes.note(ROW, judge(Reply(421, "4.7.0", "slower", RELAY, "rcpt")), None, RELAY)
    before.begun(rows("example.org"), None, now=NOW)  # one of two is in hand

    chosen = before.choose(rows(*["example.org"] * 3, "a.example"), 3, None, NOTHING, now=NOW)

    assert (ids(chosen.taking), ids(chosen.kept), before.blocked) == ([1, 4], [2, 3], 2)


def test_of_those_that_wait_for_a_domain_only_a_window_stays_in_hand(gate):
    before = gate(Bank())
    claimed = rows(*["example.org"] * 30)

    chosen = before.choose(claimed, 4, Grant({"example.org": 1}), NOTHING, now=NOW)

    assert (ids(chosen.taking), ids(chosen.kept), before.blocked) == ([1], [2, 3, 4, 5], 4)
    due = sorted((wait.until - NOW, len(numbers)) for wait, numbers in chosen.waits.items())
    assert due == [(2 * STEP, 5), (3 * STEP, 5), (4 * STEP, 5), (5 * STEP, 5), (6 * STEP, 5)]  # one in two seconds
    again = before.choose(rows(*["example.org"] * 6), 4, Grant({}), NOTHING, now=NOW)
    assert [wait.until - NOW for wait in again.waits] == [7 * STEP]
    many = before.choose(rows(*["example.org"] * 2000), 4, Grant({}), NOTHING, now=NOW)
    assert max(wait.until for wait in many.waits) == NOW + LONGEST


def test_where_the_relays_own_limit_is_used_up_nothing_is_put_off(gate):
    before = gate(Bank())

    chosen = before.choose(rows(*["example.org"] * 9), 4, Grant({"example.org": 0}, used_up=True), NOTHING, now=NOW)

    assert (chosen.taking, len(chosen.kept), chosen.waits, before.blocked) == ([], 9, {}, 0)
    assert not chosen.nothing_left
    spent = before.choose(rows("a.example"), 4, Grant({REST: 0}, used_up=True, spent=True), NOTHING, now=NOW)
    assert spent.nothing_left  # today


def test_it_asks_for_what_is_claimed_and_may_begin_and_tells_what_is_in_hand(gate):
    bank = Bank(Grant({REST: 1}))
    before = gate(bank)
    before.brakes.pauses = Pauses(domains={f"{RELAY} shut.example": LATER})
    before.begun(rows("example.org"), None, now=NOW)

    assert before.ask(rows("a.example", "example.org", "b.example", "shut.example"), 3, now=NOW) == Grant({REST: 1})
    assert before.ask(deque(), 3, now=NOW) == Grant({})
    assert before.ask(rows("a.example"), 0, now=NOW) is None

    assert bank.asked == [({REST: 2, "example.org": 1}, 3, {"example.org": 1})]
    assert bank.leased == [2]  # renewed once for a while
    assert gate().ask(rows("a.example"), 3, now=NOW) is None


def test_what_was_granted_and_not_begun_is_given_back(gate):
    bank = Bank()
    before = gate(bank)
    before.begun(rows("example.org", "a.example"), Grant({"example.org": 2, REST: 3}), now=NOW)
    assert bank.back == {"example.org": 1, REST: 2}

    door, dot = Reply(550, "5.7.1", "no", RELAY, "mail"), Reply(250, "", "yes", RELAY, "dot")
    before.begun(rows("b.example", "c.example", "d.example"), Grant({REST: 3}), now=NOW)
    bank.back.clear()
    outcomes = [
        Outcome(1, DeliveryEvent.GIVE_BACK),
        Outcome(2, DeliveryEvent.PUT_OFF, reply=door),
        Outcome(3, DeliveryEvent.ACCEPT, reply=dot),
    ]
    before.ended(outcomes, now=NOW)
    before.ended(outcomes, now=NOW)  # an exchange that is repeated

    assert bank.back == {REST: 2}


def test_a_slowed_relay_has_less_in_hand(gate):
    before = gate()
    before.brakes.troubled(RELAY, Reply(421, "", "busy", RELAY, "greeting"))
    before.begun(rows("z.example"), None, now=NOW)

    assert ids(before.choose(rows("a.example", "b.example"), 3, None, NOTHING, now=NOW).taking) == [1]


def test_a_quota_that_is_used_up_is_an_alarm_until_something_may_be_sent_again(gate, sessions, make):
    bank = Bank()
    at = gate(bank)

    def ask(grant):
        bank.granted = grant
        at.ask(rows("a.example"), 4, now=NOW)
        with sessions.begin() as session:
            at.look(session, now=NOW)
        at.written()
        return [(row.cause, row.times, row.closed_at) for row in make.all(Alarm)]

    used_up = Grant({REST: 0}, used_up=True, spent=True)
    assert ask(Grant({REST: 1})) == []
    assert ask(used_up) == ask(used_up) == [(f"quota:{RELAY}", 1, None)]
    assert ask(Grant({REST: 0}, used_up=True)) == [(f"quota:{RELAY}", 1, None)]  # it may be Redis that is away
    assert ask(Grant({REST: 1})) == [(f"quota:{RELAY}", 1, NOW)]


def test_a_used_up_quota_that_could_not_be_written_down_is_told_again(gate, sessions, make):
    at = gate(Bank(Grant({REST: 0}, used_up=True, spent=True)))
    at.ask(rows("a.example"), 4, now=NOW)
    with suppress(KeyError), sessions.begin() as session:
        at.look(session, now=NOW)
        raise KeyError

    with sessions.begin() as session:
        at.look(session, now=NOW)

    assert [row.subject for row in make.all(Alarm)] == [f"The day's quota of {RELAY} is used up"]
