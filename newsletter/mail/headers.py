"""Header fields of outgoing mail, written by hand.

The standard library's EmailMessage turns a long List-Unsubscribe URL into an encoded word, which no mail program
reads as a link. So every field is written here: lines by RFC 5322 section 2.1.1, words that are not ASCII by
RFC 2047, mailing lists by RFC 2369, 2919 and 8058. Each function returns whole fields, CRLF included.
"""

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache

from email_validator import EmailNotValidError, validate_email

from newsletter.errors import BadAddress, BadInput

LINE = 78  # characters a line should have at most
LINE_LIMIT = 998  # octets a line must not exceed
WORD = 75  # characters of an encoded word, RFC 2047 section 2

_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_FIELD_NAME = re.compile("[!-9;-~]+")
_ADDRESS = re.compile(r"""[^\s<>()\[\],;:\\"@]{1,64}@[^\s<>()\[\],;:\\"@]{1,255}""")
_MESSAGE_ID = re.compile(r"<[!-;=?A-~]+@[!-;=?A-~]+>")
_LIST_ID = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+")
_URI = re.compile("[a-z]+:[!-;=?-~]+")


@dataclass(frozen=True)
class ListInfo:
    """What a mailing list says of itself; only the two unsubscribe addresses differ from reader to reader."""

    title: str
    list_id: str  # "slug.domain", the same for the list's whole life
    unsubscribe_url: str
    unsubscribe_mailto: str = ""  # "mailto:…"
    archive_url: str = ""
    help_url: str = ""
    owner_url: str = ""  # "mailto:…"


def refuse_controls(name: str, value: str) -> None:
    """Raise BadInput naming `name` where `value` holds a control character, a line separator or half a surrogate pair."""
    if found := _FORBIDDEN.search(value):
        raise BadInput(
            f"{name}: character {found.start() + 1} is the control character U+{ord(found[0]):04X}",
            hint="Take control characters and line breaks out of the value.",
        )


@lru_cache(maxsize=256)
def fold(name: str, value: str) -> bytes:
    """Return the field, its lines broken at white space (runs of which become one space).

    Raises BadInput where the value is not ASCII, holds control characters, or cannot be broken into lines of 998.
    """
    refuse_controls(name, value)
    if not value.isascii():
        raise BadInput(f"{name}: {value!r} is not ASCII", hint="Only texts and display names can be encoded.")
    return _lines(name, value.split())


@lru_cache(maxsize=256)
def text_header(name: str, text: str) -> bytes:
    """Return the field of a text in any language, in lines of at most 78; as it is where it is plain ASCII."""
    refuse_controls(name, text)
    words = text.split()
    if text.isascii() and _plain(words):
        return _lines(name, words)
    return _lines(name, _encoded_words(text, LINE - len(name) - 2))


@lru_cache(maxsize=256)
def address_header(name: str, display: str, address: str) -> bytes:
    """Return the field of one mailbox: the display name quoted or encoded, the domain in ASCII.

    A local part that is not ASCII stays as it is: such a message can only go by SMTPUTF8 (`needs_smtputf8`).
    Raises BadAddress or BadInput.
    """
    mailbox = wire_address(address)
    if not display.strip():
        return _lines(name, [mailbox])
    return _lines(name, [*_phrase(name, display), f"<{mailbox}>"])


def wire_address(address: str) -> str:
    """Return the address as it stands in fields and SMTP commands, its domain in ASCII (IDNA); raises BadAddress."""
    if not _ADDRESS.fullmatch(address) or _FORBIDDEN.search(address):
        raise BadAddress(f"{address!r} is no address that can be mailed", hint="Write it as name@domain.")
    if address.isascii():
        return address
    local, _, domain = address.rpartition("@")
    return f"{local}@{_ascii_domain(domain)}"


def needs_smtputf8(address: str) -> bool:
    """Say whether the local part is not ASCII, so that only servers with SMTPUTF8 (RFC 6531) take it."""
    return not address.rpartition("@")[0].isascii()


def list_headers(info: ListInfo) -> bytes:
    """Return the List-* fields; List-Unsubscribe-Post only beside an https URL, as RFC 8058 section 3.1 wants."""
    ways_out = [uri for uri in (info.unsubscribe_url, info.unsubscribe_mailto) if uri]
    leave = _uris("List-Unsubscribe", *ways_out)
    if info.unsubscribe_url.startswith("https://"):
        leave += b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    return _list_id(info.title, info.list_id) + leave + _shared_uris(info.archive_url, info.help_url, info.owner_url)


@lru_cache(maxsize=64)
def _shared_uris(archive: str, help_: str, owner: str) -> bytes:
    """Return the fields that are the same for all readers."""
    named = (("List-Archive", archive), ("List-Help", help_), ("List-Owner", owner))
    return b"".join(_uris(name, uri) for name, uri in named if uri)


