"""One connection to a relay: opened, secured, logged in; then a command and its reply at a time.

The standard library opens it (EHLO, AUTH) but does not send: `smtplib.sendmail` does not tell an answer that was lost
from one that was never due.
"""

import smtplib
import socket
import ssl
from contextlib import suppress

from newsletter.errors import RelayUnavailable, Reply, SettingsError
from newsletter.mail.smtp.relay import Relay
from newsletter.mail.smtp.replies import CLOSING, OK, READY, make_reply, one_line

_BLOCK = 1 << 16  # bytes handed to the socket at once; each has its own time-out


class Lost(Exception):
    """The connection ended, timed out or spoke nonsense instead of giving a reply; `reply` says which, with code 0."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.text)
        self.reply = reply


class Connection:
    """A conversation with the relay; it closes itself when it is lost and when the server says goodbye (421)."""

    def __init__(self, relay: Relay, tls: ssl.SSLContext | None) -> None:
        """Open it; raises RelayUnavailable, or SettingsError for a password that cannot be sent."""
        self._relay = relay
        self._tls = tls
        self._client = smtplib.SMTP(local_hostname=relay.helo or None, timeout=relay.timeouts.greeting)
        self._client.command_encoding = "utf-8"  # differs from ASCII under SMTPUTF8 alone
        self.sent = 0  # messages taken or refused after their dot
        try:
            self._open()
        except Lost as lost:
            raise RelayUnavailable(lost.reply) from None
        except BaseException:
            self.close()
            raise

    @property
    def is_open(self) -> bool:
        """Whether neither side has closed it, as far as we have heard."""
        return self._client.sock is not None

    @property
    def features(self) -> dict[str, str]:
        """What the server offers: EHLO keywords in lower case, with their parameters."""
        return self._client.esmtp_features

    def ask(self, phase: str, verb: str, rest: str = "", *, timeout: float | None = None) -> Reply:
        """Send a command and return the reply; raises Lost."""
        try:
            self._client.putcmd(verb, rest)
        except (OSError, smtplib.SMTPException) as error:
            raise self._lost(phase, str(error)) from None
        return self.read(phase, timeout=timeout or self._relay.timeouts.command)

    def read(self, phase: str, *, timeout: float) -> Reply:
        """Return the next reply; raises Lost where none comes within `timeout` seconds, or what comes is none."""
        try:
            self._set_timeout(timeout)
            code, text = self._client.getreply()
        except (OSError, smtplib.SMTPException) as error:
            raise self._lost(phase, str(error)) from None
        if code < 0:
            raise self._lost(phase, f"the server said {one_line(text.decode('utf-8', 'replace'))!r}")
        if code == CLOSING:
            self.close()
        return self._reply(phase, code, text)

    def write(self, content: bytes) -> None:
        """Hand over bytes; raises OSError, after which the last of them has not left."""
        for start in range(0, len(content), _BLOCK):
            self._set_timeout(self._relay.timeouts.block).sendall(content[start : start + _BLOCK])

    def quit(self) -> None:
        """Say goodbye, wait a moment for the answer and close, whatever it is."""
        with suppress(Lost):
            if self.is_open:
                self.ask("quit", "QUIT", timeout=self._relay.timeouts.quit)
        self.close()

    def close(self) -> None:
        """Close it without a word."""
        self._client.close()

    def _open(self) -> None:
        self._client.sock = self._connect()
        self._need(self.read("greeting", timeout=self._relay.timeouts.greeting), READY)
        self._greet()
        if self._relay.security == "starttls":
            self._start_tls()
            self._greet()
        if self._relay.username:
            self._log_in()

    def _connect(self) -> socket.socket:
        try:
            plain = socket.create_connection((self._relay.host, self._relay.port), timeout=self._relay.timeouts.connect)
        except (OSError, UnicodeError) as error:
            raise self._lost("connect", str(error)) from None
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._secure(plain) if self._relay.security == "tls" else plain

    def _secure(self, plain: socket.socket) -> ssl.SSLSocket:
        assert self._tls is not None
        try:
            return self._tls.wrap_socket(plain, server_hostname=self._relay.host)
        except OSError as error:
            plain.close()
            hint = "The host must be the name in the server's certificate, and its issuer be trusted (the CA file)."
            raise RelayUnavailable(self._reply("tls", 0, str(error)), hint=hint) from None

    def _greet(self) -> None:
        """Say EHLO, or HELO where the server is older than that."""
        self._set_timeout(self._relay.timeouts.command)
        try:
            code, text = self._client.ehlo()
        except (OSError, smtplib.SMTPException) as error:
            raise self._lost("helo", str(error)) from None
        if code // 100 == 5:  # noqa: PLR2004
            self._need(self.ask("helo", "HELO", self._client.local_hostname), OK)
        else:
            self._need(self._reply("helo", code, text), OK)

    def _start_tls(self) -> None:
        """Secure the connection: what was said before is forgotten (RFC 3207 section 4.2), and there is no way back."""
        hint = "The server does not secure this port: ask its operator, or try port 465 with security `tls`."
        self._need(self.ask("tls", "STARTTLS"), READY, hint=hint)
        plain = self._set_timeout(self._relay.timeouts.connect)
        self._client.file = None
        self._client.sock = self._secure(plain)
        self._client.esmtp_features = {}
        self._client.does_esmtp = False

    def _log_in(self) -> None:
        hint = "Check the relay's user name and password, and that this port takes them."
        try:
            self._client.login(self._relay.username, self._relay.password)
        except UnicodeEncodeError:
            raise SettingsError("the relay's user name or password is not ASCII", hint=hint) from None
        except smtplib.SMTPResponseException as error:
            raise RelayUnavailable(self._reply("auth", error.smtp_code, error.smtp_error), hint=hint) from None
        except (OSError, smtplib.SMTPException) as error:
            raise RelayUnavailable(self._reply("auth", 0, str(error)), hint=hint) from None

    def _need(self, reply: Reply, code: int, *, hint: str = "") -> None:
        if reply.code != code:
            raise RelayUnavailable(reply, hint=hint)

    def _set_timeout(self, seconds: float) -> socket.socket:
        if self._client.sock is None:
            raise OSError("the connection is closed")
        self._client.sock.settimeout(seconds)
        return self._client.sock

    def _lost(self, phase: str, text: str) -> Lost:
        self.close()
        return Lost(self._reply(phase, 0, text))

    def _reply(self, phase: str, code: int, text: bytes | str) -> Reply:
        return make_reply(code, text, server=self._relay.name, phase=phase)
