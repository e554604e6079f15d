"""Daily documents in Markdown: a heading per day, a heading per paper, and what is told of it in lines of their own.

    ## Daily Papers (2024-03-14)

    ### [Title](https://arxiv.org/abs/2403.00001)

    ![](https://example.org/2403.00001.png)

    Vote: 25

    Authors: Ari Kim, Bora Lee, +

    - What it is about.
    - **What's New**: older and newer documents have keys in bold.

`write` writes exactly this; `read` also takes what others wrote: videos, lists of authors as Python prints them, no
picture, no votes. What a line is, its beginning tells; a line that is none of these is a `Problem` with file and line.
"""

import html
import re
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from newsletter.errors import BadDocument, SourceMalformed, SourceUnavailable
from newsletter.sources import Listing, PaperData, Problem, SummaryData, facts, markdown
from newsletter.text import language_of, safe_link

_DAY = re.compile(r"##\s+Daily Papers\s+\((.*)\)\s*", re.IGNORECASE)
_BULLET = re.compile(r"\s*[-*+•]\s+(.*)")
_QUOTED = re.compile(r"<!-- quoted from the abstract: ([A-Za-z]{2,3}(?:-[A-Za-z0-9]+)*) -->\s*")
_FACT = re.compile(r"(Votes?|Authors?):(.*)", re.IGNORECASE)
_VOTES = re.compile(r"[0-9]{1,9}")
_WATCH = "[Watch Video]"
_VIDEO_TAG = re.compile(r"<video\b[^<>]*\bsrc=\"([^\"<>]*)\"")
_FRAME = re.compile(r"</?(?:div|video|p|br|center)\b")
_LARGEST_FILE = 20_000_000  # bytes
_LANGUAGE = r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*"
_LAYOUT = "A document has a heading “## Daily Papers (YYYY-MM-DD)” and, for each paper, a heading “### [title](https://…)”."


def read(text: str, *, where: str, language: str = "") -> Listing:
    """Return the one day a document tells of; raises BadDocument, with file and line, where there is none or another one.

    `language` is that of the bullets; where it is not known they tell it.
    """
    reader = _read(text, where, language)
    if len(reader.days) > 1:
        day, line = list(reader.day_lines.items())[1]
        raise BadDocument(f"{where}:{line}: begins a second day, {day}", hint="Keep the papers of one day in a file.")
    return reader.listings()[0]


def read_all(text: str, *, where: str, language: str = "") -> tuple[Listing, ...]:
    """Return every day a document tells of, in its order; a day with two headings is one. Raises BadDocument as `read` does."""
    return _read(text, where, language).listings()


def _read(text: str, where: str, language: str) -> "_Reader":
    reader = _Reader(where, language)
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text.removeprefix("\ufeff")), 1):
        reader.take(number, line)
    reader.check()
    return reader


@dataclass
class _Draft:
    """A paper as far as it has been read; bullets are lines of Markdown until the end."""

    line: int
    paper: PaperData
    bullets: list[str] = field(default_factory=list)
    quoted_in: str = ""


