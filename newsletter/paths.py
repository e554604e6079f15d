"""Where the files that are no Python live: beside the package in a checkout, inside it in a wheel."""

from pathlib import Path

PACKAGE = Path(__file__).parent


def templates() -> Path:
    """Return the folder of `email/` and `web/`."""
    packed = PACKAGE / "_templates"
    return packed if packed.is_dir() else PACKAGE.parent / "templates"


def catalogues() -> Path:
    """Return the folder of the translations, `<language>.po`."""
    return PACKAGE / "locale"
