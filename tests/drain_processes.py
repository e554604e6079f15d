"""A process that forks drains, to be killed: what takes long to import is imported once.

`DATABASE FOLDER PORT CONNECTIONS`, then a line on stdin for each drain: answered by its process id, and when it is gone by how
it ended (a negative number: by which signal). A drain goes on until nothing is due, or SIGTERM.
"""

import os
import signal
import sys
from pathlib import Path

import structlog
from drains import mailer, relay_on

from newsletter import db
from newsletter.deliveries import Journal, Pace, drain, over, worker_name
from newsletter.wiring import utcnow


def send(database, folder, port, connections):
    told = []
    signal.signal(signal.SIGTERM, lambda *_: told.append(True))
    sessions = db.connect(database)
    with Journal.open(folder, worker_name()) as journal:
        way, pace = over(relay_on(port), connections=connections), Pace(batch=40, window=2 * connections)
        drain(sessions, way, mailer(), journal, clock=utcnow, pace=pace, stopping=lambda: bool(told))
    sessions.engine.dispose()


def say(number):
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def serve(database, folder, port, connections):
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    while sys.stdin.readline():
        pid = os.fork()
        if not pid:
            status = 1
            try:
                send(database, Path(folder), int(port), int(connections))
                status = 0
            finally:
                os._exit(status)
        say(pid)
        say(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


if __name__ == "__main__":
    serve(*sys.argv[1:])