class _Reader:
    """Takes the lines of a document one by one."""

    def __init__(self, where: str, language: str) -> None:
        self.days: dict[date, list[_Draft]] = {}
        self.day_lines: dict[date, int] = {}
        self._where = where
        self._language = language
        self._problems: list[tuple[date | None, Problem]] = []
        self._number = 0
        self._day: date | None = None
        self._draft: _Draft | None = None
        self._in_bullet = False

    def take(self, number: int, line: str) -> None:
        """Read one line; `number` counts from 1."""
        self._number = number
        if line.startswith("## "):
            self._begin_day(line)
        elif line.startswith("### "):
            self._begin_paper(line[4:])
        elif not line.strip():
            self._in_bullet = False
        elif self._draft:
            self._tell(self._draft, line)

    def check(self) -> None:
        """Raise BadDocument where nothing was found."""
        first = str(self._problems[0][1]) if self._problems else ""
        if not self.days:
            raise BadDocument(first or f"{self._where}:1: there is no heading “## Daily Papers (YYYY-MM-DD)”", hint=_LAYOUT)
        if not any(self.days.values()):
            line = next(iter(self.day_lines.values()))
            raise BadDocument(first or f"{self._where}:{line}: there are no papers under this heading", hint=_LAYOUT)

    def listings(self) -> tuple[Listing, ...]:
        """Return what was read."""
        bullets = " ".join(bullet for drafts in self.days.values() for draft in drafts for bullet in draft.bullets)
        language = self._language or language_of(bullets)
        first = next(iter(self.days))
        return tuple(
            Listing(
                day,
                tuple(_finished(draft, language) for draft in drafts),
                tuple(problem for at, problem in self._problems if (at or first) == day),
            )
            for day, drafts in self.days.items()
        )

    def _problem(self, what: str) -> None:
        self._problems.append((self._day, Problem(f"{self._where}:{self._number}", what)))

    def _begin_day(self, line: str) -> None:
        self._draft, self._day = None, None
        found = _DAY.fullmatch(line)
        if not found:
            self._problem(f"is no heading of a day: {line.strip()[:60]!r}")
            return
        try:
            day = date.fromisoformat(found[1].strip())
        except ValueError:
            self._problem(f"{found[1].strip()[:20]!r} is no day, as 2024-03-14 is one")
            return
        self._day = day
        self.days.setdefault(day, [])
        self.day_lines.setdefault(day, self._number)

    def _begin_paper(self, heading: str) -> None:
        self._draft, self._in_bullet = None, False
        found = self._identified(heading)
        if isinstance(found, str):
            self._problem(found)
            return
        if self._day is None:
            self._problem(f"stands under no day: {found.title[:60]!r}")
            return
        drafts = self.days[self._day]
        earlier = next((draft for draft in drafts if _key(draft.paper) == _key(found)), None)
        if earlier:
            self._problem(f"{found.source_id} is told of again; line {earlier.line} counts")
            return
        self._draft = _Draft(self._number, found)
        drafts.append(self._draft)

    def _identified(self, heading: str) -> PaperData | str:
        """Return the paper a heading names, or why it names none."""
        halves = markdown.link(heading)
        if not halves or not halves[0].startswith("["):
            return f"the heading holds no [title](link): {heading.strip()[:60]!r}"
        title, url = markdown.plain(halves[0][1:]), safe_link(halves[1])
        if not title or not url:
            return f"the link is not to be followed: {halves[1][:60]!r}" if title else "the title is empty"
        source, source_id = facts.identify(url)
        return PaperData(source, source_id, title, url)

    def _tell(self, draft: _Draft, line: str) -> None:
        """Add to a paper what a line tells of it."""
        bullet, fact = _BULLET.fullmatch(line), _FACT.fullmatch(line)
        if bullet:
            draft.bullets.append(bullet[1])
            self._in_bullet = True
        elif fact:
            self._in_bullet = False
            self._tell_fact(draft, fact[1].lower(), fact[2].strip())
        elif quoted := _QUOTED.fullmatch(line):
            self._in_bullet, draft.quoted_in = False, quoted[1]
        elif line.startswith(("![", _WATCH, "<")) and self._tell_media(draft, line.strip()):
            self._in_bullet = False
        elif self._in_bullet:
            draft.bullets[-1] += f" {line}"
        else:
            self._problem(f"is no part of the layout: {line.strip()[:60]!r}")

    def _tell_fact(self, draft: _Draft, name: str, value: str) -> None:
        if name.startswith("author"):
            authors, more = markdown.names(value)
            draft.paper = replace(draft.paper, authors=authors, more_authors=more)
        elif _VOTES.fullmatch(value):
            draft.paper = replace(draft.paper, votes=int(value))
        elif value != "-":
            self._problem(f"the votes are no number: {value[:20]!r}")

    def _tell_media(self, draft: _Draft, line: str) -> bool:
        """Take a picture or a video; tell whether the line was one, usable or not."""
        halves = markdown.link(line)
        url = halves[1] if halves else ""
        if line.startswith("!["):
            picture = facts.picture(url)
            draft.paper = replace(draft.paper, thumbnail_url=draft.paper.thumbnail_url or picture)
            return halves is not None and (bool(picture) or self._tell_video(draft, facts.video(url)))
        if line.startswith(_WATCH):
            return self._tell_video(draft, safe_link(url or line.removeprefix(_WATCH).strip()))
        tag = _VIDEO_TAG.search(line)
        return self._tell_video(draft, safe_link(html.unescape(tag[1]))) if tag else _FRAME.match(line) is not None

    def _tell_video(self, draft: _Draft, url: str) -> bool:
        if url and "video" not in draft.paper.links:
            draft.paper = replace(draft.paper, links={"video": url})
        return True


def _key(paper: PaperData) -> tuple[str, str]:
    return paper.source, paper.source_id


def _finished(draft: _Draft, language: str) -> PaperData:
    bullets = tuple(filter(None, map(markdown.plain, draft.bullets)))
    return replace(draft.paper, summaries=(SummaryData(language, bullets, draft.quoted_in),)) if bullets else draft.paper


def write(listing: Listing, *, language: str) -> str:
    """Return the document of a day, with the summaries in `language`; `read` gives back what such a document can hold.

    It holds no abstract, time, keywords or links but the video's, and no two papers with the same id.
    """
    papers = (_written(paper, language) for paper in listing.papers)
    return "\n".join([f"## Daily Papers ({listing.day.isoformat()})", "", *papers, ""])


