"""Making messages for readers who each wish for papers of their own of a large day, beside one wish for all. Nothing is sent."""

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bench import corpus
from bench.baselines import digest
from bench.publisher import DOMAIN, LINKS
from bench.sender import Spec
from newsletter.deliveries.frozen import chooser
from newsletter.mail import compose
from newsletter.mail.compose import Mailbox, MessageHeaders, Selection
from newsletter.mail.dkim import Signer, SigningKey
from newsletter.mail.headers import ListInfo
from newsletter.mail.matching import PaperFacts
from newsletter.mail.render import render
from newsletter.mail.selecting import IssueFacts, Wish, facts_of, select
from newsletter.topics import offered

PAPERS = 50
MOST = 30  # papers of a selection
_TOPICS = tuple(offered("en"))
_SAID = "we train small models on long tasks and find that they plan better under tight budgets of memory and time"
_ABSTRACT = tuple(_SAID.split())
_KEYWORDS = (
    *(f"topic-{number}" for number in range(12)),
    "모델",
    "정확도",
    "긴 문맥",
    "언어모델",
    "sparse",
    "small models",
    "diffusion",
)


def facts() -> IssueFacts:
    """Return the day as readers choose from it: each paper in two categories, with a keyword and an abstract."""
    chance = random.Random(4)  # noqa: S311 -- the same at every run, no secret
    papers = [
        PaperFacts(
            id=number,
            categories=tuple(chance.sample(_TOPICS, 2)),
            text="\n".join(
                [paper.title, *paper.keywords, *paper.summaries[0].bullets, " ".join(chance.choices(_ABSTRACT, k=180))]
            ),
        )
        for number, paper in enumerate(corpus.listing(PAPERS).papers, start=1)
    ]
    return facts_of(papers, render(digest(PAPERS)).html, "ko")


def wishes(issue: IssueFacts, different: int) -> list[Wish]:
    """Return wishes that bring so many different choices of the day's papers, as many papers each: only the choice differs."""
    chance = random.Random(5)  # noqa: S311 -- as above
    found: dict[Selection, Wish] = {}
    while len(found) < different:
        topics = tuple(chance.sample(_TOPICS, chance.randint(2, 6)))
        keywords = tuple(chance.sample(_KEYWORDS, chance.randint(2, 8)))
        wish = Wish(topics, keywords, MOST, match_first=chance.random() < 0.5)  # noqa: PLR2004 -- one in two
        selection = select(issue, wish)
        if selection is not None and selection.count == MOST:
            found.setdefault(replace(selection, why=""), wish)
    return list(found.values())


def prepare(spec: Spec) -> Callable[[], tuple[int, dict[str, Any]]]:
    """Make the day ready; the work is `spec.number` signed messages for readers of `spec.options[0]` different wishes.

    What a wish brings is found while they are made, as the mailer finds it: once for those who wish for the same.
    """
    wanted = wishes(facts(), int(spec.options[0]))
    random.Random(6).shuffle(wanted)  # noqa: S311 -- as above
    prepared = compose.prepare(render(digest(PAPERS)))
    private = load_pem_private_key(Path(spec.key).read_bytes(), None)
    assert isinstance(private, RSAPrivateKey)
    signer = Signer([SigningKey(DOMAIN, "bench", private)])
    choose = chooser(facts())  # which has not seen any of them

    def work() -> tuple[int, dict[str, Any]]:
        octets = 0
        for number in range(spec.number):
            selection = choose(wanted[number % len(wanted)], False)
            assert selection is not None
            octets += len(_message(prepared, signer, number, selection, datetime.now(UTC)))
        return spec.number, {"octets": octets / spec.number, "selections": len(wanted)}

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
