"""The papers that one reader gets of an issue, and why: a pure function of the issue and of the reader's wish.

Whatever is wished for, the HTML stays within what mail programs show whole: papers for which there is no room as cards
become one line each, and of those that have no room even so the mail says how many there are on the web.
"""

import html
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, reduce
from itertools import accumulate
from operator import or_

from newsletter import i18n, topics
from newsletter.mail.compose import Selection
from newsletter.mail.matching import Index, PaperFacts
from newsletter.mail.pieces import FOOT, HEAD, MORE, SLOT, WHY, Piece
from newsletter.text import one_line

HTML_BUDGET = 90_000  # bytes: Gmail clips at about 102 KB, and with the tail goes the unsubscribe link
LONGEST_LINK = 400  # bytes of a reader's own link, escaped, at most
_NUMBERS = {"rank": 4, "count": 4, MORE: 4, WHY: 0}  # bytes of what is no link; why these is measured itself
_FOR_CARDS = 4  # where the lines alone are too many, one part in so many of the room is for cards all the same
SHOWN_WISHES, SHOWN_LETTERS = 5, 40  # of each kind, and of each of them
_LINES = "lines"


@dataclass(frozen=True)
class Wish:
    """What a reader wants of an issue."""

    topics: tuple[str, ...] = ()  # neither topics nor keywords: all papers
    keywords: tuple[str, ...] = ()
    most: int | None = None  # papers
    match_first: bool = False  # what meets most of their wishes first; else in the order of the issue, by votes

    @property
    def chooses(self) -> bool:
        """Whether some papers are wanted and others not."""
        return bool(self.topics or self.keywords)


EVERYTHING = Wish()


@dataclass(frozen=True, eq=False)
class IssueFacts:
    """An issue as it is chosen from: its papers, in its order, and how many bytes each piece of its HTML takes at most."""

    index: Index
    language: str  # the newsletter's: why these is said in it
    cards: dict[int, int]  # by paper
    lines: dict[int, int]  # by paper
    others: dict[str, int] = field(default_factory=dict)  # by name
    most_cards: int | None = None  # in a mail; further papers are one line each

    def size(self, *names: str) -> int:
        """Return the bytes of pieces; one that the issue was frozen without takes none."""
        return sum(self.others.get(name, 0) for name in names)


def facts_of(
    papers: Sequence[PaperFacts], pieces: Sequence[Piece], language: str, *, most_cards: int | None = None
) -> IssueFacts:
    """Return an issue's facts; of a paper of which nothing is known there is no more than its card."""
    known = {paper.id: paper for paper in papers}
    sizes = {piece.name: _bytes_of(piece) for piece in pieces}
    cards, lines = (
        {int(name.removeprefix(form)): size for name, size in sizes.items() if name.startswith(form)}
        for form in ("card:", "line:")
    )
    index = Index([known.get(number) or PaperFacts(number) for number in cards])
    others = {name: size for name, size in sizes.items() if ":" not in name}
    return IssueFacts(index, language, cards, lines, others, most_cards)


def _bytes_of(piece: Piece) -> int:
    """Return how long a piece may become."""
    words = SLOT.sub("", piece.content)
    slots = sum(_NUMBERS.get(name, LONGEST_LINK) for name in SLOT.findall(piece.content))
    return len(words.encode()) + words.count("\n") + slots  # a line ends in two bytes


@dataclass(frozen=True)
class _Met:
    """Which wishes some papers meet, and which papers those are."""

    topics: dict[str, int]
    keywords: dict[str, int]

    @classmethod
    def by(cls, index: Index, wish: Wish) -> "_Met":
        found = ({word: find(word) for word in words} for words, find in _asked(index, wish))
        return cls(*({word: papers for word, papers in each.items() if papers} for each in found))

    @property
    def sets(self) -> list[int]:
        return [*self.topics.values(), *self.keywords.values()]

    @property
    def papers(self) -> int:
        return reduce(or_, self.sets, 0)


def _asked(index: Index, wish: Wish) -> tuple[tuple[Sequence[str], Callable[[str], int]], ...]:
    return (wish.topics, index.topic), (wish.keywords, index.keyword)


def matches(index: Index, wish: Wish) -> int:
    """Return how many papers are about what a reader wishes for: all of them where they do not choose."""
    return _Met.by(index, wish).papers.bit_count() if wish.chooses else len(index.ids)


def select(issue: IssueFacts, wish: Wish, *, short: bool = False) -> Selection | None:
    """Return what a reader gets of an issue, within the budget of bytes; None where nothing of it is for them.

    `short`: they get its papers as one line each then. What is pinned comes first, for everybody, and is a mail by itself.
    """
    index = issue.index
    met = _Met.by(index, wish)
    if not wish.chooses:
        return _fit(issue, _in_order(index, (1 << len(index.ids)) - 1, [])[: wish.most])
    if met.papers:
        chosen = _in_order(index, met.papers, met.sets if wish.match_first else [])[: wish.most]
        return _fit(issue, chosen, _why(issue, met, chosen))
    if not short and not index.pinned:
        return None
    nothing = i18n.catalogue(issue.language).gettext("None of these %(all)s papers is about your topics or keywords.")
    pinned = index.papers(index.pinned)[: wish.most]
    listed = [*pinned, *(paper for paper in index.ids if short and paper not in pinned)][: wish.most]
    why = _sentences(nothing % {"all": len(index.ids)}, _for_everybody(issue, len(pinned)))
    return _fit(issue, listed, why, most_cards=len(pinned))


