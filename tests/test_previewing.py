import json
from datetime import date
from email import message_from_bytes, policy

import pytest

from newsletter import paths
from newsletter.cli.previewing import SAMPLE_DAY, preview
from newsletter.errors import BadInput, NewsletterError

DAY = date(2024, 3, 14)
ABSTRACT = (
    "We train small language models on the notes that librarians write about books, and ask them to find a book again. "
    "They find nine books of ten, which is more than larger models do. All notes and all models are public."
)


def listed(*titles):
    """Return a captured list as the site answers it."""
    papers = [
        {"paper": {"id": f"2403.{number:05}", "title": title, "summary": ABSTRACT, "upvotes": 9 - number}}
        for number, title in enumerate(titles, start=1)
    ]
    return json.dumps(papers)


def test_the_sample_becomes_three_files_that_agree(tmp_path):
    made = preview("sample", tmp_path / "out")

    html, text, mail = (path.read_bytes() for path in made.files)
    message = message_from_bytes(mail, policy=policy.default)
    assert (made.day, made.papers, made.problems) == (SAMPLE_DAY, 9, ())
    assert [path.name for path in made.files] == ["digest.html", "digest.txt", "digest.eml"]
    assert message.get_body(("plain",)).get_content().replace("\r\n", "\n").encode() == text
    assert text.count(b"https://arxiv.org/abs/") == 9
    assert html.count(b"<h2") >= 9


@pytest.mark.parametrize(("language", "word"), [("ko", "데일리"), ("en", "Daily Papers")])
def test_the_sample_speaks_the_language_asked_for(tmp_path, language, word):
    made = preview("sample", tmp_path, language=language)

    assert word in made.files[1].read_text()


def test_a_document_speaks_its_own_language(tmp_path):
    document = paths.PACKAGE / "sample" / "2024-03-14.ko.md"

    made = preview(str(document), tmp_path)

    assert (made.day, made.papers) == (DAY, 9)
    assert "데일리" in made.files[1].read_text()


def test_a_captured_list_takes_its_day_from_its_name(tmp_path):
    captured = tmp_path / "papers-2024-03-14.json"
    captured.write_text(listed("The first", "The second"))

    made = preview(str(captured), tmp_path / "out")

    text = made.files[1].read_text()
    assert (made.day, made.papers) == (DAY, 2)
    assert text.index("The first") < text.index("The second")
    assert "nine books of ten" in " ".join(text.split())


def test_a_captured_list_takes_the_day_it_is_told(tmp_path):
    captured = tmp_path / "papers.json"
    captured.write_text(listed("The only one"))

    assert preview(str(captured), tmp_path / "out", day=DAY).day == DAY


def test_an_entry_that_is_no_paper_is_passed_over_and_said(tmp_path):
    captured = tmp_path / "2024-03-14.json"
    captured.write_text(json.dumps([*json.loads(listed("Good")), {"paper": {"id": "2403.9"}}]))

    made = preview(str(captured), tmp_path / "out")

    assert made.papers == 1
    assert len(made.problems) == 1


def test_a_folder_used_before_is_written_over(tmp_path):
    preview("sample", tmp_path, language="ko")

    preview("sample", tmp_path, language="en")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["digest.eml", "digest.html", "digest.txt"]
    assert "Daily Papers" in (tmp_path / "digest.txt").read_text()


@pytest.mark.parametrize("source", ["absent.md", ".", "sampel", ""])
def test_what_is_no_source_is_refused(tmp_path, source):
    with pytest.raises(BadInput, match="no such file") as caught:
        preview(source, tmp_path / "out")

    assert "sample" in caught.value.hint
    assert not (tmp_path / "out").exists()


def test_a_day_that_the_document_lacks_is_refused_with_those_it_has(tmp_path):
    document = paths.PACKAGE / "sample" / "2024-03-14.en.md"

    with pytest.raises(BadInput, match="nothing of 2024-03-15") as caught:
        preview(str(document), tmp_path, day=date(2024, 3, 15))

    assert "2024-03-14" in caught.value.hint


def test_a_day_without_papers_is_refused(tmp_path):
    with pytest.raises(BadInput, match="lists no papers on 2024-03-15"):
        preview("sample", tmp_path, day=date(2024, 3, 15))


@pytest.mark.parametrize("content", [b"", b"no headings at all", b"\xff\xfe\x00\x00", b"# 2024-99-99\n\n## [A](b)\n"])
def test_a_damaged_document_is_refused(tmp_path, content):
    document = tmp_path / "2024-03-14.md"
    document.write_bytes(content)

    with pytest.raises(NewsletterError):
        preview(str(document), tmp_path / "out")

    assert not (tmp_path / "out").exists()


def test_a_language_that_mails_cannot_speak_is_refused(tmp_path):
    with pytest.raises(BadInput, match="'xx'"):
        preview("sample", tmp_path / "out", language="xx")
