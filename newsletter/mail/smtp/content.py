"""A message's bytes as SMTP carries them."""

from newsletter.errors import BadInput

DOT = b".\r\n"  # ends the content, at the start of a line


def on_the_wire(content: bytes, *, seven_bit: bool = False) -> bytes:
    """Return the content with its dots doubled (RFC 5321 section 4.5.2) and the dot that ends it.

    Raises BadInput for a bare CR or LF (section 2.3.8): servers disagree about where a message with one ends; and for
    bytes that are not ASCII where there must be none.
    """
    if seven_bit and not content.isascii():
        raise BadInput("the message is not 7-bit", hint="Encode its parts as base64 or quoted-printable.")
    pairs = content.count(b"\r\n")
    if content.count(b"\r") != pairs or content.count(b"\n") != pairs:
        raise BadInput("the message has a bare CR or LF", hint="End every line with CRLF.")
    if content.startswith(b"."):
        content = b"." + content
    if b"\r\n." in content:
        content = content.replace(b"\r\n.", b"\r\n..")
    return content + (DOT if content.endswith(b"\r\n") else b"\r\n" + DOT)
