"""Journals as tests look at them."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from newsletter.deliveries.journal import abandoned
from newsletter.errors import Reply

PROCESSES = Path(__file__).with_name("journal_processes.py")
TAKEN = Reply(250, "2.0.0", "Ok: queued as 4F2B1C", "relay.test:587", "dot")
FULL = Reply(452, "4.2.2", "편지함이 가득 찼습니다", "relay.test:587", "rcpt")


@contextmanager
def left_behind(journal):
    """Give the one journal of the folder as the next process finds it after the death of the one that kept it."""
    journal.disown("its process died")
    (left,) = abandoned(journal.path.parent)
    yield left


def run(*words):
    root = PROCESSES.parent.parent
    answer = subprocess.run(
        [sys.executable, str(PROCESSES), *map(str, words)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert answer.returncode == 0, answer.stderr
    return [json.loads(line) for line in answer.stdout.splitlines()]
