"""From settings to parts: the one place where what is configured becomes what runs."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING

import structlog

from newsletter import db
from newsletter.config import Settings, Signing, SmtpSettings
from newsletter.db import Sessions
from newsletter.errors import BrokerError, SettingsError
from newsletter.tokens import Keyring, Links

if TYPE_CHECKING:  # imported where they are made: commands that need none of them start quickly
    from newsletter.admins import Rules
    from newsletter.bounces import Terms as BounceTerms
    from newsletter.bounces.webhooks import Hook, Hooks
    from newsletter.deliveries import Journal, Mailer, OpenWay, Pace
    from newsletter.inbox import Office
    from newsletter.limits import Limits
    from newsletter.mail.dkim import Signer
    from newsletter.mail.smtp import Relay
    from newsletter.papers import LookUp
    from newsletter.sources import Source
    from newsletter.sources.registry import Sites
    from newsletter.subscribers import Address, Policy
    from newsletter.summaries import Terms
    from newsletter.summarisers import Summariser, SummaryInput
    from newsletter.summarisers.checks import Reason
    from newsletter.summarisers.model import Audit, LanguageModel
    from newsletter.throttle import Throttle

log = structlog.get_logger()
QUEUE = "newsletter"  # the one queue of the broker
DRAIN_TASK = "drain"  # what `wake` asks a worker for
READING_SECONDS = 300.0  # that a list, of however many pages, or a batch of questions may take
REWRITE_TASK = "write_again"  # what an editor asks a worker for


def utcnow() -> datetime:
    """Return the time: the one clock of the outermost layers."""
    return datetime.now(UTC)


def sessions_of(settings: Settings) -> Sessions:
    """Return the database, its tables checked; raises DatabaseError or SettingsError."""
    sessions = db.connect(settings.database)
    try:
        db.check(sessions)
    except BaseException:
        sessions.engine.dispose()  # a worker tries again every ten seconds
        raise
    return sessions


def links_of(settings: Settings) -> Links:
    """Return the links of the configured base URL, signed with the configured keys."""
    return Links(settings.base_url, Keyring(settings.keys()))


def policy_of(settings: Settings) -> "Policy":
    """Return the rules of signing up; the oldest key is that of the suppression hash, for it never rotates."""
    from newsletter.subscribers import Policy

    return Policy(secret=settings.keys()[-1], confirm_within=timedelta(hours=settings.confirm_hours))


def admin_rules_of(settings: Settings) -> "Rules":
    """Return how long the log-in of an administrator holds."""
    from newsletter.admins import Rules

    return Rules(idle=timedelta(hours=settings.admin.idle_hours), lasts=timedelta(days=settings.admin.days))


def bounce_terms_of(settings: Settings) -> "BounceTerms":
    """Return by what reports of failed mail are judged."""
    from newsletter.bounces import Rules, Terms, Threshold

    given = settings.bounces
    rules = Rules(
        hard=Threshold(given.hard_count, given.hard_days),
        soft=Threshold(given.soft_count, given.soft_days),
        complaint=Threshold(given.complaint_count, given.complaint_days),
    )
    return Terms(links_of(settings), settings.keys()[-1], rules)


def hooks_of(settings: Settings) -> "Hooks":
    """Return the webhooks of the providers whose secrets are set."""
    from newsletter.bounces.webhooks import Hooks, Mailgun, Ses
    from newsletter.bounces.webhooks.sns import Sns

    by_name: dict[str, Hook] = {}
    if settings.hooks.ses_topics:
        by_name["ses"] = Ses(Sns(settings.hooks.ses_topics, partial(_fetch_proof, settings)))
    if key := settings.hooks.mailgun_key.get_secret_value():
        by_name["mailgun"] = Mailgun(key)
    return Hooks(bounce_terms_of(settings), by_name)


def _fetch_proof(settings: Settings, url: str) -> bytes:
    """Return what is at a provider's address, which somebody who is not proved yet has named: little, soon, and from there."""
    from newsletter.sources.http import Limits, Web

    bounds = Limits(connect=5, read=5, total=10, size=100_000, redirects=0, attempts=1)
    return Web(settings.base_url, bounds, inside=frozenset(settings.sources.inside)).get(url).body