def _in_order(index: Index, chosen: int, wishes: Sequence[int]) -> list[int]:
    """Return the ids of papers: the pinned first, then by how many of the wishes each meets, then in the issue's order."""
    meeting = [chosen]  # those that meet as many of the wishes as its place in here says, or more
    for papers in wishes:
        meeting.append(0)
        for number in range(len(meeting) - 1, 0, -1):
            meeting[number] |= meeting[number - 1] & papers
    return _most_first(index, meeting, index.pinned) + _most_first(index, meeting, chosen & ~index.pinned)


def _most_first(index: Index, meeting: Sequence[int], among: int) -> list[int]:
    """Return the papers of a set, those that meet most wishes first."""
    ordered: list[int] = []
    for papers in reversed(meeting):
        ordered += index.papers(papers & among)
        among &= ~papers
    return ordered + index.papers(among)


def _why(issue: IssueFacts, met: _Met, chosen: Sequence[int]) -> str:
    """Return the line that says why these: how many of how many, and for which wishes."""
    catalogue = i18n.catalogue(issue.language)
    gettext, ngettext = catalogue.gettext, catalogue.ngettext
    shown = issue.index.places(chosen)
    own = (shown & met.papers).bit_count()
    papers = ngettext("%(num)s of %(all)s paper", "%(num)s of %(all)s papers", len(issue.index.ids))
    names = _names(issue.language)
    if not own:  # what everybody gets leaves them no room for more
        return _for_everybody(issue, len(chosen))
    given = {
        "papers": papers % {"num": own, "all": len(issue.index.ids)},
        "topics": _listed([names.get(topic, topic) for topic in _shown(met.topics, shown)], ngettext),
        "words": _listed(_shown(met.keywords, shown), ngettext),
    }
    if given["topics"] and given["words"]:
        said = gettext("%(papers)s, for your topics: %(topics)s; your keywords: %(words)s.")
    else:
        said = (
            gettext("%(papers)s, for your topics: %(topics)s.")
            if given["topics"]
            else gettext("%(papers)s, for your keywords: %(words)s.")
        )
    return _sentences(said % given, _for_everybody(issue, len(chosen) - own))


@cache
def _names(language: str) -> dict[str, str]:
    return topics.offered(language)


def _shown(wishes: dict[str, int], shown: int) -> list[str]:
    """Return the wishes that papers of the mail meet, those that most do first."""
    counted = {wish: (papers & shown).bit_count() for wish, papers in wishes.items()}
    return sorted((wish for wish in counted if counted[wish]), key=lambda wish: -counted[wish])


def _listed(names: Sequence[str], ngettext: Callable[[str, str, int], str]) -> str:
    """Return names with commas between them, as many as are read: a reader may have dozens."""
    left = len(names) - SHOWN_WISHES
    clean = [one_line(name) for name in (names if left <= 1 else names[:SHOWN_WISHES])]  # "and 1 more" takes the room of a name
    listed = ", ".join([name if len(name) <= SHOWN_LETTERS else name[: SHOWN_LETTERS - 1] + "…" for name in clean])
    if left <= 1:
        return listed
    return ngettext("%(names)s and %(num)s more", "%(names)s and %(num)s more", left) % {"names": listed, "num": left}


def _for_everybody(issue: IssueFacts, number: int) -> str:
    if not number:
        return ""
    ngettext = i18n.catalogue(issue.language).ngettext
    said = ngettext("The editors chose %(num)s for everybody.", "The editors chose %(num)s for everybody.", number)
    return said % {"num": number}


def _sentences(*sentences: str) -> str:
    return " ".join(filter(None, sentences))


def _fit(issue: IssueFacts, papers: Sequence[int], why: str = "", *, most_cards: int | None = None) -> Selection:
    """Return the papers as cards while there is room, then as lines; those that even so have none are counted."""
    room = HTML_BUDGET - issue.size(HEAD, FOOT) - (issue.size(WHY) + len(html.escape(why).encode()) if why else 0)
    cards = [0, *accumulate(issue.cards[paper] for paper in papers)]
    most = min(most for most in (len(papers), most_cards, issue.most_cards) if most is not None)
    if most == len(papers) and cards[-1] <= room:
        return Selection(tuple(papers), why=why)
    lines = [0, *accumulate(issue.lines.get(paper, 0) for paper in papers)]
    room -= issue.size(_LINES)
    fitting = [number for number in range(most + 1) if cards[number] + lines[-1] - lines[number] <= room]
    number = max([0, *fitting, *(number for number in range(most + 1) if cards[number] <= room // _FOR_CARDS)])
    if number in fitting:
        return Selection(tuple(papers[:number]), tuple(papers[number:]), why)
    room -= issue.size(MORE) + cards[number] - lines[number]
    told = bisect_right(lines, room, lo=number) - 1
    return Selection(tuple(papers[:number]), tuple(papers[number:told]), why, more=len(papers) - told)
