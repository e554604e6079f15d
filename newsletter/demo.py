"""The demo: the whole service on this machine for one day of papers, all real but the mail's last mile.

Readers sign up and confirm through the real pages, the real workers do the day, a real SMTP server takes the mail.
"""

import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin

import httpx2
import typer
from celery import Celery
from rich.console import Console
from rich.table import Table
from sqlalchemy import ColumnElement, and_, func, select, true
from sqlmodel import SQLModel, col

from newsletter import config, db, local, logs, newsletters, wiring
from newsletter.cli.previewing import SAMPLE_DAY
from newsletter.config import Settings
from newsletter.db import Sessions
from newsletter.embedded.presence import Running, is_abandoned, present
from newsletter.embedded.processes import Supervisor
from newsletter.errors import NewsletterError
from newsletter.lifecycle import ENDED, DeliveryStatus
from newsletter.local import Service, until
from newsletter.mailbox.store import Mailbox
from newsletter.models import Collection, Delivery, Issue, Newsletter, Summary
from newsletter.sources.sample import Sample

PUBLICATIONS = (
    newsletters.NewNewsletter(
        slug="daily-papers-ko",
        title="데일리 페이퍼스",
        language="ko",
        description="오늘 주목받은 AI 논문을 한국어로 요약해 드립니다.",
        sources=("sample",),
        from_address="ko@news.example.org",
        postal_address="Daily Papers, 1 Example Road, Seoul",
        zone="Asia/Seoul",
    ),
    newsletters.NewNewsletter(
        slug="daily-papers",
        title="Daily Papers",
        language="en",
        description="The AI papers people talk about today, in a few lines each.",
        sources=("sample",),
        from_address="en@news.example.org",
        postal_address="Daily Papers, 1 Example Road, Seoul",
    ),
)
KO, EN = (publication.slug for publication in PUBLICATIONS)
READERS = {
    "ari@example.org": ("ko", (KO, EN)),
    "bora@example.org": ("ko", (KO,)),
    "chan@example.com": ("ko", (KO,)),
    "dana@example.com": ("en", (EN,)),
    "eli@example.net": ("en", (EN,)),
    "fatou@example.net": ("en", (KO, EN)),
}
FOLDERS = "newsletter-demo-"  # what their names begin with
PATIENCE = 60.0  # seconds for any step, on a slow machine


@dataclass
class Stage:
    """How long a part of the demo took, and what came of it."""

    name: str
    seconds: float
    result: str


@dataclass
class Demo:
    """The demo under way."""

    settings: Settings
    sessions: Sessions
    mailbox: Mailbox
    pages: str
    mailbox_page: str
    console: Console = field(default_factory=Console)
    stages: list[Stage] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str) -> Iterator[list[str]]:
        """Time a stage; what is appended to the list is its result."""
        started, result = time.monotonic(), list[str]()
        with self.console.status(f"{name} …"):
            yield result
        self.stages.append(Stage(name, time.monotonic() - started, ", ".join(result)))
        self.console.print(f"  {name}: {', '.join(result)}", highlight=False)


def run(*, once: bool, port: int) -> int:
    """Run the demo until Ctrl-C, or once; return the exit code: 0 if every reader got what they should."""
    logs.configure(level="ERROR", as_json=False)
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=FOLDERS))
    try:
        with present(folder) as tell, local.supervised() as supervisor:
            demo = _start(supervisor, folder, port)
            tell(Running(os.getpid(), demo.settings.broker, demo.pages.removeprefix("http://")))
            _the_day(demo)
            missing = check(demo)
            _summary(demo, missing)
            if not once:
                _stay(demo, supervisor)
    except NewsletterError:
        _say_logs(folder)
        raise
    except KeyboardInterrupt:
        typer.echo("Stopped.")
        return 130
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if missing else 0


