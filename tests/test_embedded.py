import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from redis import AuthenticationError, Redis

from newsletter.embedded.processes import Program, Supervisor, end, last_lines, spawn
from newsletter.embedded.valkey import server_binary, start_valkey
from newsletter.errors import BrokerError

ROOT = Path(__file__).parent.parent
FAMILY = """
import subprocess, sys, time
print(subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE).pid, flush=True)
time.sleep(60)
"""  # a child with a child that reads from it, as a Celery worker has
PARENT = """
import os, sys, time
from pathlib import Path
from newsletter.embedded.processes import Program, Supervisor
from newsletter.embedded.valkey import start_valkey
folder = Path(sys.argv[1])
server = start_valkey(folder)
supervisor = Supervisor()
words = (sys.executable, "-c", sys.argv[2])
supervisor.start(Program("family", words, folder / "family.log"), now=time.monotonic())
try:
    print(server.process.pid, supervisor.pids["family"], server.url, flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    time.sleep(60)
"""


def eventually(true, seconds=10.0):
    """Wait until `true()` is, checking often."""
    give_up = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < give_up, "it never came true"
        time.sleep(0.02)
    return value


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def session(leader):
    """Return the processes alive in the session of `leader`."""
    pids = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    found = []
    for pid in pids:
        with suppress(ProcessLookupError):
            if os.getsid(pid) == leader and is_alive(pid):
                found.append(pid)
    return found


def python(name, code, folder, **options):
    return Program(name, (sys.executable, "-c", code), folder / f"{name}.log", **options)


@pytest.fixture
def parent(tmp_path):
    """Return a process that runs Valkey and a family of processes, with their pids and the server's URL."""
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path), FAMILY], stdout=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True
    )
    valkey, family, url = process.stdout.readline().split()
    yield process, int(valkey), int(family), url
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()


@pytest.fixture
def supervisor():
    supervisor = Supervisor(first_delay=10.0)
    yield supervisor
    supervisor.stop(grace=1.0)


def test_the_wheel_carries_a_server_that_runs():
    answer = subprocess.run([server_binary(), "--version"], check=True, capture_output=True, text=True).stdout

    assert answer.startswith("Valkey server v=9.")


@pytest.mark.parametrize("deadly", [signal.SIGTERM, signal.SIGKILL])
def test_what_valkey_was_told_survives_its_death(tmp_path, deadly):
    first = start_valkey(tmp_path)
    with Redis.from_url(first.url) as client:
        client.set("name", "ari")
    first.process.send_signal(deadly)
    first.process.wait(timeout=10)

    second = start_valkey(tmp_path)

    with Redis.from_url(second.url) as client:
        assert client.get("name") == b"ari"
    second.stop()


def test_a_second_valkey_cannot_share_the_folder(tmp_path):
    server = start_valkey(tmp_path)
    written = (tmp_path / "valkey.conf").read_text()

    with pytest.raises(BrokerError, match="at work in") as caught:
        start_valkey(tmp_path, patience=0.1)

    assert "NEWSLETTER_DATA_DIR" in caught.value.hint
    assert (tmp_path / "valkey.conf").read_text() == written
    server.stop()


def test_a_valkey_that_cannot_start_says_why(tmp_path, valkey_url):
    taken = int(valkey_url.rpartition(":")[2].partition("/")[0])

    with pytest.raises(BrokerError, match="Address already in use"):
        start_valkey(tmp_path, port=taken)


def test_nobody_else_can_read_the_password_or_do_without(tmp_path):
    server = start_valkey(tmp_path / "new")
    anonymous = f"redis://{server.url.partition('@')[2]}"

    assert (tmp_path / "new").stat().st_mode & 0o077 == 0
    assert (tmp_path / "new/valkey.conf").stat().st_mode & 0o077 == 0
    with Redis.from_url(anonymous) as client, pytest.raises(AuthenticationError, match="authenticated"):
        client.ping()
    server.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_nothing_is_left_when_the_parent_is_killed(parent, tmp_path):
    process, valkey, family, _ = parent
    (grandchild,) = map(int, eventually(lambda: last_lines(tmp_path / "family.log")))

    process.kill()

    eventually(lambda: not any(is_alive(pid) for pid in (valkey, family, grandchild)))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_ctrl_c_reaches_the_parent_alone(parent):
    process, valkey, family, url = parent

    os.killpg(process.pid, signal.SIGINT)

    assert process.stdout.readline() == "interrupted\n"
    assert is_alive(valkey)
    assert is_alive(family)
    with Redis.from_url(url) as client:
        assert client.ping()


