r"""An email as data into its words: subject, text and HTML, cut into pieces, with marks where a reader's own values go.

Rendering is the slow half (Jinja2, then premailer moves the CSS into the elements) and happens once per issue.
The quick half, once per recipient, is `compose`. Between them stand *pieces*: the head, each paper's card and its
one-line form, the foot; a message is a choice of them. Inside a piece a slot is written `\x01name\x02`, which no
clean text can hold.
"""

import logging
import re
import secrets
from collections.abc import Callable
from functools import cache, lru_cache
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import jinja2
from markupsafe import Markup

from newsletter import i18n, templating
from newsletter.mail.emails import Email
from newsletter.mail.pieces import HEAD, Piece, Rendered, wrap
from newsletter.text import paragraphs as reflowed
from newsletter.text import safe_link

_URL = re.compile(r"(https?://[!-~]+)")  # ASCII: after it the words may go on without a space, as Korean does
_AFTER_URL = ".,;:!?'\")]}>"


@lru_cache(maxsize=256)
def render(email: Email) -> Rendered:
    """Render `email` from the three templates of its kind, in its newsletter's language.

    Raises jinja2.UndefinedError where a template names what the email does not have.
    """
    folder = f"email/{email.kind}"
    plain = _environment(email.publication.language, html=False)
    marked = {name: f"\x01{name}\x02" for name in email.slots}
    text_context = {"email": email, "slot": SimpleNamespace(**marked), "piece": lambda name: f"\x03{name}\x04"}
    subject = " ".join(plain.get_template(f"{folder}/subject.txt").render(text_context).split())
    text = plain.get_template(f"{folder}/body.txt").render(text_context)
    return Rendered(subject=subject, text=_cut(_tidy(text)), html=_cut(_render_html(email, on_web=False)))


def render_page(email: Email) -> tuple[Piece, ...]:
    """Render the HTML part as a web page, for everybody: what a mail says of its reader is left out."""
    return _cut(_render_html(email, on_web=True))


def _render_html(email: Email, *, on_web: bool) -> str:
    """Return the HTML part, inlined; slots and piece marks pass the inliner as words nobody could have written."""
    secret = secrets.token_hex(8)
    slots = SimpleNamespace(**{name: f"slot-{secret}-{name}-" for name in email.slots})
    context = {"email": email, "slot": slots, "piece": _comment(secret), "on_web": on_web}
    template = _environment(email.publication.language, html=True).get_template(f"email/{email.kind}/body.html")
    html = inline(re.sub(r"\n\s+", "\n", template.render(context)))  # the templates' indentation is for their reader
    html = re.sub(f"slot-{secret}-([a-z_]+)-", "\x01\\1\x02", html)
    return re.sub(f"<!--{secret} ([a-z]+(?::\\d+)?)-->", "\x03\\1\x04", html)


def _comment(secret: str) -> Callable[[str], Markup]:
    return lambda name: Markup("<!--{} {}-->").format(secret, name)


def inline(html: str) -> str:
    """Move the style sheet into the elements, keeping the media rules with their `!important` (dark mode, phones).

    Never call it with HTML from outside: premailer follows CSS imports even without the network.
    """
    from premailer import Premailer  # noqa: PLC0415 -- 0.3 s to import; only the process that renders needs it

    worker = Premailer(
        html,
        method="html",
        allow_network=False,
        keep_style_tags=True,
        strip_important=False,
        remove_classes=False,
        disable_basic_attributes=["align", "bgcolor", "height", "valign", "width"],  # a table with align floats in Outlook
        disable_validation=True,
        cssutils_logging_level=logging.CRITICAL,
    )
    return str(worker.transform(pretty_print=False))  # white space between inline blocks would show


@cache
def _environment(language: str, *, html: bool) -> jinja2.Environment:
    """Return the templates' environment: everything escaped in HTML, nothing in text, nothing undefined in either."""
    environment = templating.environment(language, html=html)
    filters: dict[str, Callable[..., Any]] = environment.filters
    filters["medium_date"] = lambda day: i18n.medium_date(day, language)
    filters["language_name"] = lambda tag: i18n.locale_of(tag).get_language_name(language)
    filters["host"] = host
    filters["paragraphs"] = paragraphs
    filters["linked"] = linked
    filters["wrap"] = wrap
    return environment


def host(url: str) -> str:
    """Return where a link leads, as readers know it: "arxiv.org"; what cannot be read as a URL leads nowhere."""
    try:
        return (urlsplit(url).hostname or "").removeprefix("www.")
    except ValueError:
        return ""


def paragraphs(words: str) -> list[str]:
    """Return the paragraphs of what a person wrote, each clean and on one line."""
    return [paragraph for paragraph in reflowed(words).split("\n\n") if paragraph]


def linked(words: str) -> list[tuple[str, str]]:
    """Cut words at the http(s) addresses in them; each part comes with the address that it is, "" for none."""
    parts: list[tuple[str, str]] = []
    for part in _URL.split(words):
        url = part.rstrip(_AFTER_URL) if _URL.match(part) else ""
        parts += [(url, safe_link(url)), (part[len(url) :], "")]
    return [(words, url) for words, url in parts if words]


def _tidy(text: str) -> str:
    """Return the text with no line ending in blanks and at most one empty line in a row."""
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]+\n", "\n", text)).strip("\n") + "\n"


def _cut(marked: str) -> tuple[Piece, ...]:
    """Cut at the piece marks; what comes before the first is the head."""
    parts = re.split("\x03([a-z]+(?::\\d+)?)\x04", marked)
    names = [HEAD, *parts[1::2]]
    return tuple(Piece(name, content) for name, content in zip(names, parts[0::2], strict=True))
