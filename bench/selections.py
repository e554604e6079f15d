"""Making messages for readers who each chose their own papers of a large day, beside one choice for all. Nothing is sent."""

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bench.baselines import digest
from bench.places import DOMAIN, LINKS
from bench.sender import Spec
from newsletter.mail import compose
from newsletter.mail.compose import Mailbox, MessageHeaders, Selection
from newsletter.mail.dkim import Signer, SigningKey
from newsletter.mail.headers import ListInfo
from newsletter.mail.render import render

PAPERS = 50
CARDS = 40  # of a selection: a message of 112 KB


def choices(different: int) -> list[Selection]:
    """Return so many different choices among the day's papers, each in the order of the day."""
    chance = random.Random(5)  # noqa: S311 -- the same at every run, no secret
    found: dict[Selection, None] = {}
    while len(found) < different:
        found[Selection(tuple(sorted(chance.sample(range(1, PAPERS + 1), CARDS))))] = None
    return list(found)


def prepare(spec: Spec) -> Callable[[], tuple[int, dict[str, Any]]]:
    """Make the day ready; the work is `spec.number` signed messages, dealt over `spec.options[0]` different choices."""
    chosen = choices(int(spec.options[0]))
    random.Random(6).shuffle(chosen)  # noqa: S311 -- as above
    prepared = compose.prepare(render(digest(PAPERS)))
    private = load_pem_private_key(Path(spec.key).read_bytes(), None)
    assert isinstance(private, RSAPrivateKey)
    signer = Signer([SigningKey(DOMAIN, "bench", private)])

    def work() -> tuple[int, dict[str, Any]]:
        octets = sum(
            len(_message(prepared, signer, number, chosen[number % len(chosen)], datetime.now(UTC)))
            for number in range(spec.number)
        )
        return spec.number, {"octets": octets / spec.number, "selections": len(set(chosen))}

    return work


_HEADERS = MessageHeaders(
    sender=Mailbox("오늘의 논문", f"news@{DOMAIN}"), recipient="", date=datetime(2024, 3, 15, tzinfo=UTC), message_id=""
)


def _message(prepared: compose.Prepared, signer: Signer, number: int, selection: Selection, now: datetime) -> bytes:
    leave = LINKS.unsubscribe(number)
    headers = replace(
        _HEADERS,
        recipient=f"reader{number}@inbox{number % 97}.example.net",
        date=now,
        message_id=LINKS.message_id(number, DOMAIN),
        mailing_list=ListInfo("오늘의 논문", f"daily.{DOMAIN}", leave),
    )
    view = LINKS.issue("daily", "2024-03-14")
    slots = {"unsubscribe_url": leave, "preferences_url": LINKS.preferences(number), "view_url": view}
    return compose.compose(
        prepared, headers=headers, slots=slots, selection=selection, sign=lambda head, body: signer.sign(head, body, now=now)
    )
