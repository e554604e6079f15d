import json
import os
import resource
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from newsletter.deliveries.journal import SYNC_EVERY, Journal, JournalFull, abandoned, worker_name
from newsletter.errors import Reply

PROCESSES = Path(__file__).with_name("journal_processes.py")
TAKEN = Reply(250, "2.0.0", "Ok: queued as 4F2B1C", "relay.test:587", "dot")
FULL = Reply(452, "4.2.2", "편지함이 가득 찼습니다", "relay.test:587", "rcpt")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "journal"


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
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return [json.loads(line) for line in answer.stdout.splitlines()]


@contextmanager
def disk_of(size):
    """Let no file grow beyond `size` bytes: the kernel answers with EFBIG where a full disk answers with ENOSPC."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_ended_is_told_in_the_servers_words_and_the_rest_is_open(folder):
    journal = Journal.open(folder, "ari")
    for delivery_id in (1, 2, 3):
        journal.begun(delivery_id)
    journal.ended(1, TAKEN)
    journal.ended(3, FULL)

    with left_behind(journal) as left:
        assert (left.worker, left.intact, left.same_boot, left.proves_absence) == ("ari", True, True, True)
        assert left.outcomes == {1: TAKEN, 3: FULL}
        assert left.open == {2}


def test_a_journal_that_somebody_holds_is_not_abandoned(folder):
    journal = Journal.open(folder, "ari")

    assert list(abandoned(folder)) == []
    journal.close()


def test_a_folder_that_is_not_there_has_no_journals(folder):
    assert list(abandoned(folder)) == []


def test_only_their_owner_may_read_what_servers_said(folder):
    journal = Journal.open(folder, "ari")

    assert (folder.stat().st_mode & 0o777, journal.path.stat().st_mode & 0o777) == (0o700, 0o600)
    journal.close()


@pytest.mark.parametrize("name", ["", "../ari", "a/b", ".ari", "a\0b", "a" * 101])
def test_a_name_that_is_no_file_name_is_refused(folder, name):
    with pytest.raises(ValueError, match="no journal"):
        Journal.open(folder, name)


def test_two_processes_never_share_a_name(folder):
    assert len({worker_name() for _ in range(100)}) == 100
    journal = Journal.open(folder, worker_name())
    with pytest.raises(JournalFull, match="another process has this name"):
        Journal.open(folder, journal.worker)
    journal.close()


def test_a_journal_with_all_settled_goes_away_at_closing(folder):
    journal = Journal.open(folder, "ari")
    journal.begun(1)
    journal.ended(1, TAKEN)
    journal.settled([1, 99])
    journal.close()
    journal.close()

    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("answered", [False, True])
def test_a_journal_with_anything_unsettled_stays_at_closing(folder, answered):
    journal = Journal.open(folder, "ari")
    journal.begun(1)
    if answered:
        journal.ended(1, TAKEN)
    journal.close()

    (left,) = abandoned(folder)
    assert (left.outcomes, left.open) == (({1: TAKEN}, frozenset()) if answered else ({}, {1}))


def test_what_is_settled_is_forgotten(folder):
    journal = Journal.open(folder, "ari")
    for delivery_id in (1, 2):
        journal.begun(delivery_id)
        journal.ended(delivery_id, TAKEN)
    journal.settled([1])

    assert journal.unsettled() == {2: TAKEN}
    with left_behind(journal) as left:
        assert left.outcomes == {2: TAKEN}


def test_a_message_begun_again_is_open_whatever_was_said_of_it_before(folder):
    journal = Journal.open(folder, "ari", entries=2)
    journal.begun(1)
    journal.ended(1, FULL)
    journal.begun(1)
    journal.settled([1])  # of the first time, and late

    assert journal.outstanding == 1
    with left_behind(journal) as left:
        assert (left.outcomes, left.open) == ({}, {1})


def test_the_answer_to_the_message_before_is_not_taken_for_this_ones(folder):
    journal = Journal.open(folder, "ari", entries=1)
    journal.begun(1)
    journal.ended(1, TAKEN)
    journal.settled([1])
    journal.begun(2)  # into the same slot

    with left_behind(journal) as left:
        assert (left.outcomes, left.open) == ({}, {2})


def test_however_many_messages_there_are_only_the_unsettled_take_room(folder):
    journal = Journal.open(folder, "ari", entries=64)
    size = journal.path.stat().st_size
    for first in range(1, 20_000, 50):
        for delivery_id in range(first, first + 50):
            journal.begun(delivery_id)
            journal.ended(delivery_id, TAKEN)
        journal.settled(range(first, first + 50))

    assert journal.path.stat().st_size == size
    journal.close()


def test_it_grows_while_messages_are_under_way(folder):
    journal = Journal.open(folder, "ari", entries=3)
    for delivery_id in range(1, 11):
        journal.begun(delivery_id)
    journal.ended(10, TAKEN)

    with left_behind(journal) as left:
        assert left.proves_absence
        assert (left.outcomes, left.open) == ({10: TAKEN}, set(range(1, 10)))


def test_on_a_full_disk_no_message_begins_and_those_under_way_still_end(folder):
    with disk_of(5 * 512):
        journal = Journal.open(folder, "ari", entries=4)
        for delivery_id in (1, 2, 3, 4):
            journal.begun(delivery_id)
        with pytest.raises(JournalFull, match=r"ari\.journal: the journal has no room .*: File too large") as refused:
            journal.begun(5)
        for delivery_id in (1, 2, 3, 4):
            journal.ended(delivery_id, TAKEN)
        journal.settled([2])
        journal.begun(5)  # there is room again

    assert "Make room" in refused.value.hint
    with left_behind(journal) as left:
        assert left.proves_absence
        assert (set(left.outcomes), left.open) == ({1, 3, 4}, {5})


def test_on_a_full_disk_no_journal_is_made_and_nothing_stays(folder):
    with disk_of(1000), pytest.raises(JournalFull, match="cannot be made: File too large"):
        Journal.open(folder, "ari")

    assert list(folder.iterdir()) == []


def test_a_disk_that_stops_taking_writes_loses_no_answer_and_lets_nothing_begin(folder):
    journal = Journal.open(folder, "ari")
    for delivery_id in (1, 2):
        journal.begun(delivery_id)
    journal.ended(1, TAKEN)
    with disk_of(0):
        journal.ended(2, TAKEN)
        journal.settled([1])
        journal.sync()
        with pytest.raises(JournalFull, match="cannot be written: File too large"):
            journal.begun(3)

    with pytest.raises(JournalFull):  # what it wrote last is not known: it is not trusted again
        journal.begun(4)
    with left_behind(journal) as left:
        assert (left.outcomes, left.open) == ({1: TAKEN}, {2})


def test_a_disk_that_fails_at_the_beginning_of_a_message_keeps_it_from_being_sent(folder):
    journal = Journal.open(folder, "ari")
    with disk_of(0), pytest.raises(JournalFull, match="cannot be written"):
        journal.begun(1)

    with left_behind(journal) as left:
        assert (left.outcomes, left.open) == ({}, set())


def test_without_help_from_the_system_it_writes_zeros_to_have_the_room(folder, monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate")  # as on macOS
    monkeypatch.delattr(os, "fdatasync")
    journal = Journal.open(folder, "ari", entries=3000)
    assert journal.path.stat().st_blocks * 512 >= 3000 * 512
    journal.begun(1)
    journal.ended(1, TAKEN)
    journal.sync()

    with left_behind(journal) as left:
        assert left.outcomes == {1: TAKEN}


def test_a_sync_is_due_after_every_fifty_messages(folder):
    journal = Journal.open(folder, "ari")
    due = []
    for delivery_id in range(1, 2 * SYNC_EVERY + 1):
        journal.begun(delivery_id)
        journal.ended(delivery_id, TAKEN)
        due.append(journal.sync_due)
        if journal.sync_due:
            journal.sync()

    assert [number for number, is_due in enumerate(due, 1) if is_due] == [SYNC_EVERY, 2 * SYNC_EVERY]
    journal.settled(range(1, 2 * SYNC_EVERY + 1))
    journal.close()


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="only Linux counts the writes of a process")
def test_a_message_costs_two_writes(folder):
    def writes():
        return int(Path("/proc/self/io").read_text().partition("syscw: ")[2].split()[0])

    journal = Journal.open(folder, "ari")
    before = writes()
    for delivery_id in range(1, 1001):
        journal.begun(delivery_id)
        journal.ended(delivery_id, TAKEN)

    assert 2000 <= writes() - before < 2010  # pytest may write a line of its own
    journal.settled(range(1, 1001))
    journal.close()


@pytest.mark.parametrize("boot", ["another", ""])
def test_after_a_restart_of_the_machine_answers_are_believed_and_absence_proves_nothing(folder, boot):
    journal = Journal.open(folder, "ari")
    journal.begun(1)
    journal.ended(1, TAKEN)
    journal.begun(2)
    journal.disown("the machine was switched off")

    (left,) = abandoned(folder, boot=boot)

    assert (left.intact, left.same_boot, left.proves_absence) == (True, False, False)
    assert (left.outcomes, left.open) == ({1: TAKEN}, {2})


def test_where_nothing_names_the_run_of_the_machine_no_file_proves_absence(folder):
    Journal.open(folder, "ari", boot="").disown("its process died")

    (left,) = abandoned(folder, boot="")

    assert not left.proves_absence


def test_a_settled_journal_is_removed_and_settling_it_twice_is_possible_before(folder):
    journal = Journal.open(folder, "ari")
    journal.begun(1)
    journal.disown("its process died")

    assert [left.open for left in abandoned(folder)] == [{1}]
    assert [left.open for left in abandoned(folder)] == [{1}]
    for left in abandoned(folder):
        left.remove()
    assert list(folder.iterdir()) == []


def test_while_one_settles_a_journal_another_does_not_get_it(folder):
    for worker in ("ari", "bora"):
        Journal.open(folder, worker).disown("its process died")

    seen = [(left.worker, [other.worker for other in abandoned(folder)]) for left in abandoned(folder)]

    assert seen == [("ari", ["bora"]), ("bora", ["ari"])]


def test_of_processes_that_settle_at_once_each_journal_goes_to_one(folder):
    for number in range(40):
        Journal.open(folder, f"ari-{number}", entries=1).disown("its process died")

    ((*got,),) = run("race", folder, 3)

    assert Counter(worker for one in got for worker in one) == {f"ari-{number}": 1 for number in range(40)}


def test_a_forked_child_neither_writes_nor_keeps_the_lock(folder):
    (seen,) = run("fork", folder)

    assert "forked from the one whose journal it is" in seen["refusal"]
    assert seen["while_held"] == []
    assert seen["after"] == [["parent", [1], []]]


def test_of_a_file_cut_anywhere_nothing_is_made_up(folder):
    journal = Journal.open(folder, "ari", entries=3)
    for delivery_id in (1, 2, 3):
        journal.begun(delivery_id)
    journal.ended(1, TAKEN)
    journal.ended(2, FULL)
    journal.disown("its process died")
    for size in reversed(range(journal.path.stat().st_size)):
        os.truncate(journal.path, size)
        (left,) = abandoned(folder)
        assert not left.proves_absence
        assert left.outcomes.items() <= {1: TAKEN, 2: FULL}.items()
        assert left.open <= {1, 2, 3} - set(left.outcomes)


@settings(max_examples=100, deadline=None)
@given(start=st.integers(0, 5 * 512), rubbish=st.one_of(st.binary(min_size=1, max_size=600), st.integers(1, 1500).map(bytes)))
def test_of_a_file_overwritten_anywhere_nothing_is_made_up(tmp_path_factory, start, rubbish):
    folder = tmp_path_factory.mktemp("journal")
    journal = Journal.open(folder, "ari", entries=4)
    for delivery_id in (1, 2, 3):
        journal.begun(delivery_id)
    journal.ended(1, TAKEN)
    journal.disown("its process died")
    with journal.path.open("r+b") as file:
        file.seek(start)
        file.write(rubbish)

    (left,) = abandoned(folder)

    assert left.outcomes.items() <= {1: TAKEN}.items()
    assert left.open <= {1, 2, 3}


@pytest.mark.parametrize(
    "data", [b"", bytes(4096), b"not a journal\n" * 300, os.urandom(8192)], ids=["empty", "zeros", "text", "noise"]
)
def test_a_file_that_is_no_journal_tells_nothing_and_is_set_aside(folder, data):
    folder.mkdir()
    (folder / "ari.journal").write_bytes(data)

    (left,) = abandoned(folder)
    left.remove()

    assert (left.worker, left.intact, left.proves_absence, left.outcomes, left.open) == ("ari", False, False, {}, frozenset())
    assert [path.name for path in folder.iterdir()] == ["ari.damaged"]
    left.remove()  # a second time, it is gone


def test_a_journal_under_another_name_is_not_believed(folder):
    journal = Journal.open(folder, "ari")
    journal.begun(1)
    journal.disown("its process died")
    journal.path.rename(folder / "bora.journal")

    (left,) = abandoned(folder)

    assert (left.worker, left.intact, left.open) == ("bora", False, frozenset())


def test_slots_of_another_journal_are_not_believed(folder):
    ours, theirs = Journal.open(folder, "ari", entries=1), Journal.open(folder, "bora", entries=1)
    theirs.begun(7)
    slot = theirs.path.read_bytes()[512:]
    theirs.disown("its process died")
    ours.path.write_bytes(ours.path.read_bytes()[:512] + slot)
    theirs.path.unlink()

    with left_behind(ours) as left:
        assert (left.open, left.outcomes, left.damaged) == (frozenset(), {}, 1)


def test_other_things_in_the_folder_are_left_alone(folder):
    (folder / "folder.journal").mkdir(parents=True)
    os.mkfifo(folder / "pipe.journal")
    (folder / "link.journal").symlink_to("/etc/hostname")
    (folder / "dangling.journal").symlink_to("nowhere")
    (folder / "README").write_text("notes")
    before = sorted(folder.iterdir())

    assert list(abandoned(folder)) == []
    assert sorted(folder.iterdir()) == before


def test_what_a_process_left_that_died_while_making_its_journal_is_swept_away(folder):
    folder.mkdir()
    (folder / ".ari.1f2e3d4c.new").write_bytes(b"")

    assert list(abandoned(folder)) == []
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "reply",
    [
        Reply(0, "", "the connection was lost", "relay.test:587", "dot"),
        Reply(550, "5.1.1", "no such user", "", ""),
        Reply(250, "", "", "relay.test:25", "dot"),
        Reply(250, "2.0.0", "a\0b\nc", "relay.test:25", "dot"),
    ],
)
def test_every_reply_comes_back_as_it_was(folder, reply):
    journal = Journal.open(folder, "ari")
    journal.begun(2**63 - 1)
    journal.ended(2**63 - 1, reply)

    with left_behind(journal) as left:
        assert left.outcomes == {2**63 - 1: reply}


def test_a_long_answer_is_cut_between_two_characters(folder):
    journal = Journal.open(folder, "ari")
    journal.begun(1)
    journal.ended(1, Reply(550, "5.7.1", "거절" * 500, "relay.test:587", "dot"))

    with left_behind(journal) as left:
        reply = left.outcomes[1]
        assert (reply.code, reply.enhanced, reply.server, reply.phase) == (550, "5.7.1", "relay.test:587", "dot")
        assert len(reply.text) > 100
        assert ("거절" * 500).startswith(reply.text)


def test_of_one_delivery_that_is_open_and_ended_in_one_file_it_is_believed_that_it_is_open(folder):
    journal = Journal.open(folder, "ari", entries=2)
    journal.begun(1)
    journal.ended(1, FULL)
    stale = journal.path.read_bytes()[512:1024]
    journal.settled([1])
    journal.begun(2)
    journal.begun(1)
    journal.disown("the machine was switched off")
    data = bytearray(journal.path.read_bytes())
    data[512:1024] = stale  # the disk had not heard yet that this one was settled
    journal.path.write_bytes(data)

    (left,) = abandoned(folder, boot="another")

    assert (left.outcomes, left.open) == ({}, {1})


# What may be found of a message, by the last word of its process about it.
MAY_BE = {
    "begin": {"absent", "open"},
    "begun": {"open"},
    "end": {"open", "ended"},
    "ended": {"ended"},
    "settle": {"ended", "absent"},
    "settled": {"absent"},
}


def test_whatever_moment_a_process_is_killed_at_its_journal_tells_what_was_under_way(tmp_path):
    rounds = run("kills", tmp_path, 110, 20_240_314)

    kinds = Counter()
    for seen in rounds:
        assert len(seen["found"]) == 1 or not seen["last"]
        for proves_absence, outcomes, still_open in seen["found"]:
            assert proves_absence
            assert set(map(str, still_open)) | set(outcomes) <= set(seen["last"])
            assert all(code == 200 + int(number) % 300 for number, code in outcomes.items())
            for number, word in seen["last"].items():
                found = "open" if int(number) in still_open else "ended" if number in outcomes else "absent"
                assert found in MAY_BE[word]
                kinds[word, found] += 1
    assert len(rounds) == 110
    assert {word for word, _ in kinds} >= {"begun", "ended", "settled"}
    assert [path.name for path in tmp_path.iterdir()] == ["said"]
