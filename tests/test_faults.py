"""A short version of what `make test-faults` proves at full size, and that a broken promise would be noticed."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "faults"))

from helpers import Counted  # noqa: E402 -- the scenarios are programs, not a package
from promises import Result, Seen, judge  # noqa: E402

EXPECTED = {"<1@x>": (1, "ari@example.org"), "<2@x>": (2, "bora@example.org")}
BECAME_UNKNOWN = (2, "sending", "unknown")


def found_of(accepted, *, policy="resend-once", withheld=(), traces=(), left=(), allowed=8):
    """Return what is found broken where the mail server took these, one Message-ID each time."""
    recipients = {address: {name} for name, (_, address) in EXPECTED.items()}
    counted = Counted(Counter(accepted), Counter(withheld), recipients)
    result = Result("kill", "sqlite", policy, kills=1, expected=2, allowed_unknown=allowed)
    return judge(result, Seen(EXPECTED, counted, list(traces), dict(left)))


def test_all_is_well_when_everybody_was_reached_once():
    found = found_of(["<1@x>", "<2@x>"])

    assert (found.reached, found.lost, found.duplicates, found.unknown, found.broken) == (2, 0, 0, 0, [])


def test_a_second_mail_is_well_when_the_first_was_unknown():
    found = found_of(["<1@x>", "<2@x>"], withheld=["<2@x>"], traces=[BECAME_UNKNOWN])

    assert (found.duplicates, found.unknown, found.broken) == (1, 1, [])


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        ({"accepted": ["<1@x>"]}, "neither reached nor listed"),
        ({"accepted": ["<1@x>", "<2@x>", "<2@x>"]}, "were never unknown"),
        ({"accepted": ["<1@x>", "<2@x>"], "withheld": ["<2@x>"]}, "were never unknown"),
        ({"accepted": ["<1@x>", "<2@x>", "<2@x>"], "traces": [BECAME_UNKNOWN], "policy": "hold"}, "under the policy hold"),
        ({"accepted": ["<1@x>", "<2@x>"], "traces": [BECAME_UNKNOWN], "allowed": 0}, "more than 0"),
        ({"accepted": ["<1@x>", "<2@x>"], "left": {2: "sending"}}, "stuck"),
        ({"accepted": ["<1@x>"], "left": {2: "held"}}, "are held and were never unknown"),
        ({"accepted": ["<1@x>", "<2@x>", "<3@x>"]}, "that nobody is owed"),
    ],
)
def test_a_broken_promise_is_noticed(seen, words):
    assert any(words in broken for broken in found_of(**seen).broken)


def test_a_reader_who_is_held_is_listed_and_not_lost():
    found = found_of(["<1@x>"], policy="hold", traces=[BECAME_UNKNOWN], left={2: "held"})

    assert (found.lost, found.held, found.broken) == (0, 1, [])


def played(tmp_path, *words):
    """Play a scenario and return what it found."""
    out = tmp_path / "faults.json"
    command = [sys.executable, "faults/run.py", "--out", str(out), *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = json.loads(out.read_text())
    return found


@pytest.mark.parametrize(("database", "policy"), [("sqlite", "resend-once"), ("postgres", "hold")])
def test_a_worker_that_is_killed_misses_nobody(tmp_path, database, policy):
    found = played(tmp_path, "--scenario", "kill", "--database", database, "--policy", policy, "--n", "200", "--kills", "3")

    assert (found["expected"], found["lost"], found["kills"], found["broken"]) == (200, 0, 3, [])
    assert found["inside_data"] > 0
    assert found["unknown"] > 0
    assert found["held"] == (found["unknown"] if policy == "hold" else 0)


def test_a_worker_that_is_told_to_stop_leaves_nothing_unknown(tmp_path):
    found = played(
        tmp_path, "--scenario", "told-to-stop", "--database", "sqlite", "--policy", "hold", "--n", "200", "--kills", "1"
    )

    assert (found["reached"], found["unknown"], found["duplicates"], found["broken"]) == (200, 0, 0, [])


def test_the_scenarios_can_be_listed():
    done = subprocess.run([sys.executable, "faults/run.py", "--list"], cwd=ROOT, capture_output=True, text=True, check=True)

    assert len(done.stdout.splitlines()) == 14