@lru_cache(maxsize=16)
def date_header(now: datetime) -> bytes:
    """Return the Date field of an aware time; raises BadInput for a time without a zone."""
    if now.utcoffset() is None:
        raise BadInput(f"Date: {now} has no time zone", hint="Pass an aware datetime.")
    return f"Date: {format_datetime(now)}\r\n".encode("ascii")


def message_id(unique: str, domain: str) -> str:
    """Return `<unique@domain>`: the same again whenever the same message is sent again; raises BadInput."""
    made = f"<{unique}@{_ascii_domain(domain)}>"
    if not _MESSAGE_ID.fullmatch(made):
        raise BadInput(f"Message-ID: {made!r} is not of the form <unique@domain>")
    return made


def message_id_header(value: str) -> bytes:
    """Return the Message-ID field of what `message_id` made; raises BadInput for anything else."""
    if not _MESSAGE_ID.fullmatch(value):
        raise BadInput(f"Message-ID: {value!r} is not of the form <unique@domain>")
    return _lines("Message-ID", [value])


@lru_cache(maxsize=64)
def _list_id(title: str, list_id: str) -> bytes:
    if not _LIST_ID.fullmatch(list_id) or len(list_id) > 255:  # noqa: PLR2004 -- RFC 2919 section 3
        raise BadInput(f"List-Id: {list_id!r} is not of the form slug.domain")
    return _lines("List-Id", [*(_phrase("List-Id", title) if title.strip() else []), f"<{list_id}>"])


def _uris(name: str, *uris: str) -> bytes:
    """Return a field of addresses in angle brackets, broken at the commas only and never encoded (RFC 2369 section 2)."""
    for uri in uris:
        refuse_controls(name, uri)
        if not _URI.fullmatch(uri):
            raise BadInput(f"{name}: {uri!r} is no URL in ASCII", hint="Percent-encode what is not ASCII.")
    return _lines(name, f"<{'>, <'.join(uris)}>".split())


@lru_cache(maxsize=1024)
def _ascii_domain(domain: str) -> str:
    """Return the domain in ASCII by IDNA 2008; reserved domains, which tests and intranets use, are fine."""
    if domain.isascii():
        return domain
    try:
        valid = validate_email(f"a@{domain}", check_deliverability=False, test_environment=True, globally_deliverable=False)
    except EmailNotValidError as error:
        raise BadAddress(f"{domain!r} is no domain that can be mailed: {error}") from None
    return valid.ascii_domain


def _phrase(name: str, display: str) -> list[str]:
    """Return a display name's words: a quoted string, or encoded words where it is not plain ASCII."""
    refuse_controls(name, display)
    quoted = re.sub(r'(["\\])', r"\\\1", " ".join(display.split()))
    words = f'"{quoted}"'.split(" ")
    if display.isascii() and _plain(words):
        return words
    return _encoded_words(display.strip(), LINE - len(name) - 2)


def _plain(words: Sequence[str]) -> bool:
    """Say whether ASCII words can stand as they are: each fits a line, and none could be taken for an encoded word."""
    return all(len(word) < LINE and "=?" not in word for word in words)


def _encoded_words(text: str, room: int) -> list[str]:
    """Return the text as base64 words of RFC 2047, the first at most `room` long, each of whole characters."""
    words: list[str] = []
    chunk = b""
    room = min(room, WORD)
    for character in text:
        more = character.encode()
        if len(chunk) + len(more) > (room - len("=?utf-8?b??=")) // 4 * 3:
            words.append(_encoded_word(chunk))
            chunk, room = b"", WORD
        chunk += more
    return [*words, _encoded_word(chunk)]


def _encoded_word(chunk: bytes) -> str:
    return f"=?utf-8?b?{b64encode(chunk).decode('ascii')}?="


def _lines(name: str, words: Sequence[str]) -> bytes:
    """Return the field with as many words on a line as fit; raises BadInput for a name that is none and a word too long."""
    if not _FIELD_NAME.fullmatch(name):
        raise BadInput(f"{name!r} is no name of a header field")
    lines = [f"{name}:"]
    for position, word in enumerate(words):
        # A first word that fits no line stays beside the name: a line of its own would not be short enough either.
        if len(lines[-1]) + 1 + len(word) <= LINE or (position == 0 and len(word) >= LINE):
            lines[-1] += f" {word}"
        else:
            lines.append(f" {word}")
    field = "\r\n".join(lines).encode()
    if len(field) > LINE_LIMIT and max(map(len, field.split(b"\r\n"))) > LINE_LIMIT:
        raise BadInput(f"{name}: a line would be longer than {LINE_LIMIT}", hint="Shorten the value.")
    return field + b"\r\n"