def office_of(settings: Settings) -> "Office":
    """Return what handling the mail that is sent to us needs."""
    from newsletter import bounces
    from newsletter.inbox import Border, Office

    terms, throttle = bounce_terms_of(settings), throttle_of(settings)
    return Office(
        domain=settings.inbox.domain,
        links=links_of(settings),
        policy=policy_of(settings),
        border=Border(settings.inbox.border, settings.inbox.authserv_id),
        bounce_domain=settings.return_domain,
        operator=settings.operator_email,
        reports=lambda session, content, delivery_id, now: bounces.take(
            session, content, terms, delivery_id=delivery_id, source="inbox", now=now
        ),
        over_limit=partial(_over_limit, throttle),
    )


def _over_limit(throttle: "Throttle", address: "Address") -> str:
    """Return why a request to subscribe an address is one too many, "" if it is not; raises BrokerError if nobody counts."""
    decision = throttle.allow("sign-up-by-mail", address=address.key)  # forged ones, which name no IP, must not fill the form's
    if decision.limit == "unreachable":
        raise BrokerError(
            "Nobody counts how often is asked: Redis gives no answer.", hint="Is it running, and is REDIS_URL right?"
        )
    return "" if decision.allowed else f"too many requests ({decision.limit})"


def signers_of(settings: Settings) -> "Callable[[], Mapping[str, Signer]]":
    """Return what gives the signer of each domain with an active key; none where signing is left to the relay."""
    from newsletter.mail.keys import ActiveKeys

    return dict if settings.dkim is Signing.RELAY else ActiveKeys(settings.dkim_folder)


def mailer_of(settings: Settings) -> "Mailer":
    """Return what makes the bytes of mails."""
    from newsletter.deliveries import Mailer, MailerSettings

    return Mailer(
        MailerSettings(
            links=links_of(settings),
            bounce_domain=settings.return_domain,
            inbox_domain=settings.inbox.domain,
            operator_sender=settings.operator_email,
            postal_address=settings.postal_address,
            signers=signers_of(settings),
        )
    )


def way_of(settings: Settings) -> "OpenWay":
    """Return the way out: connections to the relay, or files in the data folder where none is set."""
    from newsletter.deliveries import through
    from newsletter.mail.transports import Files

    return _over(settings.smtp) if settings.smtp.host else through(Files(settings.data_dir / "outgoing"))


def backup_of(settings: Settings) -> "OpenWay | None":
    """Return the way over the second relay, None where there is none."""
    return _over(settings.smtp_backup) if settings.smtp_backup and settings.smtp_backup.host else None


def _over(smtp: SmtpSettings) -> "OpenWay":
    from newsletter.deliveries import over

    return over(_relay(smtp), connections=smtp.connections)


def _relay(smtp: SmtpSettings) -> "Relay":
    from newsletter.mail.smtp import Relay

    return Relay(
        host=smtp.host,
        port=smtp.port,
        username=smtp.username,
        password=smtp.password.get_secret_value(),
        security=smtp.security.value,
        ca_file=smtp.ca_file,
        messages_per_connection=smtp.messages_per_connection,
    )


def limits_of(settings: Settings) -> "Limits":
    """Return the limits of the relays that all processes keep to together."""
    from newsletter.limits import Allowance, Limits, RelayLimits, WarmUp

    warm_up = WarmUp(**settings.warm_up.model_dump()) if settings.warm_up else None
    domains = {domain: Allowance(**given.model_dump()) for domain, given in settings.domains.items()}
    relays = {
        _relay(smtp).name: RelayLimits(Allowance(smtp.rate, smtp.max_connections), smtp.daily_quota, warm_up, domains)
        for smtp in (settings.smtp, settings.smtp_backup)
        if smtp and smtp.host
    }
    return Limits(lambda: settings.broker, relays)


def throttle_of(settings: Settings) -> "Throttle":
    """Return what limits the things that anybody can ask for: signing up, links by mail, mail to us."""
    from newsletter.throttle import Limits, Throttle

    names = ("per_ip", "per_network", "per_address", "per_domain", "overall")
    limits = Limits(**{name: getattr(settings.sign_up, name) for name in names})
    return Throttle(lambda: settings.broker, limits, settings.keys()[-1], utcnow)


def pace_of(settings: Settings, *, budget: timedelta) -> "Pace":
    """Return how much a drain takes at a time: six mails a connection.

    One is in the air, one is named behind it in the same flush (RFC 2920), and the others last while more are fetched.
    """
    from newsletter.deliveries import Pace

    return Pace(budget=budget, window=6 * settings.smtp.connections)


