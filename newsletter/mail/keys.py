"""The files of the DKIM keys: made, listed, made active, loaded.

`<folder>/<domain>/<selector>.pem` is an RSA key; `<selector>-ed.pem` beside it an Ed25519 key for a second signature, never
the only one, for many receivers cannot check it. The file `active` names the selector that signs. A key is made first,
published next, and made active when it can be seen: so there is no moment at which a signature cannot be checked.
"""

import os
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from string import ascii_lowercase

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from newsletter.errors import BadAddress, BadInput, Conflict, NotFound, SettingsError
from newsletter.mail.dkim import PrivateKey, Signer, SigningKey
from newsletter.mail.headers import wire_address

RSA_BITS = 2048
_LEAST_BITS = 1024  # a shorter key counts as none, RFC 8301 section 3.2
_LONGEST_NAME = 253
_ED = "-ed"
_ACTIVE = "active"
_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"({_LABEL}\.)+{_LABEL}")
_SELECTOR = re.compile(rf"{_LABEL}(\.{_LABEL})*")


@dataclass(frozen=True)
class StoredKey:
    """A selector of a domain: its RSA key and, where there is one, the Ed25519 key that goes with it."""

    domain: str
    selector: str
    path: Path
    active: bool
    keys: tuple[SigningKey, ...]


def ascii_domain(domain: str) -> str:
    """Return a mail domain in lower-case ASCII; raises BadInput for what is none, or a word without a dot."""
    try:
        written = wire_address(f"a@{domain}").rpartition("@")[2].lower()
    except BadAddress:
        written = ""
    if len(written) > _LONGEST_NAME or not _DOMAIN.fullmatch(written):
        raise BadInput(
            f"{domain!r} is no domain.", hint="Give what follows the @ in the address that mail is sent from: example.org"
        )
    return written


def create(folder: Path, domain: str, selector: str = "", *, ed25519: bool = False, now: datetime) -> StoredKey:
    """Make a key and return it, not active yet; raises BadInput, or Conflict where there is one: none is overwritten."""
    domain = ascii_domain(domain)
    chosen = _checked(selector, domain) if selector else _next_selector(folder / domain, now)
    path = _path(folder, domain, chosen)
    if path.exists() or _path(folder, domain, chosen + _ED).exists():
        raise Conflict(
            f"{path}: {domain} has a key {chosen} already.", hint="Name another selector, or leave it out to get a new one."
        )
    try:
        for level in (folder, path.parent):
            level.mkdir(mode=0o700, parents=True, exist_ok=True)
        if ed25519:  # first: what is listed is the RSA key, and then the pair must be whole
            _write_new(_path(folder, domain, chosen + _ED), _pem(Ed25519PrivateKey.generate()))
        _write_new(path, _pem(generate_private_key(public_exponent=65537, key_size=RSA_BITS)))
    except OSError as error:
        raise SettingsError(f"{path}: the key cannot be written: {error.strerror}.", hint="Look at the data folder.") from None
    return find(folder, domain, chosen)


def listing(folder: Path, domain: str = "") -> list[StoredKey]:
    """Return the keys of a domain or of all, by domain and selector; raises SettingsError for a file that is no key."""
    paths = sorted(folder.glob(f"{ascii_domain(domain) if domain else '*'}/*.pem"))
    return [_load(path) for path in paths if not path.stem.endswith(_ED)]


def find(folder: Path, domain: str, selector: str) -> StoredKey:
    """Return one selector's keys; raises NotFound, or SettingsError where the file is no key."""
    domain = ascii_domain(domain)
    path = _path(folder, domain, selector)
    if selector.endswith(_ED) or not _SELECTOR.fullmatch(selector) or not path.exists():
        raise NotFound(f"{domain} has no key {selector!r} in {folder}.", hint="See `newsletter dkim list`.")
    return _load(path)


def activate(folder: Path, domain: str, selector: str) -> StoredKey:
    """Let this selector sign from now on, and none else of the domain; raises NotFound or SettingsError."""
    key = find(folder, domain, selector)
    place = key.path.parent / _ACTIVE
    fresh = place.with_name(f"{_ACTIVE}.{secrets.token_hex(8)}")
    try:
        _write(fresh, f"{selector}\n".encode())
        fresh.replace(place)
    except OSError as error:
        raise SettingsError(f"{place}: {error.strerror}.", hint="Look at the data folder.") from None
    return _load(key.path)


