"""Messages to a mail server.

What a refusal means depends first on how far the conversation had come. Up to MAIL the server speaks about us, and
nobody's address is to blame; from RCPT on it speaks about this message. Once the dot is out, only its answer tells
whether the message was taken.
"""

from contextlib import suppress
from typing import NoReturn, Self

from newsletter.errors import AnswerLost, Deferred, Refused, RelayUnavailable, Reply
from newsletter.mail.headers import needs_smtputf8, wire_address
from newsletter.mail.smtp.content import on_the_wire
from newsletter.mail.smtp.relay import Relay
from newsletter.mail.smtp.replies import CLOSING, OK, START_CONTENT
from newsletter.mail.transports.base import OutgoingMessage
from newsletter.mail.transports.connection import Connection, Lost

_RECIPIENT_TAKEN = {250, 251, 252}
_TOO_BIG = 552


class Smtp:
    """A relay over one kept connection, for one thread; opened when needed, and again where it was lost between messages."""

    def __init__(self, relay: Relay) -> None:
        """Raise SettingsError where the certificates to trust cannot be read; nothing is opened yet."""
        self._relay = relay
        self._tls = relay.tls_context()
        self._connection: Connection | None = None
        self._unfinished = False  # the server holds a transaction that RSET must end

    def __enter__(self) -> Self:
        """Return the transport itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self.close()

    def close(self) -> None:
        """Say goodbye and close; what the server says to that changes nothing."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.quit()

    def send(self, message: OutgoingMessage) -> Reply:
        """Hand the message over; see `Transport.send`. Raises BadAddress for an envelope that cannot be written."""
        content = on_the_wire(message.content)
        sender = wire_address(message.sender) if message.sender else ""
        message = OutgoingMessage(sender, wire_address(message.recipient), message.content)
        try:
            connection = self._begin(message)
            self._name_recipient(connection, message)
            return self._hand_over(connection, content)
        except (Deferred, Refused):
            raise
        except BaseException:
            self._drop()  # also when a signal breaks in: the next answer would be taken for another message's
            raise

    def _begin(self, message: OutgoingMessage) -> Connection:
        """Send MAIL, over a new connection where the kept one turns out to be gone or going."""
        connection = self._kept()
        if connection is not None:
            with suppress(Lost):
                reply = self._mail(connection, message)
                if reply.code != CLOSING:
                    return self._begun(connection, reply)
        self._drop()
        connection = self._connection = Connection(self._relay, self._tls)
        self._unfinished = False
        try:
            return self._begun(connection, self._mail(connection, message))
        except Lost as lost:
            raise RelayUnavailable(lost.reply) from None

    def _kept(self) -> Connection | None:
        """Return the connection if it can take another message."""
        connection = self._connection
        if connection is None or not connection.is_open:
            return None
        if connection.sent >= self._relay.messages_per_connection:
            connection.quit()
            return None
        if self._unfinished:
            with suppress(Lost):
                self._unfinished = connection.ask("mail", "RSET").code != OK
        return None if self._unfinished else connection

    def _mail(self, connection: Connection, message: OutgoingMessage) -> Reply:
        options = "".join(f" {option}" for option in self._options(connection, message))
        return connection.ask("mail", "MAIL", f"FROM:<{message.sender}>{options}")

    def _options(self, connection: Connection, message: OutgoingMessage) -> list[str]:
        """Return the parameters of MAIL; raises Refused for a message that the server says it cannot take."""
        options, size = [], len(message.content)
        if "size" in connection.features:
            most = connection.features["size"].strip()
            if most.isdecimal() and 0 < int(most) < size:
                self._cannot("5.3.4", f"the message has {size} bytes, the server takes {most}")
            options.append(f"SIZE={size}")
        if not message.content.isascii():
            if "8bitmime" not in connection.features:
                self._cannot("5.6.3", "the message is not 7-bit, and the server lacks 8BITMIME")
            options.append("BODY=8BITMIME")
        if _needs_smtputf8(message):
            if "smtputf8" not in connection.features:
                self._cannot("5.6.7", "an address is not ASCII, and the server lacks SMTPUTF8")
            options.append("SMTPUTF8")
        return options

    def _cannot(self, enhanced: str, text: str) -> NoReturn:
        raise Refused(Reply(0, enhanced, text, self._relay.name, "mail"))

    def _begun(self, connection: Connection, reply: Reply) -> Connection:
        if reply.code == _TOO_BIG:  # the one refusal here that is about the message (RFC 1870)
            raise Refused(reply)
        if reply.code != OK:
            raise RelayUnavailable(reply, hint="The mail server refused our sender address: ask its operator why.")
        self._unfinished = True
        return connection

    def _name_recipient(self, connection: Connection, message: OutgoingMessage) -> None:
        """Send RCPT and DATA. A loss defers this message only: a recipient a server chokes on must not stop the relay."""
        try:
            reply = connection.ask("rcpt", "RCPT", f"TO:<{message.recipient}>")
            if reply.code not in _RECIPIENT_TAKEN:
                self._refuse(reply)
            reply = connection.ask("data", "DATA", timeout=self._relay.timeouts.data)
        except Lost as lost:
            raise Deferred(lost.reply) from None
        if reply.code != START_CONTENT:
            self._refuse(reply)

    def _hand_over(self, connection: Connection, content: bytes) -> Reply:
        """Write the content; the answer to the dot that ends it decides."""
        try:
            connection.write(content)
        except OSError as error:
            self._broken_off(connection, str(error))
        try:
            reply = connection.read("dot", timeout=self._relay.timeouts.dot)
        except Lost as lost:
            raise AnswerLost(lost.reply) from None
        if reply.code // 100 not in {2, 4, 5}:
            raise AnswerLost(reply)
        self._unfinished = False
        connection.sent += 1
        if reply.code // 100 != 2:  # noqa: PLR2004
            self._refuse(reply)
        return reply

    def _broken_off(self, connection: Connection, error: str) -> NoReturn:
        """Raise what the server said before it stopped reading; the dot has not left, so it cannot have taken the message."""
        reply = Reply(0, "", error, self._relay.name, "data")
        with suppress(Lost):
            reply = connection.read("data", timeout=self._relay.timeouts.quit)
        self._drop()
        self._refuse(reply)

    def _refuse(self, reply: Reply) -> NoReturn:
        """Raise what a refusal of this message means; a server that talks nonsense is not talked to any further."""
        if reply.code // 100 not in {4, 5}:
            self._drop()
        raise (Refused if reply.code // 100 == 5 else Deferred)(reply)  # noqa: PLR2004

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _needs_smtputf8(message: OutgoingMessage) -> bool:
    if needs_smtputf8(message.sender) or needs_smtputf8(message.recipient):
        return True
    return not message.content.isascii() and not message.content.partition(b"\r\n\r\n")[0].isascii()
