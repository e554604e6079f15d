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


def envelope(parcel: Parcel, offer: Offer, server: str) -> tuple[bytes, bytes, bytes]:
    """Return MAIL, RCPT and DATA with the parameters that the parcel needs and the server offers; raises Cannot."""
    sender, recipient = _addresses(parcel, server)
    options = ""
    if offer.size is not None and parcel.size:
        if 0 < offer.size < parcel.size:
            raise Cannot("5.3.4", f"the message has {parcel.size} bytes, the server takes {offer.size}", server)
        options = f" SIZE={parcel.size}"
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