def _sweep() -> None:
    """Remove what demos of this user left that were killed, and nothing else."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDERS}*"):
        with suppress(OSError):
            found = folder.lstat()
            if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and is_abandoned(folder):
                shutil.rmtree(folder)


def _start(supervisor: Supervisor, folder: Path, port: int) -> Demo:
    """Start the parts in a folder of their own, deaf to the settings of a real installation."""
    for name in [name for name in os.environ if name.startswith("NEWSLETTER_") or name in {"DATABASE_URL", "REDIS_URL"}]:
        del os.environ[name]
    (folder / "newsletter.toml").touch()
    port, mailbox_port, smtp_port = (local.port_or_free(wanted) for wanted in (port, 8025, 1025))
    console = Console()
    console.print(f"[bold]The demo[/] runs in {folder}", highlight=False)
    started = time.monotonic()
    with console.status("Starting a broker, the pages, a worker and a clock …"):
        environment = {
            "NEWSLETTER_CONFIG": str(folder / "newsletter.toml"),
            "NEWSLETTER_DATA_DIR": str(folder),
            "NEWSLETTER_BASE_URL": f"http://127.0.0.1:{port}",
            "NEWSLETTER_SMTP__HOST": "127.0.0.1",
            "NEWSLETTER_SMTP__PORT": str(smtp_port),
            "NEWSLETTER_SMTP__SECURITY": "none",
            "NEWSLETTER_SIGN_UP__TRIALS": "true",
            "REDIS_URL": local.broker(supervisor, folder / "valkey"),
        }
        os.environ.update(environment)
        settings = config.load()
        sessions = db.connect(settings.database)
        db.migrate(sessions)
        with sessions.begin() as session:
            for publication in PUBLICATIONS:
                newsletters.add(session, publication, now=wiring.utcnow())
        service = Service(folder / "logs", environment)
        words = ("mailbox", "--folder", str(folder / "mail"), "--smtp-port", str(smtp_port), "--port", str(mailbox_port))
        local.start(supervisor, service, host="127.0.0.1", port=port, extra=[service.program(*words)])
        demo = Demo(
            settings, sessions, Mailbox(folder / "mail"), settings.base_url, f"http://127.0.0.1:{mailbox_port}/mailbox", console
        )
        for page in (f"{demo.pages}/readyz", demo.mailbox_page):
            _wait(partial(_answers, page), f"{page} does not answer")
    demo.stages.append(Stage("Started", time.monotonic() - started, "broker, pages, worker, clock, mail server"))
    return demo


def _the_day(demo: Demo) -> None:
    """Readers come; then the day goes through the same tasks as every day, asked for by name."""
    with demo.stage("Signed up and confirmed") as result:
        sign_up(demo)
        result.append(f"{len(READERS)} readers through the pages")
    day = SAMPLE_DAY.isoformat()
    with demo.stage("Collected") as result:
        _ask(demo, "collect", "sample", day)
        _wait(lambda: _count(demo, Collection, _has_papers()) == 1, "nothing was collected")
        result.append(f"{len(Sample().listing(SAMPLE_DAY).papers)} papers of {day}")
    with demo.stage("Summarised") as result:
        result.append(f"{_count(demo, Summary, true())} summaries in Korean and English, which came with the papers")
    with demo.stage("Assembled and rendered") as result:
        for publication in _publications(demo):
            _ask(demo, "assemble", publication.id, "daily", day)
        frozen = len(PUBLICATIONS)
        _wait(lambda: _count(demo, Issue, col(Issue.frozen_at).is_not(None)) == frozen, "no issue was made")
        result.append(f"{frozen} issues, each rendered once")
    with demo.stage("Sent") as result:
        _wait(lambda: _count(demo, Issue, col(Issue.finished_at).is_not(None)) == frozen, "not every delivery has ended")
        _wait(lambda: _count(demo, Delivery, col(Delivery.status).not_in(ENDED)) == 0, "not every delivery has ended")
        sent, failed = (
            _count(demo, Delivery, col(Delivery.status) == status) for status in (DeliveryStatus.SENT, DeliveryStatus.FAILED)
        )
        result.append(f"{sent} mails, {failed} failed")


def sign_up(demo: Demo) -> None:
    """Sign every reader up as a person would: fill in the form, open the mail, press the button."""
    with httpx2.Client(timeout=20, follow_redirects=True) as browser:
        for address, (language, slugs) in READERS.items():
            form = _form(browser.get(f"{demo.pages}/", headers={"Accept-Language": language}))
            answer = browser.post(form.action, data={**form.hidden, "email": address, "newsletter": list(slugs)})
            answer.raise_for_status()
        for address in READERS:
            _wait(partial(_has_mail, demo, address), f"{address} got no confirmation mail")
            mail = _read(demo.mailbox.messages(address)[-1].content())
            link = re.search(rf"{re.escape(demo.pages)}/c/\S+", _text(mail))
            if link is None:
                raise NewsletterError(f"{address}'s confirmation mail has no link.")
            page = _form(browser.get(link[0]))
            browser.post(page.action, data=page.hidden).raise_for_status()


class _Form(HTMLParser):
    """The first form of a page: where it goes and what it carries along."""

    def __init__(self) -> None:
        super().__init__()
        self.action = ""
        self.hidden: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the form's address and its hidden fields."""
        found = dict(attrs)
        if tag == "form" and not self.action:
            self.action = found.get("action") or ""
        if tag == "input" and found.get("type") == "hidden" and found.get("name"):
            self.hidden[str(found["name"])] = found.get("value") or ""


def _form(page: httpx2.Response) -> _Form:
    page.raise_for_status()
    form = _Form()
    form.feed(page.text)
    form.action = urljoin(str(page.url), form.action)
    return form


