import io
import json
import sys

import bounce_samples as samples
import pytest

from newsletter.cli import main


@pytest.fixture
def run(monkeypatch, capsys):
    def command(*arguments, stdin=b""):
        monkeypatch.setattr(sys, "argv", ["newsletter", "bounces", "read", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return ended.value.code, [json.loads(line) for line in said.out.splitlines()], said.err

    return command


def test_a_file_gives_a_line_for_each_recipient(run, tmp_path):
    file = tmp_path / "report.eml"
    file.write_bytes(
        samples.dsn(samples.failed("5.1.1", "550 User unknown"), samples.failed("5.2.2", "552 full", recipient="c@example.org"))
    )

    code, lines, _ = run(file)

    assert code == 0
    assert [(line["file"], line["recipient"], line["kind"], line["status"]) for line in lines] == [
        (str(file), "bora@example.org", "hard", "5.1.1"),
        (str(file), "c@example.org", "soft", "5.2.2"),
    ]
    assert lines[0]["reason"] == "550 User unknown"
    assert lines[0]["reader"] == "rfc3464"
    assert lines[0]["original"]["message_ids"] == ["<m1@news.example.com>"]


def test_a_message_that_reports_nothing_has_its_line_too(run):
    code, [line], _ = run("-", stdin=b"From: bora@example.org\nSubject: Hello\n\nHello.\n")

    assert (code, line["file"], line["kind"], line["recipient"]) == (0, "-", "none", "")


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_read(run, tmp_path):
    good = tmp_path / "good.eml"
    good.write_bytes(samples.QMAIL)

    code, lines, errors = run(tmp_path / "gone.eml", good, tmp_path)

    assert code == 1
    assert [line["file"] for line in lines] == [str(good)]
    assert f"{tmp_path / 'gone.eml'}: No such file or directory" in errors
    assert "no Maildir" in errors


def test_an_mbox_and_a_maildir_are_read_message_by_message(run, tmp_path):
    mbox = tmp_path / "bounces.mbox"
    mbox.write_bytes(
        b"".join(b"From daemon Mon Mar  2 10:00:00 2026\n" + message + b"\n" for message in (samples.QMAIL, samples.DAUM))
    )
    for folder in ("cur", "new", "tmp"):
        (tmp_path / "maildir" / folder).mkdir(parents=True)
    (tmp_path / "maildir" / "cur" / "1:2,S").write_bytes(samples.EXIM)
    (tmp_path / "maildir" / "new" / "2").write_bytes(samples.DAUM)

    assert [(line["message"], line["kind"]) for line in run(mbox)[1]] == [(1, "hard"), (2, "soft")]
    assert [line["kind"] for line in run(tmp_path / "maildir")[1]] == ["hard", "soft"]
