"""Plain text out of HTML, as feeds hold it."""

import html
import re
from contextlib import suppress
from html.parser import HTMLParser

from newsletter.text import one_line, paragraphs, tex_to_unicode

_BLOCKS = frozenset(
    (
        *("address", "article", "blockquote", "br", "dd", "div", "dl", "dt", "figure", "h1", "h2", "h3", "h4", "h5", "h6", "hr"),
        *("li", "ol", "p", "pre", "section", "table", "tr", "ul"),
    )
)
_UNSEEN = frozenset(("script", "style", "template", "title", "svg", "object", "noscript"))
_TAG = re.compile(
    r"</?(?:a|abbr|audio|b|base|big|blockquote|body|br|button|center|cite|code|dd|div|dl|dt|em|embed|figure|font|footer|form|h[1-6]"
    r"|head|header|hr|html|i|iframe|img|input|ins|del|li|link|main|mark|meta|nav|object|ol|p|pre|q|s|script|section|small|span"
    r"|strike|strong|style|sub|sup|svg|table|tbody|td|textarea|th|thead|tr|tt|u|ul|video)\b[^<>]*>|<!--.*?-->",
    re.IGNORECASE | re.DOTALL,
)
_LONGEST = 200_000  # characters of markup that are looked at


class _Text(HTMLParser):
    """Collects what a page shows, a line for each block."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._unseen = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        self._unseen += tag in _UNSEEN
        if tag in _BLOCKS:
            self.pieces.append("\n\n")

    def handle_endtag(self, tag: str) -> None:
        self._unseen = max(0, self._unseen - (tag in _UNSEEN))
        if tag in _BLOCKS:
            self.pieces.append("\n\n")

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.pieces.append(data)


def text_of(markup: str) -> str:
    """Return the text of a piece of HTML, its blocks as lines with an empty one between."""
    reader = _Text()
    with suppress(AssertionError):  # how the library says that it cannot go on
        reader.feed(markup[:_LONGEST])
        reader.close()
    return "".join(reader.pieces)


def title(value: str, *, is_html: bool) -> str:
    """Return a feed's title as one line of clean text: no markup, TeX as characters."""
    return one_line(tex_to_unicode(_bare(value, is_html=is_html)))


def prose(value: str, *, is_html: bool) -> str:
    """Return a feed's text as clean paragraphs: no markup, TeX as characters."""
    return paragraphs(tex_to_unicode(_bare(value, is_html=is_html)))


def _bare(value: str, *, is_html: bool) -> str:
    """Return text without markup; in what says that it is plain only what can be nothing but a tag goes: `x<y` stays."""
    return _TAG.sub(" ", text_of(value) if is_html else html.unescape(value[:_LONGEST]))
