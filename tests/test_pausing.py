"""What pauses and limits do to a drain, with a mail server on loopback and a real Redis at the other ends."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from drains import Clock, journal_in, relay_on, send_over
from factories import NOW, mailer
from smtp_servers import FaultyServer
from smtp_sink import running
from worker_parts import broker

from newsletter.deliveries import Brakes, Pace, drain, over, pauses
from newsletter.lifecycle import DeliveryStatus, IssueStatus
from newsletter.limits import Allowance, Limits, RelayLimits
from newsletter.models import Alarm, Delivery, Pause, PauseScope, Suppression

__all__ = ["broker"]
PACE = Pace(window=4)


@dataclass
class Choosy(FaultyServer):
    """Answers some recipients, known by a part of the RCPT command, in a way of their own."""

    choosy: dict[str, str] = field(default_factory=dict)

    def answer(self, step):
        """Look at the recipient first."""
        if step == "RCPT":
            for part, reply in self.choosy.items():
                if part in self.commands[-1]:
                    return reply
        return super().answer(step)


@pytest.fixture
def publish(make):
    """Return `publish(domain=readers, …)`: an issue to so many readers of each domain, the domains by turns."""

    def to(**domains):
        newsletter = make.newsletter()
        most = max(domains.values())
        for number in range(most):
            for domain, readers in domains.items():
                if number < readers:
                    make.reader(f"r{number}@{domain}.example", newsletter)
        return make.issue(newsletter, IssueStatus.PUBLISHED)

    return to


def statuses(make, domain=""):
    """Return how many deliveries to a domain are in which state."""
    rows = make.all(Delivery)
    return Counter(row.status.value for row in rows if row.address.endswith(f"{domain}.example"))


def test_a_refusal_at_the_door_pauses_the_relay_and_blames_nobody(sessions, make, publish):
    publish(a=5)
    clock, brakes = Clock(), Brakes()
    with FaultyServer(faults={"GREETING": ["554 5.7.1 go away"]}).running() as server:
        away = send_over(sessions, server.port, clock=clock, brakes=brakes)
        again = send_over(sessions, server.port, clock=clock, brakes=brakes)
        assert (away.sent, again.sent, server.connections) == (0, 0, 1)
        assert again.relay_away == f"127.0.0.1:{server.port} is paused until 00:20:00 UTC"
        assert (statuses(make), {row.attempts for row in make.all(Delivery)}) == ({"queued": 5}, {0})
        assert [alarm.subject for alarm in make.all(Alarm)] == [f"Nothing is sent over 127.0.0.1:{server.port}"]

        clock.advance(minutes=15)
        assert send_over(sessions, server.port, clock=clock, brakes=brakes).sent == 5

    assert make.all(Suppression) == []


@pytest.mark.parametrize("fault", [{"GREETING": "554 5.7.1 go away"}, {"MAIL": "550 5.7.1 who are you"}])
def test_a_second_relay_takes_the_mail_while_the_first_is_paused(sessions, make, publish, fault):
    publish(a=9)
    with FaultyServer(faults=fault).running() as server, running() as sink, journal_in() as journal:
        way, backup = (over(relay_on(port), connections=1) for port in (server.port, sink.port))
        given = {"clock": Clock(), "backup": backup, "pace": Pace(window=2)}
        first = drain(sessions, way, mailer(), journal, **given)
        connections = server.connections
        second = drain(sessions, way, mailer(), journal, **given)

    assert first.relay_away == second.relay_away == ""
    assert server.connections == connections
    assert (first.sent, second.sent) == (9 - first.deferred, 0)
    assert first.deferred <= 2  # what the first relay had been told of


def test_a_domain_that_refuses_us_is_paused_and_the_rest_is_sent(sessions, make, publish):
    publish(shut=20, fine=20)
    with Choosy(choosy={"@shut.": "550 5.7.1 not from you"}).running() as server:
        report = send_over(sessions, server.port, pace=PACE)
        key = f"127.0.0.1:{server.port} shut.example"

    assert statuses(make, "fine") == {"sent": 20}
    shut = statuses(make, "shut")
    assert 5 <= shut["failed"] <= 5 + 2 * PACE.window
    assert shut["deferred"] == 20 - shut["failed"]
    put_off = make.all(Delivery, status=DeliveryStatus.DEFERRED)
    assert {(row.attempts, row.due_at) for row in put_off} == {(0, NOW + timedelta(hours=1))}
    assert [(pause.scope, pause.key) for pause in make.all(Pause)] == [(PauseScope.DOMAIN, key)]
    assert (report.relay_away, make.all(Suppression)) == ("", [])


def test_a_content_that_several_domains_refuse_stops_the_issue(sessions, make, publish):
    issue = publish(a=15, b=15, c=15)
    other = make.delivery("dana")
    with FaultyServer(faults={"DOT": "554 5.7.1 looks like spam"}).running() as server:
        send_over(sessions, server.port, pace=PACE)

    found = Counter(row.status.value for row in make.all(Delivery, issue_id=issue.id))
    assert 10 <= found["failed"] <= 10 + 2 * PACE.window
    assert found["deferred"] == 45 - found["failed"]
    assert make.again(other).status is DeliveryStatus.FAILED  # it was refused by itself
    (pause,) = make.all(Pause)
    assert (pause.scope, pause.key, pause.until) == (PauseScope.ISSUE, str(issue.id), None)
    assert [alarm.subject for alarm in make.all(Alarm)] == [f"Issue {issue.id} is stopped"]


def test_sudden_hard_bounces_trip_the_breaker_and_what_is_held_goes_when_it_is_resumed(sessions, make, publish):
    issue = publish(**{f"d{number}": 1 for number in range(40)})
    clock, brakes = Clock(), Brakes()
    with FaultyServer(faults={"RCPT": "550 5.1.1 no such user"}).running() as server:
        send_over(sessions, server.port, pace=PACE, clock=clock, brakes=brakes)
    failed = statuses(make)["failed"]
    assert 11 <= failed <= 11 + 2 * PACE.window
    assert statuses(make) == {"failed": failed, "deferred": 40 - failed}
    assert make.all(Suppression) == []

    clock.advance(minutes=1)
    with running() as sink:
        assert send_over(sessions, sink.port, pace=PACE, clock=clock, brakes=brakes).sent == 0
        clock.advance(minutes=1)
        with sessions.begin() as session:
            pauses.resume(session, PauseScope.ISSUE, str(issue.id), now=clock())
        assert send_over(sessions, sink.port, pace=PACE, clock=clock, brakes=brakes).sent == 40 - failed


def limits_at(url, port, **given):
    """Return limits of the relay on a port, as a process of its own would have them."""
    return Limits(lambda: url, {f"127.0.0.1:{port}": RelayLimits(**given)})


def test_a_days_quota_holds_over_several_workers_and_the_rest_waits(sessions, make, publish, broker):
    publish(a=30)
    sent = []
    with running() as sink:
        for _ in range(3):
            limits = limits_at(broker, sink.port, daily_quota=7)
            sent.append(send_over(sessions, sink.port, limits=limits, pace=PACE).sent)
            limits.close()

    assert sent == [7, 0, 0]
    assert {row.attempts for row in make.all(Delivery, status=DeliveryStatus.QUEUED)} == {0}
    assert statuses(make) == {"sent": 7, "queued": 23}


def test_a_domain_that_takes_little_is_in_no_others_way(sessions, make, publish, broker):
    publish(slow=60, fast=60)
    with running() as sink:
        limits = limits_at(broker, sink.port, domains={"slow.example": Allowance(rate=0.01)})
        pace = Pace(window=4, batch=20, budget=timedelta(seconds=2))
        report = send_over(sessions, sink.port, limits=limits, pace=pace)
        limits.close()

    assert report.sent == 61
    assert statuses(make, "fast") == {"sent": 60}
    waiting = [row for row in make.all(Delivery) if row.status is not DeliveryStatus.SENT]
    assert {(row.attempts, row.claimed_by) for row in waiting} == {(0, "")}
    assert {row.reason for row in waiting if row.status is DeliveryStatus.DEFERRED} == {"slow.example takes no more now"}


def test_with_redis_away_little_is_sent_and_nothing_twice(sessions, make, publish):
    publish(a=30)
    with running() as sink:
        limits = limits_at("redis://127.0.0.1:1/0", sink.port, daily_quota=50)
        report = send_over(sessions, sink.port, limits=limits, pace=Pace(window=4, budget=timedelta(seconds=1)))
        limits.close()
        times = Counter(sink.recipients())

    assert report.sent == 5  # a tenth
    assert set(times.values()) == {1}
    assert statuses(make) == {"sent": 5, "queued": 25}
