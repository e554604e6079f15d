"""Settings: the environment over one TOML file over the defaults; frozen, read by the outermost layers alone.

`NEWSLETTER_CONFIG` names the file (default: `newsletter.toml` in the current folder, if it is there). A setting `smtp.host`
is `NEWSLETTER_SMTP__HOST` in the environment. `DATABASE_URL` and `REDIS_URL` go without the prefix, as hosts expect.
"""

import os
import secrets
import tomllib
from contextlib import suppress
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

import platformdirs
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, IPvAnyNetwork, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource
from pydantic_settings import SettingsError as EnvironmentSettingsError

from newsletter.errors import SettingsError
from newsletter.origins import Given

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


class Security(StrEnum):
    """How the connection to the relay is protected."""

    NONE = "none"
    STARTTLS = "starttls"
    TLS = "tls"


class UnknownPolicy(StrEnum):
    """What becomes of a message that was begun and never answered."""

    RESEND_ONCE = "resend-once"  # at least once: a reader may get it twice
    HOLD = "hold"  # at most once: the operator decides


class Signing(StrEnum):
    """Who puts the DKIM signature on a mail."""

    AUTO = "auto"  # we do, where the domain of the From address has an active key
    RELAY = "relay"  # the relay does, and we never


class SmtpSettings(BaseModel):
    """The relay that takes our mail."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = ""  # empty: mail is written to files in the data folder, and nobody is mailed
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    username: str = ""
    password: SecretStr = SecretStr("")
    security: Security = Security.STARTTLS
    ca_file: Path | None = None  # a private certificate authority
    connections: Annotated[int, Field(ge=1, le=500)] = 8  # at once, of each sending process
    messages_per_connection: Annotated[int, Field(ge=1)] = 1000
    max_connections: Annotated[int, Field(ge=0)] = 0  # at once, of all processes together; 0: as many as they open
    rate: Annotated[float, Field(ge=0)] = 0  # messages a second, of all processes together; 0: as many as go
    daily_quota: Annotated[int, Field(ge=0)] = 0  # messages a day, UTC; 0: as many as there are


class DomainSettings(BaseModel):
    """How much one recipients' domain is sent, by all processes together; 0: as much as there is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rate: Annotated[float, Field(ge=0)] = 0  # messages a second
    connections: Annotated[int, Field(ge=0)] = 0  # messages on their way at once


class WarmUpSettings(BaseModel):
    """How much a sender whom nobody knows yet sends a day: the first day `first`, then each day `factor` times as much."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: date
    first: Annotated[int, Field(ge=1)] = 50
    factor: Annotated[float, Field(ge=1, le=10)] = 2.0
    days: Annotated[int, Field(ge=1, le=100)] = 30  # after which nothing is held back


class Protocol(StrEnum):
    """What is spoken to whoever brings us mail."""

    SMTP = "smtp"
    LMTP = "lmtp"  # RFC 2033: from the mail server on this machine


class InboxSettings(BaseModel):
    """The mail that is sent to us: what readers write, and bounces."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    domain: str = ""  # mail to it comes to `newsletter inbox`; empty: none does
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 2525
    protocol: Protocol = Protocol.SMTP
    max_bytes: Annotated[int, Field(ge=10_000, le=100_000_000)] = 5_000_000  # of a message
    max_kept_bytes: Annotated[int, Field(ge=1_000_000)] = 2_000_000_000  # of all that are kept whole; more is put off
    border: tuple[IPvAnyNetwork, ...] = ()  # the hosts whose Authentication-Results are believed; none: nobody's
    authserv_id: str = ""  # what they call themselves in it (RFC 8601 section 2.5)
    certificate: Path | None = None  # for STARTTLS, with its chain
    private_key: Path | None = None

    @field_validator("domain")
    @classmethod
    def _in_lower_case(cls, value: str) -> str:
        return value.lower()


class BounceSettings(BaseModel):
    """When reports of failed mail end in an address being suppressed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hard_count: Annotated[int, Field(ge=0)] = 1  # hard bounces within `hard_days`; 0: never
    hard_days: Annotated[int, Field(ge=1)] = 30
    soft_count: Annotated[int, Field(ge=0)] = 5
    soft_days: Annotated[int, Field(ge=1)] = 30
    complaint_count: Annotated[int, Field(ge=0)] = 1
    complaint_days: Annotated[int, Field(ge=1)] = 30


class SignUpSettings(BaseModel):
    """How much the sign-up form takes, so that it cannot be used against a third person; 0: no limit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    per_ip: Annotated[int, Field(ge=0)] = 20  # an hour
    per_network: Annotated[int, Field(ge=0)] = 60  # an hour, of an IPv4 /24 or an IPv6 /64
    per_address: Annotated[int, Field(ge=0)] = 3  # a day
    per_domain: Annotated[int, Field(ge=0)] = 500  # an hour, of the address asked for
    overall: Annotated[int, Field(ge=0)] = 2000  # an hour
    seconds: Annotated[float, Field(ge=0)] = 2.0  # in which no person fills the form
    check_domain: bool = True  # ask the DNS whether the domain takes mail
    trials: bool = False  # lets automated trials in: addresses in .test, no minimum time, no question to the DNS
    confirmed_share: Annotated[float, Field(ge=0, le=1)] = 0.3  # of a day's requests; an alarm below it


