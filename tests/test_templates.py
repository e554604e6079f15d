"""The templates of mails and pages: each parses, none trusts what it shows, all words are translated."""

import re

import jinja2
import pytest
from babel.messages.extract import extract
from babel.messages.pofile import read_po

from newsletter import i18n, paths

TEMPLATES = sorted(path for path in (paths.templates() / "email").rglob("*") if path.is_file())
TRANSLATED = [language for language in i18n.languages() if language != i18n.SOURCE_LANGUAGE]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(paths.templates())))
def test_a_template_parses_and_trusts_nothing(path):
    source = path.read_text(encoding="utf-8")

    jinja2.Environment(extensions=["jinja2.ext.i18n"], autoescape=True).parse(source)
    assert not re.search(r"\|\s*safe|autoescape|<script|<!doctype html|Markup", source)
    assert all("alt=" in image for image in re.findall(r"<img[^>]*>", source))
    assert source.endswith("\n")


def _used(folder):
    """Return every message the templates of `folder` ask a translation for, as (singular, plural or None)."""
    used = set()
    for path in sorted(folder.rglob("*")):
        if path.suffix in {".html", ".txt", ".xml"}:
            with path.open("rb") as source:
                for _, message, _, _ in extract("jinja2.ext:babel_extract", source, options={"silent": "false"}):
                    used.add((message, None) if isinstance(message, str) else tuple(message[:2]))
    return used


def _used_in_code():
    used = set()
    for path in sorted(paths.PACKAGE.rglob("*.py")):
        with path.open("rb") as source:
            used |= {message if isinstance(message, str) else message[0] for _, message, _, _ in extract("python", source)}
    return used


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_message_is_translated_and_keeps_its_placeholders(language):
    catalogue = _catalogue(language)

    for singular, plural in sorted(_used(paths.templates()), key=str):
        message = catalogue.get(singular)
        assert message, f"{language}.po lacks {singular!r}"
        translations = message.string if plural else (message.string,)
        assert all(translations), f"{language}.po does not translate {singular!r}"
        for translation in translations:
            assert _placeholders(translation) == _placeholders(plural or singular), singular


@pytest.mark.parametrize("language", TRANSLATED)
def test_no_translation_outlives_its_message(language):
    used = {singular for singular, _ in _used(paths.templates())} | _used_in_code()

    assert {_singular(message) for message in _catalogue(language) if message.id} <= used


def _catalogue(language):
    with (paths.catalogues() / f"{language}.po").open("rb") as source:
        return read_po(source, locale=language, abort_invalid=True)


def _singular(message):
    return message.id if isinstance(message.id, str) else message.id[0]


def _placeholders(words):
    return set(re.findall(r"%\(\w+\)s", words))
