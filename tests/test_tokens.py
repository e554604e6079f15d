from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.errors import BadToken
from newsletter.tokens import Keyring, Links, Purpose, suppression_key

KEYS = Keyring([b"newest", b"older"])
LINKS = Links("https://news.example.com", KEYS)
NOW = datetime(2024, 3, 14, 8, 0, tzinfo=UTC)
LARGE = 2**63 - 1

purposes = st.sampled_from(Purpose)
numbers = st.lists(st.integers(0, LARGE), min_size=1, max_size=3).map(tuple)


def _token(url):
    return url.rpartition("/")[2]


@given(purpose=purposes, given_numbers=numbers)
def test_a_token_gives_back_its_numbers(purpose, given_numbers):
    assert KEYS.unsign(KEYS.sign(purpose, *given_numbers), purpose) == given_numbers


@given(purpose=purposes, number=st.integers(0, LARGE), upper=st.lists(st.booleans(), min_size=1))
def test_a_local_part_survives_any_change_of_case(purpose, number, upper):
    token = KEYS.sign_local_part(purpose, number)
    mangled = "".join(letter.upper() if upper[at % len(upper)] else letter for at, letter in enumerate(token))

    assert token == token.lower()
    assert len(token) <= 60  # of the 64 that RFC 5321 allows, with "b+" before it
    assert KEYS.unsign_local_part(mangled, purpose) == number


@given(purpose=purposes, other=purposes, number=st.integers(0, LARGE))
def test_a_token_is_good_for_its_purpose_alone(purpose, other, number):
    if purpose is other:
        return
    with pytest.raises(BadToken):
        KEYS.unsign(KEYS.sign(purpose, number), other)
    with pytest.raises(BadToken):
        KEYS.unsign_local_part(KEYS.sign_local_part(purpose, number), other)


@given(number=st.integers(0, LARGE), at=st.integers(0, 100), put=st.characters())
def test_a_token_that_was_changed_is_none_or_the_same(number, at, put):
    token = KEYS.sign(Purpose.UNSUBSCRIBE, number)
    at %= len(token)
    try:
        found = KEYS.unsign(token[:at] + put + token[at + 1 :], Purpose.UNSUBSCRIBE)
    except BadToken:
        return
    assert found == (number,)  # the last character holds spare bits


@given(number=st.integers(0, LARGE), length=st.integers(0, 100))
def test_a_token_that_was_cut_short_is_none(number, length):
    token = KEYS.sign(Purpose.UNSUBSCRIBE, number)
    with pytest.raises(BadToken):
        KEYS.unsign(token[: length % len(token)], Purpose.UNSUBSCRIBE)


@given(st.text(max_size=300))
def test_no_text_is_a_token(text):
    with pytest.raises(BadToken):
        KEYS.unsign(text, Purpose.UNSUBSCRIBE)
    with pytest.raises(BadToken):
        KEYS.unsign_local_part(text, Purpose.RETURN_PATH)


def test_old_keys_verify_and_the_newest_signs():
    before, after = Keyring([b"old"]), Keyring([b"new", b"old"])

    assert after.unsign(before.sign(Purpose.UNSUBSCRIBE, 7), Purpose.UNSUBSCRIBE) == (7,)
    assert after.sign(Purpose.UNSUBSCRIBE, 7) == Keyring([b"new"]).sign(Purpose.UNSUBSCRIBE, 7)
    with pytest.raises(BadToken):
        Keyring([b"new"]).unsign(before.sign(Purpose.UNSUBSCRIBE, 7), Purpose.UNSUBSCRIBE)


def test_a_mail_repeated_after_a_rotation_keeps_its_message_id():
    before, after = Links("https://a.example", Keyring([b"old"])), Links("https://a.example", Keyring([b"new", b"old"]))

    assert before.message_id(7, "example.org") == after.message_id(7, "example.org")


@pytest.mark.parametrize("subscription_id", [1, 2**31, LARGE])
def test_unsubscribe_links_are_short_enough_for_a_header_line(subscription_id):
    url = LINKS.unsubscribe(subscription_id)

    assert len(url) < 75
    assert LINKS.read_unsubscribe(_token(url)) == subscription_id


def test_links_show_neither_ids_nor_the_order_of_readers():
    tokens = [_token(LINKS.unsubscribe(number)) for number in (1, 2)]

    assert tokens[0][:4] != tokens[1][:4]
    assert LINKS.unsubscribe(1) == LINKS.unsubscribe(1)  # the same mail made twice is the same


def test_a_confirm_link_is_good_until_it_expires():
    token = _token(LINKS.confirm(7, NOW + timedelta(hours=72)))

    assert LINKS.read_confirm(token, now=NOW + timedelta(hours=72)) == 7
    with pytest.raises(BadToken, match="expired"):
        LINKS.read_confirm(token, now=NOW + timedelta(hours=72, seconds=1))


def test_a_return_path_names_its_delivery():
    path = LINKS.return_path(LARGE, "bounces.example.org")
    local, _, domain = path.rpartition("@")

    assert len(local) <= 64
    assert domain == "bounces.example.org"
    assert KEYS.unsign_local_part(local.removeprefix("b+"), Purpose.RETURN_PATH) == LARGE


def test_the_suppression_hash_depends_on_its_secret_and_shows_no_address():
    key = suppression_key(b"secret", "ari@example.org")

    assert key == suppression_key(b"secret", "ari@example.org")
    assert key != suppression_key(b"other", "ari@example.org")
    assert "ari" not in key


def test_a_link_to_preferences_names_its_subscriber_for_as_long_as_the_mail_lives():
    url = LINKS.preferences(41)

    assert url.startswith("https://news.example.com/p/")
    assert LINKS.read_preferences(_token(url)) == 41


def test_a_link_to_ones_data_is_good_for_a_while():
    token = _token(LINKS.my_data(41, NOW + timedelta(hours=1)))

    assert LINKS.read_my_data(token, now=NOW) == 41
    with pytest.raises(BadToken):
        LINKS.read_my_data(token, now=NOW + timedelta(hours=2))


@pytest.mark.parametrize("new", [False, True])
def test_each_end_of_a_change_of_address_has_a_link_of_its_own(new):
    token = _token(LINKS.change_of_address(7, NOW + timedelta(hours=72), new=new))

    assert LINKS.read_change_of_address(token, now=NOW) == (7, new)


def test_an_address_to_leave_by_is_folded_without_harm_and_names_the_subscription():
    local, _, domain = LINKS.unsubscribe_mail(2**40, "mail.example.com").partition("@")

    assert domain == "mail.example.com"
    assert KEYS.unsign_local_part(local.removeprefix("u+").upper(), Purpose.UNSUBSCRIBE_MAIL) == 2**40