def _written(paper: PaperData, language: str) -> str:
    names = [*map(markdown.escape_name, paper.authors), *["+"] * paper.more_authors]
    told = next((summary for summary in paper.summaries if summary.language == language), SummaryData(language, ()))
    blocks = [
        f"### [{markdown.escape(paper.title)}]({markdown.escape_target(paper.url)})",
        f"![]({markdown.escape_target(paper.thumbnail_url)})" if paper.thumbnail_url else "",
        _video_block(paper.links.get("video", "")),
        f"Vote: {'-' if paper.votes is None else paper.votes}",
        f"Authors: {', '.join(names)}" if names else "",
        f"<!-- quoted from the abstract: {told.quoted_in} -->" if told.quoted_in else "",
        "\n".join(f"- {markdown.escape(bullet)}" for bullet in told.bullets),
    ]
    return "\n\n".join(filter(None, blocks)) + "\n"


def _video_block(url: str) -> str:
    if not url:
        return ""
    tag = f'<div><video controls src="{html.escape(url)}" muted="false"></video></div>'
    return f"{_WATCH}({markdown.escape_target(url)})\n{tag}"


class Directory:
    """A folder of documents: `<day>.md`, and `<day>.<language>.md` for each further language of the same papers."""

    def __init__(self, path: Path, name: str = "") -> None:
        self._path = path
        self._name = name or f"documents:{path}"

    @property
    def name(self) -> str:
        """The name newsletters choose it by, folder and all: what two folders tell is kept apart."""
        return self._name

    def listing(self, day: date) -> Listing:
        """Return the papers of `day` with a summary per language; facts are those of the first file that tells them.

        Raises SourceUnavailable where the folder or a file cannot be read, SourceMalformed where no file of the day makes sense.
        """
        if not self._path.is_dir():
            raise SourceUnavailable(
                f"{self._path}: there is no such folder", hint="Make it, or correct the source of the newsletter."
            )
        files = self._files(day)
        found: list[Listing] = []
        failed: list[BadDocument] = []
        for path, language in files:
            try:
                found.append(_read_file(path, day, language))
            except BadDocument as error:
                failed.append(error)
        if failed and not found:
            raise SourceMalformed(str(failed[0]), hint=failed[0].hint) from failed[0]
        problems = [Problem(*str(error).split(": ", 1)) for error in failed]
        return _merged(day, found, problems)

    def _files(self, day: date) -> list[tuple[Path, str]]:
        """Return the files of a day with the languages their names tell; the one without comes first."""
        pattern = re.compile(rf"{day.isoformat()}(?:\.({_LANGUAGE}))?\.md")
        matches = ((path, pattern.fullmatch(path.name)) for path in self._path.glob(f"{day.isoformat()}*.md"))
        return sorted(((path, match[1] or "") for path, match in matches if match), key=lambda pair: (pair[1], pair[0]))


def _read_file(path: Path, day: date, language: str) -> Listing:
    """Return what a file tells of `day`; what it tells of other days is a problem."""
    text, problems = _text_of(path)
    listings = read_all(text, where=str(path), language=language)
    others = [
        Problem(str(path), f"also tells of {listing.day}, which is no part of this day")
        for listing in listings
        if listing.day != day
    ]
    wanted = next((listing for listing in listings if listing.day == day), Listing(day))
    return replace(wanted, problems=(*problems, *wanted.problems, *others))


def _text_of(path: Path) -> tuple[str, list[Problem]]:
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise BadDocument(f"{path}: is larger than {_LARGEST_FILE:,} bytes", hint=_LAYOUT)
        content = path.read_bytes()
    except OSError as error:
        raise SourceUnavailable(f"{path}: cannot be read: {error.strerror}", hint="Check the rights of the file.") from error
    try:
        return content.decode(), []
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return content.decode(errors="replace"), [Problem(f"{path}:{line}", "is no UTF-8; what could not be read shows as �")]


def _merged(day: date, listings: list[Listing], problems: list[Problem]) -> Listing:
    """Return one listing of several files: each paper once, with the summaries of all."""
    papers: dict[tuple[str, str], PaperData] = {}
    for listing in listings:
        for paper in listing.papers:
            known = papers.get(_key(paper))
            papers[_key(paper)] = _completed(known, paper) if known else paper
    return Listing(day, tuple(papers.values()), (*problems, *(problem for listing in listings for problem in listing.problems)))


def _completed(known: PaperData, further: PaperData) -> PaperData:
    """Return the paper known already with what another file adds."""
    languages = {summary.language for summary in known.summaries}
    authors = known if known.authors else further
    return replace(
        known,
        authors=authors.authors,
        more_authors=authors.more_authors,
        votes=further.votes if known.votes is None else known.votes,
        thumbnail_url=known.thumbnail_url or further.thumbnail_url,
        links={**further.links, **known.links},
        summaries=(*known.summaries, *(summary for summary in further.summaries if summary.language not in languages)),
    )
