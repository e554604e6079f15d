"""Addresses as reports write them: in xtext, in the ASCII form of RFC 6533, in brackets, in the midst of a sentence."""

import re

_LOCAL = r"\w.!#$%&'*+/=?^`{|}~-"
ADDRESS = re.compile(rf"(?<![{_LOCAL}])([{_LOCAL}]{{1,128}})@([\w.-]{{1,255}})")
_QUOTED = re.compile(r'"([^"\s@<>]{1,64})"@([\w.-]{1,255})')
_XTEXT = re.compile(r"\+([0-9A-F]{2})")
_NEEDS_XTEXT = re.compile("[^!-~]|[+=]")
_UTF8_XTEXT = re.compile(r"\\x\{([0-9A-Fa-f]{1,6})\}")
_HIGHEST = 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)


def found_in(text: str) -> list[str]:
    """Return the addresses in a text, in their order, each once."""
    return list(dict.fromkeys(address for match in ADDRESS.finditer(text) if (address := _cleaned(match[1], match[2]))))


def first_in(text: str) -> str:
    """Return the first address in a text; "" if there is none."""
    return next(iter(found_in(text)), "")


def _cleaned(local: str, domain: str) -> str:
    local = local.lstrip("'`*=!#|").rstrip("'`")
    domain = domain.strip(".-_")
    if "=" in local and local.split("=")[0].lower() in {"smtp", "rfc822", "addr", "to", "rcpt", "recipient", "for", "mailbox"}:
        local = local.partition("=")[2]
    return f"{local}@{domain}" if local and "." in domain and ".." not in domain else ""


def typed(value: str) -> str:
    """Return the address of a field as Final-Recipient: `rfc822; name@domain`; the type may be missing."""
    kind, semicolon, rest = value.partition(";")
    address = rest if semicolon and rest.strip() else kind
    if semicolon and kind.strip().lower() == "utf-8":
        address = unicode_of(address)
    bracketed = address.strip().strip("<>").strip()
    if quoted := _QUOTED.search(bracketed):
        return f"{quoted[1]}@{quoted[2]}"
    return first_in(bracketed) or (bracketed if _is_bare(bracketed) else "")


def _is_bare(word: str) -> bool:
    """Say whether a word is an address all the same: of a host without dots."""
    return word.count("@") == 1 and not re.search(r"[\s<>();,]", word) and all(word.split("@"))


def unicode_of(address: str) -> str:
    r"""Return an address of type utf-8 (RFC 6533 section 3), in which `\x{AC00}` is the character of that number."""
    return _UTF8_XTEXT.sub(lambda found: _character(int(found[1], 16), found[0]), address)


def _character(number: int, otherwise: str) -> str:
    return chr(number) if 0x20 < number <= _HIGHEST and number not in _SURROGATES else otherwise  # noqa: PLR2004 -- no controls


def original_of(original: str, final: str) -> str:
    """Return the recipient that was asked for: what RFC 3461 section 4 encodes is decoded, what looks like it is not.

    Servers differ in whether Original-Recipient is still in xtext. A tag may hold a plus and two digits as it is, so only
    what xtext must encode counts, unless decoding makes it the final recipient.
    """
    read = typed(original)
    decoded = _XTEXT.sub(lambda found: chr(int(found[1], 16)), read)
    if decoded != read and (decoded == typed(final) or _was_encoded(read)):
        return decoded
    return read


def _was_encoded(address: str) -> bool:
    return all(_NEEDS_XTEXT.fullmatch(chr(int(digits, 16))) for digits in _XTEXT.findall(address))
