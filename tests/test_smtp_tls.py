import asyncio
import socket

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from smtp_certificates import make_certificate
from smtp_feed import CONTENT, SENDER, SOON, Post, deliver, parcels
from smtp_servers import DROP, HANG, FaultyServer

from newsletter.errors import SettingsError
from newsletter.mail.smtp import Kind, Pool, Relay

OFFER_TLS = {"EHLO": "250-mail.example.net\n250-STARTTLS\n250 PIPELINING"}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("tls"))


def send(faults, *, count=1, until="finished", host="127.0.0.1", tls=None, tls_at_once=False, **options):
    """Send so many parcels; return the server, the feed and the troubles."""
    post = Post.of(parcels(count))
    with FaultyServer(faults, tls=tls, tls_at_once=tls_at_once).running() as server:
        relay = Relay(host, server.port, helo="me.example.net", **{"timeouts": SOON, **options})
        return server, post, deliver(post, relay, until=until)


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_trusted_server_is_talked_to_in_secret(certificate, security):
    options = {"tls": certificate[0], "tls_at_once": security == "tls", "security": security, "ca_file": certificate[1]}
    server, post, troubles = send(OFFER_TLS, count=5, **options)

    assert set(post.kinds().values()) == {Kind.ACCEPTED}
    assert (server.connections, troubles) == (1, [])
    assert server.commands.count("EHLO me.example.net") == (1 if security == "tls" else 2)


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_server_whose_certificate_nobody_vouches_for_is_not_talked_to(certificate, security):
    options = {"tls": certificate[0], "tls_at_once": security == "tls", "security": security}
    server, post, troubles = send(OFFER_TLS, until="troubled", **options)

    assert troubles[0].reply.phase == "tls"
    assert "certificate verify failed" in troubles[0].reply.text
    assert troubles[0].hint
    assert post.taken == []
    assert not [command for command in server.commands if command.startswith("MAIL")]


def test_a_certificate_for_another_host_is_refused(certificate):
    options = {"tls": certificate[0], "host": "localhost", "ca_file": certificate[1]}
    _, _, troubles = send(OFFER_TLS, until="troubled", **options)

    assert "not valid for" in troubles[0].reply.text


@pytest.mark.parametrize("answer", ["454 4.7.0 not now", "502 5.5.1 what", DROP, "220 go\n250 injected"])
def test_there_is_no_way_back_to_clear_text(certificate, answer):
    faults = {**OFFER_TLS, "STARTTLS": answer}
    server, _, troubles = send(faults, until="troubled", tls=certificate[0], username="ari", password="secret")

    assert troubles[0].reply.phase == "tls"
    assert server.commands == ["EHLO me.example.net", "STARTTLS"]


def test_a_server_without_tls_is_not_given_the_password():
    server, _, troubles = send({}, until="troubled", username="ari", password="secret")

    assert troubles[0].reply.phase == "tls"
    assert server.commands == ["EHLO me.example.net"]


def test_a_handshake_that_hangs_is_given_up():
    timeouts = SOON.__class__(connect=0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        relay = Relay("127.0.0.1", silent.getsockname()[1], security="tls", helo="me", timeouts=timeouts)
        troubles = deliver(Post.of(parcels(1)), relay, until="troubled")

    assert troubles[0].reply.text == "timed out after 0.2 s"


@pytest.mark.parametrize(
    ("faults", "code"),
    [({"AUTH": "535 5.7.8 wrong"}, 535), ({"AUTH": "421 4.7.0 enough"}, 421), ({"AUTH": DROP}, 0), ({"AUTH": HANG}, 0)],
)
def test_a_login_that_fails_is_about_the_relay(faults, code):
    faults = {"EHLO": "250-mail.example.net\n250 AUTH PLAIN", **faults}
    timeouts = SOON.__class__(command=0.2)
    _, post, troubles = send(faults, until="troubled", username="ari", password="secret", security="none", timeouts=timeouts)

    assert (troubles[0].reply.phase, troubles[0].reply.code) == ("auth", code)
    assert post.taken == []


def test_a_file_of_certificates_that_is_none_is_a_setting_to_mend(tmp_path):
    async def make():
        return Pool(Relay("127.0.0.1", ca_file=tmp_path / "missing.pem"), Post.of([]))

    with pytest.raises(SettingsError, match=r"missing\.pem"):
        asyncio.run(make())


class Mailroom:
    """What aiosmtpd hands to us."""

    def __init__(self):
        self.envelopes = []

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802 -- aiosmtpd's name
        """Keep the message."""
        self.envelopes.append(envelope)
        return "250 2.0.0 taken"


def test_a_real_server_takes_messages_over_tls_and_with_a_password(certificate):
    mailroom = Mailroom()
    options = {
        "tls_context": certificate[0],
        "require_starttls": True,
        "auth_required": True,
        "authenticator": lambda _s, _x, _e, _m, login: AuthResult(success=login.password == b"secret", handled=False),
    }
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(mailroom, hostname="127.0.0.1", port=port, **options)
    controller.start()
    try:
        post = Post.of(parcels(20))
        relay = Relay("127.0.0.1", port, "ari", "secret", ca_file=certificate[1], helo="me.example.net", timeouts=SOON)
        assert deliver(post, relay, connections=3) == []
    finally:
        controller.stop()

    assert set(post.kinds().values()) == {Kind.ACCEPTED}
    assert [envelope.content for envelope in mailroom.envelopes] == [CONTENT] * 20
    assert sorted(envelope.rcpt_tos for envelope in mailroom.envelopes) == sorted([parcel.recipient] for parcel in post.taken)
    assert {envelope.mail_from for envelope in mailroom.envelopes} == {SENDER}
