"""Showing an address to whoever has a link: its person knows it again, and nobody else learns it."""

_TELLING = 3  # characters; of a shorter name one would be too much


def mask(address: str) -> str:
    """Return an address with all but the first letter of its name hidden: "k•••@example.org"."""
    name, _, domain = address.rpartition("@")
    return f"{name[:1] if len(name) >= _TELLING else ''}•••@{domain}"
