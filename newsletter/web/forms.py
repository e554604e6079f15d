"""Forms as they come: a body of any kind is read, none can break a page; and the stamps that tell when they were shown."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from email.message import Message
from email.parser import BytesParser
from http import HTTPStatus
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import Depends, HTTPException, Request

from newsletter.errors import BadToken
from newsletter.tokens import Keyring, Purpose

BODY_LIMIT = 262_144  # bytes; the preferences of one newsletter with 40 keywords in Korean have 22,000
KEPT = 300  # characters of a mistyped address that are shown again
FIELDS_LIMIT = 1000  # of one newsletter 22

TRAP = "homepage"  # a field that people do not see: who fills it is no person
STAMP = "stamp"  # the field that says when the form was shown
STAMP_LASTS = timedelta(days=1)

Form = Mapping[str, list[str]]


async def read(request: Request) -> Form:
    """Return the fields of a form, url-encoded or multipart; what is neither has none.

    Raises HTTPException 413 for a body above BODY_LIMIT.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    return parse(request.headers.get("content-type", ""), bytes(body))


def parse(content_type: str, body: bytes) -> Form:
    """Return the fields in a body, as UTF-8 with a replacement for what is none."""
    if content_type.lower().startswith("multipart/"):
        return _multipart(content_type, body)
    try:
        return parse_qs(_text(body), keep_blank_values=True, max_num_fields=FIELDS_LIMIT)
    except ValueError:  # too many fields
        return {}


def _multipart(content_type: str, body: bytes) -> Form:
    """Read with the parser for mail, which takes whatever comes (RFC 7578 is MIME)."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1", "replace")
    parts = BytesParser().parsebytes(head + body).get_payload()
    fields: dict[str, list[str]] = {}
    for part in parts if isinstance(parts, list) else ():
        if isinstance(part, Message):
            name, content = part.get_param("name", "", "content-disposition"), part.get_payload(decode=True)
            if isinstance(name, str) and isinstance(content, bytes):
                fields.setdefault(name, []).append(_text(content))
    return fields


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")


def first(form: Form, name: str) -> str:
    """Return a field's first value; empty if there is none."""
    return form.get(name, [""])[0]


def stamp(keyring: Keyring, shown_at: datetime) -> str:
    """Return the sealed time at which a form is shown."""
    return keyring.sign(Purpose.FORM, int(shown_at.timestamp() * 1000))


def age(keyring: Keyring, form: Form, *, now: datetime) -> timedelta | None:
    """Return how long ago the form was shown; None where its stamp is missing, not ours, too old or of the future."""
    try:
        (shown_at,) = keyring.unsign(first(form, STAMP), Purpose.FORM)
    except (BadToken, ValueError):
        return None
    passed = timedelta(milliseconds=int(now.timestamp() * 1000) - shown_at)
    return passed if timedelta() <= passed <= STAMP_LASTS else None


Sent = Annotated[Form, Depends(read)]