def journal_of(settings: Settings) -> "Journal":
    """Open this process's send journal; raises JournalFull where the data folder has no room for it."""
    from newsletter.deliveries import Journal, worker_name

    return Journal.open(journal_folder(settings), worker_name())


def journal_folder(settings: Settings) -> Path:
    """Return where the journals of this machine's processes are: a dead one's is settled by any of the others."""
    return settings.data_dir / "journal"


def sites_of(settings: Settings) -> "Sites":
    """Return where the sites are that papers come from, and how they are asked, within READING_SECONDS from now."""
    from newsletter.sources.http import Web
    from newsletter.sources.registry import Sites

    inside, folder = frozenset(settings.sources.inside), settings.data_dir / "cache" / "sources"
    return Sites(
        Web(settings.base_url, inside=inside, folder=folder, until=monotonic() + READING_SECONDS),
        huggingface=settings.huggingface_url,
        arxiv=settings.sources.arxiv_url,
        arxiv_feed=settings.sources.arxiv_feed_url,
    )


def source_of(settings: Settings, name: str) -> "Source":
    """Return the source a newsletter names; raises SettingsError for an unknown one."""
    from newsletter.sources.registry import open_source

    return open_source(name, sites_of(settings))


def look_up_of(settings: Settings) -> "LookUp":
    """Return what asks arXiv for papers by their ids."""
    from newsletter.sources.registry import api_of

    api = api_of(sites_of(settings))
    return lambda numbers: api.by_ids(numbers).papers


def summarisers_of(settings: Settings) -> "list[Summariser]":
    """Return the ways to summarise that are always there, the best first: what the language model leaves is theirs."""
    from newsletter.summarisers.extractive import Extractive

    del settings
    return [Extractive()]


def model_of(settings: Settings) -> "LanguageModel | None":
    """Return the language model that writes summaries, None where none is set."""
    given = settings.summaries
    if not given.on:
        return None
    from newsletter.summarisers.model import Endpoint, LanguageModel

    endpoint = Endpoint(given.url, given.model, given.key.get_secret_value(), given.seconds)
    if not given.audit:
        return LanguageModel(endpoint)
    try:
        return LanguageModel(endpoint, _audit())
    except SettingsError as trouble:  # told where summaries are written, as an alarm
        return LanguageModel(endpoint, trouble=trouble)


def _audit() -> "Audit":
    """Return the comparison of meanings, one at a time: its engine is no friend of threads."""
    from newsletter.summarisers import audit

    loaded, lock = audit.load(), Lock()

    def reason(paper: "SummaryInput", bullets: Sequence[str]) -> "Reason | None":
        with lock:
            return loaded.reason(paper, bullets)

    return reason


def summary_terms_of(settings: Settings) -> "Terms":
    """Return on what terms the language model is asked."""
    from newsletter.summaries import Terms

    given = settings.summaries
    return Terms(
        model=given.model if given.on else "",
        tries=given.tries,
        at_once=given.at_once,
        daily_tokens=given.daily_tokens,
        daily_micros=round(given.daily_cost * 1_000_000),
        input_price=given.input_price,
        output_price=given.output_price,
    )


def waker_of(settings: Settings) -> Callable[[], None]:
    """Return what asks a worker to send now, after a commit; a broker that is away only costs the wait for the next tick."""
    return partial(_ask, settings, DRAIN_TASK, expires=60)


def rewriter_of(settings: Settings) -> Callable[[int, str], None] | None:
    """Return what asks a worker to have a paper's summary written again in a language; None where no language model is set."""
    return partial(_ask, settings, REWRITE_TASK, expires=600) if settings.summaries.on else None


def _ask(settings: Settings, task: str, *arguments: object, expires: int) -> None:
    """Ask a worker for a task, if the broker is there to pass it on."""
    from celery import Celery

    try:
        with Celery(broker=settings.broker, set_as_current=False) as app:
            app.conf.task_default_queue = QUEUE
            app.conf.broker_transport_options = {"socket_connect_timeout": 2, "socket_timeout": 2, "max_retries": 0}
            app.send_task(task, arguments, expires=expires, retry=False)
    except Exception as error:  # noqa: BLE001 -- whatever a broker does, what is to be done is in the database
        log.warning("wake_failed", task=task, error=str(error))
