import ipaddress
import socket
import threading
from contextlib import contextmanager, suppress

import httpx2
import pytest
from smtp_certificates import make_certificate
from sources_server import Answer, site

from newsletter.errors import SourceMalformed, SourceUnavailable
from newsletter.sources.http import Limits, Web
from newsletter.sources.http.reach import Reach, is_public

QUICK = Limits(connect=1, read=1, total=5, attempts=1, first_wait=0.001, longest_wait=0.01, jitter=0)
LOOPBACK = frozenset({"127.0.0.1"})


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "151.101.131.42", "2606:4700::1111", "64:ff9b::808:808"])
def test_an_address_of_the_internet_may_be_asked(address):
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
        *("192.0.0.8", "192.0.2.1", "192.88.99.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "fd00::1", "fe80::1", "fec0::1", "ff0e::1"),
        *("64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1", "2002:7f00:1::", "2001:0:4136:e378::1", "2001:db8::1"),
        *("3fff::1", "100::1", "5f00::1"),
    ],
)
def test_an_address_inside_or_with_one_written_into_it_is_not_asked(address):
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f000001", "127.1", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"]
)
def test_no_spelling_of_loopback_is_asked(host):
    with site(Answer(b"secret")) as served, pytest.raises(SourceMalformed, match=r"not asked|no address") as caught:
        _ask(f"http://{host}:{served.url.rpartition(':')[2]}/")

    assert served.asked == []
    assert caught.value.hint


def _ask(url, **changes):
    return Web(limits=QUICK, **changes).get(url)


def _leading(**names):
    """Return a resolver by which these names lead to these addresses, one after the other at each question."""

    def resolve(host, port, **_):
        answers = names[host.partition(".")[0]]
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(0, 0, 0, "", (address, port)) for address in found]

    return resolve


@pytest.mark.parametrize("where", ["http://inside.example:{port}/", "http://169.254.169.254/latest/", "http://localhost:{port}/"])
def test_a_redirect_to_an_address_inside_is_not_followed(where):
    def answer(path):
        return Answer(status=302, headers=(("Location", where.format(port=port)),)) if path == "/feed" else Answer(b"secret")

    with site(answer) as served:
        port = served.url.rpartition(":")[2]
        with pytest.raises(SourceMalformed, match="private network"):
            _ask(f"{served.url}/feed", inside=LOOPBACK, resolve=_leading(inside=[["127.0.0.1"]], localhost=[["127.0.0.1"]]))

    assert served.asked == ["/feed"]


def test_a_redirect_to_another_port_is_not_followed():
    with site(Answer(b"secret")) as other, site(Answer(status=302, headers=(("Location", f"{other.url}/"),))) as served:
        with pytest.raises(SourceMalformed, match="port"):
            _ask(served.url, inside=LOOPBACK)

        assert other.asked == []


def test_a_name_is_looked_up_once_and_that_address_is_asked():
    resolve = _leading(news=[["127.0.0.1"], ["203.0.113.1"]])
    with site(Answer(b"hello")) as served:
        url = served.url.replace("127.0.0.1", "news.example.com")
        page = _ask(url, inside=frozenset({"news.example.com"}), resolve=resolve)

    assert (page.body, page.url) == (b"hello", url)
    assert served.headers[0]["Host"] == url.removeprefix("http://")


def test_of_several_addresses_those_inside_are_left_out():
    mixed = [["10.0.0.1", "8.8.8.8", "::1"]]
    reach = Reach.towards(httpx2.URL("https://news.example/"), inside=frozenset(), own=False, resolve=_leading(news=mixed))

    assert reach.addresses(httpx2.URL("https://news.example/")) == ["8.8.8.8"]


def test_the_next_address_is_tried_where_the_first_gives_no_answer():
    resolve = _leading(news=[["127.0.0.2", "127.0.0.1"]])
    with site(Answer(b"hello")) as served:
        url = served.url.replace("127.0.0.1", "news.example")
        assert _ask(url, inside=frozenset({"news.example"}), resolve=resolve).body == b"hello"


def test_a_name_that_leads_nowhere_is_unavailable():
    def resolve(*_, **__):
        raise OSError(-2, "Name or service not known")

    with pytest.raises(SourceUnavailable, match="no address found: Name or service not known"):
        _ask("http://nowhere.example/", resolve=resolve)


@contextmanager
def _tls_site(folder):
    """Answer over TLS with a certificate for 127.0.0.1; yields the port and the file to trust it by."""
    context, authority = make_certificate(folder)

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with suppress(OSError), connection, context.wrap_socket(connection, server_side=True) as wrapped:
                wrapped.recv(65536)
                wrapped.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1], authority
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_a_certificate_must_be_for_the_name_and_not_for_its_address(tmp_path, monkeypatch):
    with _tls_site(tmp_path) as (port, authority):
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))

        assert _ask(f"https://127.0.0.1:{port}/", inside=LOOPBACK).body == b"ok"
        with pytest.raises(SourceUnavailable, match=r"not valid for 'news.example'|match"):
            _ask(f"https://news.example:{port}/", inside=frozenset({"news.example"}), resolve=_leading(news=[["127.0.0.1"]]))


def test_a_proxy_of_the_environment_is_asked_and_addresses_inside_are_not(monkeypatch):
    with site(Answer(b"by proxy")) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        resolve = _leading(news=[["8.8.8.8"]], inside=[["10.0.0.1"]])

        assert _ask("http://news.example/feed", resolve=resolve).body == b"by proxy"
        with pytest.raises(SourceMalformed, match="private network"):
            _ask("http://inside.example/feed", resolve=resolve)

    assert proxy.asked == ["http://news.example/feed"]
