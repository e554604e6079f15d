"""Messages as Amazon and Mailgun sign them, with keys of our own."""

import hmac
import json
from base64 import b64encode
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.x509.oid import NameOID
from factories import NOW

from newsletter.bounces.webhooks.sns import canonical

TOPIC = "arn:aws:sns:eu-west-1:123456789012:bounces"
HOST = "https://sns.eu-west-1.amazonaws.com"
CERTIFICATE_URL = f"{HOST}/SimpleNotificationService-0123456789abcdef.pem"
CONFIRM_URL = f"{HOST}/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=abc"
MAILGUN_KEY = "a signing key of the tests"
_SIGNED = ("Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")


@cache
def key(name: str):
    """Return the key of that name: "curve" is no RSA key, "small" is too short."""
    if name == "curve":
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(65537, 1024 if name == "small" else 2048)


def certificate(name="sns.amazonaws.com", *, signer="amazon", since=NOW - timedelta(days=9), days=18) -> bytes:
    """Return a certificate in a name, as PEM."""
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key(signer).public_key())
        .serial_number(7)
        .not_valid_before(since)
        .not_valid_after(since + timedelta(days=days))
        .sign(key(signer), hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


@dataclass
class Amazon:
    """Keeps what is asked of it; `content` is the certificate, or an error to raise."""

    content: bytes | Exception = field(default_factory=certificate)
    asked: list[str] = field(default_factory=list)

    def __call__(self, url: str) -> bytes:
        """Give the certificate."""
        self.asked.append(url)
        if isinstance(self.content, Exception):
            raise self.content
        return self.content


def notification(event: object, *, signer="amazon", now: datetime = NOW, after=None, **changes: object) -> bytes:
    """Return a message of SNS: signed, then changed `after` that."""
    message = {
        "Type": "Notification",
        "MessageId": "m-1",
        "TopicArn": TOPIC,
        "Message": event if isinstance(event, str) else json.dumps(event),
        "Timestamp": f"{now - timedelta(seconds=30):%Y-%m-%dT%H:%M:%S.123Z}",
        "SignatureVersion": "2",
        "SigningCertURL": CERTIFICATE_URL,
    } | changes
    names = tuple(name for name in _SIGNED if name in message and (name == "Message" or isinstance(message[name], str)))
    algorithm = hashes.SHA1() if message["SignatureVersion"] == "1" else hashes.SHA256()
    signature = key(signer).sign(canonical(message, names), PKCS1v15(), algorithm)
    return json.dumps(message | {"Signature": b64encode(signature).decode()} | (after or {})).encode()


def subscription(**changes: object) -> bytes:
    """Return the question whether we listen to a topic."""
    asked = {"Type": "SubscriptionConfirmation", "Token": "abc", "SubscribeURL": CONFIRM_URL}
    return notification("Confirm", **(asked | changes))


def mail_of(message_id: str, *, source: str = "papers@example.org", unsubscribe: str = "") -> dict:
    """Return what SES tells of a mail."""
    headers = [{"name": "Message-ID", "value": message_id}, {"name": "List-Unsubscribe", "value": f"<{unsubscribe}>"}]
    return {"source": source, "messageId": "0102", "headers": headers, "commonHeaders": {"messageId": message_id}}


def ses_bounce(mail: dict, kind="Permanent", subtype="General", *, name="notificationType", **recipient: str) -> dict:
    """Return a bounce as SES tells it."""
    said = {"emailAddress": "ari@example.org", "status": "5.1.1", "diagnosticCode": "smtp; 550 5.1.1 no such user here"}
    bounce = {"bounceType": kind, "bounceSubType": subtype, "bouncedRecipients": [said | recipient]}
    return {name: "Bounce", "mail": mail, "bounce": bounce}


def ses_complaint(mail: dict, feedback: str | None = "abuse") -> dict:
    """Return a complaint as SES tells it."""
    complaint = {"complainedRecipients": [{"emailAddress": "ari@example.org"}], "complaintFeedbackType": feedback}
    return {"eventType": "Complaint", "mail": mail, "complaint": complaint}


def mailgun(event: dict, *, now: datetime = NOW, token="t-1", key=MAILGUN_KEY, **changes: object) -> bytes:
    """Return a message of Mailgun."""
    stamp = str(int(now.timestamp()))
    signed = hmac.new(key.encode(), f"{stamp}{token}".encode(), sha256).hexdigest()
    return json.dumps(
        {"signature": {"timestamp": stamp, "token": token, "signature": signed} | changes, "event-data": event}
    ).encode()


def mailgun_event(message_id: str, event="failed", **more: object) -> dict:
    """Return an event of Mailgun about a mail."""
    said = {"code": 550, "message": "5.1.1 no such user here", "enhanced-code": "5.1.1"}
    given = {"event": event, "severity": "permanent", "reason": "bounce", "recipient": "ari@example.org", "delivery-status": said}
    return given | {"message": {"headers": {"message-id": message_id.strip("<>")}}} | more
