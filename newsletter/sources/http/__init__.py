"""The web as adapters see it: polite, bounded requests that never reach an address inside.

`Web.get` says who asks, asks one thing of a site at a time (`turns`), keeps what it got (`cache`), connects to nothing but what
may be connected to (`reach`), and a slow, huge or endless answer costs no more than its limits (`bodies`).
"""

from newsletter.sources.http.asking import Page, Web
from newsletter.sources.http.limits import DEFAULT, Limits

__all__ = ["DEFAULT", "Limits", "Page", "Web"]
