import pytest

from newsletter.errors import BadInput
from newsletter.mail.smtp.content import on_the_wire


@pytest.mark.parametrize(
    ("content", "wire"),
    [
        (b"Good morning.\r\n", b"Good morning.\r\n.\r\n"),
        (b".first\r\n..second\r\n.\r\n", b"..first\r\n...second\r\n..\r\n.\r\n"),
        (b"no last line end", b"no last line end\r\n.\r\n"),
        (b"\r\n.", b"\r\n..\r\n.\r\n"),
        ("아침".encode(), "아침\r\n.\r\n".encode()),
    ],
)
def test_dots_are_doubled_and_the_last_one_stands_on_a_line_of_its_own(content, wire):
    assert on_the_wire(content) == wire


@pytest.mark.parametrize("content", [b"a\nb\r\n", b"a\rb\r\n", b"a\n.\nMAIL FROM:<x@y>\r\n", b"a\r\r\n", b"a\r"])
def test_a_bare_line_end_never_leaves(content):
    with pytest.raises(BadInput, match="bare CR or LF"):
        on_the_wire(content)


def test_what_must_be_seven_bit_is():
    with pytest.raises(BadInput, match="7-bit"):
        on_the_wire("아침\r\n".encode(), seven_bit=True)
