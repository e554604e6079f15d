"""Whether mail to a domain can arrive at all: a mistyped one is told while its person still looks at the form."""

import time
from collections.abc import Callable
from threading import Lock

import dns.exception
import dns.name
import dns.resolver

PATIENCE = 2.0  # seconds for all questions about a domain
KEPT = 3600.0  # seconds that an answer is believed
KEPT_IN_DOUBT = 60.0  # seconds that a DNS which does not answer is left alone
MOST_KEPT = 10_000  # domains


class MailDomains:
    """Asks the DNS which domains take mail, and remembers it; for any number of threads."""

    def __init__(self, resolver: dns.resolver.Resolver | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """Take whom to ask; by default the name servers of this machine."""
        self._resolver = resolver
        self._clock = clock
        self._lock = Lock()
        self._known: dict[str, tuple[bool, float]] = {}  # what was found, and until when that holds

    def takes_mail(self, domain: str) -> bool:
        """Return False if mail to a domain cannot arrive; True also where the DNS is in trouble, which is no fault of theirs."""
        with self._lock:
            found, until = self._known.get(domain, (True, 0.0))
        if self._clock() < until:
            return found
        try:
            found, kept = self._look_up(domain), KEPT
        except (dns.exception.DNSException, OSError, UnicodeError):
            found, kept = True, KEPT_IN_DOUBT
        with self._lock:
            if len(self._known) >= MOST_KEPT:
                del self._known[next(iter(self._known))]
            self._known[domain] = found, self._clock() + kept
        return found

    def _look_up(self, domain: str) -> bool:
        """Ask for mail servers, else for an address of the domain itself (RFC 5321 section 5.1)."""
        give_up = time.monotonic() + PATIENCE
        try:
            servers = self._ask(domain, "MX", give_up)
            if servers:
                # A single "." says that there is none (RFC 7505).
                return any(row.exchange != dns.name.root for row in servers)
            return bool(self._ask(domain, "A", give_up) or self._ask(domain, "AAAA", give_up))
        except dns.resolver.NXDOMAIN:
            return False

    def _ask(self, domain: str, kind: str, give_up: float) -> dns.resolver.Answer | tuple[()]:
        """Return the records of a kind, none where the domain has none; raises what else the DNS does."""
        resolver = self._resolver or dns.resolver.Resolver()
        try:
            return resolver.resolve(f"{domain}.", kind, lifetime=max(0.01, give_up - time.monotonic()), search=False)
        except dns.resolver.NoAnswer:
            return ()
