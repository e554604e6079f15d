"""Processes that keep journals, to be killed: run as a program, which has no threads and so may fork as often as it likes.

`kills FOLDER ROUNDS SEED`   kill a writer at a random point, ROUNDS times; a JSON line each: what it last said, what it left
`race FOLDER PROCESSES`      let several processes settle one folder at once; a JSON line with what each of them got
`fork FOLDER`                fork while a journal is kept; a JSON line with what parent and child saw
"""

import json
import os
import random
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from newsletter.deliveries.journal import Journal, JournalFull, abandoned, worker_name
from newsletter.errors import Reply


def reply_to(delivery_id):
    return Reply(200 + delivery_id % 300, "2.0.0", f"answer {delivery_id}", "relay:25", "dot")


def write_until_killed(folder, words, seed):
    """Begin, end and settle messages without end, saying before and after each what is done."""
    dice, under_way, answered = random.Random(seed), [], []
    journal = Journal.open(folder, worker_name(), entries=4)
    for delivery_id in range(1, sys.maxsize):
        os.write(words, b"begin %d\n" % delivery_id)
        journal.begun(delivery_id)
        os.write(words, b"begun %d\n" % delivery_id)
        under_way.append(delivery_id)
        while len(under_way) > dice.randrange(8):
            ending = under_way.pop(dice.randrange(len(under_way)))
            os.write(words, b"end %d\n" % ending)
            journal.ended(ending, reply_to(ending))
            os.write(words, b"ended %d\n" % ending)
            answered.append(ending)
        if len(answered) > dice.randrange(20):
            os.writev(words, [b"settle %d\n" % one for one in answered])
            journal.settled(answered)
            os.writev(words, [b"settled %d\n" % one for one in answered])
            answered.clear()


def tell(value):
    sys.stdout.write(json.dumps(value) + "\n")


def forked(work):
    """Run `work` in a child of its own and return its pid."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
    finally:
        os._exit(0)


def kills(folder, rounds, seed):
    dice = random.Random(int(seed))
    for each in range(int(rounds)):
        said = folder / "said"
        words = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
        pid = forked(lambda: write_until_killed(folder, words, each))  # noqa: B023 -- it runs before the loop goes on
        while each % 8 and not said.stat().st_size:  # every eighth is killed while it makes its journal, or soon after
            time.sleep(0.001)
        time.sleep(dice.uniform(0, 0.005))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(words)
        whole = said.read_text().rpartition("\n")[0]  # of a line across two pages a kill may leave the half
        last = {int(number): word for word, number in (line.split() for line in whole.splitlines())}
        found = [(left.proves_absence, {n: r.code for n, r in left.outcomes.items()}, list(left.open)) for left in settle(folder)]
        tell({"last": last, "found": found})


def settle(folder):
    for left in abandoned(folder):
        yield left
        left.remove()


def race(folder, processes):
    results = [folder / f"got-{number}" for number in range(int(processes))]
    ready, go = os.pipe()

    def settle_all(result):
        os.close(go)
        os.read(ready, 1)  # nothing ever comes: it ends when the parent closes its end, for all at once
        result.write_text("\n".join(left.worker for left in settle(folder)))

    pids = [forked(lambda result=result: settle_all(result)) for result in results]
    os.close(go)
    for pid in pids:
        os.waitpid(pid, 0)
    tell([result.read_text().split() for result in results])


def fork(folder):
    journal = Journal.open(folder, "parent")
    journal.begun(1)
    reading, writing = os.pipe()

    def try_to_write():
        refusal = ""
        try:
            journal.begun(2)
        except JournalFull as error:
            refusal = str(error)
        journal.close()
        os.write(writing, refusal.encode())
        time.sleep(60)  # it outlives the parent's journal, and must not keep its lock

    pid = forked(try_to_write)
    refusal = os.read(reading, 1000).decode()
    while_held = [left.worker for left in abandoned(folder)]
    journal.ended(1, reply_to(1))
    journal.close()
    after = [(left.worker, sorted(left.outcomes), sorted(left.open)) for left in abandoned(folder)]
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    tell({"refusal": refusal, "while_held": while_held, "after": after})


if __name__ == "__main__":
    {"kills": kills, "race": race, "fork": fork}[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
