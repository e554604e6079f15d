"""Amazon SNS: that a message is Amazon's, of a topic of ours, as it was signed, and recent.

https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
"""

import re
from base64 import b64decode
from binascii import Error as BadBase64
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.oid import NameOID

from newsletter.bounces.webhooks.base import document, words
from newsletter.errors import BadSignature

OLDEST = timedelta(hours=1)  # SNS tries again for no longer, unless it is told to
AHEAD = timedelta(minutes=5)  # that clocks may differ
CERTIFICATES = 10  # that are kept, and fetched in a minute at the most
_SMALLEST_KEY = 2048  # bits
_ARN = re.compile(r"arn:aws[a-z-]*:sns:([a-z0-9-]{1,40}):\d{1,20}:[\w.-]{1,260}", re.ASCII)
_CERTIFICATE_PATH = re.compile(r"/[\w.-]{1,120}\.pem", re.ASCII)
_SIGNERS_NAME = re.compile(r"sns(-signing)?([.-][a-z0-9-]+)?\.amazonaws\.com(\.cn)?", re.ASCII)
_SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    "UnsubscribeConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
_HASHES: dict[str, Callable[[], hashes.HashAlgorithm]] = {
    "1": hashes.SHA1,  # what topics sign with unless they are told otherwise
    "2": hashes.SHA256,
}

Fetch = Callable[[str], bytes]


@dataclass
class Sns:
    """Believes what Amazon signed for topics of ours. `fetch` gets an https address: bounded, verified, no redirects."""

    topics: tuple[str, ...]
    fetch: Fetch
    _known: dict[str, x509.Certificate] = field(default_factory=dict)
    _fetched_at: deque[datetime] = field(default_factory=lambda: deque(maxlen=CERTIFICATES))

    def open(self, body: bytes, *, now: datetime) -> dict[str, Any]:
        """Return a message once it is proved; raises BadSignature, or SourceError where the certificate cannot be fetched.

        A topic of ours that asks whether we listen is told so.
        """
        message = document(body)
        kind, topic = words(message, "Type"), words(message, "TopicArn")
        arn = _ARN.fullmatch(topic)
        if topic not in self.topics or arn is None:
            raise BadSignature("It is of no topic of ours.")
        if kind not in _SIGNED:
            raise BadSignature("It is of no known type.")
        if not -AHEAD <= now - _time(words(message, "Timestamp")) <= OLDEST:
            raise BadSignature("It is too old, or of the future.")
        self._verify(message, _SIGNED[kind], arn[1], now)
        if kind == "SubscriptionConfirmation":
            self.fetch(_confirmation(message, arn[1]))
        return message

    def _verify(self, message: Mapping[str, Any], names: tuple[str, ...], region: str, now: datetime) -> None:
        algorithm = _HASHES.get(words(message, "SignatureVersion"))
        if algorithm is None:
            raise BadSignature("Its signature is of no known version.")
        certificate = self._certificate(words(message, "SigningCertURL"), region, now)
        _check(certificate, now)
        key = certificate.public_key()
        try:
            signature = b64decode(words(message, "Signature"), validate=True)
            if not isinstance(key, RSAPublicKey) or key.key_size < _SMALLEST_KEY:
                raise BadSignature("Its certificate is too weak.")
            key.verify(signature, canonical(message, names), PKCS1v15(), algorithm())
        except (InvalidSignature, BadBase64, ValueError):
            raise BadSignature("Its signature is wrong.") from None

    def _certificate(self, url: str, region: str, now: datetime) -> x509.Certificate:
        if _pinned(url, region) is None or not _CERTIFICATE_PATH.fullmatch(urlsplit(url).path) or urlsplit(url).query:
            raise BadSignature("Its certificate is not at Amazon's.")
        if url not in self._known:
            if len(self._fetched_at) == CERTIFICATES and now - self._fetched_at[0] < timedelta(minutes=1):
                raise BadSignature("Too many certificates were named.")
            self._fetched_at.append(now)
            found = _loaded(self.fetch(url))
            if len(self._known) >= CERTIFICATES:
                self._known.clear()
            self._known[url] = found
        return self._known[url]


def canonical(message: Mapping[str, Any], names: tuple[str, ...]) -> bytes:
    """Return what is signed: names and values, a line each; only the subject may be missing."""
    lines = []
    for name in names:
        value = message.get(name)
        if value is None and name == "Subject":
            continue
        if not isinstance(value, str):
            raise BadSignature("A part of it that is signed is missing.")
        lines.append(f"{name}\n{value}\n")
    return "".join(lines).encode("utf-8", "surrogatepass")


def _pinned(url: str, region: str) -> SplitResult | None:
    """Return the parts of an https address of the region's SNS; None for any other."""
    try:
        parts, ours = urlsplit(url), {f"sns.{region}.amazonaws.com", f"sns.{region}.amazonaws.com.cn"}
        plain = parts.scheme == "https" and parts.netloc in ours and url.isascii() and url.isprintable() and " " not in url
    except ValueError:
        return None
    return parts if plain and not parts.fragment else None


def _confirmation(message: Mapping[str, Any], region: str) -> str:
    """Return the address that confirms a subscription: Amazon's own, and for the topic that asked."""
    url = words(message, "SubscribeURL")
    parts = _pinned(url, region)
    query = parse_qs(parts.query) if parts else {}
    if query.get("Action") != ["ConfirmSubscription"] or query.get("TopicArn") != [words(message, "TopicArn")]:
        raise BadSignature("What it wants confirmed is not our topic.")
    return url


def _loaded(content: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(content)
    except ValueError:
        raise BadSignature("Its certificate cannot be read.") from None


def _check(certificate: x509.Certificate, now: datetime) -> None:
    """Raise BadSignature unless a certificate is in force and in the name of SNS.

    Who issued it was checked where it came from: the connection to Amazon is verified against the machine's authorities.
    """
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise BadSignature("Its certificate is not in force.")
    names = [str(each.value) for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if not any(_SIGNERS_NAME.fullmatch(name) for name in names):
        raise BadSignature("Its certificate is not in the name of SNS.")


def _time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BadSignature("It does not say when it was sent.") from None
    if found.tzinfo is None:
        raise BadSignature("It does not say when it was sent.")
    return found
