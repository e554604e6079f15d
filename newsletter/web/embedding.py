"""The sign-up form for another site: plain HTML, which needs nothing of ours but an address to be sent to."""

from html import escape

from newsletter import i18n
from newsletter.models import Newsletter
from newsletter.web.joining import CADENCE


def snippet(newsletter: Newsletter, base_url: str) -> str:
    """Return the form of a newsletter, in its language; what it sends is shown on our page for one more press."""
    gettext = i18n.catalogue(newsletter.language).gettext
    hidden = {"newsletter": newsletter.slug, "lang": i18n.negotiate([newsletter.language])}
    lines = [
        f'<form action="{escape(base_url)}/subscribe" method="post" accept-charset="utf-8">',
        *(f'  <input type="hidden" name="{name}" value="{escape(value)}">' for name, value in hidden.items()),
        f"  <label>{escape(gettext('Your email address'))}",
        '    <input type="email" name="email" required autocomplete="email" autocapitalize="none" spellcheck="false">',
        "  </label>",
        *_how_often(newsletter),
        f'  <button type="submit">{escape(gettext("Subscribe"))}</button>',
        "</form>",
    ]
    return "\n".join(lines)


def _how_often(newsletter: Newsletter) -> list[str]:
    """Return the choice of a newsletter that leaves one."""
    if len(newsletter.cadences) == 1:
        return []
    gettext = i18n.catalogue(newsletter.language).gettext
    words = {"daily": gettext("Every day"), "weekly": gettext("Once a week")}
    options = (f'      <option value="{each}">{escape(words[each])}</option>' for each in newsletter.cadences)
    name = escape(f"{CADENCE}{newsletter.slug}")
    return [f"  <label>{escape(gettext('How often?'))}", f'    <select name="{name}">', *options, "    </select>", "  </label>"]
