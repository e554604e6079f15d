"""DKIM: the signature by which a mail server knows that a mail is ours and whole (RFC 6376, 8301, 8463).

The header is signed in `relaxed` form, so that servers may fold it anew, the body in `simple` form, which is the bytes
that `compose.body` makes. Nothing here touches a file or asks for the time.
"""

import re
from base64 import b64encode
from binascii import b2a_base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache, partial
from hashlib import sha256
from typing import TypeAlias

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from newsletter.mail.headers import LINE, fold

PrivateKey: TypeAlias = RSAPrivateKey | Ed25519PrivateKey

# Named once more than they occur, so that nobody can add another one to a signed mail (RFC 6376 section 8.15).
OVERSIGNED = (
    "from",
    "to",
    "subject",
    "date",
    "reply-to",
    "message-id",
    "content-type",
    "mime-version",
    "list-unsubscribe",
    "list-unsubscribe-post",
    "list-id",
)
_STRING = 255  # octets of one string in a TXT record, RFC 1035 section 3.3.14
_FIRST, _NEXT = LINE - len(" b="), LINE - len(" ")


@dataclass(frozen=True)
class SigningKey:
    """A private key and where its public half stands in the DNS."""

    domain: str  # in ASCII, that of the From address: only then does a signature count for DMARC
    selector: str
    private: PrivateKey

    @property
    def algorithm(self) -> str:
        """`rsa` or `ed25519`, as in the tags k= and a=."""
        return "rsa" if isinstance(self.private, RSAPrivateKey) else "ed25519"

    @property
    def public(self) -> str:
        """The public key as the tag p= has it: for RSA the whole structure, for Ed25519 the 32 bytes alone."""
        if isinstance(self.private, RSAPrivateKey):
            return b64encode(self.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
        return b64encode(self.private.public_key().public_bytes_raw()).decode()


@dataclass(frozen=True)
class Record:
    """The TXT record by which others find a public key."""

    name: str  # without the dot at the end
    value: str

    @property
    def zone_line(self) -> str:
        """The record in one line of a zone file, cut into strings of at most 255 bytes."""
        strings = [self.value[start : start + _STRING] for start in range(0, len(self.value), _STRING)]
        return f"{self.name}. 3600 IN TXT " + " ".join(f'"{string}"' for string in strings)


def record(key: SigningKey) -> Record:
    """Return what is to be published for the key (RFC 6376 section 3.6.1)."""
    return Record(f"{key.selector}._domainkey.{key.domain}", f"v=DKIM1; k={key.algorithm}; p={key.public}")


class Signer:
    """Signs with every one of its keys; any number of threads may use it at once."""

    __slots__ = ("_lifetime", "_seals")

    def __init__(self, keys: Sequence[SigningKey], *, lifetime: timedelta | None = None) -> None:
        """Make the keys ready; with a `lifetime` the signatures expire (x=), which also those see who read old mail anew."""
        self._seals = [(_tags(key), _sealing(key.private)) for key in keys]
        self._lifetime = int(lifetime.total_seconds()) if lifetime else 0

    def sign(self, head: bytes, body: bytes, *, now: datetime) -> bytes:
        """Return the DKIM-Signature fields to be put before `head`, one for each key.

        `head` is whole fields in CRLF lines, without the empty line; all of them are signed. `body` ends in exactly one CRLF.
        """
        names, fields = _relaxed(head)
        time = int(now.timestamp())
        expiry = f" x={time + self._lifetime};" if self._lifetime else ""
        last = f" t={time};{expiry} bh={b64encode(sha256(body).digest()).decode()};".encode()
        signed = []
        for tags, seal in self._seals:
            wire, canonical = _opening(tags, names)
            signature = seal(sha256(b"%b%b%b b=" % (fields, canonical, last)).digest())
            signed += [wire, last, b"\r\n b=", _wrapped(signature), b"\r\n"]
        return b"".join(signed)


def _tags(key: SigningKey) -> str:
    where = f"d={key.domain}; s={key.selector}; i=@{key.domain};"
    return f"v=1; a={key.algorithm}-sha256; c=relaxed/simple; {where}"


def _sealing(private: PrivateKey) -> Callable[[bytes], bytes]:
    """Return what signs a SHA-256 digest; Ed25519 signs the digest as if it were the text (RFC 8463 section 3)."""
    if isinstance(private, RSAPrivateKey):
        return partial(private.sign, padding=PKCS1v15(), algorithm=Prehashed(SHA256()))
    return private.sign


def _relaxed(head: bytes) -> tuple[tuple[bytes, ...], bytes]:
    """Return the names of the fields and the fields in relaxed form (RFC 6376 section 3.4.2), the last one first.

    That is the order in which fields of one name must be signed (section 5.4.2), and for the others any order will do.
    """
    flat = head.replace(b"\r\n ", b" ")
    if b"  " in flat or b"\t" in flat or b" \r\n" in flat:  # never in what headers.py writes
        flat = re.sub(rb"[ \t]+", b" ", re.sub(rb"\r\n(?=[ \t])", b"", head)).replace(b" \r\n", b"\r\n")
    names, fields = [], []
    for line in flat.split(b"\r\n")[-2::-1]:
        name, _, value = line.partition(b":")
        name = name.lower()
        names.append(name)
        fields.append(b"%b:%b\r\n" % (name, value.lstrip(b" ")))
    return tuple(names), b"".join(fields)


@lru_cache(maxsize=256)
def _opening(tags: str, names: tuple[bytes, ...]) -> tuple[bytes, bytes]:
    """Return the signature's field up to what differs between messages, as it is sent and as it is signed."""
    signed = ": ".join([*(name.decode() for name in names), *OVERSIGNED])
    wire = fold("DKIM-Signature", f"{tags} h={signed};")
    return wire, b"dkim-signature:" + wire.removeprefix(b"DKIM-Signature: ").replace(b"\r\n ", b" ").removesuffix(b"\r\n")


def _wrapped(signature: bytes) -> bytes:
    encoded = b2a_base64(signature, newline=False)
    rest = [encoded[start : start + _NEXT] for start in range(_FIRST, len(encoded), _NEXT)]
    return b"\r\n ".join([encoded[:_FIRST], *rest])
