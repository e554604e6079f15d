"""Passwords: what is taken for one, and argon2id (RFC 9106) around it."""

import unicodedata
from functools import cache

from pwdlib import PasswordHash
from pwdlib.exceptions import UnknownHashError

from newsletter.errors import BadInput

LEAST, MOST = 12, 1000  # characters
DIFFERENT = 5  # characters that are left without the words that are tried first
_TRIED_FIRST = (
    "1234567890",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiop",
    "password",
    "passwort",
    "newsletter",
    "welcome",
    "letmein",
)
_PARTS = ("123456789", "12345678", "1234567", "123456", "12345", "1234", "abcdef", "qwerty", "admin", "secret")


def check(password: str, name: str) -> None:
    """Raise BadInput, with why, for a password that is too short or among the first that are tried."""
    plain = _normal(password)
    if not LEAST <= len(plain) <= MOST:
        raise BadInput(
            f"The password has {len(plain)} characters.", hint=f"Take {LEAST} or more: some words of a sentence will do."
        )
    left = plain.casefold()
    for word in (name, *_TRIED_FIRST, *_PARTS):
        left = left.replace(word.casefold(), "")
    if len(set(left)) < DIFFERENT:
        raise BadInput(
            "The password is one of the first that are tried.", hint="Some words that do not belong together are good."
        )


def hashed(password: str) -> str:
    """Return what is kept of a password."""
    return _hasher().hash(_normal(password))


def verify(password: str, kept: str) -> tuple[bool, str]:
    """Say whether a password is the kept one; and what is to be kept instead if it was hashed by weaker rules, else "".

    Takes some 50 ms and 64 MB, whatever the answer.
    """
    try:
        right, anew = _hasher().verify_and_update(_normal(password)[:MOST], kept)
    except UnknownHashError:  # a row that somebody wrote by hand
        return False, ""
    return right, anew or ""


@cache
def nobodys() -> str:
    """Return the hash that a password is compared with where there is no such name, so that it takes as long."""
    return hashed("a password that nobody has")


def _normal(password: str) -> str:
    """Return a password as every keyboard types it: systems write 한 as one character, or as three."""
    return unicodedata.normalize("NFKC", password)


@cache
def _hasher() -> PasswordHash:
    return PasswordHash.recommended()
