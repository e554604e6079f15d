import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress

import pytest

from newsletter import local
from newsletter.embedded.processes import Program
from newsletter.embedded.valkey import answers


@pytest.fixture(autouse=True)
def _signals_as_before():
    """Put back what is done at SIGTERM."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def taken():
    """Return a port that somebody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def sleeper(folder, name="sleeper"):
    """Return a program that does nothing for a minute."""
    return Program(name, (sys.executable, "-c", "import time; time.sleep(60)"), folder / f"{name}.log")


def test_a_port_that_is_taken_is_replaced_by_a_free_one(taken):
    port = local.port_or_free(taken)

    assert port != taken
    assert local.why_not(port, "127.0.0.1") == ""


def test_a_port_that_is_free_is_kept(taken):
    free = local.port_or_free(taken)

    assert local.port_or_free(free) == free


def test_why_nobody_can_listen_is_told(taken):
    assert "in use" in local.why_not(taken, "127.0.0.1")
    assert "assign" in local.why_not(taken, "192.0.2.1")


def test_a_broker_of_our_own_answers_until_the_block_ends(tmp_path):
    with local.supervised() as supervisor:
        url = local.broker(supervisor, tmp_path / "valkey")
        answered = answers(url)

    assert answered
    assert not answers(url)


def test_sigterm_ends_the_programs_as_ctrl_c_does(tmp_path):
    with suppress(KeyboardInterrupt), local.supervised() as supervisor:
        supervisor.start(sleeper(tmp_path), now=time.monotonic())
        pid = supervisor.pids["sleeper"]
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)
        pytest.fail("it went on")

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_watching_reports_the_dead_and_ends_by_a_signal(tmp_path):
    reports = []
    with local.supervised() as supervisor:
        supervisor.start(sleeper(tmp_path), now=time.monotonic())
        os.kill(supervisor.pids["sleeper"], signal.SIGKILL)

        def report(death):
            reports.append(str(death))
            os.kill(os.getpid(), signal.SIGTERM)

        local.watch(supervisor, report)

    assert len(reports) == 1
    assert "sleeper was killed by signal 9" in reports[0]


def test_waiting_ends_when_it_is_true_or_when_patience_does():
    came = threading.Event()
    threading.Timer(0.1, came.set).start()

    assert local.until(came.is_set, patience=10)
    assert not local.until(lambda: False, patience=0.1)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1:80"),
        ("0.0.0.0", "127.0.0.1:80"),
        ("::", "[::1]:80"),
        ("::1", "[::1]:80"),
    ],
)
def test_pages_that_listen_anywhere_are_reached_on_this_machine(host, address):
    assert local.reached_at(host, 80) == address
