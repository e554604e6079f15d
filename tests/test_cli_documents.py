import pytest
from cli_parts import ADD, installed_terminal, terminal

__all__ = ["installed_terminal", "terminal"]

DAY = "2024-03-14"


def test_an_issue_exported_and_imported_elsewhere_is_the_same_issue(installed_terminal):
    first = installed_terminal.folder / f"{DAY}.en.md"
    installed_terminal.ok("run", DAY)
    installed_terminal.ok("export", DAY, "-n", "daily", "--to", first)
    installed_terminal.set("DATABASE_URL", f"sqlite:///{installed_terminal.folder}/second.sqlite3")
    installed_terminal.ok("migrate")
    installed_terminal.ok(
        "newsletters", "add", "copy", "--title", "Copy", "--from-address", "copy@example.org", "--postal-address", "Seoul"
    )

    installed_terminal.ok("import", first, "-n", "copy")
    installed_terminal.ok("assemble", DAY)
    exported = installed_terminal.ok("export", DAY, "-n", "copy")

    assert exported == first.read_text()
    assert exported.count("arxiv.org/abs/") == 9


def test_a_damaged_document_names_its_line_and_the_others_are_in(installed_terminal):
    good, bad, binary = (installed_terminal.folder / name for name in (f"{DAY}.en.md", "bad.md", "binary.md"))
    installed_terminal.ok("run", DAY)
    installed_terminal.ok("export", DAY, "-n", "daily", "--to", good)
    bad.write_text("## no day, no papers\n")
    binary.write_bytes(b"\xff\xfe\x00")

    answer = installed_terminal("import", bad, binary, installed_terminal.folder / "absent.md", good, "-n", "daily")

    assert answer.code == 1
    assert "9 papers of 2024-03-14" in answer.out
    assert "bad.md" in answer.err
    assert "binary.md: byte 0 is no UTF-8" in answer.err
    assert "absent.md: No such file" in answer.err
    assert "3 of 4 files could not be read" in answer.err
    assert "Traceback" not in answer.err


def test_an_export_of_a_day_without_an_issue_is_refused(installed_terminal):
    assert "daily has no issue of 2024-03-14" in installed_terminal.refused("export", DAY, "-n", "daily")


def test_an_export_to_where_nobody_can_write_is_refused(installed_terminal):
    installed_terminal.ok("run", DAY)

    error = installed_terminal.refused("export", DAY, "-n", "daily", "--to", "/proc/none/digest.md")

    assert "/proc/none/digest.md" in error


def test_a_folder_of_documents_is_a_source(terminal):
    folder = terminal.folder / "documents"
    folder.mkdir()
    terminal.ok("migrate")
    terminal.ok(*ADD, "first", "--title", "First", "--from-address", "news@example.org")
    terminal.ok("run", DAY)
    terminal.ok("export", DAY, "-n", "first", "--to", folder / f"{DAY}.en.md")
    terminal.ok(
        "newsletters",
        "add",
        "second",
        "--title",
        "Second",
        "--from-address",
        "news@example.org",
        "--postal-address",
        "Seoul",
        "--source",
        f"documents:{folder}",
    )

    said = terminal.ok("collect", DAY, "-n", "second")

    assert f"documents:{folder} lists 9 papers" in said


@pytest.mark.parametrize("content", ["[]", "{", '{"error": "gone"}', "null", ""])
def test_a_captured_list_that_is_none_is_refused(terminal, content):
    file = terminal.folder / "2024-03-14.json"
    file.write_text(content)

    error = terminal.refused("preview", file, "--to", "out")

    assert "2024-03-14.json" in error
    assert not (terminal.folder / "out").exists()
