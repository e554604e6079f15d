import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.inbox.commands import Command, Verb, command_of

SLUGS = ("daily-papers", "vision", "help")
ON, OFF, HELP = Verb.SUBSCRIBE, Verb.UNSUBSCRIBE, Verb.HELP
LETTER = "I have read your digest for a year now and like it.\nWhere do the votes come from?\n"


@pytest.mark.parametrize(
    ("line", "verb"),
    [
        ("subscribe", ON),
        ("Subscribe!", ON),
        ("Please subscribe me.", ON),
        ("Hi, I'd like to subscribe to this newsletter, thanks", ON),
        ("JOIN", ON),
        ("sign me up please", ON),
        ("unsubscribe", OFF),
        ("UNSUBSCRIBE.", OFF),
        ("Please unsubscribe me from this list. Thank you!", OFF),
        ("Please remove me from your mailing list", OFF),
        ("stop", OFF),
        ("STOP!!!", OFF),
        ("remove me", OFF),
        ("opt-out", OFF),
        ("Can you take me off this list?", OFF),
        ("Stop sending me emails", OFF),
        ("cancel my subscription", OFF),
        ("ｕｎｓｕｂｓｃｒｉｂｅ", OFF),
        ("help", HELP),
        ("Help, please?", HELP),
        ("How do I unsubscribe?", HELP),
        ("구독", ON),
        ("구독 신청", ON),
        ("구독신청합니다.", ON),
        ("안녕하세요, 구독하고 싶어요!", ON),
        ("뉴스레터 구독 부탁드립니다", ON),
        ("구독 해지", OFF),
        ("구독해지 부탁드립니다. 감사합니다.", OFF),
        ("구독을 취소해 주세요", OFF),
        ("이제 그만 구독할게요.", OFF),
        ("수신거부", OFF),
        ("메일 수신 거부 요청드립니다", OFF),
        ("해지", OFF),
        ("탈퇴하겠습니다", OFF),
        ("그만 보내주세요", OFF),
        ("도움말", HELP),
        ("도와주세요", HELP),
    ],
)
def test_a_command_is_read_in_the_subject_and_at_the_head_of_the_text(line, verb):
    language = "ko" if any("가" <= letter <= "힣" for letter in line) else "en"

    for subject, text in ((line, ""), (f"Re: {line}", "\n"), ("", line), ("Re: Daily Papers · Mar 14, 2024", f"\n\n{line}\n")):
        assert command_of(subject, text, SLUGS) == Command(verb, "", language), (subject, text)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "Re:",
        "I told a friend to subscribe",
        "Please don't unsubscribe me",
        "do not stop",
        "Do I have to unsubscribe before I change my address?",
        "unsubscribe my colleague bora@example.org",
        "Stop telling me what to read, said the model",
        "The subscription was confirmed yesterday",
        "구독하고 있는데 질문이 있습니다",
        "구독 해지하지 마세요",
        "해지 방법이 궁금합니다만 아직은 아니에요",
        "Fwd: unsubscribe",
        "Daily Papers · Mar 14, 2024",
        "help wanted: reviewers",
    ],
)
def test_a_word_within_a_sentence_is_no_command(line):
    assert command_of(line, "", SLUGS) is None
    assert command_of("", line, SLUGS) is None


@pytest.mark.parametrize(
    "line", ["unsubscribe daily-papers", "Please unsubscribe me from daily-papers.", "daily-papers 구독 해지"]
)
def test_a_newsletter_may_be_named(line):
    command = command_of(line, "", SLUGS)

    assert (command.verb, command.slug) == (OFF, "daily-papers")


def test_a_newsletter_called_as_a_command_is_leaves_the_command_alone():
    assert command_of("help", "", SLUGS) == Command(HELP)
    assert command_of("unsubscribe help", "", SLUGS) == Command(OFF, "help")


@pytest.mark.parametrize(
    "text",
    [
        "unsubscribe\n\n> On Thursday we sent:\n> subscribe\n",
        "Unsubscribe\n\nOn Thu, Mar 14, 2024 at 9:00 AM Daily Papers <news@example.org>\nwrote:\n\nA long digest. " + "x" * 900,
        "Hello Ari,\n\nunsubscribe\n\n-- \nBora Lee\n" + "Department of Everything\n" * 30,
        "unsubscribe\n\nSent from my telephone\n" + "x" * 900,
        "구독 해지\n\n2024년 3월 14일 (목) 오전 9:00, Daily Papers <news@example.org>님이 작성:\n" + "가" * 900,
        "수신거부\n\n내 iPhone에서 보냄\n" + "가" * 900,
        "remove me\n\n-----Original Message-----\nFrom: news@example.org\n" + "x" * 900,
    ],
)
def test_what_is_quoted_and_signed_is_passed_over(text):
    assert command_of("Re: Daily Papers", text, SLUGS).verb is OFF


def test_a_letter_that_begins_like_a_command_is_a_letter():
    assert command_of("A question", f"help\n{LETTER * 3}", SLUGS) is None
    assert command_of("Help", LETTER * 3, SLUGS) is None


def test_a_subject_that_asks_to_leave_is_enough_whatever_is_written_below():
    assert command_of("Unsubscribe", LETTER * 20, SLUGS) == Command(OFF)


def test_what_is_quoted_is_not_said():
    assert command_of("", "> unsubscribe", SLUGS) is None


@given(st.text(), st.text())
def test_any_text_has_an_answer(subject, text):
    command = command_of(subject, text, SLUGS)

    assert command is None or command.verb in Verb


@pytest.mark.parametrize(
    "word", ["please ", "i want to ", "just ", "구독", "on 1 ", "re: ", "[a] ", "그만", "해주세요", "how to ", "- "]
)
def test_a_long_line_takes_no_time(word):
    began = time.process_time()

    command_of(word * 2000, word * 20_000, SLUGS)
    command_of("x", f"{word}\n" * 3000, SLUGS)

    assert time.process_time() - began < 1
