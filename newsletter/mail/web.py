"""An email's HTML as one page: for the archive, for a preview."""

import html
from collections.abc import Mapping, Sequence

from newsletter.mail.pieces import SLOT, Piece


def web_page(pieces: Sequence[Piece], slots: Mapping[str, str]) -> str:
    """Return the page that the HTML pieces make with every paper as a card; slot values are escaped."""
    cards = [piece for piece in pieces if piece.name.startswith("card:")]
    shown = [piece for piece in pieces if piece.name in {"head", "foot"}]
    values = {**slots, "count": str(len(cards))}
    parts = [_fill(piece.content, values) for piece in shown[:1]]
    parts += [_fill(piece.content, {**values, "rank": str(rank)}) for rank, piece in enumerate(cards, start=1)]
    return "".join([*parts, *(_fill(piece.content, values) for piece in shown[1:])])


def _fill(content: str, values: Mapping[str, str]) -> str:
    return SLOT.sub(lambda slot: html.escape(values[slot[1]]), content)
