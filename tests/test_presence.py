"""Who is at work in a folder, and who only was."""

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from newsletter.embedded import presence
from newsletter.embedded.presence import Running
from newsletter.errors import Conflict

ROOT = Path(__file__).parent.parent
AT_WORK = """
import sys, time
from pathlib import Path
from newsletter.embedded.presence import present
with present(Path(sys.argv[1])):
    print("there", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def somebody(tmp_path):
    """Return another process at work in the folder."""
    process = subprocess.Popen([sys.executable, "-c", AT_WORK, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_others_find_what_is_told_until_the_work_is_over(tmp_path):
    told = Running(os.getpid(), "redis://:secret@127.0.0.1:1/0", "127.0.0.1:8000")

    with presence.present(tmp_path / "data") as tell:
        before = presence.find(tmp_path / "data")
        tell(told)
        during = presence.find(tmp_path / "data")

    assert (before, during) == (Running(os.getpid()), told)
    assert presence.find(tmp_path / "data") is None
    assert list((tmp_path / "data").iterdir()) == []


def test_what_is_told_is_for_its_owner_alone(tmp_path):
    with presence.present(tmp_path / "data"):
        file, folder = (path.stat().st_mode for path in (tmp_path / "data" / presence.NAME, tmp_path / "data"))

    assert (stat.S_IMODE(file), stat.S_IMODE(folder)) == (0o600, 0o700)


def test_nobody_else_can_be_at_work_in_the_folder(tmp_path, somebody):
    with pytest.raises(Conflict, match=f"as process {somebody.pid}") as caught, presence.present(tmp_path):
        pytest.fail("it let us in")

    assert "NEWSLETTER_DATA_DIR" in caught.value.hint
    assert presence.find(tmp_path).pid == somebody.pid
    assert not presence.is_abandoned(tmp_path)


def test_what_a_killed_process_left_is_believed_by_nobody(tmp_path, somebody):
    somebody.send_signal(signal.SIGKILL)
    somebody.wait()

    assert (tmp_path / presence.NAME).exists()
    assert presence.find(tmp_path) is None
    assert presence.is_abandoned(tmp_path)


def test_a_file_that_was_left_is_taken_over(tmp_path):
    (tmp_path / presence.NAME).write_text(json.dumps({"pid": 1, "redis_url": "redis://old", "pages": "x" * 1000}))

    with presence.present(tmp_path):
        assert presence.find(tmp_path) == Running(os.getpid())


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1, "colour": "red"}'])
def test_a_file_that_cannot_be_read_tells_nothing(tmp_path, content):
    with presence.present(tmp_path):
        (tmp_path / presence.NAME).write_text(content)

        assert presence.find(tmp_path) is None
        assert not presence.is_abandoned(tmp_path)


def test_a_folder_where_nobody_ever_was_is_nobodys(tmp_path):
    assert presence.find(tmp_path) is None
    assert not presence.is_abandoned(tmp_path)
