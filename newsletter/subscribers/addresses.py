"""Addresses: what a person typed, made into a mailbox that can be written to."""

import unicodedata
from dataclasses import dataclass

from email_validator import EmailNotValidError, validate_email

from newsletter.errors import BadAddress

ADDRESS_LIMIT = 254  # RFC 5321 4.5.3.1.3 less the angle brackets


@dataclass(frozen=True)
class Address:
    """A mailbox as it is written to, and the key by which two spellings of it are one."""

    text: str
    key: str

    @property
    def domain(self) -> str:
        """What stands right of the @."""
        return self.text.rpartition("@")[2]


def parse_address(given: str, *, trials: bool = False) -> Address:
    """Return the address in what a person typed; raises BadAddress saying what is wrong with it.

    `trials` lets addresses in .test in (RFC 2606), as automated trials use them.
    The domain is lowered and the whole is NFKC; the key folds case as well, for no provider tells two readers apart by it. It
    folds the name alone: straße.example and strasse.example are domains of two owners.
    """
    trimmed = unicodedata.normalize("NFKC", given.strip())[: ADDRESS_LIMIT + 1]
    try:
        valid = validate_email(trimmed, check_deliverability=False, test_environment=trials)
    except EmailNotValidError as error:
        raise BadAddress(f"{trimmed[:80]!r} is no email address: {error}", hint="Write it as name@example.org.") from None
    return Address(text=valid.normalized, key=f"{valid.local_part.casefold()}@{valid.domain.lower()}")
