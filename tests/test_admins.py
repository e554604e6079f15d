import hashlib
import time
from dataclasses import replace
from datetime import timedelta
from statistics import median

import pytest
from factories import NOW
from pwdlib.hashers.argon2 import Argon2Hasher

from newsletter import admins, alarms
from newsletter.admins import Rules, SignedIn, guesses
from newsletter.admins.guesses import FREE, LONGEST, MANY, WITHIN, Try
from newsletter.errors import BadInput, Conflict, NotFound
from newsletter.models import Admin, AdminSession, FailedLogIn

PASSWORD = "seven herons over the river"
RULES = Rules()
SECRET = b"a secret of the tests"
HOUR = timedelta(hours=1)


@pytest.fixture
def mina(sessions):
    """Return the name of an administrator."""
    with sessions.begin() as session:
        return admins.create(session, " Mina", PASSWORD, now=NOW)


def _enter(sessions, name="mina", password=PASSWORD, now=NOW):
    return admins.log_in(sessions, name, password, RULES, now=now)


def _who(sessions, token, now=NOW, rules=RULES):
    return admins.signed_in(sessions, token, rules, now=now)


# Passwords and names


def test_a_password_is_known_again_however_the_keyboard_wrote_it(sessions):
    with sessions.begin() as session:
        admins.create(session, "mina", "강가의 왜가리 일곱 마리", now=NOW)  # as Windows writes it
    assert _enter(sessions, password="강가의 왜가리 일곱 마리")


@pytest.mark.parametrize(
    "password", ["", "eleven char", "mina-mina-mina", "aaaaaaaaaaaaaaaa", "123456789012", "qwertyuiop12", "x" * 1001]
)
def test_what_is_tried_first_is_no_password(sessions, mina, password):
    with sessions.begin() as session, pytest.raises(BadInput) as refused:
        admins.set_password(session, mina, password)

    assert password not in str(refused.value) or not password


@pytest.mark.parametrize("password", ["correct horse battery", "x7#Kd9!mQz2w", "가나다라마바사아자차카타", "password of a heron"])
def test_no_rule_asks_for_signs_or_capitals(sessions, mina, password):
    with sessions.begin() as session:
        admins.set_password(session, mina, password)


def test_a_name_is_one_person_in_whatever_case(sessions, mina):
    assert mina == "mina"
    assert _enter(sessions, name="MINA ")
    with sessions.begin() as session, pytest.raises(Conflict):
        admins.create(session, "mInA", PASSWORD, now=NOW)


def test_a_hash_by_weaker_rules_is_replaced_as_it_is_used(sessions, make, mina):
    weak = Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    with sessions.begin() as session:
        session.get_one(Admin, 1).password_hash = weak

    assert _enter(sessions)

    (row,) = make.all(Admin)
    assert row.password_hash.startswith("$argon2id$v=19$m=65536,")
    assert (row.logged_in_at, bool(_enter(sessions))) == (NOW, True)


# Log-ins


def test_the_table_holds_no_token_and_each_log_in_another(sessions, make, mina):
    one, other = _enter(sessions), _enter(sessions)

    assert one != other
    assert [row.token_hash for row in make.all(AdminSession)] == [
        hashlib.sha256(each.encode()).hexdigest() for each in (one, other)
    ]
    assert _who(sessions, one) == _who(sessions, other) == SignedIn(1, "mina")


@pytest.mark.parametrize("token", ["", "x", "강", "0" * 64, "' OR 1=1 --"])
def test_what_is_no_token_is_nobodys(sessions, mina, token):
    _enter(sessions)

    assert _who(sessions, token) is None


def test_the_hash_of_a_token_is_no_token(sessions, mina):
    assert _who(sessions, hashlib.sha256(_enter(sessions).encode()).hexdigest()) is None


def test_a_log_in_ends_unused_and_old(sessions, mina):
    token = _enter(sessions)

    assert _who(sessions, token, NOW + 23 * HOUR)
    assert _who(sessions, token, NOW + 46 * HOUR), "its use was noted"
    assert _who(sessions, token, NOW + 70 * HOUR) is None
    often = _enter(sessions)
    for hours in range(0, 24 * 30, 12):
        assert _who(sessions, often, NOW + hours * HOUR)
    assert _who(sessions, often, NOW + 30 * 24 * HOUR) is None


def test_stricter_rules_hold_for_log_ins_of_before(sessions, mina):
    token = _enter(sessions)

    assert _who(sessions, token, NOW + 2 * HOUR, replace(RULES, lasts=HOUR)) is None
    assert _who(sessions, token, NOW + 2 * HOUR, replace(RULES, idle=HOUR)) is None


def test_use_is_noted_once_a_minute_at_most(sessions, make, mina):
    token = _enter(sessions)

    for seconds, noted in ((59, 0), (60, 60), (100, 60), (121, 121)):
        assert _who(sessions, token, NOW + timedelta(seconds=seconds))
        assert make.all(AdminSession)[0].seen_at == NOW + timedelta(seconds=noted)


