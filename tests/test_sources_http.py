import gzip
import socket
import struct
import threading
import time
from contextlib import suppress

import pytest
from sources_server import Answer, site

from newsletter import __version__
from newsletter.errors import SourceMalformed, SourceUnavailable
from newsletter.sources.http import Limits, Web

QUICK = Limits(connect=1, read=1, total=5, size=100_000, redirects=3, attempts=3, first_wait=0.001, longest_wait=0.01, jitter=0)


def fetch(url, *, our_url="", params=None, limits=QUICK):
    return Web(our_url, limits).get(url, params=params, own=True).body


def test_a_request_says_who_asks_and_carries_its_parameters():
    with site(Answer(b"hello")) as served:
        body = fetch(served.url + "/list?a=b", our_url="https://news.example", params={"date": "2024-03-14"}, limits=QUICK)

    assert body == b"hello"
    assert served.asked == ["/list?a=b&date=2024-03-14"]
    assert served.headers[0]["User-Agent"] == f"newsletter/{__version__} (+https://news.example)"


@pytest.mark.parametrize("status", [500, 503, 429, 408])
def test_a_busy_site_is_asked_again(status):
    with site(Answer(status=status), Answer(status=status), Answer(b"at last")) as served:
        assert fetch(served.url, limits=QUICK) == b"at last"


def test_a_site_that_stays_busy_is_unavailable_after_the_last_attempt():
    with site(Answer(status=503)) as served, pytest.raises(SourceUnavailable, match=r"http://127.*answered HTTP 503") as caught:
        fetch(served.url, limits=QUICK)

    assert len(served.asked) == 3
    assert caught.value.hint


def test_a_short_retry_after_is_waited_for():
    with site(Answer(status=429, headers=(("Retry-After", "0"),)), Answer(b"now")) as served:
        assert fetch(served.url, limits=QUICK) == b"now"


@pytest.mark.parametrize("value", ["3600", "Fri, 31 Dec 2199 23:59:59 GMT"])
def test_a_long_retry_after_is_left_to_the_next_collection(value):
    with (
        site(Answer(status=429, headers=(("Retry-After", value),))) as served,
        pytest.raises(SourceUnavailable, match="asks to wait"),
    ):
        fetch(served.url, limits=QUICK)

    assert len(served.asked) == 1


def test_a_retry_after_that_is_nonsense_is_not_obeyed():
    with site(Answer(status=503, headers=(("Retry-After", "soon"),)), Answer(b"now")) as served:
        assert fetch(served.url, limits=QUICK) == b"now"


@pytest.mark.parametrize("status", [400, 403, 404, 410, 204, 304])
def test_a_refusal_is_told_to_the_operator_and_not_repeated(status):
    with site(Answer(b"", status=status)) as served, pytest.raises(SourceMalformed, match=f"HTTP {status}"):
        fetch(served.url, limits=QUICK)

    assert len(served.asked) == 1


def test_a_redirect_is_followed():
    with site(Answer(status=302, headers=(("Location", "/there"),)), Answer(b"here")) as served:
        assert fetch(served.url, limits=QUICK) == b"here"


def test_redirects_in_a_circle_end():
    with (
        site(Answer(status=302, headers=(("Location", "/again"),))) as served,
        pytest.raises(SourceMalformed, match="more than 3 redirects"),
    ):
        fetch(served.url, limits=QUICK)


@pytest.mark.parametrize("where", ["ftp://example.org/", "file:///etc/passwd", "javascript:x"])
def test_a_redirect_to_anything_but_http_is_refused(where):
    with site(Answer(status=302, headers=(("Location", where),))) as served, pytest.raises((SourceMalformed, SourceUnavailable)):
        fetch(served.url, limits=QUICK)

    assert served.asked[0] == "/"


@pytest.mark.parametrize("url", ["ftp://example.org/", "no address", "http://", "http://[::1", ""])
def test_an_address_that_cannot_be_asked_is_malformed(url):
    with pytest.raises(SourceMalformed):
        fetch(url, limits=QUICK)


def test_what_is_packed_is_unpacked():
    with site(Answer(gzip.compress(b"word " * 10_000), headers=(("Content-Encoding", "gzip"),))) as served:
        assert fetch(served.url, limits=QUICK) == b"word " * 10_000


def test_what_is_packed_in_pieces_is_unpacked_whole():
    packed = gzip.compress(b"one ") + gzip.compress(b"two ") + gzip.compress(b"three")
    with site(Answer(packed, headers=(("Content-Encoding", "gzip"),))) as served:
        assert fetch(served.url, limits=QUICK) == b"one two three"


