from cli_parts import installed_terminal, terminal
from installation import eventually
from smtp_sink import running
from worker_parts import broker, floor, sink

from newsletter.models import Bounce, Subscriber, Suppression

__all__ = ["broker", "floor", "installed_terminal", "sink", "terminal"]

DEAD = "r1@example.org"


def test_a_worker_suppresses_whom_the_server_calls_dead_at_once(floor):
    floor.sink.dead = frozenset({DEAD})
    floor.publish(3)
    floor.start_worker()

    eventually(lambda: floor.make.all(Suppression), floor.explain, seconds=60)

    (reader,) = floor.make.all(Subscriber, address=DEAD)
    assert [row.suppression_key for row in floor.make.all(Suppression)] == [reader.suppression_key]
    assert [row.action for row in floor.make.all(Bounce)] == ["suppressed"]


def test_sending_by_hand_suppresses_them_too(installed_terminal):
    installed_terminal.ok("subscribers", "add", "ari@example.org", "-n", "daily", "--consent", "on paper, at the fair")
    with running(dead=frozenset({"ari@example.org"})) as server:
        for name, value in (("HOST", "127.0.0.1"), ("PORT", server.port), ("SECURITY", "none")):
            installed_terminal.set(f"NEWSLETTER_SMTP__{name}", value)

        said = installed_terminal.ok("run", "2024-03-14")

    assert "Suppressed 1 " in said
    assert "suppressed: bounce" in installed_terminal.ok("subscribers", "show", "ari@example.org")
