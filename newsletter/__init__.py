"""A self-hosted email newsletter service: a daily digest of AI papers, to every subscriber exactly once."""

__version__ = "0.1.0"
