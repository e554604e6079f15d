"""The services as compose starts them, as processes of this machine."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from newsletter.embedded.processes import Program, end, last_lines, spawn
from newsletter.embedded.valkey import free_port

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def services():
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


@pytest.fixture
def environment(services, databases, valkey_url, tmp_path):
    """Return what a container would see, with the hosts of the network replaced by the servers of the tests."""
    here = {
        "DATABASE_URL": databases.make("postgres"),
        "REDIS_URL": valkey_url,
        "NEWSLETTER_DATA_DIR": str(tmp_path / "data"),
    }
    assert services["worker"]["environment"].keys() == here.keys()
    yield here | {
        "NEWSLETTER_POSTAL_ADDRESS": "1 Long Lane",
        "PYTHONPATH": str(ROOT),
        "C_FORCE_ROOT": "1",
        "NEWSLETTER_WEB_PORT": str(free_port()),
        "NEWSLETTER_INBOX__DOMAIN": "news.example.com",
        "NEWSLETTER_INBOX__PORT": str(free_port()),
    }
    databases.drop(here["DATABASE_URL"])


def local(words, ports):
    """Return the words of a container as words of this machine: loopback, and ports that are free."""
    words = [sys.executable if word == "python" else word for word in words]
    words = [re.sub(r"\b(8000|8025|1025)\b", lambda found: str(ports[found[0]]), word) for word in words]
    words = ["127.0.0.1" if word == "0.0.0.0" else word for word in words]
    return (sys.executable, "-m", *words) if words[0] == "newsletter" else tuple(words)


def wait_until_healthy(words, environment, process, log):
    give_up = time.monotonic() + 60
    while True:
        asked = subprocess.run(words, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)
        if asked.returncode == 0:
            return
        said = f"{asked.stdout}{asked.stderr}\n" + "\n".join(last_lines(log, 30))
        assert process.poll() is None, said
        assert time.monotonic() < give_up, said
        time.sleep(0.2)


def test_every_service_runs_is_healthy_and_stops_when_asked(services, environment, tmp_path):
    ports = {"8000": environment["NEWSLETTER_WEB_PORT"], "8025": free_port(), "1025": free_port()}
    whole = {**os.environ, **environment}
    migrate = subprocess.run(
        local(["newsletter", *services["migrate"]["command"]], ports),
        env=whole,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert migrate.returncode == 0, migrate.stderr
    running = {}
    for name in ("web", "worker", "beat", "inbox", "mailbox"):
        words = local(["newsletter", *services[name]["command"]], ports)
        running[name] = spawn(Program(name, words, tmp_path / f"{name}.log", environment=environment))
    try:
        for name, process in running.items():
            check = local(services[name]["healthcheck"]["test"][1:], ports)
            wait_until_healthy(check, whole, process, tmp_path / f"{name}.log")
    finally:
        codes = {name: end(process, grace=30) for name, process in running.items()}
    assert set(codes.values()) <= {0, -signal.SIGTERM}, codes
