"""Asks the DNS whether a DKIM key is published as it should be."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import dns.exception
import dns.resolver

from newsletter.errors import BadInput
from newsletter.mail.dkim import SigningKey, record

PATIENCE = 5.0  # seconds for one question, all tries together


class Standing(StrEnum):
    """How a key stands in the DNS."""

    PUBLISHED = "published"
    MISSING = "not published"
    WRONG = "published wrongly"
    UNASKED = "not known"  # no name server gave an answer


@dataclass(frozen=True)
class Finding:
    """What the DNS has to say of one key; `why` is a sentence, empty where all is well."""

    standing: Standing
    why: str = ""


def look_up(key: SigningKey, *, server: str = "", patience: float = PATIENCE) -> Finding:
    """Ask a name server, `address[:port]`, or those of this machine; raises BadInput for an address that is none."""
    try:
        answer = _resolver(server).resolve(record(key).name, "TXT", lifetime=patience)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return Finding(Standing.MISSING)
    except dns.exception.Timeout:
        return Finding(Standing.UNASKED, f"No name server answered within {patience:g} seconds.")
    except (dns.exception.DNSException, OSError) as error:
        return Finding(Standing.UNASKED, f"No name server could be asked: {error}")
    return judge([b"".join(row.strings).decode("ascii", "replace") for row in answer], key)


def judge(texts: Sequence[str], key: SigningKey) -> Finding:
    """Compare the TXT records at the key's name with what should stand there (RFC 6376 section 3.6.1)."""
    if len(texts) != 1:
        return Finding(Standing.WRONG, f"There are {len(texts)} TXT records; there must be one.")
    tags = _tags(texts[0])
    public = "".join(tags.get("p", "").split())
    kind, hashes = tags.get("k", "rsa"), tags.get("h", "sha256")
    faults = (
        ("p" not in tags or tags.get("v", "DKIM1") != "DKIM1", f"This is no DKIM key: {texts[0]}"),
        (not public, "The key is withdrawn: its p= is empty."),
        (public != key.public, f"It is another key, of {len(public)} characters; ours has {len(key.public)}."),
        (kind != key.algorithm, f"Its k= says {kind}; it must say {key.algorithm}."),
        ("sha256" not in hashes.split(":"), f"Its h={hashes} forbids sha256, with which we sign."),
    )
    if fault := next((sentence for holds, sentence in faults if holds), ""):
        return Finding(Standing.WRONG, fault)
    trying = "y" in tags.get("t", "").split(":")
    return Finding(Standing.PUBLISHED, "Its t=y tells others to act as if it were not there; take that out." if trying else "")


def _tags(text: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in text.split(";") if part.strip())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _resolver(server: str) -> dns.resolver.Resolver:
    if not server:
        return dns.resolver.Resolver()
    host, _, port = server.rpartition(":") if server.count(":") == 1 else (server, "", "53")
    resolver = dns.resolver.Resolver(configure=False)
    try:
        resolver.nameservers, resolver.port = [host], int(port)
    except ValueError:
        raise BadInput(f"{server!r} is no name server.", hint="Give an IP address, with a port if it is not 53.") from None
    return resolver
