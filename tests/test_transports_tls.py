import socket
from dataclasses import replace

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from smtp_certificates import make_certificate
from smtp_servers import DROP, FaultyServer
from smtp_talk import MESSAGE, SOON, fails, talking

from newsletter.errors import RelayUnavailable, SettingsError
from newsletter.mail.transports import Relay, Smtp

# With TLS and AUTH


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Return a certificate for 127.0.0.1 that nobody but the tests trusts: the server's context and the file to trust."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


OFFER_TLS = {"EHLO": "250-mail.example.net\n250 STARTTLS"}


def test_a_server_whose_certificate_nobody_vouches_for_is_not_talked_to(certificate):
    for at_once, security in ((True, "tls"), (False, "starttls")):
        reply = fails(RelayUnavailable, "tls", OFFER_TLS, tls=certificate[0], tls_at_once=at_once, security=security)
        assert "certificate verify failed" in reply.text


def test_a_certificate_for_another_host_is_refused(certificate):
    with FaultyServer(OFFER_TLS, tls=certificate[0]).running() as server:
        relay = Relay("localhost", server.port, ca_file=certificate[1], timeouts=SOON, helo="me.example.net")
        with Smtp(relay) as smtp, pytest.raises(RelayUnavailable, match="not valid for"):
            smtp.send(MESSAGE)


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_trusted_server_is_talked_to_in_secret(certificate, security):
    options = {"tls": certificate[0], "tls_at_once": security == "tls", "security": security, "ca_file": certificate[1]}
    with talking(OFFER_TLS, **options) as (server, smtp):
        for _ in range(2):
            assert smtp.send(MESSAGE).code == 250

    assert server.connections == 1
    assert server.commands.count("ehlo me.example.net") == (1 if security == "tls" else 2)


@pytest.mark.parametrize("answer", ["454 4.7.0 not now", "502 5.5.1 what", DROP])
def test_there_is_no_way_back_to_clear_text(answer):
    with talking({"STARTTLS": answer}, security="starttls", username="ari", password="secret") as (server, smtp):
        with pytest.raises(RelayUnavailable) as caught:
            smtp.send(MESSAGE)
        assert caught.value.reply.phase == "tls"

    assert server.commands == ["ehlo me.example.net", "STARTTLS"]


@pytest.mark.parametrize(
    ("faults", "code"),
    [
        ({"EHLO": "250-mail.example.net\n250 AUTH PLAIN", "AUTH": "535 5.7.8 wrong"}, 535),
        ({"EHLO": "250-mail.example.net\n250 AUTH PLAIN", "AUTH": "421 4.7.0 enough"}, 421),
        ({"EHLO": "250-mail.example.net\n250 AUTH PLAIN", "AUTH": DROP}, 0),
        ({"EHLO": "250 mail.example.net"}, 0),
    ],
)
def test_a_login_that_fails_is_about_the_relay(faults, code):
    fails(RelayUnavailable, "auth", faults, code, username="ari", password="secret")


def test_a_password_that_cannot_be_sent_is_a_setting_to_mend():
    with (
        talking({"EHLO": "250-mail.example.net\n250 AUTH PLAIN"}, username="ari", password="geheimnü") as (_, smtp),
        pytest.raises(SettingsError),
    ):
        smtp.send(MESSAGE)


def test_a_file_of_certificates_that_is_none_is_a_setting_to_mend(tmp_path):
    (tmp_path / "empty.pem").touch()
    for name in ("missing.pem", "empty.pem"):
        with pytest.raises(SettingsError, match=name):
            Smtp(Relay("127.0.0.1", ca_file=tmp_path / name))


def test_a_password_is_not_shown():
    assert "secret" not in repr(Relay("127.0.0.1", password="secret"))


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
        relay = Relay("127.0.0.1", port, "ari", "secret", ca_file=certificate[1], helo="me.example.net", timeouts=SOON)
        with Smtp(relay) as smtp:
            replies = [smtp.send(MESSAGE) for _ in range(3)]
        with Smtp(replace(relay, password="wrong")) as smtp, pytest.raises(RelayUnavailable, match="auth: 535"):
            smtp.send(MESSAGE)
    finally:
        controller.stop()

    assert [reply.code for reply in replies] == [250] * 3
    assert [envelope.content for envelope in mailroom.envelopes] == [MESSAGE.content] * 3
    assert mailroom.envelopes[0].mail_from == MESSAGE.sender
    assert mailroom.envelopes[0].rcpt_tos == [MESSAGE.recipient]
