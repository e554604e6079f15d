"""The commands that announce a message, as far as this server can take it."""

from newsletter.errors import BadAddress, Reply
from newsletter.mail.headers import wire_address
from newsletter.mail.smtp.handshake import Offer
from newsletter.mail.smtp.parcels import Parcel


class Cannot(Exception):
    """The parcel cannot go to this server, which need not be asked: `reply` says why, with code 0."""

    def __init__(self, enhanced: str, text: str, server: str) -> None:
        super().__init__(text)
        self.reply = Reply(0, enhanced, text, server, "mail")


TOO_BIG = "5.3.4"  # RFC 3463 section 3.4


def takes(offer: Offer, size: int) -> bool:
    """Return whether the server says that it takes a message of so many bytes (RFC 1870)."""
    return not offer.size or size <= offer.size


def too_big(offer: Offer, size: int) -> str:
    """Return in words why it does not."""
    return f"message of {size} bytes is larger than the server takes ({offer.size})"


def envelope(parcel: Parcel, offer: Offer, server: str) -> tuple[bytes, bytes, bytes]:
    """Return MAIL, RCPT and DATA with the parameters that the parcel needs and the server offers; raises Cannot."""
    sender, recipient = _addresses(parcel, server)
    options = ""
    size = parcel.size or parcel.about
    if size and offer.size is not None:
        if takes(offer, size):
            options = f" SIZE={size}"
        elif parcel.size:
            raise Cannot(TOO_BIG, too_big(offer, size), server)
    if parcel.needs_utf8 or not (sender.isascii() and recipient.isascii()):
        if not offer.utf8:
            raise Cannot("5.6.7", "an address is not ASCII, and the server lacks SMTPUTF8", server)
        options += " BODY=8BITMIME SMTPUTF8" if offer.eight_bit else " SMTPUTF8"
    return f"MAIL FROM:<{sender}>{options}\r\n".encode(), f"RCPT TO:<{recipient}>\r\n".encode(), b"DATA\r\n"


def _addresses(parcel: Parcel, server: str) -> tuple[str, str]:
    """Return sender and recipient as commands carry them: nothing that could end the command passes."""
    try:
        sender = wire_address(parcel.sender) if parcel.sender else ""
    except BadAddress as error:
        raise Cannot("5.1.7", str(error), server) from None
    try:
        return sender, wire_address(parcel.recipient)
    except BadAddress as error:
        raise Cannot("5.1.3", str(error), server) from None
