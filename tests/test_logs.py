"""No address, token or secret gets into a log, a message of the broker or an error, whatever happens."""

import base64
import json
import re
from urllib.parse import urlsplit

import pytest
import stamina
import structlog
from installation import BASE_URL, eventually
from redis import Redis
from web_parts import stamp_of
from worker_parts import broker, floor, sink

from newsletter import logs

__all__ = ["broker", "floor", "sink"]

CANARY = "canary-7f3a@example.org"
SECRET = "a secret of the canary, thirty-two and more"


@pytest.fixture
def watched(floor):
    """Return the installation with secrets that are easy to find again."""
    floor.installation.environment |= {
        "NEWSLETTER_SECRET_KEY": SECRET,
        "NEWSLETTER_SMTP__PASSWORD": "canary-password",
        "NEWSLETTER_LOG_LEVEL": "DEBUG",
    }
    return floor


def secrets_of(floor, texts):
    """Return what of the secrets stands in the texts."""
    said = "\n".join(texts)
    tokens = re.findall(r"/[cu]/[\w-]{20,}", said)
    password = urlsplit(floor.installation.environment["REDIS_URL"]).password
    words = ("canary-7f3a", SECRET, SECRET.replace(" ", "%20"), "canary-password", password)
    return [word for word in words if word in said] + tokens


def test_nothing_secret_is_logged_or_queued_on_the_way_of_a_reader(watched, capfd):
    logs.configure(level="DEBUG", as_json=False)
    newsletter = watched.make.newsletter(slug="daily")
    visitor = watched.visitor()
    form = {"newsletter": newsletter.slug, "stamp": stamp_of(visitor.get("/"))}
    visitor.post("/subscribe", data=form | {"email": CANARY})
    queued = messages(watched)  # nobody takes them yet
    watched.start_worker(1)
    watched.wait_for(1)
    link = re.search(rf"{BASE_URL}(/c/[\w-]+)", watched.sink.text(0))[1]
    visitor.get(link)
    visitor.post(link)
    watched.wait_for(2)
    watched.break_database()
    watched.installation.ask("drain")
    watched.installation.ask("sweep")
    eventually(
        lambda: watched.installation.log().count("no such table") + watched.installation.log().count("does not exist") >= 2
    )
    broken = visitor.post("/subscribe", data=form | {"email": f"second-{CANARY}"})

    said = capfd.readouterr()
    assert queued
    assert broken.status_code == 500
    assert "a page broke" in said.out + said.err
    assert secrets_of(watched, [*queued, watched.installation.log(), said.out, said.err, broken.text]) == []


def messages(floor):
    """Return all that the broker holds, decoded as far as it goes."""
    found = []
    with Redis.from_url(floor.installation.environment["REDIS_URL"]) as client:
        for key in client.scan_iter():
            kind = client.type(key)
            if kind == b"list":
                found += [decoded(value) for value in client.lrange(key, 0, -1)]
            elif kind == b"string":
                found.append(decoded(client.get(key)))
            elif kind == b"hash":
                found += [decoded(value) for value in client.hvals(key)]
    return found


def decoded(value):
    """Return a message with its body in clear."""
    said = value.decode(errors="replace")
    try:
        return said + base64.b64decode(json.loads(said)["body"]).decode()
    except (ValueError, KeyError, TypeError):
        return said


@pytest.mark.parametrize("as_json", [True, False])
def test_an_event_is_one_line_on_standard_error(as_json, capsys):
    logs.configure(level="INFO", as_json=as_json)

    structlog.get_logger().info("collected", papers=3)
    structlog.get_logger().debug("too small to say")

    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert said.out == ""
    assert "collected" in line
    assert not as_json or json.loads(line)["papers"] == 3


def test_an_unknown_level_is_that_of_information(capsys):
    logs.configure(level="chatty", as_json=True)

    structlog.get_logger().info("heard")

    assert "heard" in capsys.readouterr().err


@pytest.fixture(autouse=True)
def _logs_as_before():
    """Forget what a test set up; structlog keeps the standard error of the test that came first."""
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


def test_what_is_tried_again_is_named_without_what_it_was_given(capfd):
    logs.configure(level="INFO", as_json=True)

    @stamina.retry(on=ValueError, attempts=2, wait_initial=0, wait_jitter=0)
    def tell(*given, **more):
        raise ValueError("the database is away")

    with pytest.raises(ValueError, match="away"):
        tell(CANARY, address=CANARY)

    said = capfd.readouterr().err
    assert "stamina.retry_scheduled" in said
    assert "the database is away" in said
    assert CANARY not in said
