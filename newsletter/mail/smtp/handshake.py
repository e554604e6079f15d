"""From the greeting to the first message: EHLO, STARTTLS, AUTH, as a conversation that knows no sockets."""

from base64 import b64encode
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from newsletter.errors import RelayUnavailable
from newsletter.mail.smtp.relay import Relay
from newsletter.mail.smtp.replies import OK, READY, make_reply

_CONTINUE, _AUTHENTICATED, _UNKNOWN_MECHANISM = 334, 235, 504  # RFC 4954 sections 4 and 6
_NO_TLS = "The server does not secure this port: ask its operator, or try port 465 with security `tls`."
_NO_LOGIN = "Check the relay's user name and password, and that this port takes them."


class Ask(NamedTuple):
    """A line to send (empty: just listen) and the step that its reply belongs to."""

    phase: str
    line: bytes = b""


SECURE = Ask("tls")  # no line: secure the connection now, and throw away what was received before (RFC 3207 section 4.2)
Said = tuple[int, bytes]  # a reply's code and its lines, as `Replies` reads them
Steps = Generator[Ask, Said, "Offer"]


@dataclass(frozen=True, slots=True)
class Offer:
    """What the server announced after EHLO (RFC 5321 section 4.1.1.1); nothing, after HELO."""

    pipelining: bool = False  # RFC 2920
    size: int | None = None  # RFC 1870: the most bytes of a message, 0 without a limit; None: SIZE= is not understood
    eight_bit: bool = False  # RFC 6152
    utf8: bool = False  # RFC 6531
    starttls: bool = False  # RFC 3207
    mechanisms: frozenset[str] = frozenset()  # RFC 4954


def introduce(relay: Relay, helo: str) -> Steps:
    """Go as far as the first MAIL and return what the server offers; raises RelayUnavailable for a refusal."""
    server = relay.name
    _need((yield Ask("greeting")), READY, server, "greeting")
    offer = yield from _greet(server, helo)
    if relay.security == "starttls":
        if not offer.starttls:
            raise RelayUnavailable(make_reply(0, "STARTTLS is not offered", server=server, phase="tls"), hint=_NO_TLS)
        _need((yield Ask("tls", b"STARTTLS\r\n")), READY, server, "tls", hint=_NO_TLS)
        yield SECURE
        offer = yield from _greet(server, helo)
    if relay.username:
        yield from _log_in(relay, offer)
    return offer


def read_offer(text: bytes) -> Offer:
    """Read the lines of the reply to EHLO: the first is the server's name, each other a keyword with its parameters."""
    offered: dict[str, list[str]] = {}
    for line in text.decode("utf-8", "replace").upper().split("\n")[1:]:
        keyword, *parameters = line.replace("=", " ").split() or [""]  # "AUTH=LOGIN": an old way to say "AUTH LOGIN"
        offered[keyword] = [*offered.get(keyword, []), *parameters]
    size = offered.get("SIZE")
    limit = size[0] if size else "0"
    return Offer(
        pipelining="PIPELINING" in offered,
        size=None if size is None else int(limit) if limit.isascii() and limit.isdecimal() else 0,
        eight_bit="8BITMIME" in offered,
        utf8="SMTPUTF8" in offered,
        starttls="STARTTLS" in offered,
        mechanisms=frozenset(offered.get("AUTH", [])),
    )


def _greet(server: str, helo: str) -> Steps:
    """Say EHLO, or HELO where the server is older than that (RFC 5321 section 4.1.4)."""
    code, text = yield Ask("helo", f"EHLO {helo}\r\n".encode())
    if code // 100 == 5:  # noqa: PLR2004
        _need((yield Ask("helo", f"HELO {helo}\r\n".encode())), OK, server, "helo")
        return Offer()
    _need((code, text), OK, server, "helo")
    return read_offer(text)


def _log_in(relay: Relay, offer: Offer) -> Generator[Ask, Said, None]:
    """Try the mechanisms that we know in turn; only "no such mechanism" leads to the next."""
    said: Said = (0, b"neither AUTH PLAIN nor AUTH LOGIN is offered")
    for mechanism, secrets in _secrets(relay):
        if mechanism in offer.mechanisms:
            said = yield from _try(mechanism, secrets)
            if said[0] != _UNKNOWN_MECHANISM:
                break
    _need(said, _AUTHENTICATED, relay.name, "auth", hint=_NO_LOGIN)


def _secrets(relay: Relay) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Return each mechanism with its answers; PLAIN (RFC 4616) is one that may go with the command itself."""
    yield "PLAIN", (f"\0{relay.username}\0{relay.password}",)
    yield "LOGIN", (relay.username, relay.password)


def _try(mechanism: str, secrets: tuple[str, ...]) -> Generator[Ask, Said, Said]:
    """Send the one answer with the command, several when they are asked for; a server may ask for the first again."""
    answers = [b64encode(secret.encode()) for secret in secrets]
    command = b"AUTH " + mechanism.encode()
    said = yield Ask("auth", command + (b" " + answers[0] if len(answers) == 1 else b"") + b"\r\n")
    for answer in answers:
        if said[0] != _CONTINUE:
            return said
        said = yield Ask("auth", answer + b"\r\n")
    return said


def _need(said: Said, code: int, server: str, phase: str, *, hint: str = "") -> None:
    if said[0] != code:
        raise RelayUnavailable(make_reply(*said, server=server, phase=phase), hint=hint)
