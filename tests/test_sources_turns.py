import json
import subprocess
import sys
import threading
import time

import httpx2
import pytest
from sources_server import Answer, site

from newsletter.errors import SourceUnavailable
from newsletter.sources.http import Limits, Web
from newsletter.sources.http.turns import PAUSES, Turns, site_of

QUICK = Limits(connect=1, read=2, total=5, attempts=2, first_wait=0.001, longest_wait=0.5, jitter=0, turn=5)
IMPATIENT = Limits(turn=0.1, attempts=1, longest_wait=0.5)


def web(folder, limits=QUICK):
    return Web(limits=limits, folder=folder)


def test_a_site_is_asked_by_one_at_a_time(tmp_path):
    at_once, most, lock = [0], [0], threading.Lock()

    def answer(path):
        with lock:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
        time.sleep(0.03)
        with lock:
            at_once[0] -= 1
        return Answer(b"x")

    with site(answer) as served:
        asking = [threading.Thread(target=lambda: web(tmp_path).get(served.url, own=True)) for _ in range(6)]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join()

    assert (len(served.asked), most[0]) == (6, 1)


def test_another_process_is_waited_for_so_long_and_no_longer(tmp_path):
    holding = (
        "import sys; from pathlib import Path; import httpx2\n"
        "from newsletter.sources.http.turns import Turns; from newsletter.sources.http import DEFAULT\n"
        "with Turns(Path(sys.argv[1]), DEFAULT).hold() as held:\n"
        "    held.take(httpx2.URL(sys.argv[2])); print('held', flush=True); sys.stdin.read()\n"
    )
    with site(Answer(b"x")) as served:
        command = [sys.executable, "-c", holding, str(tmp_path / "turns"), served.url]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
            assert other.stdout.readline() == b"held\n"
            with pytest.raises(SourceUnavailable, match=r"other requests to it were not done after 0\.1 s"):
                web(tmp_path, IMPATIENT).get(served.url, own=True)
            other.kill()  # who dies loses its turn

        assert web(tmp_path, IMPATIENT).get(served.url, own=True).body == b"x"


@pytest.mark.parametrize("status", [429, 503])
def test_who_wants_to_be_left_alone_is_not_asked_by_anybody(tmp_path, status):
    with site(Answer(status=status, headers=(("Retry-After", "3600"),)), Answer(b"x")) as served:
        with pytest.raises(SourceUnavailable, match="asks to wait 3600 s"):
            web(tmp_path).get(served.url, own=True)
        with pytest.raises(SourceUnavailable, match=r"asked to be left alone until \d{4}-\d\d-\d\d \d\d:\d\d UTC"):
            web(tmp_path).get(f"{served.url}/another", own=True)

    assert len(served.asked) == 1


def test_a_site_is_left_alone_for_a_day_at_most(tmp_path):
    with site(Answer(status=503, headers=(("Retry-After", "999999999"),))) as served:
        with pytest.raises(SourceUnavailable):
            web(tmp_path).get(served.url, own=True)
        (note,) = (tmp_path / "turns").iterdir()

    assert json.loads(note.read_text())["until"] - time.time() < 86_401


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"asked": "x", "until": null}', '{"asked": 0, "until": 99999999999}', "\0" * 99]
)
def test_a_note_that_makes_no_sense_keeps_nobody_from_asking(tmp_path, content):
    with site(Answer(b"x")) as served:
        folder = tmp_path / "turns"
        folder.mkdir()
        (folder / site_of(httpx2.URL(served.url))).write_text(content)

        assert web(tmp_path).get(served.url, own=True).body == b"x"


def test_a_short_wait_is_kept_to_and_then_asked_again(tmp_path):
    with site(Answer(status=429, headers=(("Retry-After", "0"),)), Answer(b"x")) as served:
        assert web(tmp_path).get(served.url, own=True).body == b"x"


def test_all_hosts_of_arxiv_are_one_site_and_other_names_are_none_of_it():
    assert site_of(httpx2.URL("https://export.arxiv.org/api")) == site_of(httpx2.URL("http://rss.arxiv.org/")) == "arxiv.org"
    assert site_of(httpx2.URL("https://notarxiv.org/")) == "notarxiv.org.443"
    assert "/" not in site_of(httpx2.URL("http://[fe80::1]:99/../x"))


def test_there_is_a_pause_between_two_requests_to_arxiv(tmp_path, monkeypatch):
    monkeypatch.setitem(PAUSES, "arxiv.org", 0.2)
    began = time.monotonic()
    for _ in range(3):
        with Turns(tmp_path, QUICK).hold() as held:
            held.take(httpx2.URL("https://export.arxiv.org/"))

    assert 0.4 <= time.monotonic() - began < 3


def test_a_folder_that_cannot_be_used_keeps_nobody_from_asking(tmp_path):
    (tmp_path / "file").touch()
    with site(Answer(b"x", headers=(("ETag", '"1"'),))) as served:
        assert web(tmp_path / "file").get(served.url, own=True).body == b"x"
