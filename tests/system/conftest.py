"""A real browser and a real mail server, for tests of the whole; `make test-system` runs them and sees to the packages."""

import contextlib
import os
import shutil
import smtplib
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from newsletter.embedded import tether
from newsletter.embedded.valkey import free_port

CHROMIUM = "/usr/bin/chromium"
QUIET = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
)
BROWSER_ROOT = ("--no-sandbox",)  # Chromium's sandbox refuses to be root's

MAIN_CF = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
inet_interfaces = loopback-only
inet_protocols = ipv4
myhostname = mx.inbox.test
mydestination =
alias_maps =
local_recipient_maps =
recipient_delimiter = +
virtual_mailbox_domains = inbox.test digest.test
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = static:all/
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
transport_maps = regexp:{{{{/^gone-later@/ gone}}}}
smtpd_recipient_restrictions = check_recipient_access regexp:{folder}/answers, permit_mynetworks, reject
smtputf8_enable = yes
minimal_backoff_time = 1s
"""
ANSWERS = """
/^gone@/ 550 5.1.1 There is no such mailbox
/^full@/ 552 5.2.2 The mailbox is full
/^busy@/ 450 4.2.1 The mailbox is busy, come back later
"""
MASTER_CF = """
127.0.0.1:{port} inet n - n - - smtpd
gone unix - n n - - pipe user=nobody argv=/bin/sh -c {{exit 67}}
virtual unix - n n - - virtual
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
flush unix n - n 1000? 0 flush
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
showq unix n - n - - showq
postlog unix-dgram n - n - 1 postlogd
"""  # exit 67 is EX_NOUSER: taken, and a real bounce (RFC 3464) comes back
PLAIN_SERVICES = {"rewrite": "trivial-rewrite", "proxymap": "proxymap", "anvil": "anvil", "smtp": "smtp"}
PLAIN_SERVICES |= {
    "error": "error",
    "retry": "error",
    "flush": "flush",
    "verify": "verify",
    "tlsmgr": "tlsmgr",
}


@dataclass(frozen=True)
class MailHost:
    """A Postfix on loopback that takes mail for @inbox.test and @digest.test; `user+detail@` goes to `user`.

    gone@, full@ and busy@ are refused in the dialogue; gone-later@ is taken, and a bounce comes to the envelope sender.
    """

    port: int
    folder: Path

    def messages(self, *, to: str, count: int = 1, seconds: float = 20.0) -> list[EmailMessage]:
        """Wait until `count` messages have come for the address `to`, and return all that are there."""
        give_up = time.monotonic() + seconds
        while len(found := self._delivered(to)) < count:
            assert time.monotonic() < give_up, f"{len(found)} of {count} messages came for {to}:\n{self.log()}"
            time.sleep(0.05)
        return found

    def log(self) -> str:
        """Return what Postfix wrote to its log."""
        return (self.folder / "mail.log").read_text(errors="replace")

    def _delivered(self, to: str) -> list[EmailMessage]:
        files = sorted((self.folder / "mail/all/new").glob("*"), key=lambda path: path.stat().st_mtime_ns)
        messages = [message_from_bytes(path.read_bytes(), policy=policy.SMTP) for path in files]
        return [message for message in messages if message["X-Original-To"] == to]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Return Debian's Chromium, without a window and without calls home."""
    arguments = [*QUIET, *(BROWSER_ROOT if os.geteuid() == 0 else ())]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def postfix() -> Iterator[MailHost]:
    """Start a Postfix of the tests' own, everything of it in one folder; the machine's own is not touched."""
    if os.geteuid() != 0:
        pytest.fail("Postfix can only be started by root: run these tests as root, in a container for instance")
    folder = Path(tempfile.mkdtemp(prefix="newsletter-postfix-", dir="/tmp"))
    host = MailHost(free_port(), folder)
    _write_configuration(host)
    master = (
        subprocess.run(["postconf", "-h", "daemon_directory"], check=True, capture_output=True, text=True).stdout.strip()
        + "/master"
    )
    with (folder / "start.log").open("wb") as output:
        subprocess.run(["postfix", "-c", folder / "etc", "check"], check=True, stdout=output, stderr=output)
        process = subprocess.Popen(  # not `postfix start`, whose children nobody tethers
            [master, "-c", folder / "etc", "-d"],
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=tether.die_with_parent,  # noqa: PLW1509 -- a test process has no threads that matter here
        )
    try:
        _eventually(lambda: _greets(host.port), (folder / "start.log").read_text)
        yield host
    finally:
        process.terminate()
        process.wait(timeout=20)
        shutil.rmtree(folder)


def _write_configuration(host: MailHost) -> None:
    """Write Postfix's files and make the folders that it wants, with the owners that it wants."""
    folder = host.folder
    folder.chmod(0o755)
    for name in ("etc", "queue", "data", "mail"):
        (folder / name).mkdir()
    shutil.chown(folder / "data", "postfix")
    shutil.chown(folder / "mail", "nobody", "nogroup")
    owner = (folder / "mail").stat()
    (folder / "etc/main.cf").write_text(MAIN_CF.format(folder=folder, uid=owner.st_uid, gid=owner.st_gid))
    services = "".join(f"{name} unix - - n - - {program}\n" for name, program in PLAIN_SERVICES.items())
    (folder / "etc/master.cf").write_text(MASTER_CF.format(port=host.port) + services)
    (folder / "answers").write_text(ANSWERS)


def _greets(port: int) -> bool:
    with contextlib.suppress(OSError), smtplib.SMTP("127.0.0.1", port, timeout=5):
        return True
    return False


def _eventually(true: Callable[[], bool], explain: Callable[[], str], seconds: float = 20.0) -> None:
    give_up = time.monotonic() + seconds
    while not true():
        if time.monotonic() > give_up:
            pytest.fail(f"Postfix did not start:\n{explain()}")
        time.sleep(0.05)