class HookSettings(BaseModel):
    """Providers that report bounces and complaints by webhook; each is off until its secret is set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ses_topics: tuple[str, ...] = ()  # the ARNs of the Amazon SNS topics that SES reports to
    mailgun_key: SecretStr = SecretStr("")  # Mailgun's HTTP webhook signing key


class SourceSettings(BaseModel):
    """How the sites are asked that papers come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    arxiv_url: str = "https://export.arxiv.org"  # its API
    arxiv_feed_url: str = "https://rss.arxiv.org"  # its daily announcements
    enrich: bool = True  # ask arXiv for what a list leaves out
    inside: tuple[str, ...] = ()  # hosts of feeds that are asked although their addresses are of a private network


class SummarySettings(BaseModel):
    """The language model that writes summaries: any endpoint that speaks as OpenAI's chat completions do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = ""  # as "http://127.0.0.1:11434/v1"; empty: none, and the abstract's own sentences are quoted
    key: SecretStr = SecretStr("")
    model: str = ""
    seconds: Annotated[float, Field(gt=0, le=600)] = 60.0  # for one answer
    tries: Annotated[int, Field(ge=1, le=10)] = 3  # for a paper, on different occasions
    at_once: Annotated[int, Field(ge=1, le=64)] = 4  # of one process
    patience_minutes: Annotated[int, Field(ge=0, le=1440)] = 30  # that an issue waits for summaries still to be made
    daily_tokens: Annotated[int, Field(ge=0)] = 0  # (UTC), in and out; 0: no limit
    daily_cost: Annotated[float, Field(ge=0)] = 0.0  # in the currency of the prices; 0: no limit
    input_price: Annotated[float, Field(ge=0)] = 0.0  # of a million tokens
    output_price: Annotated[float, Field(ge=0)] = 0.0
    currency: str = "USD"
    audit: bool = False  # compare meanings as well, by the model that comes with the extra "audit"

    @property
    def on(self) -> bool:
        """Whether there is a language model."""
        return bool(self.url and self.model)


class AdminSettings(BaseModel):
    """The pages behind the log-in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    idle_hours: Annotated[int, Field(ge=1, le=720)] = 24  # without a request, after which a log-in ends
    days: Annotated[int, Field(ge=1, le=365)] = 30  # after which it ends anyway


