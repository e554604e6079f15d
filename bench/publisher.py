"""Who sends in the benchmarks, and what: apart from the rest, so that a sender under measurement loads no more than it needs."""

from newsletter.tokens import Keyring, Links

DOMAIN = "news.example.org"
LINKS = Links("https://news.example.org", Keyring([b"a secret of the benchmarks, of no use elsewhere"]))
PAPERS = 40  # as many as make a message of 112 KB
