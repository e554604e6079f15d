"""Signed links and keyed hashes: opaque, bound to one purpose, verified against every key still in use.

A token is authenticated encryption (AES-SIV, RFC 5297) of its payload with the purpose as associated data: it shows nothing,
cannot be made or changed without the key, and is of no use for another purpose. It is deterministic, so the same mail made
twice holds the same links. 34 to 50 characters: a List-Unsubscribe URL stays under 75.
"""

import hmac
from base64 import b32decode, b32encode, urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as BadBase64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from newsletter.errors import BadToken

TOKEN_LIMIT = 200  # characters; ours are far shorter


class Purpose(StrEnum):
    """What a token is good for, and for nothing else."""

    CONFIRM = "confirm"
    UNSUBSCRIBE = "unsubscribe"
    RETURN_PATH = "return-path"
    MESSAGE_ID = "message-id"


class Keyring:
    """The signing keys made of the secrets: the newest signs, all verify."""

    def __init__(self, secrets: Sequence[bytes]) -> None:
        """Derive a key from each secret, newest first; at least one."""
        self._ciphers = [AESSIV(_derive(secret, b"token") + _derive(secret, b"token-2")) for secret in secrets]

    def sign(self, purpose: Purpose, *numbers: int) -> str:
        """Return a token that holds the non-negative `numbers` for `purpose`."""
        return urlsafe_b64encode(self._seal(self._ciphers[0], purpose, numbers)).rstrip(b"=").decode()

    def sign_local_part(self, purpose: Purpose, number: int) -> str:
        """Return a token for the left side of an address or Message-ID: lower case, for some servers fold it.

        The oldest key signs it: a mail repeated after a rotation keeps its Message-ID.
        """
        return b32encode(self._seal(self._ciphers[-1], purpose, (number,))).rstrip(b"=").decode().lower()

    @staticmethod
    def _seal(cipher: AESSIV, purpose: Purpose, numbers: tuple[int, ...]) -> bytes:
        return cipher.encrypt(b"".join(_pack(number) for number in numbers), [purpose.encode()])

    def unsign(self, token: str, purpose: Purpose) -> tuple[int, ...]:
        """Return the numbers a token holds; raises BadToken unless it is one of ours for this purpose."""
        return self._open(_decode(token, urlsafe_b64decode, 4), purpose)

    def unsign_local_part(self, token: str, purpose: Purpose) -> int:
        """Return the number in a token of `sign_local_part`, in whatever case it came back; raises BadToken."""
        return self._open(_decode(token.upper(), b32decode, 8), purpose)[0]

    def _open(self, sealed: bytes, purpose: Purpose) -> tuple[int, ...]:
        for cipher in self._ciphers:
            try:
                return _unpack(cipher.decrypt(sealed, [purpose.encode()]))
            except InvalidTag:
                continue
        raise BadToken("This link is not one of ours, or it was cut short.", hint="Copy the whole link out of the mail.")


def suppression_key(secret: bytes, address_key: str) -> str:
    """Return the keyed hash that an address is remembered by when everything else about it is erased.

    Its secret never rotates: the hashes could not be found again.
    """
    return hmac.new(_derive(secret, b"suppression"), address_key.encode(), sha256).hexdigest()[:40]


@dataclass(frozen=True)
class Links:
    """The links in our mails, made from the configured base URL and never from a request."""

    base_url: str
    keyring: Keyring

    def confirm(self, consent_id: int, expires_at: datetime) -> str:
        """Return the link that confirms a request until `expires_at`."""
        return f"{self.base_url}/c/{self.keyring.sign(Purpose.CONFIRM, consent_id, int(expires_at.timestamp()))}"

    def read_confirm(self, token: str, *, now: datetime) -> int:
        """Return the consent id of a confirm token; raises BadToken if it is forged or too old."""
        numbers = self.keyring.unsign(token, Purpose.CONFIRM)
        consent_id, expires = numbers if len(numbers) == 2 else (0, 0)  # noqa: PLR2004 -- the two that confirm() packs
        if datetime.fromtimestamp(expires, tz=UTC) < now:
            raise BadToken("This link has expired.", hint="Sign up again and use the new one.")
        return consent_id

    def unsubscribe(self, subscription_id: int) -> str:
        """Return the link that ends a subscription: good as long as the mail lives (RFC 8058)."""
        return f"{self.base_url}/u/{self.keyring.sign(Purpose.UNSUBSCRIBE, subscription_id)}"

    def read_unsubscribe(self, token: str) -> int:
        """Return the subscription id of an unsubscribe token; raises BadToken."""
        return self.keyring.unsign(token, Purpose.UNSUBSCRIBE)[0]

    def return_path(self, delivery_id: int, domain: str) -> str:
        """Return the envelope sender whose bounces name the delivery (VERP)."""
        return f"b+{self.keyring.sign_local_part(Purpose.RETURN_PATH, delivery_id)}@{domain}"

    def message_id(self, delivery_id: int, domain: str) -> str:
        """Return the Message-ID of a delivery: the same however often it is tried."""
        return f"<{self.keyring.sign_local_part(Purpose.MESSAGE_ID, delivery_id)}@{domain}>"

    def home(self) -> str:
        """Return the sign-up page."""
        return f"{self.base_url}/"

    def archive(self, slug: str) -> str:
        """Return the page of a newsletter's issues."""
        return f"{self.base_url}/archive/{slug}"

    def issue(self, slug: str, name: str) -> str:
        """Return the page of one issue; `name` is its day, or its week as "2024-W11"."""
        return f"{self.base_url}/archive/{slug}/{name}"


def _derive(secret: bytes, use: bytes) -> bytes:
    return hmac.new(secret, b"newsletter:" + use, sha256).digest()


def _pack(number: int) -> bytes:
    """Write a number as base-128 digits, the last without the high bit (LEB128)."""
    digits = bytearray()
    while number > 0x7F:  # noqa: PLR2004 -- seven bits
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)


def _unpack(payload: bytes) -> tuple[int, ...]:
    numbers, number, shift = [], 0, 0
    for digit in payload:
        number |= (digit & 0x7F) << shift
        shift += 7
        if digit < 0x80:  # noqa: PLR2004 -- the high bit
            numbers.append(number)
            number = shift = 0
    return tuple(numbers)


def _decode(token: str, decode: Callable[[bytes], bytes], group: int) -> bytes:
    try:
        if len(token) > TOKEN_LIMIT:
            raise ValueError("too long")  # noqa: TRY301 -- one way out for all that is no token
        return decode(token.encode("ascii") + b"=" * (-len(token) % group))
    except (ValueError, BadBase64):
        raise BadToken(
            "This link is not one of ours, or it was cut short.", hint="Copy the whole link out of the mail."
        ) from None
