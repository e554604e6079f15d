from datetime import timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from newsletter.deliveries.verdicts import (
    LIMITS,
    Blame,
    Brake,
    Scope,
    Tally,
    Window,
    breaks,
    breaks_for_domain,
    judge,
    pauses_domain,
    pauses_relay,
    stops_issue,
)
from newsletter.errors import Reply
from newsletter.lifecycle import DeliveryEvent

ACCEPT, REFUSE, PUT_OFF, LOSE = DeliveryEvent.ACCEPT, DeliveryEvent.REFUSE, DeliveryEvent.PUT_OFF, DeliveryEvent.LOSE
NOTHING = (Scope.NONE, Brake.NONE)
SLOW_RELAY, PAUSE_RELAY = (Scope.RELAY, Brake.SLOW), (Scope.RELAY, Brake.PAUSE)
SLOW_DOMAIN, COUNT_DOMAIN, COUNT_ISSUE = (Scope.DOMAIN, Brake.SLOW), (Scope.DOMAIN, Brake.COUNT), (Scope.ISSUE, Brake.COUNT)

CASES = [
    # the door: nobody's address is to blame
    ("a relay that cannot be reached is left alone for a while", "connect 0", PUT_OFF, Blame.RELAY, PAUSE_RELAY),
    ("a certificate that is not trusted stops everything", "tls 0", PUT_OFF, Blame.RELAY, PAUSE_RELAY),
    ("a log-in that gets no answer stops everything", "auth 0", PUT_OFF, Blame.RELAY, PAUSE_RELAY),
    ("a relay that says 421 instead of a greeting is busy", "greeting 421 4.3.2", PUT_OFF, Blame.RELAY, SLOW_RELAY),
    ("a relay that hangs up instead of a greeting is busy", "greeting 0", PUT_OFF, Blame.RELAY, SLOW_RELAY),
    ("a refusal at the greeting stops everything", "greeting 554 5.7.1", PUT_OFF, Blame.RELAY, PAUSE_RELAY),
    ("a refusal of our name stops everything", "helo 550", PUT_OFF, Blame.RELAY, PAUSE_RELAY),
    ("a relay without STARTTLS is not talked to in clear", "tls 502 5.5.1", PUT_OFF, Blame.RELAY, PAUSE_RELAY),
    ("a wrong password stops everything", "auth 535 5.7.8", PUT_OFF, Blame.RELAY, PAUSE_RELAY),
    ("a log-in put off stops everything", "auth 454 4.7.0", PUT_OFF, Blame.RELAY, PAUSE_RELAY),
    ("a 421 to MAIL slows the relay", "mail 421 4.7.0", PUT_OFF, Blame.RELAY, SLOW_RELAY),
    ("a connection lost at MAIL slows the relay", "mail 0", PUT_OFF, Blame.RELAY, SLOW_RELAY),
    ("a refusal of MAIL for policy stops everything", "mail 550 5.7.515", PUT_OFF, Blame.RELAY, PAUSE_RELAY),
    ("a MAIL put off stops everything for a while", "mail 451 4.3.0", PUT_OFF, Blame.RELAY, PAUSE_RELAY),
    ("an answer to MAIL that makes no sense stops everything", "mail 354", PUT_OFF, Blame.RELAY, PAUSE_RELAY),
    ("a RSET that gets no answer slows the relay", "rset 0", PUT_OFF, Blame.RELAY, SLOW_RELAY),
    ("552 to MAIL is about the size", "mail 552 5.3.4", REFUSE, Blame.MESSAGE, COUNT_ISSUE),
    ("552 to MAIL without more is about the size", "mail 552", REFUSE, Blame.MESSAGE, COUNT_ISSUE),
    ("a size we know to be too big is not even offered", "mail 0 5.3.4", REFUSE, Blame.MESSAGE, COUNT_ISSUE),
    ("8-bit content the server cannot take is the message's fault", "mail 0 5.6.3", REFUSE, Blame.MESSAGE, COUNT_ISSUE),
    ("an address that cannot be written fails alone, unsuppressed", "mail 0 5.6.7", REFUSE, Blame.NOBODY, NOTHING),
    ("the same when the server says so at MAIL", "mail 550 5.6.7", REFUSE, Blame.NOBODY, NOTHING),
    ("an address no command can carry is soft", "mail 0 5.1.3", REFUSE, Blame.MAILBOX, NOTHING),
    ("a sender no command can carry is our fault", "mail 0 5.1.7", REFUSE, Blame.US, COUNT_DOMAIN),
    # RCPT: the address, its mailbox, its domain's policy, or us
    ("a mailbox that is not there is a hard bounce", "rcpt 550 5.1.1", REFUSE, Blame.ADDRESS, NOTHING),
    ("a null MX is a hard bounce", "rcpt 556 5.1.10", REFUSE, Blame.ADDRESS, NOTHING),
    ("a disabled mailbox is a hard bounce", "rcpt 550 5.2.1", REFUSE, Blame.ADDRESS, NOTHING),
    ("a bare 550 is a hard bounce", "rcpt 550", REFUSE, Blame.ADDRESS, NOTHING),
    ("a 550 that says nothing in particular is not", "rcpt 550 5.0.0", REFUSE, Blame.MAILBOX, NOTHING),
    ("nor one whose codes contradict each other", "rcpt 550 4.1.1", REFUSE, Blame.MAILBOX, NOTHING),
    ("a domain that is not there is soft", "rcpt 550 5.1.2", REFUSE, Blame.MAILBOX, NOTHING),
    ("a full mailbox refused for good is soft", "rcpt 552 5.2.2", REFUSE, Blame.MAILBOX, NOTHING),
    ("a bare 552 to RCPT is a full mailbox", "rcpt 552", REFUSE, Blame.MAILBOX, NOTHING),
    ("a bare 551 is soft", "rcpt 551", REFUSE, Blame.MAILBOX, NOTHING),
    ("a bare 553 is soft", "rcpt 553", REFUSE, Blame.MAILBOX, NOTHING),
    ("a routing failure is soft", "rcpt 550 5.4.1", REFUSE, Blame.MAILBOX, NOTHING),
    ("a bad sender address is about us", "rcpt 553 5.1.7", REFUSE, Blame.US, COUNT_DOMAIN),
    ("a sender's domain that is not there is about us", "rcpt 550 5.1.8", REFUSE, Blame.US, COUNT_DOMAIN),
    ("a policy refusal is never the address", "rcpt 550 5.7.1", REFUSE, Blame.DOMAIN, COUNT_DOMAIN),
    ("missing authentication is the domain's policy", "rcpt 550 5.7.26", REFUSE, Blame.DOMAIN, COUNT_DOMAIN),
    ("a bare 554 to RCPT is policy", "rcpt 554", REFUSE, Blame.DOMAIN, COUNT_DOMAIN),
    ("a syntax error is about us", "rcpt 501 5.5.4", REFUSE, Blame.US, COUNT_DOMAIN),
    ("a bare syntax error is about us", "rcpt 500", REFUSE, Blame.US, COUNT_DOMAIN),
    ("a server that is out of order fails that delivery", "rcpt 550 5.3.0", REFUSE, Blame.RELAY, NOTHING),
    ("a message too big for this mailbox counts for the issue", "rcpt 552 5.3.4", REFUSE, Blame.MESSAGE, COUNT_ISSUE),
    ("an address that is not ASCII fails alone", "rcpt 553 5.6.7", REFUSE, Blame.NOBODY, NOTHING),
    ("greylisting is no reason to slow down", "rcpt 450 4.7.1 Greylisted, come back", PUT_OFF, Blame.NOBODY, NOTHING),
    ("a server that says later is asked later", "rcpt 451 4.3.0", PUT_OFF, Blame.NOBODY, NOTHING),
    ("a bare 450 is asked later", "rcpt 450", PUT_OFF, Blame.NOBODY, NOTHING),
    ("a full mailbox is asked later", "rcpt 452 4.2.2", PUT_OFF, Blame.MAILBOX, NOTHING),
    ("a bare 452 is a full mailbox", "rcpt 452", PUT_OFF, Blame.MAILBOX, NOTHING),
    ("a full disk over there is nobody's fault", "rcpt 452 4.3.1", PUT_OFF, Blame.NOBODY, NOTHING),
    ("a mailbox that is busy is asked later", "rcpt 450 4.2.1", PUT_OFF, Blame.MAILBOX, NOTHING),
    ("a temporary policy slows the domain", "rcpt 451 4.7.1", PUT_OFF, Blame.DOMAIN, SLOW_DOMAIN),
    ("a 421 to RCPT slows the domain", "rcpt 421 4.3.2", PUT_OFF, Blame.DOMAIN, SLOW_DOMAIN),
    ("a connection lost at RCPT puts off this one", "rcpt 0", PUT_OFF, Blame.NOBODY, NOTHING),
    ("an answer to RCPT that makes no sense slows the relay", "rcpt 354", PUT_OFF, Blame.RELAY, SLOW_RELAY),
    # DATA and while the content leaves: the dot is not out, so nothing is in doubt
    ("DATA put off is tried later", "data 451 4.3.0", PUT_OFF, Blame.NOBODY, NOTHING),
    ("a connection lost at DATA is tried later", "data 0", PUT_OFF, Blame.NOBODY, NOTHING),
    ("a refusal while the content leaves is for good", "data 550", REFUSE, Blame.MESSAGE, COUNT_ISSUE),
    ("content that cannot be written is the message's fault", "data 0 5.6.0", REFUSE, Blame.MESSAGE, COUNT_ISSUE),
    ("an answer to DATA that makes no sense slows the relay", "data 250", PUT_OFF, Blame.RELAY, SLOW_RELAY),
    ("a 421 to DATA slows the domain", "data 421", PUT_OFF, Blame.DOMAIN, SLOW_DOMAIN),
    # after the dot
    ("a 250 to the dot is the end of it", "dot 250 2.0.0", ACCEPT, Blame.NOBODY, NOTHING),
    ("any 2xx to the dot takes the message", "dot 252", ACCEPT, Blame.NOBODY, NOTHING),
    ("too big is the issue's fault", "dot 552 5.3.4", REFUSE, Blame.MESSAGE, COUNT_ISSUE),
    ("a bare 552 after the dot is the size", "dot 552", REFUSE, Blame.MESSAGE, COUNT_ISSUE),
    ("spam is the issue's fault", "dot 554 5.7.1", REFUSE, Blame.MESSAGE, COUNT_ISSUE),
    ("a bare 554 is the issue's fault", "dot 554", REFUSE, Blame.MESSAGE, COUNT_ISSUE),
    ("a bare 550 after the dot suppresses nobody", "dot 550", REFUSE, Blame.MESSAGE, COUNT_ISSUE),
    ("content that cannot be converted is the issue's fault", "dot 554 5.6.1", REFUSE, Blame.MESSAGE, COUNT_ISSUE),
    ("missing authentication seen late is still policy", "dot 550 5.7.26", REFUSE, Blame.DOMAIN, COUNT_DOMAIN),
    ("Outlook's word for it too", "dot 550 5.7.515", REFUSE, Blame.DOMAIN, COUNT_DOMAIN),
    ("a full mailbox noticed late is soft", "dot 552 5.2.2", REFUSE, Blame.MAILBOX, NOTHING),
    ("a disabled mailbox noticed late is soft", "dot 550 5.2.1", REFUSE, Blame.MAILBOX, NOTHING),
    ("an address that is not there, noticed late, is hard", "dot 550 5.1.1", REFUSE, Blame.ADDRESS, NOTHING),
    ("a bad sender noticed late is about us", "dot 550 5.1.8", REFUSE, Blame.US, COUNT_DOMAIN),
    ("a mail loop is nobody's content", "dot 554 5.4.6", REFUSE, Blame.RELAY, NOTHING),
    ("a protocol error is about us", "dot 503 5.5.1", REFUSE, Blame.US, COUNT_DOMAIN),
    ("a 421 that was read after the dot puts off", "dot 421", PUT_OFF, Blame.DOMAIN, SLOW_DOMAIN),
    ("an unusual rate slows the whole domain", "dot 421 4.7.28", PUT_OFF, Blame.DOMAIN, SLOW_DOMAIN),
    ("a 4xx after the dot puts off", "dot 451 4.3.0", PUT_OFF, Blame.NOBODY, NOTHING),
    ("a mailbox that is full for now, noticed late", "dot 452 4.2.2", PUT_OFF, Blame.MAILBOX, NOTHING),
    ("silence after the dot leaves it unknown", "dot 0", LOSE, Blame.NOBODY, NOTHING),
    ("nonsense after the dot leaves it unknown", "dot 354", LOSE, Blame.NOBODY, NOTHING),
    ("a code that does not exist leaves it unknown", "dot 650", LOSE, Blame.NOBODY, NOTHING),
    ("silence is no finding of ours once the dot is out", "dot 0 5.6.0", LOSE, Blame.NOBODY, NOTHING),
    ("an answer to nobody knows what leaves it unknown", " 250", LOSE, Blame.NOBODY, NOTHING),
]


