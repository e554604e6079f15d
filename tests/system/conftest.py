"""A real browser and a real mail host, for tests of the whole; `make test-system` runs them and sees to the packages."""

import os
from collections.abc import Generator, Iterator

import pytest
from correspondence import EDITOR, OPERATOR, OURS, Correspondence, corresponding
from installation import eventually
from mail_host import MailHost, running
from playwright.sync_api import Browser, sync_playwright

CHROMIUM = "/usr/bin/chromium"
QUIET = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
)
BROWSER_ROOT = ("--no-sandbox",)  # Chromium's sandbox refuses to be root's
LAST = 20_000  # characters of the mail host's logs that a failed test shows


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Return Debian's Chromium, without a window and without calls home."""
    arguments = [*QUIET, *(BROWSER_ROOT if os.geteuid() == 0 else ())]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def mail_host() -> Iterator[MailHost]:
    """Return a mail host that all tests share: let each have users of its own. What must be routed wants a host of its own."""
    with running() as host:
        yield host


@pytest.fixture(scope="session")
def post(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Correspondence]:
    """Return an installation of whose programs only the inbox runs, behind a border: tests send what is due when they want.

    All tests share it: let each have users of its own.
    """
    folder = tmp_path_factory.mktemp("correspondence")
    with corresponding(folder, protocol="smtp", operator_email=OPERATOR) as post:
        post.say("migrate")
        with post.tables() as make:
            make.newsletter(slug="daily", from_address=f"news@{OURS}", reply_to=EDITOR)
        post.installation.start("inbox", "run")
        eventually(lambda: "Taking in mail" in post.installation.log("inbox"), post.said)
        yield post


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the mail host's logs with a test that failed."""
    report = yield
    given = getattr(item, "funcargs", {}).values()
    hosts = [each for each in given if isinstance(each, MailHost)] + [
        each.host for each in given if isinstance(each, Correspondence)
    ]
    if report.failed:
        report.sections += [("The mail host's logs", host.log()[-LAST:]) for host in hosts]
    return report
