"""Is there anything to summarise? Every invented summary we know of was made from an empty or a boilerplate source."""

import re

from newsletter.summarisers import SummaryInput
from newsletter.summarisers.checks.copies import near, shingles
from newsletter.summarisers.checks.reasons import Reason

SHORTEST_SOURCE = 200  # characters of the abstract, as for quoting from it
_FEWEST_DIFFERENT = 15  # words
_MOST_REPEATED = 0.25  # different words of all, in a text of some length
_LONG = 60  # words

_TEMPLATE = re.compile(
    r"lorem ipsum|dolor sit amet|formatting instructions|submission (?:guidelines|instructions)"
    r"|author (?:guidelines|instructions|kit)"
    r"|instructions for (?:authors|preparing)|(?:style|class) files?\b.{0,80}\b(?:latex|conference|submission|paper|author)"
    r"|(?:latex|conference|submission|word).{0,40}\b(?:style|class) files?\b|abstract must be limited to one paragraph"
    r"|abstract paragraph should be indented|the word abstract must be centered|camera[- ]ready (?:version"
    r"|copy)\b.{0,60}\b(?:must|should)"
    r"|\\(?:documentclass|usepackage|begin\{)|(?:this|your) (?:document|template) (?:is a|provides|describes"
    r"|contains) (?:a )?(?:template|model|sample|the formatting|basic)"
    r"|insert (?:your )?(?:abstract|text|title) here|\[?your (?:abstract|text|title) (?:here|goes)"
    r"|type your abstract|replace this text"
    r"|(?:paper|submission|article|manuscript|preprint|work)\s+(?:has|have|was|were|is"
    r"|being)\s+(?:been\s+)?withdrawn|withdrawn by (?:the )?(?:author|arxiv)|^\W*withdrawn\b"
    r"|abstract (?:is )?(?:not |un)available|no abstract(?: is)? (?:available|provided)|^\W*(?:n/?a|tbd|todo"
    r"|null|none|undefined)\W*$",
    re.IGNORECASE | re.MULTILINE,
)
# What a page says in an abstract's place, and what papers are about, too: believed of a few lines, or where several meet.
_PAGE = re.compile(
    r"sample text|placeholder|access denied|captcha|enable javascript|page not found|404 error|too many requests"
    r"|rate limit exceeded|cookies? (?:policy|settings)",
    re.IGNORECASE,
)
_FEW_LINES = 400  # characters


def source_fault(paper: SummaryInput) -> Reason | None:
    """Return why nothing true can be said from this source, or None where it can be summarised."""
    abstract = " ".join(paper.abstract.split())
    if len(abstract) < SHORTEST_SOURCE:
        what = (
            "is no abstract"
            if not abstract
            else f"are {len(abstract)} characters of an abstract, and {SHORTEST_SOURCE} are needed"
        )
        return Reason("source", (), f"There {what}: too little to summarise.")
    if template := boilerplate(abstract):
        return Reason("source", (template,), f"The abstract is boilerplate: “{template}”.")
    words = re.findall(r"\w+", abstract.lower())
    different = len(set(words))
    if different < _FEWEST_DIFFERENT or (len(words) >= _LONG and different < _MOST_REPEATED * len(words)):
        return Reason("source", (), "The abstract says the same few words again and again.")
    if near(shingles([paper.title]), shingles([abstract])) and different < 2 * len(set(re.findall(r"\w+", paper.title.lower()))):
        return Reason("source", (), "The abstract says no more than the title.")
    return None


def boilerplate(abstract: str) -> str:
    """Return the words by which a template, a notice or an error page is known that stands in an abstract's place; "" if none."""
    if found := _TEMPLATE.search(abstract):
        return found[0][:80]
    said = {found.lower(): found for found in _PAGE.findall(abstract)}
    return next(iter(said.values())) if said and (len(abstract) < _FEW_LINES or len(said) > 1) else ""
