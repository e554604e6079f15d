"""Which papers a reader's topics and words find. Pure; words are compared as tokens, never as patterns.

An issue is indexed once; what is found is a number with a bit for each paper, so that a reader of forty words costs a union
of forty numbers. In scripts that put spaces between words a keyword is one or more whole words, in order; a plural finds its
singular, and "pretraining" is "pre-training". In Hangul, kana and Han endings follow without a space, so a keyword is looked
for inside words as well.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce

_LONGEST_TEXT = 20_000  # characters of a paper that are looked at
_KEPT = 4096  # keywords whose papers are remembered
_JOINED = 4  # letters from which a word without spaces is found where it is written with some, and the other way round

_UNSPACED = "\u1100-\u11ff\u3040-\u30ff\u3130-\u318f\u3400-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff"
_TOKEN = re.compile(f"[{_UNSPACED}]+|[^\\W_{_UNSPACED}]+[+#]*")  # "c++" and "c#" are words, "gpt-4" is two
_ACCENTS = re.compile("[\u0300-\u036f]")
_SHORT_PLURAL = re.compile("(?<![A-Za-z])([A-Z]{2})s(?![A-Za-z0-9])")  # "LMs"; small letters would make "its" a plural
_HYPHEN = re.compile("(?<=[^\\W\\d_])[-\u2010\u2011](?=[^\\W_])")


@dataclass(frozen=True)
class PaperFacts:
    """What a paper of an issue can be chosen by."""

    id: int
    categories: tuple[str, ...] = ()  # arXiv's, the primary first
    text: str = ""  # title, abstract, keywords and what the issue says of it
    pinned: bool = False  # everybody gets it, first


def words_of(text: str) -> list[str]:
    """Return the words of a text as they are compared: case, width, accents and plural make no difference."""
    plain = unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFKD", text)))
    return [_singular(word) for word in _TOKEN.findall(_SHORT_PLURAL.sub(r"\1", plain).casefold())]


def _singular(word: str) -> str:
    """Return an English word without its plural ending; some become what is no word, but always the same one."""
    if len(word) <= 3 or word.endswith(("ss", "us", "is")):  # noqa: PLR2004 -- gas, bus
        return word
    single = word.removesuffix("s")
    if single.endswith("ie"):  # of queries or of a movie
        return single[:-2] + "y"
    return single[:-1] if single.endswith(("sse", "xe", "ze", "che", "she")) else single  # of boxes or of a cache


class Index:
    """The papers of an issue, by topic and by word; a set of them is a number, with the bit of a paper's place."""

    def __init__(self, papers: Sequence[PaperFacts]) -> None:
        """Read the papers, in the order of the issue."""
        texts = [paper.text[:_LONGEST_TEXT] for paper in papers]
        self.ids = tuple(paper.id for paper in papers)
        self._place = {number: place for place, number in enumerate(self.ids)}
        self.pinned = sum(1 << place for place, paper in enumerate(papers) if paper.pinned)
        self._topics = _by_name(map(_topics_of, papers))
        self._apart, self._whole = _Words(texts), _Words([_HYPHEN.sub("", text) for text in texts])
        self.keyword = lru_cache(maxsize=_KEPT)(self._keyword)

    def topic(self, name: str) -> int:
        """Return the papers of a category, as primary or further one, or of all categories of an archive ("cs")."""
        return self._topics.get(name.strip().casefold(), 0)

    def _keyword(self, keyword: str) -> int:
        """Return the papers in which a keyword occurs, with hyphens or without them."""
        return self._apart.find(keyword) | self._whole.find(_HYPHEN.sub("", keyword))

    def papers(self, found: int) -> list[int]:
        """Return the ids of a set of papers, in the order of the issue."""
        numbers = []
        while found:
            first = found & -found
            numbers.append(self.ids[first.bit_length() - 1])
            found ^= first
        return numbers

    def places(self, papers: Iterable[int]) -> int:
        """Return the set of papers with these ids."""
        return sum(1 << self._place[number] for number in papers)


class _Words:
    """The words of some texts; a set of them is a number, with the bit of a text's place."""

    def __init__(self, texts: Sequence[str]) -> None:
        words = [words_of(text) for text in texts]
        self._words = _by_name(words)
        self._texts = [f" {' '.join(each)} " for each in words]
        self._joined = ["".join(each) for each in words]

    def find(self, keyword: str) -> int:
        """Return the texts in which a keyword occurs."""
        words = words_of(keyword)
        spaced = [word for word in words if not _is_unspaced(word)]
        found = reduce(int.__and__, (self._words.get(word, 0) for word in spaced), (1 << len(self._texts)) - 1)
        if len(words) <= 1 and spaced:
            return found
        return self._phrase(words, found, joined=not spaced) if words else 0

    def _phrase(self, words: Sequence[str], among: int, *, joined: bool) -> int:
        """Return the papers that have the words one after the other."""
        before, after = ("" if _is_unspaced(word) else " " for word in (words[0], words[-1]))
        phrase, run = before + " ".join(words) + after, "".join(words)
        joined = joined and len(run) >= _JOINED
        return sum(
            1 << place
            for place, text in enumerate(self._texts)
            if among >> place & 1 and (phrase in text or (joined and run in self._joined[place]))
        )


def _is_unspaced(word: str) -> bool:
    return bool(re.match(f"[{_UNSPACED}]", word))


def _topics_of(paper: PaperFacts) -> set[str]:
    categories = [category.casefold() for category in paper.categories]
    return {*categories, *(category.partition(".")[0] for category in categories)}


def _by_name(named: Iterable[Iterable[str]]) -> dict[str, int]:
    """Return for each name the set of papers that have it."""
    found: dict[str, int] = {}
    for place, names in enumerate(named):
        for name in set(names):
            found[name] = found.get(name, 0) | 1 << place
    return found
