"""The sample day is what a first visitor reads: its facts are whole, and both languages tell the same."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import newsletter

DAY = "2024-03-14"
LANGUAGES = ("ko", "en")
SAMPLE = Path(newsletter.__file__).parent / "sample"
PAPER = re.compile(
    r"### \[(?P<title>.+)\]\(https://arxiv\.org/abs/(?P<id>\d{4}\.\d{5})\)\n\n"
    r"!\[\]\(https://cdn-thumbnails\.huggingface\.co/social-thumbnails/papers/(?P<thumbnail>\S+)\.png\)\n\n"
    r"Vote: (?P<votes>\d+)\n\n"
    r"Authors: (?P<authors>.+)\n\n"
    r"(?P<bullets>(?:- .+\n)+)"
)


@dataclass(frozen=True)
class Entry:
    """One paper of the document; `facts` are what does not depend on the language."""

    facts: dict[str, str]
    bullets: list[str]


def document(language):
    return (SAMPLE / f"{DAY}.{language}.md").read_text(encoding="utf-8")


def entries(language) -> Iterator[Entry]:
    for match in PAPER.finditer(document(language)):
        facts = match.groupdict()
        lines = facts.pop("bullets").splitlines()
        yield Entry(facts, [line.removeprefix("- ") for line in lines])


def bullets(language):
    return [bullet for entry in entries(language) for bullet in entry.bullets]


def hangul_share(text):
    letters = [character for character in text if character.isalpha()]
    return sum("가" <= character <= "힣" for character in letters) / len(letters)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_document_is_nothing_but_the_heading_and_nine_papers(language):
    rest = PAPER.sub("", document(language))

    assert rest.split() == ["##", "Daily", "Papers", f"({DAY})"]
    assert len(list(entries(language))) == 9


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_blocks_stand_apart_by_one_empty_line(language):
    text = document(language)

    assert "\n\n\n" not in text
    assert text.endswith("\n")
    assert not re.search(r"[^\n]\n(?!- |\n|\Z)", text)


def test_both_languages_tell_the_same_facts():
    korean, english = (list(entries(language)) for language in LANGUAGES)

    assert [entry.facts for entry in korean] == [entry.facts for entry in english]
    assert [len(entry.bullets) for entry in korean] == [len(entry.bullets) for entry in english]


def test_each_paper_is_there_once_with_its_own_picture():
    ids = [entry.facts["id"] for entry in entries("ko")]

    assert len(set(ids)) == 9
    assert [entry.facts["thumbnail"] for entry in entries("ko")] == ids


def test_the_papers_stand_by_votes():
    votes = [int(entry.facts["votes"]) for entry in entries("ko")]

    assert votes == sorted(votes, reverse=True)
    assert votes[0] == 25
    assert votes[-1] == 5


def test_authors_are_complete_and_each_is_named_once():
    for entry in entries("en"):
        names = entry.facts["authors"].split(", ")

        assert len(set(names)) == len(names) > 1
        assert not {"+", "", "et al."} & set(names)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_paper_has_three_to_five_bullets(language):
    assert all(3 <= len(entry.bullets) <= 5 for entry in entries(language))


def test_korean_bullets_are_whole_polite_sentences():
    assert [bullet for bullet in bullets("ko") if not re.search(r"(?:니다)\.$", bullet)] == []


def test_korean_bullets_leave_only_names_in_latin_letters():
    assert [bullet for bullet in bullets("ko") if hangul_share(bullet) < 0.55] == []


def test_english_bullets_are_whole_sentences_in_english():
    assert [bullet for bullet in bullets("en") if not re.fullmatch(r"[A-Z].{30,}[^.]\.", bullet)] == []
    assert [bullet for bullet in bullets("en") if hangul_share(bullet) > 0] == []


def test_no_bullet_is_said_twice():
    said = bullets("ko") + bullets("en")

    assert len(set(said)) == len(said)