def said(words):
    """Read a reply from words such as `rcpt 450 4.7.1 Greylisted`."""
    phase, code, enhanced, text = [*words.split(" ", 3), "", ""][:4]
    return Reply(int(code), enhanced, text, "relay.test:25", phase)


def minutes(words, attempts):
    return judge(said(words), attempts=attempts).again_in / timedelta(minutes=1)


@pytest.mark.parametrize(
    ("words", "event", "blame", "consequence"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_what_an_answer_means(words, event, blame, consequence):
    verdict = judge(said(words))

    assert (verdict.event, verdict.blame, (verdict.scope, verdict.brake)) == (event, blame, consequence)


replies = st.builds(
    Reply,
    code=st.one_of(st.sampled_from([0, 250, 354, 421, 450, 452, 550, 552, 554]), st.integers(-999, 9999)),
    enhanced=st.one_of(st.just(""), st.from_regex(r"[245]\.\d{1,3}\.\d{1,3}", fullmatch=True), st.text(max_size=12)),
    text=st.text(max_size=40),
    server=st.just("relay.test:25"),
    phase=st.one_of(
        st.sampled_from(["connect", "greeting", "helo", "tls", "auth", "mail", "rset", "rcpt", "data", "dot", "quit"]), st.text()
    ),
)


@given(replies, st.integers(-5, 10_000))
@example(Reply(550, "5", "", "", "rcpt"), 0)
@example(Reply(550, "5.", "", "", "dot"), 0)
def test_every_answer_has_a_verdict_that_makes_sense(reply, attempts):
    verdict = judge(reply, attempts=attempts)

    assert verdict.event in {ACCEPT, REFUSE, PUT_OFF, LOSE}
    assert (verdict.event is PUT_OFF) == (verdict.again_in > timedelta())
    assert (verdict.scope is Scope.NONE) == (verdict.brake is Brake.NONE)
    assert verdict.event is ACCEPT or verdict.reason
    if verdict.event is ACCEPT:
        assert reply.phase == "dot"
        assert 200 <= reply.code < 300
    if verdict.event is LOSE:  # nothing is unknown whose dot has not left
        assert reply.phase not in {"connect", "greeting", "helo", "tls", "auth", "mail", "rset", "rcpt", "data"}


@given(replies)
def test_nobody_is_suppressed_for_policy_or_before_they_were_named(reply):
    verdict = judge(reply)

    if verdict.blame is Blame.ADDRESS:
        assert reply.enhanced in {"5.1.1", "5.1.10", "5.2.1", ""}
        assert reply.phase in {"rcpt", "data", "dot"} or not reply.code
    if reply.enhanced.startswith("5.7."):
        assert verdict.blame not in {Blame.ADDRESS, Blame.MAILBOX}


@pytest.mark.parametrize(
    "words",
    [words for _, words, event, *_ in CASES if event is PUT_OFF],
)
def test_waiting_grows_and_has_an_end(words):
    waits = [minutes(words, attempts) for attempts in range(20)]

    assert waits == sorted(waits)
    assert waits[0] < waits[3]
    assert waits[-1] <= 480


def test_greylisting_is_waited_out_and_no_longer_than_needed():
    assert 5 < minutes("rcpt 450 4.7.1 Greylisted for 300 seconds", 0) < 10
    assert 5 < minutes("rcpt 451", 0) < 10  # few say so


def test_a_full_mailbox_is_given_longer_than_a_busy_server():
    assert all(minutes("rcpt 452 4.2.2", attempts) > minutes("rcpt 451 4.3.0", attempts) for attempts in range(6))


def test_after_the_dot_half_an_hour_is_the_least_as_rfc_5321_asks():
    assert minutes("dot 451 4.3.0", 0) >= 30


def test_a_relay_that_is_away_is_tried_soon_and_one_that_refuses_us_is_not():
    assert minutes("connect 0", 0) <= 1
    assert minutes("auth 535 5.7.8", 0) >= 15


def window(wrong, right, last=200):
    found = Window(last)
    for number in range(wrong + right):
        found.add(wrong=number < wrong)
    return found


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 30))
def test_a_window_knows_its_last_outcomes(outcomes, last):
    found = Window(last)
    for wrong in outcomes:
        found.add(wrong=wrong)

    assert (found.seen, found.wrong) == (min(len(outcomes), last), sum(outcomes[-last:]))
    assert Window(last, found.bits, found.seen) == found  # two numbers are all there is to keep