def test_a_small_answer_that_unpacks_into_a_huge_one_is_refused():
    bomb = gzip.compress(bytes(50_000_000))
    with (
        site(Answer(bomb, headers=(("Content-Encoding", "gzip"),))) as served,
        pytest.raises(SourceMalformed, match="larger than 100,000"),
    ):
        fetch(served.url, limits=QUICK)


def test_an_answer_larger_than_the_limit_is_refused():
    with site(Answer(bytes(100_001))) as served, pytest.raises(SourceMalformed, match="larger than 100,000 bytes"):
        fetch(served.url, limits=QUICK)


@pytest.mark.parametrize(("encoding", "body"), [("zstd", b"x"), ("gzip", b"no gzip at all")])
def test_a_packing_nobody_asked_for_is_refused(encoding, body):
    with site(Answer(body, headers=(("Content-Encoding", encoding),))) as served, pytest.raises(SourceMalformed, match="gzip"):
        fetch(served.url, limits=QUICK)


def test_an_answer_that_breaks_off_is_asked_for_again():
    packed = gzip.compress(b"whole")
    headers = (("Content-Encoding", "gzip"),)
    with site(Answer(packed[:-5], headers=headers), Answer(b"x", length=10), Answer(packed, headers=headers)) as served:
        assert fetch(served.url, limits=QUICK) == b"whole"

    assert len(served.asked) == 3


def test_a_site_that_drips_for_ever_is_cut_off():
    limits = Limits(connect=1, read=5, total=0.3, attempts=1)
    begun = time.monotonic()
    with site(Answer(drip=0.02)) as served, pytest.raises(SourceUnavailable, match=r"not done after 0\.3 s"):
        fetch(served.url, limits=limits)

    assert time.monotonic() - begun < 3


def test_a_list_of_many_slow_pages_ends_too():
    web = Web(limits=QUICK, until=time.monotonic() + 0.3)
    begun = time.monotonic()
    with site(Answer(drip=0.02)) as served:
        for _ in range(3):
            with pytest.raises(SourceUnavailable, match=r"not done after 0|took too long altogether"):
                web.get(served.url, own=True)

    assert time.monotonic() - begun < 3
    assert len(served.asked) == 1


def test_a_site_that_drips_its_first_words_is_cut_off_too():
    limits = Limits(connect=1, read=5, total=0.3, attempts=1)
    done = threading.Event()
    header = [b"HTTP/1.1 200 OK\r\nX-Slow: "]

    def drip(listener):
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            while not done.wait(0.02):
                connection.sendall(header.pop(0) if header else b"a")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=drip, args=(listener,))
        server.start()
        with pytest.raises(SourceUnavailable, match="not done after"):
            fetch(f"http://127.0.0.1:{listener.getsockname()[1]}/", limits=limits)
        done.set()
        server.join()


def test_a_site_that_says_nothing_is_unavailable():
    limits = Limits(connect=1, read=0.2, total=5, attempts=1)
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        pytest.raises(SourceUnavailable, match=r"nothing more came for 0\.2 s"),
    ):
        fetch(f"http://127.0.0.1:{listener.getsockname()[1]}/", limits=limits)


def test_a_site_that_is_not_there_is_unavailable():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(SourceUnavailable, match="no answer"):
        fetch(f"http://127.0.0.1:{port}/", limits=QUICK)


def test_headers_without_end_are_cut_off():
    with site(Answer(headers=(("X-Long", "x" * 2_000_000),))) as served, pytest.raises(SourceUnavailable, match="no answer"):
        fetch(served.url, limits=QUICK)


def test_a_connection_that_is_reset_is_unavailable():
    def reset(listener):
        for _ in range(QUICK.attempts):
            connection, _ = listener.accept()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=reset, args=(listener,))
        server.start()
        with pytest.raises(SourceUnavailable, match="no answer"):
            fetch(f"http://127.0.0.1:{listener.getsockname()[1]}/", limits=QUICK)
        server.join()


def test_no_attempt_begins_after_the_time_for_all_of_them():
    limits = Limits(connect=1, read=1, total=5, attempts=100, altogether=0.2, first_wait=0.02, longest_wait=0.02, jitter=0)
    begun = time.monotonic()
    with site(Answer(status=500)) as served, pytest.raises(SourceUnavailable, match="HTTP 500"):
        fetch(served.url, limits=limits)

    assert time.monotonic() - begun < 3
