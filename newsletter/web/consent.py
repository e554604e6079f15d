"""The words a reader agrees to: what the page shows is what is kept as evidence."""

from collections.abc import Sequence

from newsletter import i18n


def wording(titles: Sequence[str], language: str) -> str:
    """Return the sentence that stands over the button, for one newsletter or for a choice of several."""
    gettext = i18n.catalogue(language).gettext
    if len(titles) == 1:
        return gettext("I want to receive %(title)s by email. I can leave at any time by a link in each mail.") % {
            "title": titles[0]
        }
    return gettext("I want to receive the newsletters I have chosen by email. I can leave at any time by a link in each mail.")