def test_a_tally_has_a_window_for_each_key():
    tally = Tally(10)
    for key in ("a.test", "b.test", "a.test"):
        found = tally.add(key, wrong=key == "a.test")

    assert found is tally.windows["a.test"]
    assert {key: (each.wrong, each.seen) for key, each in tally.windows.items()} == {"a.test": (2, 2), "b.test": (0, 1)}


@pytest.mark.parametrize(
    ("wrong", "right", "broken"),
    [(10, 190, False), (11, 189, True), (11, 0, True), (3, 0, False), (10, 500, False), (20, 500, False)],
)
def test_the_breaker_trips_at_more_than_a_twentieth_of_the_last_two_hundred(wrong, right, broken):
    assert breaks(window(wrong, right)) is broken


@pytest.mark.parametrize(
    ("wrong", "right", "broken"),
    [(19, 0, False), (20, 0, True), (4, 16, False), (5, 15, True), (40, 160, False), (41, 159, True)],
)
def test_the_breaker_of_a_domain_trips_at_more_than_a_fifth_of_twenty_or_more(wrong, right, broken):
    assert breaks_for_domain(window(wrong, right)) is broken


def test_a_domain_pauses_after_several_refusals_of_late():
    last = LIMITS.domain_outcomes

    assert not pauses_domain(window(LIMITS.domain_refusals - 1, 0, last))
    assert pauses_domain(window(LIMITS.domain_refusals, 0, last))
    assert not pauses_domain(window(LIMITS.domain_refusals, last, last))


def test_everything_pauses_only_when_several_domains_agree():
    assert [pauses_relay(domains) for domains in range(5)] == [False, False, False, True, True]


@pytest.mark.parametrize(
    ("refusals", "stopped"),
    [
        ({}, False),
        ({"a.test": 500}, False),
        ({"a.test": 500, "b.test": 500, "c.test": 0}, False),
        ({"a.test": 3, "b.test": 3, "c.test": 3}, False),
        ({"a.test": 8, "b.test": 1, "c.test": 1}, True),
    ],
)
def test_an_issue_stops_when_several_domains_refuse_it(refusals, stopped):
    assert stops_issue(refusals) is stopped