def test_a_new_password_and_a_removal_end_every_log_in_at_once(sessions, mina):
    tokens = [_enter(sessions), _enter(sessions)]
    with sessions.begin() as session:
        admins.set_password(session, mina, "eight herons over the river")
    assert [_who(sessions, token) for token in tokens] == [None, None]
    assert _enter(sessions) is None
    token = _enter(sessions, password="eight herons over the river")

    with sessions.begin() as session:
        admins.remove(session, mina)

    assert _who(sessions, token) is None
    with sessions.begin() as session, pytest.raises(NotFound):
        admins.remove(session, mina)


def test_log_ins_end_one_by_one_or_all(sessions, mina):
    one, two, three = (_enter(sessions) for _ in range(3))
    with sessions.begin() as session:
        admins.log_out(session, one)
    assert [bool(_who(sessions, token)) for token in (one, two, three)] == [False, True, True]

    with sessions.begin() as session:
        assert admins.log_out_everywhere(session, 1) == 2

    assert _who(sessions, three) is None


def test_what_is_over_is_deleted(sessions, make, mina):
    _enter(sessions)
    _enter(sessions, now=NOW + 20 * HOUR)

    with sessions.begin() as session:
        assert admins.purge(session, RULES, now=NOW + 25 * HOUR) == 1

    assert len(make.all(AdminSession)) == 1


def test_an_unknown_name_takes_as_long_as_a_wrong_password(sessions, mina):
    def seconds(name):
        started = time.perf_counter()
        assert _enter(sessions, name=name, password="not the right one") is None
        return time.perf_counter() - started

    seconds("nobody")  # makes the hash that is nobody's
    known, unknown = zip(*((seconds("mina"), seconds("nobody")) for _ in range(7)), strict=True)

    assert 0.5 < median(unknown) / median(known) < 2


# Guesses


def _try(sessions, tried, now=NOW):
    return guesses.begin(sessions, tried, SECRET, now=now)


def test_each_try_too_many_waits_twice_as_long(sessions):
    tried, now = Try("mina", "192.0.2.7"), NOW
    assert [_try(sessions, tried) for _ in range(FREE["ip"])] == [timedelta()] * FREE["ip"]

    waits = []
    for _ in range(10):
        waits.append(_try(sessions, tried, now))
        now += waits[-1]
        assert _try(sessions, tried, now) == timedelta(), "the wait is over"

    assert [wait.total_seconds() for wait in waits[:5]] == [2, 4, 8, 16, 32]
    assert waits[-1] == LONGEST
    assert _try(sessions, tried, now + WITHIN) == timedelta()


def test_many_places_are_one_network_or_one_name(sessions):
    near = [_try(sessions, Try(f"name-{number}", f"192.0.2.{number}")) for number in range(FREE["network"] + 1)]
    far = [_try(sessions, Try("mina", f"198.51.{number}.1")) for number in range(FREE["name"] + 1)]

    for waits in (near, far):
        assert [bool(wait) for wait in waits] == [False] * (len(waits) - 1) + [True]


def test_whoever_guesses_keeps_no_known_browser_out(sessions):
    for number in range(FREE["name"]):
        _try(sessions, Try("mina", f"198.51.{number}.1"))
    known = Try("mina", "198.51.1.1", "a browser")

    assert _try(sessions, Try("mina", "203.0.113.9"))
    assert [bool(_try(sessions, known)) for _ in range(FREE["browser"] + 1)] == [False] * FREE["browser"] + [True]


def test_a_right_password_forgives_its_own_place_and_nobody_elses(sessions, make):
    mine, other = Try("mina", "192.0.2.7"), Try("mina", "198.51.100.7")
    for _ in range(4):
        _try(sessions, mine)
        _try(sessions, other)
    now = NOW + timedelta(seconds=1)
    _try(sessions, mine, now)

    with sessions.begin() as session:
        guesses.end(session, mine, SECRET, now=now)

    assert len(make.all(FailedLogIn)) == 4 * 3 + 4 * 2
    assert [bool(_try(sessions, mine, now)) for _ in range(2)] == [False, False]


def test_many_guesses_at_a_name_there_is_make_an_alarm_that_ends_with_them(sessions, make, mina):
    now = NOW
    for number in range(MANY):
        for name in ("mina", "nobody"):
            now += _try(sessions, Try(name, f"198.{number}.1.1"), now)
            _try(sessions, Try(name, f"198.{number}.1.1"), now)
    with sessions.read() as session:
        assert [row.cause for row in alarms.open_alarms(session)] == ["log-in:mina"]

    for later, still in ((now, 1), (now + WITHIN, 0)):
        with sessions.begin() as session:
            guesses.purge(session, SECRET, now=later)
        with sessions.read() as session:
            assert len(alarms.open_alarms(session)) == still
    assert make.all(FailedLogIn) == []


def test_the_table_of_tries_holds_no_name_and_no_address(sessions, make):
    _try(sessions, Try("my-password-in-the-wrong-field", "192.0.2.7"))

    kept = " ".join(row.subject for row in make.all(FailedLogIn))
    assert "192.0.2" not in kept
    assert "password" not in kept
