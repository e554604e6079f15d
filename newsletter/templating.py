"""The environment that all templates are rendered in: mails, pages, mailbox."""

import jinja2

from newsletter import i18n, paths


def environment(language: str, *, html: bool = True) -> jinja2.Environment:
    """Return the templates in a language: everything escaped in HTML, nothing in text, nothing undefined in either."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(paths.templates()),
        autoescape=html,  # noqa: S701 -- off for the text part of mails alone
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    made.install_gettext_translations(i18n.catalogue(language), newstyle=True)  # type: ignore[attr-defined]  # added by the extension
    made.filters["long_date"] = lambda day: i18n.long_date(day, language)
    made.globals["direction"] = i18n.locale_of(language).text_direction
    return made