class Settings(BaseSettings):
    """Everything that differs from one installation to the next."""

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_prefix="NEWSLETTER_", env_nested_delimiter="__", frozen=True, extra="forbid", populate_by_name=True
    )

    data_dir: Path = Field(default_factory=lambda: Path(platformdirs.user_data_dir("newsletter")))
    database_url: str = Field("", validation_alias=AliasChoices("DATABASE_URL", "database_url"))
    redis_url: str = Field("", validation_alias=AliasChoices("REDIS_URL", "redis_url"))
    base_url: str = "http://127.0.0.1:8000"
    secret_key: SecretStr = SecretStr("")
    secret_key_file: Path | None = None
    postal_address: str = ""  # stands at the foot of every mail (CAN-SPAM 15 USC 7704(a)(5)); no newsletter is sent without
    operator_email: str = ""  # alarms go here
    bounce_domain: str = ""  # where bounces come back, an address a delivery; empty: the inbox's, else the newsletter's own
    smtp: SmtpSettings = SmtpSettings()
    smtp_backup: SmtpSettings | None = None  # takes the mail while the other relay is paused
    domains: dict[str, DomainSettings] = {}
    warm_up: WarmUpSettings | None = None
    inbox: InboxSettings = InboxSettings()
    bounces: BounceSettings = BounceSettings()
    sign_up: SignUpSettings = SignUpSettings()
    hooks: HookSettings = HookSettings()
    sources: SourceSettings = SourceSettings()
    summaries: SummarySettings = SummarySettings()
    admin: AdminSettings = AdminSettings()
    dkim: Signing = Signing.AUTO
    unknown_policy: UnknownPolicy = UnknownPolicy.RESEND_ONCE
    resend_after_minutes: Annotated[int, Field(ge=0, le=1440)] = 10  # time for an unknown's answer to come to light after all
    huggingface_url: str = "https://huggingface.co"
    confirm_hours: Annotated[int, Field(ge=1, le=168)] = 72
    log_level: str = "INFO"
    log_json: bool = False

    @field_validator("domains")
    @classmethod
    def _in_lower_case(cls, value: dict[str, DomainSettings]) -> dict[str, DomainSettings]:
        return {domain.lower(): settings for domain, settings in value.items()}

    @field_validator("log_level")
    @classmethod
    def _is_a_level(cls, value: str) -> str:
        if value.upper() not in LOG_LEVELS:
            raise ValueError(f"must be one of {', '.join(LOG_LEVELS)}")
        return value.upper()

    @field_validator("base_url", "huggingface_url")
    @classmethod
    def _is_a_url(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")) or not urlsplit(value).hostname:
            raise ValueError("must begin with http:// or https:// and name a host")
        return value.rstrip("/")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the environment first, then the TOML file."""
        del dotenv_settings, file_secret_settings
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, config_file())

    @property
    def database(self) -> str:
        """The database's URL; SQLite in the data folder unless one is set."""
        return self.database_url or f"sqlite:///{self.data_dir / 'newsletter.sqlite3'}"

    @property
    def return_domain(self) -> str:
        """The domain that bounces come back to, an address a delivery; empty: to the newsletter's own address."""
        return self.bounce_domain or self.inbox.domain

    @property
    def dkim_folder(self) -> Path:
        """Where the signing keys are, a folder a domain."""
        return self.data_dir / "dkim"

    @property
    def broker(self) -> str:
        """The URL of Redis or Valkey; raises SettingsError where none is set, for only `up` and `demo` bring their own."""
        if not self.redis_url:
            raise SettingsError(
                "No broker is set.",
                hint="Set REDIS_URL, as redis://127.0.0.1:6379/0, or run `newsletter up`, which brings its own.",
            )
        return self.redis_url

    def keys(self) -> tuple[bytes, ...]:
        """Return the signing secrets, newest first; made once, mode 0600, where none is set.

        Several, one a line, may stand in the file: the first signs, all verify.
        """
        given, path = self.secret_key.get_secret_value(), self.secret_key_file or self.data_dir / "secret.key"
        keys = tuple(key.encode() for key in (given or _read_or_create(path)).split())
        if not keys:
            raise SettingsError(
                f"{'secret_key' if given else path}: there is no secret in it.", hint="Give one of 32 characters or more."
            )
        return keys


def config_file() -> Path:
    """Return the path of the TOML file, whether it is there or not."""
    return Path(os.environ.get("NEWSLETTER_CONFIG", "newsletter.toml"))


def load(**overrides: Any) -> Settings:  # noqa: ANN401 -- as the fields are
    """Read the settings; raises SettingsError naming each that is wrong by its variable, or by the file and the key in it."""
    path = config_file()
    if "NEWSLETTER_CONFIG" in os.environ and not path.is_file():
        raise SettingsError(f"{path}: there is no such file.", hint="NEWSLETTER_CONFIG must name a TOML file that exists.")
    given = Given(os.environ, path, _content(path))
    wrong = given.unknown_variables(Settings)
    try:
        read = Settings(**overrides)
    except ValidationError as error:
        wrong += [given.problem(Settings, each) for each in error.errors()]
    except EnvironmentSettingsError as error:
        wrong += [given.unreadable(Settings, str(error))]
    if wrong:
        raise SettingsError("Settings: " + "; ".join(wrong), hint=_hint(path))
    return read


def _content(path: Path) -> dict[str, Any]:
    """Return what the file says, nothing where there is none; raises SettingsError for one that is no TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise SettingsError(f"{path}: {error}", hint="Mend the file; it is TOML in UTF-8.") from None


def _hint(path: Path) -> str:
    place = f"{path}, or " if path.is_file() else ""
    return f"Look in {place}the environment (NEWSLETTER_…, with __ between parts: NEWSLETTER_SMTP__HOST)."


def _read_or_create(path: Path) -> str:
    """Return the secret in the file, made on first use; two processes that make it at once agree on one."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
            fresh.touch(mode=0o600)
            fresh.write_text(secrets.token_urlsafe(32) + "\n")
            with suppress(FileExistsError):
                os.link(fresh, path)  # a rename would overwrite the other process's
            fresh.unlink()
        return path.read_text()
    except OSError as error:
        raise SettingsError(f"{path}: the secret key cannot be read or made: {error.strerror}.") from None
