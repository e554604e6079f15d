"""All scenarios by name, and their sizes."""

from collections.abc import Callable
from dataclasses import dataclass

import scenarios
import service_scenarios
from promises import Result
from stage import Stage

BOTH = ("sqlite", "postgres")
POLICIES = ("resend-once", "hold")


@dataclass(frozen=True)
class Scenario:
    """A way for things to break, and its size."""

    play: Callable[[Stage], Result]
    kills: int = 1
    number: int = 1000  # deliveries
    quick: int = 300
    quick_kills: int = 1
    databases: tuple[str, ...] = BOTH
    policies: tuple[str, ...] = POLICIES
    hasty: tuple[tuple[str, str], ...] = (("sqlite", "resend-once"),)  # the pairs of both that are enough in a hurry


_ON_POSTGRES = ("postgres",)
_EACH_ONCE = (("sqlite", "resend-once"), ("postgres", "hold"))
_HOLDING = (("postgres", "hold"),)
_RESENDING = (("postgres", "resend-once"),)
SCENARIOS = {
    "kill": Scenario(scenarios.kill, kills=30, number=5000, quick=400, quick_kills=5, hasty=_EACH_ONCE),
    "machine-lost": Scenario(scenarios.machine_lost, hasty=_EACH_ONCE),
    "stopped": Scenario(scenarios.stopped),
    "relay-cut": Scenario(scenarios.relay_cut, kills=4, quick_kills=2),
    "database-cut": Scenario(scenarios.database_cut, kills=2, databases=_ON_POSTGRES, hasty=_HOLDING),
    "database-killed": Scenario(scenarios.database_killed, kills=5, databases=_ON_POSTGRES, quick_kills=2, hasty=_RESENDING),
    "journal-full": Scenario(scenarios.journal_full, kills=3, hasty=_EACH_ONCE),
    "told-to-stop": Scenario(scenarios.told_to_stop, kills=3),
    "child-killed": Scenario(service_scenarios.child_killed, kills=5, quick_kills=2, hasty=_HOLDING),
    "broker-killed": Scenario(service_scenarios.broker_killed, kills=2),
    "broker-cut": Scenario(service_scenarios.broker_cut, kills=2, hasty=_RESENDING),
    "worker-stopped": Scenario(service_scenarios.worker_stopped, kills=3),
    "two-beats": Scenario(service_scenarios.two_beats),
    "machines": Scenario(service_scenarios.machines, databases=_ON_POSTGRES, quick=600, hasty=_HOLDING),
}
