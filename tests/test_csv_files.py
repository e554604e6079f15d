import codecs
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.errors import BadInput
from newsletter.subscribers.csv_files import RefusedRows, Row, defuse, fuse, open_sheet

HEAD = "email,name"


def _read(path: Path, content: bytes):
    path.write_bytes(content)
    with open_sheet(path) as sheet:
        return sheet, list(sheet.rows)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "readers.csv"


@pytest.mark.parametrize(
    ("codec", "words"),
    [
        ("utf-8", "UTF-8"),
        ("utf-8-sig", "UTF-8 with a mark"),
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16"),
        ("utf-16-be", "UTF-16"),
        ("cp949", "CP949 (Korean, EUC-KR)"),
        ("euc-kr", "CP949 (Korean, EUC-KR)"),
    ],
)
def test_korean_is_read_in_every_encoding_it_comes_in(path, codec, words):
    sheet, rows = _read(path, f"{HEAD},이름\r\nari@example.org,아리,김아리\r\n".encode(codec))

    assert (sheet.encoding, sheet.columns) == (words, ("email", "name", "이름"))
    assert rows == [Row(2, ("ari@example.org", "아리", "김아리"))]


@pytest.mark.parametrize("name", ["Zoë Müller", "Ñandú", "José", "Łucja"[1:] + "é à", "Ünal Çelik"])
def test_latin_letters_are_not_taken_for_korean(path, name):
    sheet, rows = _read(path, f"{HEAD}\nari@example.org,{name}\n".encode("latin-1"))

    assert sheet.encoding == "Windows-1252 (Latin-1)"
    assert rows[0].cells[1] == name


def test_what_fits_late_in_a_file_only_one_encoding_decides(path):
    content = b"email,name\n" + b"ari@example.org,Ari\n" * 200_000 + "zoe@example.org,Zoë\n".encode("latin-1")

    sheet, rows = _read(path, content)

    assert (sheet.encoding, rows[-1].cells[1]) == ("Windows-1252 (Latin-1)", "Zoë")


@pytest.mark.parametrize(("mark", "words"), [(",", "commas"), (";", "semicolons"), ("\t", "tabs")])
def test_the_delimiter_is_known_by_the_first_line(path, mark, words):
    sheet, rows = _read(path, f'email{mark}"a,b;c"\nari@example.org{mark}x\n'.encode())

    assert (sheet.delimiter, sheet.columns, rows[0].cells) == (words, ("email", "a,b;c"), ("ari@example.org", "x"))


def test_rows_know_their_lines_whatever_stands_between(path):
    _, rows = _read(path, b'email,name\r\n\r\na@x.org,"two\r\nlines"\r\n , \r\nb@x.org\r\nc@x.org,"say ""hi""",more')

    assert rows == [Row(3, ("a@x.org", "two\r\nlines")), Row(6, ("b@x.org",)), Row(7, ("c@x.org", 'say "hi"', "more"))]


@pytest.mark.parametrize("content", [b"", b"\n\n  \n", codecs.BOM_UTF8])
def test_an_empty_file_is_said_to_be(path, content):
    with pytest.raises(BadInput, match="the file is empty"):
        _read(path, content)


def test_a_quotation_mark_never_closed_is_named_by_its_line(path):
    with pytest.raises(BadInput, match=r"readers.csv:3: the row cannot be read"):
        _read(path, b'email\nari@example.org\n"bora' + b"x" * 200_000)


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@sum", "\tx", "\rx", "\nx", "＝1", "'=1", "''-x"])
def test_a_cell_that_would_be_reckoned_with_is_defused(cell):
    assert defuse(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["", "ari@example.org", "'tis", "1=1", " =1"])
def test_any_other_cell_stays(cell):
    assert defuse(cell) == cell


@given(st.text(alphabet="'=+-@\t\ra ", max_size=8))
def test_fusing_undoes_defusing(cell):
    assert fuse(defuse(cell)) == cell


def test_there_is_no_file_of_refused_rows_where_none_was_refused(tmp_path):
    refused = RefusedRows(tmp_path / "none.csv", ("email",))
    refused.close()

    assert not refused.path.exists()
