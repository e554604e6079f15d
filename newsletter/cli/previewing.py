"""A digest as files: from a document, a captured list or the sample, without a database or a network."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from newsletter import i18n, schedule
from newsletter.errors import BadInput, SummaryError
from newsletter.mail import compose, selecting
from newsletter.mail.compose import Mailbox, MessageHeaders
from newsletter.mail.emails import DigestEmail, PaperCard, Publication, ways_of
from newsletter.mail.headers import ListInfo, message_id
from newsletter.mail.render import render
from newsletter.mail.web import web_page
from newsletter.models import SummaryOrigin
from newsletter.sources import Listing, PaperData, Problem, documents, huggingface
from newsletter.sources.sample import Sample
from newsletter.summarisers import SummaryInput
from newsletter.summarisers.extractive import Extractive

SAMPLE_DAY = date(2024, 3, 14)
SITE = "https://news.example.org"
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True)
class Preview:
    """What was written."""

    day: date
    papers: int
    problems: tuple[Problem, ...]
    files: tuple[Path, ...]


def preview(source: str, to: Path, *, language: str = "", day: date | None = None) -> Preview:
    """Write digest.html, digest.txt and digest.eml of a source into the folder; raises NewsletterError for what is none."""
    if language and language not in i18n.languages():
        raise BadInput(f"language: mails cannot speak {language!r}.", hint=f"They speak {', '.join(i18n.languages())}.")
    listing = _listing(source, language, day)
    if not listing.papers:
        raise BadInput(f"{source}: it lists no papers on {listing.day}.", hint="A day without papers makes no issue.")
    language = language or _language(listing)
    email = DigestEmail(
        _publication(language),
        first_day=listing.day,
        last_day=listing.day,
        papers=tuple(_card(number, paper, listing.day, language) for number, paper in enumerate(listing.papers, start=1)),
    )
    return Preview(listing.day, len(listing.papers), listing.problems, _write(email, to))


def _listing(source: str, language: str, day: date | None) -> Listing:
    if source == "sample":
        return Sample().listing(day or SAMPLE_DAY)
    path = Path(source)
    if not path.is_file():
        raise BadInput(
            f"{source}: there is no such file.", hint="Name a daily document (.md), a captured list (.json), or: sample."
        )
    content = path.read_bytes()
    if path.suffix == ".json":
        return huggingface.parse(content, day=day or _day_of(path), where=str(path))
    listings = documents.read_all(content.decode(errors="replace"), where=str(path), language=language or _named(path))
    wanted = [listing for listing in listings if day is None or listing.day == day]
    if not wanted:
        raise BadInput(f"{path}: it has nothing of {day}.", hint=f"It has {', '.join(str(each.day) for each in listings)}.")
    return wanted[0]


def _day_of(path: Path) -> date:
    """Return the day in a file's name; a captured list does not tell its day itself."""
    found = _DAY.search(path.name)
    return date.fromisoformat(found[0]) if found else datetime.now(UTC).date()


def _named(path: Path) -> str:
    return path.suffixes[-2].removeprefix(".") if len(path.suffixes) > 1 else ""


def _language(listing: Listing) -> str:
    """Return the language of the summaries that came along, English where there are none."""
    spoken = [summary.language for paper in listing.papers for summary in paper.summaries]
    return max(set(spoken), key=spoken.count) if spoken else "en"


def _publication(language: str) -> Publication:
    titles = {"ko": "데일리 페이퍼스"}
    return Publication(
        slug="daily-papers",
        title=titles.get(language, "Daily Papers"),
        description="",
        language=language,
        postal_address="Daily Papers, 1 Example Road, Seoul",
        home_url=f"{SITE}/",
        archive_url=f"{SITE}/archive/daily-papers",
    )


def _card(number: int, paper: PaperData, day: date, language: str) -> PaperCard:
    bullets, origin, written_in = _summary(paper, language)
    return PaperCard(
        paper_id=number,
        title=paper.title,
        url=paper.url,
        authors=paper.authors,
        more_authors=paper.more_authors,
        votes=paper.votes,
        thumbnail_url=paper.thumbnail_url,
        bullets=bullets,
        origin=origin,
        ways=ways_of(paper.links, paper.url),
        summary_language=written_in if written_in != language else "",
        remark_url=f"{SITE}/w/daily-papers/{day}/{number}",
    )


def _summary(paper: PaperData, language: str) -> tuple[tuple[str, ...], str, str]:
    """Return bullets, who wrote them and in which language: what came along, else the abstract's own sentences."""
    for summary in paper.summaries:
        if summary.language == language:
            origin = SummaryOrigin.EXTRACT if summary.quoted_in else SummaryOrigin.DOCUMENT
            return summary.bullets, origin.value, summary.quoted_in or language
    try:
        draft = Extractive().summarise(SummaryInput(paper.title, paper.abstract), language=language)
    except SummaryError:
        return (), "", language
    return draft.bullets, draft.origin, draft.language


def _write(email: DigestEmail, to: Path) -> tuple[Path, ...]:
    rendered = render(email)
    name = schedule.name_of("daily", email.first_day)
    links = {
        "unsubscribe_url": f"{SITE}/u/{'x' * 27}",
        "preferences_url": f"{SITE}/p/{'x' * 27}",
        "view_url": f"{email.publication.archive_url}/{name}",
    }
    selection = selecting.select(selecting.facts_of((), rendered.html, email.publication.language), selecting.EVERYTHING)
    message = compose.compose(
        compose.prepare(rendered), headers=_headers(email, links["unsubscribe_url"]), slots=links, selection=selection
    )
    to.mkdir(parents=True, exist_ok=True)
    contents = {"digest.html": web_page(rendered.html, links).encode(), "digest.txt": _plain(message), "digest.eml": message}
    for file, content in contents.items():
        (to / file).write_bytes(content)
    return tuple(to / file for file in contents)


def _headers(email: DigestEmail, unsubscribe_url: str) -> MessageHeaders:
    publication = email.publication
    return MessageHeaders(
        sender=Mailbox(publication.title, "news@news.example.org"),
        recipient="reader@example.org",
        date=datetime.now(UTC),
        message_id=message_id("preview", "news.example.org"),
        mailing_list=ListInfo(
            title=publication.title,
            list_id=f"{publication.slug}.news.example.org",
            unsubscribe_url=unsubscribe_url,
            archive_url=publication.archive_url,
        ),
    )


def _plain(message: bytes) -> bytes:
    """Return the text part as the mail has it."""
    from email import message_from_bytes, policy

    part = message_from_bytes(message, policy=policy.default).get_body(("plain",))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n").encode()
