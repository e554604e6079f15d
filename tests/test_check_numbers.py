from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.summarisers.checks.amounts import unknown_numbers, wrong_magnitudes
from newsletter.summarisers.checks.numbers import plain, quantities


def values(text):
    return [quantity.value for quantity in quantities(plain(text)) if not quantity.named]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,234 papers", 1234),
        ("1.2k steps", 1200),
        ("7B weights", 7 * 10**9),
        ("7 billion weights", 7 * 10**9),
        ("a 7-billion model", 7 * 10**9),
        ("70억 매개변수", 7 * 10**9),
        ("7 억 개", 7 * 10**8),
        ("1조 2천억 토큰", 12 * 10**11),
        ("3만 5천 개", 35_000),
        ("3만 5000개", 35_000),
        ("12억 3,400만 개", 1_234_000_000),
        ("1.5백만 개", 1_500_000),
        ("3백만 장", 3_000_000),
        ("백만 장", 1_000_000),
        ("5천 개", 5000),
        ("405M 파라미터", 405_000_000),
        ("15T tokens", 15 * 10**12),
        ("3 밀리언", 3_000_000),
        ("10^5 samples", 100_000),
        (r"$2\times10^{6}$ samples", 2_000_000),
        ("2e5 samples", 200_000),
        ("1.45times faster", Fraction("1.45")),
        ("3.7배 빠릅니다", Fraction("3.7")),
        ("sim20% better", 20),
        (r"$\sim$20\% better", 20),
        ("5.8퍼센트", Fraction("5.8")),
    ],
)
def test_a_number_is_read_with_its_words_and_units(text, value):
    assert values(text) == [value]


@pytest.mark.parametrize(
    "text",
    [
        "GPT-4",
        "CIFAR-10",
        "H100",
        "3D 장면",
        "v1.5.2",
        "F1 점수",
        "top-5",
        "Llama 3 모델",
        "2024-05-01",
        "(1) 첫째",
        "512x512",
        "제1 저자",
        "IWSLT2017",
    ],
)
def test_a_number_in_a_name_is_no_quantity(text):
    assert values(text) == []


def test_words_after_a_number_are_not_its_size():
    assert values("3 조건, 5 만족, 2 경로") == [3, 5, 2]


def test_the_end_of_a_range_gives_its_size_to_the_beginning():
    two, seven = quantities(plain("2 to 7 billion"))
    assert 2 * 10**9 in two.values
    assert seven.values == (7 * 10**9,)


def korean(number):
    parts, units = [], ((10**12, "조"), (10**8, "억"), (10**4, "만"))
    for size, name in units:
        if number >= size:
            parts.append(f"{number // size}{name}")
            number %= size
    return " ".join([*parts, str(number)] if number else parts)


@given(st.integers(1, 9999), st.sampled_from([1, 10**4, 10**8, 10**12]), st.integers(0, 9999))
def test_a_number_written_in_korean_is_read_back(head, size, tail):
    number = head * size + (tail * size // 10**4 if size > 1 else 0)
    assert values(f"모두 {korean(number)}개") == [number]


@given(
    st.integers(1, 999),
    st.sampled_from([("K", 3), ("M", 6), ("B", 9), (" thousand", 3), (" million", 6), (" billion", 9), (" trillion", 12)]),
)
def test_a_number_written_in_english_is_read_back(number, scale):
    assert values(f"all {number}{scale[0]} of them") == [number * 10 ** scale[1]]


@given(st.integers(10_000, 10**13))
def test_groups_of_three_make_no_difference(number):
    assert values(f"all {number:,} of them") == values(f"all {number} of them") == [number]


@given(st.text(max_size=200))
def test_any_text_can_be_read(text):
    assert all(quantity.values for quantity in quantities(plain(text)))


SOURCE = (
    "A model of 7 billion parameters learns from 1.4T tokens and 450K dialogues. It gains 5.8% and runs 2.5x faster on 18 tasks."
)


@pytest.mark.parametrize(
    "slip",
    [
        "7억 매개변수",
        "70만 매개변수",
        "700억 파라미터",
        "7M parameters",
        "14조 토큰",
        "1,400억 토큰",
        "450만 개 대화",
        "4만 5천 개",
        "58%",
        "0.58%",
        "25배",
        "180개 과제",
        "1.8개",
    ],
)
def test_the_same_digits_at_another_size_are_a_wrong_magnitude(slip):
    reason = wrong_magnitudes(SOURCE, f"이 모델은 {slip} 규모입니다.")
    assert reason
    assert reason.rule == "magnitude"
    assert reason.words[0] in slip


@pytest.mark.parametrize(
    "right",
    [
        "7B",
        "70억 매개변수",
        "1조 4천억 토큰",
        "1.4조 토큰",
        "45만 개 대화",
        "450K개 대화",
        "5.8%p",
        "2.5배",
        "18개 과제",
        "약 6%",
        "GPT-58",
        "2024년",
    ],
)
def test_what_the_source_says_in_other_words_is_right(right):
    assert wrong_magnitudes(SOURCE, f"이 모델은 {right} 규모입니다.") is None


def test_a_number_of_another_kind_of_thing_is_no_slip():
    assert wrong_magnitudes("It has 7 billion parameters.", "700만 토큰을 씁니다.") is None


@pytest.mark.parametrize(
    ("source", "summary"),
    [
        ("We train on 8 GPUs and stack 80 layers.", "GPU 80개로 학습합니다."),
        ("We train on 8 GPUs.", "8,000개의 GPU를 씁니다."),
        ("We ask five experts.", "전문가 50명에게 묻습니다."),
        ("It completes 30% of them.", "0.3%만 해냅니다."),
        ("It completes 30% of them.", "3,000%를 해냅니다."),
        ("Memory falls to 80GB.", "메모리가 800GB로 줄어듭니다."),
        ("We test 19 models.", "모델 1,900개를 시험합니다."),
        ("Models of 1B, 8B and 46B parameters.", "모델은 100 billion, 8 billion 파라미터입니다."),
        ("The rate is 0.65 kbps.", "65 kbps입니다."),
    ],
)
def test_what_is_counted_tells_a_slip_from_another_number(source, summary):
    assert wrong_magnitudes(source, summary)


@pytest.mark.parametrize(
    ("source", "summary"),
    [
        ("We train on 8 GPUs and stack 80 layers.", "80개 레이어를 쌓습니다."),
        ("It has three stages.", "예제 3,000개를 씁니다."),
        ("We release 20 tasks.", "모델 2개를 공개합니다."),
        ("The score is 0.58.", "점수는 58점입니다."),
        ("In 2024 we tested 20 tasks.", "2024년에 시험했습니다."),
    ],
)
def test_the_same_digits_of_other_things_are_no_slip(source, summary):
    assert wrong_magnitudes(source, summary) is None


def test_a_number_that_is_nowhere_in_the_source_is_named():
    reason = unknown_numbers(SOURCE, "정확도 93.7%를 얻었고, 세 단계와 2 단계로 되어 있습니다.")
    assert reason
    assert reason.words == ("93.7%",)
    assert unknown_numbers(SOURCE, "18개 과제에서 2.5배 빠릅니다.") is None


def test_a_share_may_be_said_in_percent():
    assert unknown_numbers("The score is 0.58.", "점수는 58%입니다.") is None


def test_a_word_of_the_source_is_a_number_too():
    assert unknown_numbers("It is twice as fast on twenty tasks.", "20개 과제에서 2배 빠릅니다.") is None
