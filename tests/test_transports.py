import re
from dataclasses import replace

import pytest

from newsletter.errors import RelayUnavailable
from newsletter.mail.transports import Files, OutgoingMessage

MESSAGE = OutgoingMessage(
    "bounce+1@news.example.net",
    "ari@example.org",
    b"From: digest@news.example.net\r\nMessage-ID: <1.17@news.example.net>\r\n\r\nGood morning.\r\n",
)


def test_a_message_becomes_a_file_and_the_same_message_the_same_file(tmp_path):
    with Files(tmp_path / "out") as files:
        replies = [files.send(MESSAGE), files.send(MESSAGE), files.send(replace(MESSAGE, recipient="bora@example.org"))]

    written = sorted((tmp_path / "out").iterdir())
    assert len(written) == 2
    assert all(re.fullmatch(r"1\.17@news\.example\.net-[0-9a-f]{8}\.eml", path.name) for path in written)
    assert written[0].read_bytes() == MESSAGE.content
    assert all((reply.code, reply.phase) == (250, "dot") for reply in replies)


def test_a_message_id_cannot_lead_out_of_the_folder(tmp_path):
    with Files(tmp_path / "out") as files:
        files.send(replace(MESSAGE, content=b"Message-ID: <../../x@y>\r\n\r\n"))
        files.send(replace(MESSAGE, content=b"Subject: none\r\n\r\nMessage-ID: <in-the-body@y>\r\n"))

    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    assert not any("in-the-body" in path.name for path in (tmp_path / "out").iterdir())


def test_a_folder_that_cannot_be_written_is_an_unavailable_relay(tmp_path):
    (tmp_path / "out").touch()

    with Files(tmp_path / "out") as files, pytest.raises(RelayUnavailable, match="connect:"):
        files.send(MESSAGE)
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]