def check(demo: Demo) -> list[str]:
    """Return what is not as it should be: each reader has exactly one digest of each newsletter, with the day's papers."""
    wrong = []
    titles = [paper.title for paper in Sample().listing(SAMPLE_DAY).papers]
    with demo.sessions.read() as session:
        subjects = dict(
            session.execute(
                select(col(Newsletter.slug), col(Issue.subject)).join(Issue, col(Issue.newsletter_id) == col(Newsletter.id))
            ).all()
        )
    for address, (_, slugs) in READERS.items():
        mails = [_read(received.content()) for received in demo.mailbox.messages(address)]
        for slug in (KO, EN):
            digests = [mail for mail in mails if str(mail["Subject"]) == subjects.get(slug)]
            wrong += _check_digests(f"{address}, {slug}", digests, expected=int(slug in slugs), titles=titles)
    return wrong


def _check_digests(who: str, digests: Sequence[EmailMessage], *, expected: int, titles: Sequence[str]) -> list[str]:
    if len(digests) != expected:
        return [f"{who}: {len(digests)} digests, not {expected}"]
    wrong = []
    for digest in digests:
        folded = " ".join(_text(digest).split())
        places = [folded.find(" ".join(title.split())) for title in titles]
        wrong += [f"{who}: {title!r} is not in the digest" for title, place in zip(titles, places, strict=True) if place < 0]
        if not wrong and places != sorted(places):
            wrong.append(f"{who}: the papers are not in the order of their votes")
        if "/u/" not in str(digest["List-Unsubscribe"]):
            wrong.append(f"{who}: there is no way to unsubscribe")
    return wrong


def _summary(demo: Demo, missing: Sequence[str]) -> None:
    table = Table("stage", "what", "seconds", box=None, pad_edge=False, header_style="bold")
    for stage in demo.stages:
        table.add_row(stage.name, stage.result, f"{stage.seconds:.1f}")
    total = sum(stage.seconds for stage in demo.stages)
    demo.console.print()
    demo.console.print(table, highlight=False)
    demo.console.print(f"[bold]{total:.1f} seconds[/] in all.\n", highlight=False)
    for line in missing:
        demo.console.print(f"[red]missing:[/] {line}", highlight=False)
    if not missing:
        demo.console.print("[green]Every reader got one digest of each newsletter they asked for, with the right papers.[/]")


def _stay(demo: Demo, supervisor: Supervisor) -> None:
    """Leave everything running for a person to look at."""
    demo.console.print(
        f"\n  Read the mails:   {demo.mailbox_page}\n  The sign-up page: {demo.pages}/"
        f"\n  The archive:      {demo.pages}/archive/{EN}"
        "\n\nSign up yourself with any address, and read the answer in the mailbox. Ctrl-C stops everything.",
        highlight=False,
    )
    local.watch(supervisor, lambda death: demo.console.print(f"[red]{death}[/]", highlight=False))
    demo.console.print("\nStopping …")


def _say_logs(folder: Path) -> None:
    """Show the end of each log, for the folder is removed."""
    for log in sorted((folder / "logs").glob("*.log")):
        typer.echo(f"--- {log.name}", err=True)
        typer.echo("\n".join(log.read_text(errors="replace").splitlines()[-15:]), err=True)


def _publications(demo: Demo) -> Sequence[Newsletter]:
    with demo.sessions.read() as session:
        return newsletters.listing(session)


def _ask(demo: Demo, task: str, *arguments: object) -> None:
    """Ask a worker for a task by its name."""
    with Celery(broker=demo.settings.broker, set_as_current=False) as app:
        app.conf.task_default_queue = wiring.QUEUE
        app.send_task(task, args=arguments)


def _has_papers() -> ColumnElement[bool]:
    return and_(col(Collection.day) == SAMPLE_DAY, col(Collection.succeeded_at).is_not(None))


def _count(demo: Demo, table: type[SQLModel], condition: ColumnElement[bool]) -> int:
    with demo.sessions.read() as session:
        return session.scalar(select(func.count()).select_from(table).where(condition)) or 0


def _wait(condition: Callable[[], bool], otherwise: str) -> None:
    if not until(condition, patience=PATIENCE):
        raise NewsletterError(f"{otherwise} within {PATIENCE:.0f} seconds.", hint="The logs above say why.")


def _has_mail(demo: Demo, address: str) -> bool:
    return bool(demo.mailbox.messages(address))


def _answers(page: str) -> bool:
    try:
        return httpx2.get(page, timeout=2).is_success
    except httpx2.HTTPError:
        return False


def _read(content: bytes) -> EmailMessage:
    return message_from_bytes(content, policy=policy.default)


def _text(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    return str(part.get_content()) if part is not None else ""
