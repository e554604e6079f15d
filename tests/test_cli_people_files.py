import csv
import io
import json
import stat

import pytest
from cli_parts import installed_terminal, terminal

__all__ = ["installed_terminal", "terminal"]

IMPORT = ("subscribers", "import")
ON_PAPER = ("--consent-recorded", "paper forms, folder 12")


@pytest.fixture
def readers(installed_terminal):
    path = installed_terminal.folder / "readers.csv"
    path.write_text('email,name\nari@example.org,Ari\nnobody,=cmd()\n\nbora@example.org,"Bora\nLee"\nARI@example.org,\nx,y,z\n')
    return path


def test_a_dry_run_says_row_by_row_what_would_happen(installed_terminal, readers):
    answer = installed_terminal(*IMPORT, readers, "-n", "daily", "--dry-run")

    assert answer.code == 0
    assert [line.split()[0] for line in answer.out.splitlines()] == ["2", "3", "5", "7", "8"]
    assert "ari@example.org  add pending" in answer.out
    assert "a plain list; UTF-8, parted by commas. Not used: name." in answer.err
    assert "5 rows would be: 2 add pending, 2 refused, 1 duplicate. Nothing was changed." in " ".join(answer.err.split())
    assert not readers.with_name("readers.csv.refused.csv").exists()
    assert "There are no subscribers" in installed_terminal.ok("subscribers", "list")


def test_what_is_not_taken_is_in_a_file_with_line_and_reason(installed_terminal, readers):
    answer = installed_terminal(*IMPORT, readers, "-n", "daily")

    report = readers.with_name("readers.csv.refused.csv")
    assert f"The 3 that were not taken, each with its reason: {report}" in answer.err
    assert "2 wait to be confirmed, and nobody was mailed." in answer.err
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
    rows = list(csv.DictReader(io.StringIO(report.read_text("utf-8-sig"))))
    assert [(row["line"], row["email"], row["name"]) for row in rows][:2] == [
        ("3", "nobody", "'=cmd()"),
        ("7", "ARI@example.org", ""),
    ]
    assert "column email: 'nobody' is no email address" in rows[0]["reason"]
    assert rows[1]["reason"] == "the same reader as on line 2"
    assert "3 cells where there are 2 columns" in rows[2]["reason"]


def test_every_row_is_told_to_scripts(installed_terminal, readers):
    rows = [json.loads(line) for line in installed_terminal.ok(*IMPORT, readers, "-n", "daily", "--json", *ON_PAPER).splitlines()]

    assert [row["outcome"] for row in rows] == ["add active", "refused", "add active", "duplicate", "refused"]
    assert set(rows[0]) == {"line", "address", "newsletter", "outcome", "words"}
    shown = installed_terminal.ok("subscribers", "show", "ari@example.org")
    assert "active" in shown
    assert "paper forms" in shown


def test_confirmations_are_sent_only_after_a_yes(installed_terminal, readers):
    assert installed_terminal(*IMPORT, readers, "-n", "daily", "--send-confirmations").code == 1
    assert "There are no subscribers" in installed_terminal.ok("subscribers", "list")

    installed_terminal.ok(*IMPORT, readers, "-n", "daily", "--send-confirmations", "--yes")

    assert "Sent 2" in installed_terminal.ok("send")


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("", "the file is empty"),
        ("name\nAri\n", "readers.csv:1: no column is called email; there are: name"),
        ("ari@example.org\n", "an address stands where the names of the columns should"),
        ("PK\x03\x04...", "this is a ZIP archive or a spreadsheet"),
    ],
)
def test_a_file_that_is_none_of_ours_is_refused(installed_terminal, readers, content, error):
    readers.write_text(content)

    assert error in installed_terminal.refused(*IMPORT, readers, "-n", "daily")


def test_it_must_be_said_which_newsletter(installed_terminal, readers):
    assert "Which newsletter is it? Add --newsletter; there are: daily." in _plain(installed_terminal.refused(*IMPORT, readers))
    assert "There is no newsletter 'nightly'" in installed_terminal.refused(*IMPORT, readers, "-n", "nightly")
    assert "No such file" in installed_terminal.refused(*IMPORT, "absent.csv", "-n", "daily")


def _plain(said):
    return said.removeprefix("error: ")


def test_an_export_goes_to_a_file_of_its_owner_alone(installed_terminal, readers):
    installed_terminal.ok(*IMPORT, readers, "-n", "daily", *ON_PAPER)
    to = installed_terminal.folder / "all.csv"

    answer = installed_terminal("subscribers", "export", "--status", "active", "-n", "daily", "--to", to)

    assert answer.err == f"2 subscriptions are in {to}.\n"
    assert stat.S_IMODE(to.stat().st_mode) == 0o600
    assert to.read_text() == installed_terminal.ok("subscribers", "export").replace("\r\n", "\n")
    objects = installed_terminal.ok("subscribers", "export", "--json").splitlines()
    assert [json.loads(line)["address"] for line in objects] == ["ari@example.org", "bora@example.org"]


def test_somebody_is_erased_after_a_yes(installed_terminal):
    installed_terminal.ok("subscribers", "add", "ari@example.org", "-n", "daily")
    assert installed_terminal("subscribers", "erase", "ari@example.org").code == 1

    said = installed_terminal.ok("subscribers", "erase", "ari@example.org", "--yes")

    assert "ari@example.org is erased: 1 subscriptions, 0 letters; 1 mails have no address any more." in said
    assert "1 mail that waited will not be sent." in said
    shown = installed_terminal.ok("subscribers", "show", "ari@example.org")
    assert "ari@example.org is no subscriber, suppressed: erased; since" in shown
    again = json.loads(installed_terminal.ok("subscribers", "erase", "ari@example.org", "--yes", "--json"))
    assert again == {"subscriber": False, "subscriptions": 0, "deliveries": 0, "stopped": 0, "letters": 0}


def test_what_is_done_to_a_reader_is_told_to_scripts(installed_terminal):
    added = installed_terminal.ok("subscribers", "add", "ari@example.org", "-n", "daily", "--consent", "on paper", "--json")
    ended = installed_terminal.ok("subscribers", "unsubscribe", "ari@example.org", "--json")
    suppressed = json.loads(installed_terminal.ok("subscribers", "suppress", "ari@example.org", "--reason", "asked", "--json"))

    assert json.loads(added) == {"address": "ari@example.org", "subscribed": ["Daily Papers"], "asked_to_confirm": False}
    assert json.loads(ended) == {"address": "ari@example.org", "ended": ["daily"]}
    assert (suppressed["is_new"], suppressed["reason"]) == (True, "operator")


def test_the_report_never_replaces_the_file_itself(installed_terminal, readers):
    before = readers.read_bytes()

    said = installed_terminal.refused(*IMPORT, readers, "-n", "daily", "--report", readers)

    assert "this is the file that is read" in said
    assert readers.read_bytes() == before


def test_rows_that_were_not_taken_can_be_mended_and_brought_in(installed_terminal, readers):
    installed_terminal.ok(*IMPORT, readers, "-n", "daily")
    mended = readers.with_name("mended.csv")
    report = readers.with_name("readers.csv.refused.csv").read_text("utf-8-sig")
    mended.write_text(report.replace(",nobody,", ",chan@example.org,"), encoding="utf-8-sig")

    rows = [json.loads(line) for line in installed_terminal.ok(*IMPORT, mended, "-n", "daily", "--json").splitlines()]

    assert [row["outcome"] for row in rows] == ["add pending", "unchanged", "refused"]
