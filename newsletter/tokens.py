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

from newsletter.errors import BadToken, LinkExpired

TOKEN_LIMIT = 200  # characters; ours are far shorter


class Purpose(StrEnum):
    """What a token is good for, and for nothing else."""

    CONFIRM = "confirm"
    UNSUBSCRIBE = "unsubscribe"
    RETURN_PATH = "return-path"
    MESSAGE_ID = "message-id"
    UNSUBSCRIBE_MAIL = "unsubscribe-mail"
    PREFERENCES = "preferences"
    MY_DATA = "my-data"
    CHANGE_OF_ADDRESS = "change-of-address"
    FORM = "form"
    BROWSER = "browser"


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
        return f"{self.base_url}/c/{self._expiring(Purpose.CONFIRM, expires_at, consent_id)}"

    def read_confirm(self, token: str, *, now: datetime) -> int:
        """Return the consent id of a confirm token; raises BadToken if it is forged or too old."""
        return self._read_expiring(token, Purpose.CONFIRM, now=now)[0]

    def _expiring(self, purpose: Purpose, expires_at: datetime, *numbers: int) -> str:
        return self.keyring.sign(purpose, *numbers, int(expires_at.timestamp()))

    def _read_expiring(self, token: str, purpose: Purpose, *, now: datetime) -> tuple[int, ...]:
        *numbers, expires = self.keyring.unsign(token, purpose)
        if datetime.fromtimestamp(expires, tz=UTC) < now:
            raise LinkExpired("This link has expired.", hint="Ask for a new one.", numbers=tuple(numbers))
        return tuple(numbers)

    def unsubscribe(self, subscription_id: int) -> str:
        """Return the link that ends a subscription: good as long as the mail lives (RFC 8058)."""
        return f"{self.base_url}/u/{self.keyring.sign(Purpose.UNSUBSCRIBE, subscription_id)}"

    def read_unsubscribe(self, token: str) -> int:
        """Return the subscription id of an unsubscribe token; raises BadToken."""
        return self.keyring.unsign(token, Purpose.UNSUBSCRIBE)[0]

    def unsubscribe_mail(self, subscription_id: int, domain: str) -> str:
        """Return the address that ends a subscription when anything is written to it: the mailto of List-Unsubscribe."""
        return f"u+{self.keyring.sign_local_part(Purpose.UNSUBSCRIBE_MAIL, subscription_id)}@{domain}"

    def preferences(self, subscriber_id: int) -> str:
        """Return the link to what a subscriber has chosen: good as long as the mail lives."""
        return f"{self.base_url}/p/{self.keyring.sign(Purpose.PREFERENCES, subscriber_id)}"

    def read_preferences(self, token: str) -> int:
        """Return the subscriber id of a preferences token; raises BadToken."""
        return self.keyring.unsign(token, Purpose.PREFERENCES)[0]

    def my_data(self, subscriber_id: int, expires_at: datetime) -> str:
        """Return the link to all that is kept of a subscriber: a mail may be forwarded, so it expires."""
        return f"{self.base_url}/me/{self._expiring(Purpose.MY_DATA, expires_at, subscriber_id)}"

    def read_my_data(self, token: str, *, now: datetime) -> int:
        """Return the subscriber id of a token of `my_data`; raises BadToken if it is forged or too old."""
        return self._read_expiring(token, Purpose.MY_DATA, now=now)[0]

    def change_of_address(self, change_id: int, expires_at: datetime, *, new: bool) -> str:
        """Return the link by which one end of a change of address, the old one or the new one, agrees to it."""
        return f"{self.base_url}/a/{self._expiring(Purpose.CHANGE_OF_ADDRESS, expires_at, change_id, int(new))}"

    def read_change_of_address(self, token: str, *, now: datetime) -> tuple[int, bool]:
        """Return the change and whether its new end has the token; raises BadToken if it is forged or too old."""
        change_id, new = self._read_expiring(token, Purpose.CHANGE_OF_ADDRESS, now=now)
        return change_id, bool(new)

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

    def remark(self, slug: str, name: str, paper_id: int) -> str:
        """Return the page where anybody says that something is wrong with a paper of an issue: short, a mail has many."""
        return f"{self.base_url}/w/{slug}/{name}/{paper_id}"

    def desk(self, slug: str, name: str) -> str:
        """Return the page of one issue behind the log-in."""
        return f"{self.base_url}/admin/issues/{slug}/{name}"


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
