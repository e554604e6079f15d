"""A message with another one attached whole, as it came."""

import re
from base64 import encodebytes
from hashlib import sha256

_MIME = b"MIME-Version: 1.0\r\n"
_HEADER = b'Content-Type: multipart/mixed;\r\n boundary="%b"\r\n'
_LETTER = b'Content-Type: message/rfc822\r\nContent-Disposition: attachment; filename="letter.eml"\r\n\r\n'
# RFC 2046 section 5.2.1 forbids any other encoding of a message/rfc822 than none, so what cannot go as it is goes as a file.
_FILE = (
    b'Content-Type: application/octet-stream; name="letter.eml"\r\n'
    b'Content-Disposition: attachment; filename="letter.eml"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
)
_LONG_LINE = re.compile(rb"[^\r\n]{999}")  # RFC 5322 section 2.1.1


def enclose(content_type: bytes, content: bytes, letter: bytes) -> tuple[bytes, bytes]:
    """Return the MIME fields and the body of a message that has `letter` attached, in 7-bit ASCII and with CRLF.

    `content_type` and `content` are those of the message without it; `letter` may be any bytes.
    """
    boundary = b"=_letter_" + sha256(letter).hexdigest()[:40].encode()  # which no letter holds, as it would hold its own hash
    parts = (
        b"--%b\r\n%b\r\n%b\r\n" % (boundary, content_type.removeprefix(_MIME), content),
        b"--%b\r\n%b\r\n" % (boundary, _attached(letter)),
        b"--%b--\r\n" % boundary,
    )
    return _MIME + _HEADER % boundary, b"".join(parts)


def _attached(letter: bytes) -> bytes:
    pairs = letter.count(b"\r\n")
    lines_end_well = letter.count(b"\r") == pairs == letter.count(b"\n")
    if letter.isascii() and b"\0" not in letter and lines_end_well and not _LONG_LINE.search(letter):
        return _LETTER + letter
    return _FILE + encodebytes(letter).replace(b"\n", b"\r\n")
