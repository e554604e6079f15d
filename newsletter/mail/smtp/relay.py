"""The mail server that takes our mail, as the installation describes it."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from newsletter.errors import SettingsError


@dataclass(frozen=True)
class Timeouts:
    """Seconds to wait for each answer: RFC 5321 section 4.5.3.2. A shorter wait after the dot makes duplicates."""

    connect: float = 30
    greeting: float = 300
    command: float = 300
    data: float = 120
    block: float = 180
    dot: float = 600
    quit: float = 5


@dataclass(frozen=True)
class Relay:
    """The mail server that takes our mail, and how to talk to it."""

    host: str
    port: int = 587
    username: str = ""  # empty: no AUTH
    password: str = field(default="", repr=False)
    security: Literal["none", "starttls", "tls"] = "starttls"
    helo: str = ""  # the name we go by; empty: this machine's
    ca_file: Path | None = None  # certificates to trust instead of the system's
    messages_per_connection: int = 100
    timeouts: Timeouts = Timeouts()

    @property
    def name(self) -> str:
        """Host and port, as replies name the server."""
        return f"{self.host}:{self.port}"

    def tls_context(self) -> ssl.SSLContext | None:
        """Return what checks the relay's certificate; raises SettingsError where the certificates to trust cannot be read."""
        if self.security == "none":
            return None
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except OSError as error:
            raise SettingsError(f"{self.ca_file}: {error}", hint="Name a PEM file of certificates to trust.") from None