def load_signers(folder: Path) -> dict[str, Signer]:
    """Return a signer for each domain with an active key.

    Raises SettingsError where an active key is missing or unreadable: mail that should be signed must not go unsigned.
    """
    signers = {}
    for place in sorted(folder.glob(f"*/{_ACTIVE}")):
        path = place.with_name(f"{_active(place.parent)}.pem")
        if not path.is_file():
            raise SettingsError(
                f"{place}: the key it names, {path.name}, is not there.",
                hint="Put it back, activate another one, or remove the file `active` to send unsigned.",
            )
        signers[place.parent.name] = Signer(_load(path).keys)
    return signers


class ActiveKeys:
    """Called, returns the signer of each domain; a key made active by another process signs from the next call on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stamps: list[tuple[str, int, int]] = []
        self._signers: Mapping[str, Signer] = {}

    def __call__(self) -> Mapping[str, Signer]:
        """Read the keys anew where one was made active since; raises SettingsError as `load_signers` does."""
        stamps = _stamps(self._folder)
        if stamps != self._stamps:
            self._signers, self._stamps = load_signers(self._folder), stamps
        return self._signers


def _stamps(folder: Path) -> list[tuple[str, int, int]]:
    """Return what changes when a key is made active."""
    found = [(path, path.stat()) for path in folder.glob(f"*/{_ACTIVE}")]
    return sorted((str(path), status.st_mtime_ns, status.st_ino) for path, status in found)


def _checked(selector: str, domain: str) -> str:
    name = f"{selector}{_ED}._domainkey.{domain}"
    if selector.endswith(_ED) or not _SELECTOR.fullmatch(selector + _ED) or len(name) > _LONGEST_NAME:
        raise BadInput(
            f"{selector!r} is no selector.",
            hint=f"Use lower-case letters, digits and hyphens, as in s202611a; the end {_ED!r} is taken.",
        )
    return selector


def _next_selector(folder: Path, now: datetime) -> str:
    """Return the month's first selector that is free."""
    for letter in ascii_lowercase:
        selector = f"s{now:%Y%m}{letter}"
        if not (folder / f"{selector}.pem").exists() and not (folder / f"{selector}{_ED}.pem").exists():
            return selector
    raise Conflict(f"{folder}: all selectors of this month are taken.", hint="Name one with --selector.")


def _path(folder: Path, domain: str, selector: str) -> Path:
    return folder / domain / f"{selector}.pem"


def _active(folder: Path) -> str:
    """Return the selector that signs; nothing where there is none."""
    with suppress(FileNotFoundError):
        return (folder / _ACTIVE).read_text(encoding="utf-8").strip()
    return ""


def _load(path: Path) -> StoredKey:
    domain, selector = path.parent.name, path.stem
    keys = [SigningKey(domain, selector, _private(path, RSAPrivateKey))]
    second = path.with_name(f"{selector}{_ED}.pem")
    if second.exists():
        keys.append(SigningKey(domain, second.stem, _private(second, Ed25519PrivateKey)))
    return StoredKey(domain, selector, path, selector == _active(path.parent), tuple(keys))


def _private(path: Path, kind: type[PrivateKey]) -> PrivateKey:
    try:
        private = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise SettingsError(
            f"{path}: {error.strerror}.", hint="The key must belong to the user that the newsletter runs as."
        ) from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SettingsError(f"{path}: this is no private key in PEM without a password.") from None
    if not isinstance(private, kind) or (isinstance(private, RSAPrivateKey) and private.key_size < _LEAST_BITS):
        wanted = "an Ed25519 key" if kind is Ed25519PrivateKey else f"an RSA key of {_LEAST_BITS} bits or more"
        raise SettingsError(f"{path}: this is not {wanted}.", hint="Make one with `newsletter dkim create`.")
    return private


def _pem(private: PrivateKey) -> bytes:
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write_new(path: Path, content: bytes) -> None:
    """Write a file that must not be there yet; it appears with all its content or not at all."""
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        _write(fresh, content)
        os.link(fresh, path)  # a rename would overwrite another's
    except FileExistsError:
        raise Conflict(f"{path}: somebody has just made this key.", hint="Run the command again.") from None
    finally:
        fresh.unlink(missing_ok=True)


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