def test_a_program_that_dies_is_reported_with_its_last_words_and_started_again(tmp_path, supervisor):
    supervisor.start(python("web", "print('no such table: papers'); raise SystemExit(3)", tmp_path), now=0.0)

    (death,) = eventually(lambda: supervisor.check(now=1.0))

    assert str(death) == "web ended with code 3; it starts again in 10 s\n    no such table: papers"
    assert supervisor.check(now=10.9) == ()
    assert supervisor.pids == {}
    supervisor.check(now=11.0)
    (again,) = eventually(lambda: supervisor.check(now=12.0))
    assert again.restart_in == 20.0
    assert last_lines(tmp_path / "web.log") == ("no such table: papers",) * 2


def test_a_program_that_lived_long_starts_again_with_the_shortest_delay(tmp_path, supervisor):
    supervisor.start(python("web", "raise SystemExit(1)", tmp_path), now=0.0)
    eventually(lambda: supervisor.check(now=0.0))
    supervisor.check(now=10.0)

    (death,) = eventually(lambda: supervisor.check(now=1000.0))

    assert death.restart_in == 10.0


def test_the_delay_grows_to_a_minute_and_no_further(tmp_path, supervisor):
    supervisor.start(python("web", "raise SystemExit(1)", tmp_path), now=0.0)
    now, delays = 0.0, []
    for _ in range(5):
        (death,) = eventually(lambda moment=now: supervisor.check(now=moment))
        delays.append(death.restart_in)
        now += death.restart_in
        supervisor.check(now=now)

    assert delays == [10.0, 20.0, 40.0, 60.0, 60.0]


def test_programs_are_ended_in_the_reverse_order_of_their_start(tmp_path):
    waiting = "import signal, sys; signal.sigwait({signal.SIGTERM}); open(sys.argv[1], 'a').write(sys.argv[2])"
    blocked = f"import signal; signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGTERM}}); print('up', flush=True); {waiting}"
    supervisor = Supervisor()
    for name in ("valkey", "web", "worker"):
        words = (sys.executable, "-c", blocked, str(tmp_path / "order"), f"{name} ")
        supervisor.start(Program(name, words, tmp_path / f"{name}.log"), now=0.0)
        eventually(lambda log=tmp_path / f"{name}.log": last_lines(log))

    supervisor.stop()

    assert (tmp_path / "order").read_text() == "worker web valkey "


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_program_that_will_not_end_is_killed_with_all_it_started(tmp_path):
    code = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""
    process = spawn(python("stubborn", code, tmp_path))
    (pid,) = eventually(lambda: last_lines(tmp_path / "stubborn.log"))

    assert end(process, grace=0.2) == -signal.SIGKILL
    eventually(lambda: not is_alive(int(pid)))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("deadly", [signal.SIGTERM, signal.SIGKILL])
def test_no_celery_child_outlives_its_worker(tmp_path, valkey_url, deadly):
    (tmp_path / "muscle.py").write_text(f"from celery import Celery\napp = Celery(broker={valkey_url!r})\n")
    words = (sys.executable, "-m", "celery", "-A", "muscle", "worker", "-c", "2", "-l", "INFO", "--without-gossip")
    supervisor = Supervisor(first_delay=10.0)
    supervisor.start(
        Program("worker", words, tmp_path / "worker.log", environment={"PYTHONPATH": str(tmp_path), "C_FORCE_ROOT": "1"}), now=0.0
    )
    worker = supervisor.pids["worker"]
    eventually(lambda: " ready." in "".join(last_lines(tmp_path / "worker.log")), seconds=30.0)
    assert len(session(worker)) == 3

    if deadly == signal.SIGKILL:
        os.kill(worker, signal.SIGKILL)
        eventually(lambda: supervisor.check(now=1.0))
    supervisor.stop()

    eventually(lambda: not session(worker))


def test_a_log_that_grew_too_long_is_put_aside(tmp_path):
    log = tmp_path / "web.log"
    with log.open("wb") as file:
        file.truncate(20_000_000)

    assert spawn(python("web", "print('here')", tmp_path)).wait(timeout=10) == 0

    assert last_lines(log) == ("here",)
    assert (tmp_path / "web.old.log").stat().st_size == 20_000_000
