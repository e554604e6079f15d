import os
from threading import Thread

import pytest
from sources_server import Answer, site

from newsletter.errors import SourceMalformed
from newsletter.sources.http import Limits, Web
from newsletter.sources.http import cache as pages
from newsletter.sources.http.cache import Cache, Kept

QUICK = Limits(connect=1, read=2, total=5, attempts=2, first_wait=0.001, longest_wait=0.5, jitter=0, turn=5)
ETAG = (("ETag", '"1"'),)


def get(folder, url):
    return Web(limits=QUICK, folder=folder).get(url, own=True).body


def kept(url="https://example.org/", body=b"body", **changes):
    given = {"url": url, "final": url, "etag": '"1"', "modified": "", "content_type": "text/xml", "body": body}
    return Kept(**(given | changes))


@pytest.mark.parametrize(
    ("header", "asked"),
    [(("ETag", '"1"'), "If-None-Match"), (("Last-Modified", "Thu, 14 Mar 2024 10:00:00 GMT"), "If-Modified-Since")],
)
def test_what_is_kept_is_asked_about_and_not_fetched_again(tmp_path, header, asked):
    with site(Answer(b"first", headers=(header,)), Answer(b"", status=304)) as served:
        assert [get(tmp_path, served.url) for _ in range(3)] == [b"first"] * 3

    assert asked not in served.headers[0]
    assert [headers[asked] for headers in served.headers[1:]] == [header[1]] * 2


def test_a_new_answer_takes_the_place_of_what_is_kept(tmp_path):
    with site(Answer(b"first", headers=ETAG), Answer(b"second", headers=(("ETag", '"2"'),)), Answer(b"", status=304)) as served:
        assert [get(tmp_path, served.url) for _ in range(3)] == [b"first", b"second", b"second"]

    assert served.headers[2]["If-None-Match"] == '"2"'


def test_a_new_answer_counts_even_if_it_cannot_be_asked_about(tmp_path):
    with site(Answer(b"first", headers=ETAG), Answer(b"second")) as served:
        assert [get(tmp_path, served.url) for _ in range(2)] == [b"first", b"second"]


def test_an_answer_that_says_nothing_is_new_and_packed_is_understood(tmp_path):
    with site(Answer(b"first", headers=ETAG), Answer(b"", status=304, headers=(("Content-Encoding", "gzip"),))) as served:
        assert [get(tmp_path, served.url) for _ in range(2)] == [b"first"] * 2


def test_nothing_new_without_having_asked_is_malformed(tmp_path):
    with site(Answer(b"", status=304)) as served, pytest.raises(SourceMalformed, match="HTTP 304"):
        get(tmp_path, served.url)


def test_nothing_new_of_another_address_is_asked_again(tmp_path):
    moved = Answer(status=302, headers=(("Location", "/b"),))
    with site(Answer(b"a", headers=ETAG), moved, Answer(b"", status=304), moved, Answer(b"b")) as served:
        assert [get(tmp_path, f"{served.url}/a") for _ in range(2)] == [b"a", b"b"]


def test_what_was_kept_is_found_whole(tmp_path):
    cache = Cache(tmp_path)
    cache.keep(kept(body=b"line\n\nline\0" * 1000))

    assert cache.find("https://example.org/") == kept(body=b"line\n\nline\0" * 1000)
    assert cache.find("https://example.org/other") is None


@pytest.mark.parametrize(
    "damage", [lambda page: page[:-1], lambda page: page[:10], lambda _: b"", lambda page: page + b"x", lambda _: b"[]\nx"]
)
def test_a_page_that_is_torn_counts_as_none(tmp_path, damage):
    cache = Cache(tmp_path)
    cache.keep(kept())
    (path,) = tmp_path.iterdir()
    path.write_bytes(damage(path.read_bytes()))

    assert cache.find("https://example.org/") is None


def test_a_page_of_another_address_counts_as_none(tmp_path):
    cache = Cache(tmp_path)
    cache.keep(kept())
    (path,) = tmp_path.iterdir()
    cache.keep(kept("https://example.org/other"))
    (other,) = set(tmp_path.iterdir()) - {path}
    other.write_bytes(path.read_bytes())

    assert cache.find("https://example.org/other") is None


def test_the_folder_is_bounded_and_what_was_not_used_longest_goes_first(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "LARGEST_FOLDER", 10_000)
    cache = Cache(tmp_path)
    for number in range(4):
        cache.keep(kept(f"https://example.org/{number}", bytes(3000)))
        for path in tmp_path.iterdir():
            os.utime(path, (path.stat().st_mtime - 10,) * 2)
        cache.touch(kept("https://example.org/0"))

    assert [cache.find(f"https://example.org/{number}") is not None for number in range(4)] == [True, False, True, True]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 10_000


def test_a_page_that_is_too_large_is_not_kept(tmp_path):
    Cache(tmp_path).keep(kept(body=bytes(pages.LARGEST_PAGE + 1)))

    assert list(tmp_path.iterdir()) == []


def test_two_processes_at_once_do_no_harm(tmp_path):
    found = []

    def work(number):
        for _ in range(30):
            Cache(tmp_path).keep(kept(body=bytes([number]) * 50_000))
            found.append(Cache(tmp_path).find("https://example.org/"))

    threads = [Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(page is not None and len(set(page.body)) == 1 for page in found)
    assert len(list(tmp_path.iterdir())) == 1
