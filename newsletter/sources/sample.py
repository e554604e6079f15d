"""The documents that come with the program: a day to try everything with, without a network."""

from datetime import date

from newsletter import paths
from newsletter.sources import Listing
from newsletter.sources.documents import Directory


class Sample:
    """The bundled day, 2024-03-14, in every language it was written in."""

    def __init__(self) -> None:
        self._documents = Directory(paths.PACKAGE / "sample")

    @property
    def name(self) -> str:
        """The name newsletters choose it by."""
        return "sample"

    def listing(self, day: date) -> Listing:
        """Return the bundled papers of `day`: none on all days but one."""
        return self._documents.listing(day)
